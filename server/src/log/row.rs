//! A row of the feed: the records of one commit, or of a part of a large one, under one checksum.
//!
//! ```text
//! version   1 byte
//! count     u32
//! ends      u32 for each record: where it ends, counted from the end of this table
//! records
//! checksum  u32: CRC-32 of the key and of everything above
//! ```
//!
//! Numbers are little-endian. The key is the position of the first record, big-endian; the records
//! have the positions from there on. The checksum covers the key, so that a row that turns up under
//! another position is found out.

use super::binary::Reader;
use super::error::Damage;
use bytes::Bytes;
use std::ops::Range;
use tidelog_crdt::Position;

/// The version that is written.
const VERSION: u8 = 1;

/// The longest row. With segments of 16 MiB the engine keeps a leaf of 17 such rows out of the
/// files that it never syncs (see `store`).
pub(super) const ROW_BYTES_MAX: usize = 240 << 10;

/// A row with so much in it is ended; a commit of a hundred actions is one. What the engine keeps in memory is a few hundred leaves, however small
/// its cache is set, and a leaf has 8 to 17 rows (see `store`).
const ROW_BYTES_FULL: usize = 48 << 10;

/// Version, count and checksum.
const FRAME_BYTES: usize = 1 + 4 + 4;
/// What a record costs beside its own bytes.
pub(super) const END_BYTES: usize = 4;

/// The longest record.
pub(super) const RECORD_BYTES_MAX: usize = ROW_BYTES_MAX - FRAME_BYTES - END_BYTES;

/// Collects the records of one row.
#[derive(Debug)]
pub(super) struct RowBuilder {
    first: Position,
    ends: Vec<u32>,
    records: Vec<u8>,
}

impl RowBuilder {
    /// A row whose first record will be at `first`.
    pub(super) fn new(first: Position) -> Self {
        Self { first, ends: Vec::new(), records: Vec::new() }
    }

    /// Whether a record of `length` bytes still fits.
    pub(super) fn fits(&self, length: usize) -> bool {
        let ends = (self.ends.len() + 1) * END_BYTES;
        let most = if self.is_empty() { ROW_BYTES_MAX } else { ROW_BYTES_FULL };
        FRAME_BYTES + ends + self.records.len() + length <= most
    }

    /// Adds a record that [`RowBuilder::fits`].
    pub(super) fn push(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        let end = u32::try_from(self.records.len()).expect("a row is at most 240 KiB");
        self.ends.push(end);
    }

    /// The position that the next record will have.
    pub(super) fn next(&self) -> Position {
        self.first.plus(self.ends.len() as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The row.
    pub(super) fn finish(self) -> Row {
        let table = self.ends.len() * END_BYTES;
        let mut out = Vec::with_capacity(FRAME_BYTES + table + self.records.len());
        out.push(VERSION);
        let count = u32::try_from(self.ends.len()).expect("a row is at most 240 KiB");
        out.extend_from_slice(&count.to_le_bytes());
        for end in &self.ends {
            out.extend_from_slice(&end.to_le_bytes());
        }
        out.extend_from_slice(&self.records);
        out.extend_from_slice(&checksum(self.first, &out).to_le_bytes());
        Row { first: self.first, ends: self.ends, start: 5 + table, value: out.into() }
    }
}

/// A whole row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    first: Position,
    ends: Vec<u32>,
    /// Where the first record starts.
    start: usize,
    value: Bytes,
}

impl Row {
    /// Checks and takes the row whose first record is at `first`.
    pub(super) fn decode(first: Position, value: Bytes) -> Result<Self, Damage> {
        let (body, sum) = value.split_last_chunk::<4>().ok_or(Damage("a row is cut off"))?;
        match body.first() {
            Some(&VERSION) => {}
            Some(_) => return Err(Damage("a row is of an unknown version")),
            None => return Err(Damage("a row is cut off")),
        }
        if checksum(first, body) != u32::from_le_bytes(*sum) {
            return Err(Damage("the checksum of a row does not match"));
        }
        let (ends, start) = table(body).ok_or(Damage("the table of a row does not fit"))?;
        Ok(Self { first, ends, start, value })
    }

    /// The position of the first record.
    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// The position after the last record.
    pub(super) fn next(&self) -> Position {
        self.first.plus(self.ends.len() as u64)
    }

