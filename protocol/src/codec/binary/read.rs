//! Numbers, texts and JSON, read; never beyond the end of the frame.

use crate::{ActionId, OverLimit, WireError};

/// A number has no more than the 54 bits that a folded sign needs.
const NUMBER_BYTES: u32 = 8;

/// Why a frame is not read.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not what the protocol allows.
    Malformed,
    /// It is, and is refused.
    Refused(WireError),
}

impl From<OverLimit> for Fault {
    fn from(limit: OverLimit) -> Self {
        Self::Refused(limit.into())
    }
}

/// What is left of a frame.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self(frame)
    }

    /// Nothing follows.
    pub(super) fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.0.split_first().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// So many bytes.
    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn bits(&mut self) -> Result<u64, Fault> {
        let mut number = 0;
        for group in 0..NUMBER_BYTES {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Fault::Malformed)
    }

    /// A number that JavaScript holds exactly.
    pub(super) fn number(&mut self) -> Result<u64, Fault> {
        let number = self.bits()?;
        if number <= ActionId::NUMBER_MAX { Ok(number) } else { Err(Fault::Malformed) }
    }

    pub(super) fn small_number(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| Fault::Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Fault> {
        let folded = self.bits()?;
        // At most 56 bits, so the cast keeps it.
        let number = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
        if number.unsigned_abs() <= ActionId::NUMBER_MAX {
            Ok(number)
        } else {
            Err(Fault::Malformed)
        }
    }

    /// A length, and as many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.number()?).map_err(|_| Fault::Malformed)?;
        self.raw(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::Draft;
    use super::*;

    fn written(number: i64) -> Vec<u8> {
        Draft::new(0).signed(number).end().bytes()[1..].to_vec()
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let max = ActionId::NUMBER_MAX.cast_signed();
        for number in [0, 1, -1, 63, 64, -64, -65, 8191, 8192, max - 1, max, -max] {
            let bytes = written(number);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.signed().unwrap(), number);
            reader.end().unwrap();
        }
        assert_eq!(written(136), [0x90, 0x02]);
        assert_eq!(written(-4), [0x07]);
    }

    #[test]
    fn what_is_cut_or_too_great_is_malformed() {
        let max = ActionId::NUMBER_MAX.cast_signed();
        for bytes in [&written(max + 1)[..], &[], &[0x80], &[0xff; 9], &[0x80; 20]] {
            assert!(Reader::new(bytes).signed().is_err(), "{bytes:?}");
        }
        assert!(Reader::new(&[2, b'a']).text().is_err());
        assert!(Reader::new(&[1, 0xff]).text().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0]).bytes().is_err());
    }
}
