//! Bases in the engine: under the log, the position, whether it is shown, and the number of the piece, because a
//! value must not be longer than a row.

use super::super::super::error::{Damage, Failure, ReadError};
use super::super::super::prefix::Prefix;
use super::super::super::row::ROW_BYTES_MAX;
use super::{Feed, Shown};
use tidelog_crdt::Position;

/// How far compaction has come.
const THROUGH_KEY: &[u8] = b"through";
/// Prefix, position, whether it is shown, piece.
const KEY_BYTES: usize = 16 + 8 + 1 + 4;
const PIECE_BYTES: usize = ROW_BYTES_MAX - (16 << 10);

/// What is kept of one position: the log, where, whether it is shown, and the bytes.
type Kept = (Prefix, Position, bool, Vec<u8>);

impl Feed {
    /// Up to where anything was ever compacted.
    pub(in super::super::super) fn compacted(&self) -> Result<Position, ReadError> {
        let through = self.bases.get(THROUGH_KEY).map_err(|error| self.database.unread(&error))?;
        let Some(through) = through else { return Ok(Position::ZERO) };
        super::position(&through).ok_or_else(|| {
            self.damaged(Position::ZERO, Damage("how far compaction came cannot be read")).into()
        })
    }

    /// Not on disk before the next [`Feed::sync`], like all that is put here.
    pub(in super::super::super) fn put_compacted(&self, through: Position) -> Result<(), Failure> {
        let put = self.bases.insert(THROUGH_KEY, &through.get().to_be_bytes());
        put.map(drop).map_err(|error| self.database.failure(&error))
    }

    /// Puts bytes under a position of the log with this prefix.
    pub(in super::super::super) fn put_base(
        &self,
        (prefix, position, shown): (Prefix, Position, bool),
        bytes: &[u8],
    ) -> Result<(), Failure> {
        for (number, piece) in (0_u32..).zip(bytes.chunks(PIECE_BYTES)) {
            let mut key = place(prefix, position).to_vec();
            key.push(shown.into());
            key.extend_from_slice(&number.to_be_bytes());
            let put = self.bases.insert(key, piece);
            put.map_err(|error| self.database.failure(&error))?;
        }
        Ok(())
    }

    /// What is kept of the log with this prefix, ascending.
    pub(in super::super::super) fn bases(
        &self,
        prefix: Prefix,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + '_ {
        let start = place(prefix, Position::ZERO);
        Pieces {
            feed: self,
            next: None,
            rest: self.bases.scan_prefix(start.get(..16).unwrap_or(&[])),
        }
    }

    /// All that is kept.
    pub(in super::super::super) fn all_bases(
        &self,
    ) -> impl Iterator<Item = Result<Kept, ReadError>> + '_ {
        Pieces { feed: self, next: None, rest: self.bases.iter() }
    }

    /// What is shown at a position of the log with this prefix.
    pub(in super::super::super) fn shown_base(
        &self,
        prefix: Prefix,
        position: Position,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let mut start = place(prefix, position).to_vec();
        start.push(1);
        let rest = self.bases.scan_prefix(start);
        let mut pieces = Pieces { feed: self, next: None, rest };
        Ok(pieces.next().transpose()?.map(|(.., bytes)| bytes))
    }

    /// What readers were shown lately.
    pub(in super::super::super) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Where anything is shown, above `above`.
    pub(in super::super::super) fn shown_places(
        &self,
        above: Position,
    ) -> impl Iterator<Item = Result<(Position, Prefix), ReadError>> + '_ {
        self.bases.iter().keys().filter_map(move |key| {
            let key = match key {
                Ok(key) => key,
                Err(error) => return Some(Err(self.database.unread(&error))),
            };
            let (prefix, position, shown, piece) = read(&key)?;
            (shown && piece == 0 && position > above).then_some(Ok((position, prefix)))
        })
    }
}

fn place(Prefix(one, two): Prefix, position: Position) -> [u8; 24] {
    let mut place = [0; 24];
    let numbers = [one, two, position.get()];
    for (bytes, number) in place.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    place
}

fn read(key: &[u8]) -> Option<(Prefix, Position, bool, u32)> {
    if key.len() != KEY_BYTES {
        return None;
    }
    let number = |at: usize| Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?));
    let piece = u32::from_be_bytes(key.get(25..)?.try_into().ok()?);
    Some((Prefix(number(0)?, number(8)?), Position::new(number(16)?)?, *key.get(24)? != 0, piece))
}

/// Puts pieces together.
struct Pieces<'a> {
    feed: &'a Feed,
    next: Option<Kept>,
    rest: sled::Iter,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Kept, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(pair) = self.rest.next() else { return self.next.take().map(Ok) };
            let (key, value) = match pair {
                Ok(pair) => pair,
                Err(error) => return Some(Err(self.feed.database.unread(&error))),
            };
            // What is said of compaction as a whole.
            let Some((prefix, position, shown, _)) = read(&key) else { continue };
            match &mut self.next {
                Some((p, at, is, bytes)) if (*p, *at, *is) == (prefix, position, shown) => {
                    bytes.extend_from_slice(&value);
                }
                next => {
                    let done = next.replace((prefix, position, shown, value.to_vec()));
                    if let Some(done) = done {
                        return Some(Ok(done));
                    }
                }
            }
        }
    }
}
