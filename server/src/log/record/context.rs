//! The context of an entry in its record: per server what its author had seen.

use super::super::binary::{Reader, put_count, put_number};
use super::super::entry::Causes;
use super::take_position;
use bytes::Bytes;
use tidelog_crdt::{Context, Incarnation, Position, Ranges, Seen};

/// Appends what the author of an entry of the server `own` had seen.
pub(super) fn put_causes(out: &mut Vec<u8>, causes: &Causes, own: Incarnation) {
    match causes.stored() {
        Some(stored) if stored.own == own => out.extend_from_slice(&stored.bytes),
        Some(_) | None => put_context(out, &causes.context(), own),
    }
}

/// Per server: 0 for the server of the dot, or 1 and the incarnation; the prefix; the own ranges.
fn put_context(out: &mut Vec<u8>, context: &Context, own: Incarnation) {
    put_count(out, context.iter().len());
    for (incarnation, seen) in context.iter() {
        if incarnation == own {
            out.push(0);
        } else {
            out.push(1);
            out.extend_from_slice(&incarnation.0.to_le_bytes());
        }
        put_number(out, seen.prefix.get());
        put_count(out, seen.own.len());
        let mut before = 0;
        for (first, last) in seen.own.iter() {
            put_number(out, first.get() - before);
            put_number(out, last.get() - first.get());
            before = last.get();
        }
    }
}

/// A context as a record has it, which was seen to be one.
#[derive(Clone, Debug)]
pub(in super::super) struct Stored {
    bytes: Bytes,
    own: Incarnation,
}

impl Stored {
    /// Takes a context from the front of `reader`, which reads `record`.
    pub(super) fn take(reader: &mut Reader<'_>, record: &Bytes, own: Incarnation) -> Option<Self> {
        let before = reader.rest();
        walk(reader, own, |_, _, ranges| ranges.skip())?;
        let bytes = before.get(..before.len() - reader.rest().len())?;
        Some(Self { bytes: record.slice_ref(bytes), own })
    }

    /// The context.
    pub(in super::super) fn read(&self) -> Context {
        let mut context = Context::default();
        let add = |incarnation, prefix, ranges: &mut RangesReader<'_, '_>| {
            let seen = Seen { prefix, own: ranges.read()? };
            context.insert(incarnation, seen);
            Some(())
        };
        // It was read through when it was taken.
        walk(&mut Reader::new(&self.bytes), self.own, add)
            .map_or_else(Context::default, |()| context)
    }
}

/// Goes through a context: `each` is given the incarnation and the prefix, and has to take the ranges.
fn walk(
    reader: &mut Reader<'_>,
    own: Incarnation,
    mut each: impl FnMut(Incarnation, Position, &mut RangesReader<'_, '_>) -> Option<()>,
) -> Option<()> {
    for _ in 0..reader.count()? {
        let incarnation = match reader.byte()? {
            0 => own,
            1 => Incarnation(reader.eight()?),
            _ => return None,
        };
        let prefix = take_position(reader)?;
        each(incarnation, prefix, &mut RangesReader(reader))?;
    }
    Some(())
}

/// Ranges that come next.
struct RangesReader<'a, 'b>(&'a mut Reader<'b>);

impl RangesReader<'_, '_> {
    fn each(&mut self, mut to: impl FnMut((Position, Position))) -> Option<()> {
        let mut before = None;
        for _ in 0..self.0.count()? {
            let base = before.map_or(0, Position::get);
            let first = base.checked_add(self.0.number()?)?;
            let last = Position::new(first.checked_add(self.0.number()?)?)?;
            let first = Position::new(first)?;
            // They ascend with gaps between them, or the same set would have several forms.
            if before.is_some_and(|before: Position| before.plus(1) >= first) {
                return None;
            }
            to((first, last));
            before = Some(last);
        }
        Some(())
    }

    fn skip(&mut self) -> Option<()> {
        self.each(|_| ())
    }

    fn read(&mut self) -> Option<Ranges> {
        let mut ranges = Vec::new();
        self.each(|range| ranges.push(range))?;
        Ranges::from_ranges(ranges)
    }
}