    /// The position of the last record.
    pub(super) fn last(&self) -> Position {
        Position::new(self.next().get().saturating_sub(1)).unwrap_or_default()
    }

    /// What is stored under the key.
    pub(super) fn value(&self) -> &Bytes {
        &self.value
    }

    /// Where in the value each record is, in order of position.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut from = self.start;
        self.ends.iter().map(move |end| {
            let to = self.start + *end as usize;
            std::mem::replace(&mut from, to)..to
        })
    }

    /// The record at `position`; it shares the row's memory.
    pub(super) fn record(&self, position: Position) -> Option<Bytes> {
        let nth = usize::try_from(position.get().checked_sub(self.first.get())?).ok()?;
        let from = match nth.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        let to = *self.ends.get(nth)? as usize;
        Some(self.value.slice(self.start + from..self.start + to))
    }

    /// The records with their positions; they share the row's memory.
    pub(super) fn records(&self) -> impl Iterator<Item = (Position, Bytes)> + '_ {
        let positions = (0..).map(|nth| self.first.plus(nth));
        positions.zip(self.ranges().map(|range| self.value.slice(range)))
    }
}

/// Where each record ends, and where the first one starts.
fn table(body: &[u8]) -> Option<(Vec<u32>, usize)> {
    let mut reader = Reader::new(body.get(1..)?);
    let count = usize::try_from(reader.four()?).ok()?;
    let table = reader.bytes(count.checked_mul(END_BYTES)?)?;
    let ends: Vec<u32> = table
        .chunks_exact(END_BYTES)
        .filter_map(|end| end.try_into().ok().map(u32::from_le_bytes))
        .collect();
    let whole = usize::try_from(*ends.last()?).ok()? == reader.rest().len();
    (whole && ends.is_sorted()).then_some((ends, 5 + table.len()))
}

fn checksum(first: Position, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&first.get().to_be_bytes());
    sum.update(body);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn row(first: u64, records: &[Vec<u8>]) -> Row {
        let mut builder = RowBuilder::new(at(first));
        for record in records {
            builder.push(record);
        }
        builder.finish()
    }

    #[test]
    fn a_row_has_the_bytes_it_always_had() {
        let row = row(300, &[b"one".to_vec(), b"three".to_vec()]);
        let hex = row.value().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let golden = concat!(
            "01",               // version
            "02000000",         // two records
            "0300000008000000", // which end at 3 and 8
            "6f6e657468726565", // one, three
            "810b168d",         // checksum
        );
        assert_eq!(hex, golden);
    }

    #[test]
    fn a_row_is_read_only_whole_unchanged_and_under_its_own_key() {
        let value = row(300, &[b"one".to_vec(), b"three".to_vec()]).value().to_vec();
        assert!(Row::decode(at(301), value.clone().into()).is_err(), "under another key");
        for end in 0..value.len() {
            assert!(Row::decode(at(300), value[..end].to_vec().into()).is_err(), "{end} bytes");
        }
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Row::decode(at(300), flipped.into()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_longest_record_fills_a_row() {
        let mut builder = RowBuilder::new(at(1));
        assert!(builder.fits(RECORD_BYTES_MAX) && !builder.fits(RECORD_BYTES_MAX + 1), "one alone");
        builder.push(&vec![7; RECORD_BYTES_MAX]);
        assert!(!builder.fits(0));
        assert_eq!(builder.finish().value().len(), ROW_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn the_records_of_a_row_have_its_positions(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 1..9),
        ) {
            let row = row(300, &records);
            let read = Row::decode(at(300), row.value().clone()).unwrap();
            prop_assert_eq!((read.first(), read.next()), (at(300), row.next()));
            let each: Vec<_> = read.records().collect();
            for (nth, record) in (300..).zip(&records) {
                prop_assert_eq!(read.record(at(nth)), Some(record.clone().into()));
            }
            prop_assert_eq!(each.len(), records.len());
            prop_assert!(each.iter().all(|(at, record)| read.record(*at).as_ref() == Some(record)));
            prop_assert_eq!(read.record(at(299)), None);
            prop_assert_eq!(read.record(row.next()), None);
        }
    }
}
