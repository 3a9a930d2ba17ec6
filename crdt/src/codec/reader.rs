//! Bytes in.

use super::{DecodeError, VERSION};
use crate::{Context, Dot, Element, Incarnation, Json, Position, Ranges, Seen, Stamp};
use std::sync::Arc;

use DecodeError::Damaged;

/// What is left of the bytes, and the tables of what they name.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    nodes: Vec<Arc<str>>,
    incarnations: Vec<Incarnation>,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Reads the version and the tables.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let (version, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if *version != VERSION {
            return Err(DecodeError::Version(*version));
        }
        let mut reader = Self { rest, nodes: Vec::new(), incarnations: Vec::new() };
        for _ in 0..reader.count(1)? {
            let node = reader.text()?;
            reader.nodes.push(node.into());
        }
        for _ in 0..reader.count(8)? {
            let (bytes, rest) = reader.rest.split_first_chunk().ok_or(SHORT)?;
            reader.rest = rest;
            reader.incarnations.push(Incarnation(u64::from_le_bytes(*bytes)));
        }
        Ok(reader)
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Damaged("something follows its end")) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Damaged("a number is too large or written too long"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too large or written too long"))
    }

    pub(crate) fn small(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| Damaged("a number is too large"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn distance(&mut self, base: u64) -> Result<u64> {
        Ok(base.wrapping_add(self.signed()?.cast_unsigned()))
    }

    /// A count of things of at least `bytes_each` bytes: there cannot be more than fit.
    pub(crate) fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let count = usize::try_from(self.number()?).ok();
        let fits = |count: &usize| {
            count.checked_mul(bytes_each).is_some_and(|bytes| bytes <= self.rest.len())
        };
        count.filter(fits).ok_or(SHORT)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let len = self.count(1)?;
        let (text, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        str::from_utf8(text).map_err(|_| Damaged("a text is not UTF-8"))
    }

    pub(crate) fn character(&mut self) -> Result<char> {
        let first = self.rest.first().ok_or(SHORT)?;
        let len = match first {
            0..0xc0 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let (character, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        let character = str::from_utf8(character).ok().and_then(|text| text.chars().next());
        character.ok_or(Damaged("a text is not UTF-8"))
    }

    pub(crate) fn json(&mut self) -> Result<Json> {
        Json::from_canonical(self.text()?).ok_or(Damaged("a value is not canonical JSON"))
    }

    pub(crate) fn incarnation(&mut self) -> Result<Incarnation> {
        let number = self.number()?;
        let known = usize::try_from(number).ok().and_then(|at| self.incarnations.get(at));
        known.copied().ok_or(Damaged("it names an incarnation that it does not list"))
    }

    pub(crate) fn node(&mut self) -> Result<Arc<str>> {
        let number = self.number()?;
        let known = usize::try_from(number).ok().and_then(|at| self.nodes.get(at));
        known.cloned().ok_or(Damaged("it names a node that it does not list"))
    }

    pub(crate) fn position(&mut self) -> Result<Position> {
        position(self.number()?)
    }

    pub(crate) fn dot(&mut self) -> Result<Dot> {
        Ok(Dot { incarnation: self.incarnation()?, position: self.position()? })
    }

    pub(crate) fn stamp(&mut self) -> Result<Stamp> {
        let time = self.number()?;
        let created = self.distance(time)?;
        Ok(Stamp { time, created, node: self.node()?, sequence: self.number()? })
    }

    pub(crate) fn element(&mut self) -> Result<Element> {
        let (created, node) = (self.number()?, self.node()?);
        Ok(Element { created, node, sequence: self.number()?, number: self.small()? })
    }

    pub(crate) fn context(&mut self) -> Result<Context> {
        let mut context = Context::default();
        for _ in 0..self.count(3)? {
            let incarnation = self.incarnation()?;
            let prefix = self.position()?;
            let mut own = Vec::new();
            let mut before = prefix.get();
            for _ in 0..self.count(2)? {
                let first = position(self.distance(before)?)?;
                let last = first.get().checked_add(self.number()?);
                let last = last.ok_or(Damaged("a position is too large")).and_then(position)?;
                own.push((first, last));
                before = last.get();
            }
            let own = Ranges::from_ranges(own).ok_or(Damaged("ranges do not ascend"))?;
            context.insert(incarnation, Seen { prefix, own });
        }
        Ok(context)
    }
}

const SHORT: DecodeError = Damaged("it ends too early");

pub(super) fn position(number: u64) -> Result<Position> {
    Position::new(number).ok_or(Damaged("a position is too large"))
}
