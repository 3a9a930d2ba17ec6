//! What the feed knows of the store as a whole, as it is: for copies of it, and which lives there were.

use super::super::super::error::{Damage, Failure, ReadError};
use super::super::super::incarnations::Life;
use super::{Feed, STORE_KEY, position};
use tidelog_crdt::{Incarnation, Position};

const LIFE_KEYS: &[u8] = b"life/";

/// A key and its value.
type Pair = (sled::IVec, sled::IVec);

impl Feed {
    /// The lives of the store with their first positions; none while it is in its first.
    pub(in super::super::super) fn lives(&self) -> Result<Vec<Life>, ReadError> {
        let mut lives = Vec::new();
        for pair in self.meta.scan_prefix(LIFE_KEYS) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let life = life(&key, &value)
                .ok_or_else(|| self.damaged(Position::ZERO, Damage("a life cannot be read")))?;
            lives.push(life);
        }
        Ok(lives)
    }

    /// Records the lives of the store. Not on disk before the next [`Feed::sync`], like all that is
    /// put here.
    pub(in super::super::super) fn put_lives(&self, lives: &[Life]) -> Result<(), Failure> {
        let failure = |error| self.database.failure(&error);
        for key in self.meta.scan_prefix(LIFE_KEYS).keys() {
            self.meta.remove(key.map_err(failure)?).map_err(failure)?;
        }
        for Life { first, incarnation } in lives {
            let key = [LIFE_KEYS, &first.get().to_be_bytes()].concat();
            self.meta.insert(key, &incarnation.0.to_le_bytes()).map_err(failure)?;
        }
        Ok(())
    }

    /// Everything that is known of the store as a whole but its identity.
    pub(in super::super::super) fn raw_meta(
        &self,
    ) -> impl Iterator<Item = Result<Pair, ReadError>> + '_ {
        let is_other =
            |pair: &sled::Result<Pair>| !matches!(pair, Ok((key, _)) if key == STORE_KEY);
        let pairs = self.meta.iter().filter(is_other);
        pairs.map(|pair| pair.map_err(|error| self.database.unread(&error)))
    }

    /// Everything that compaction has left.
    pub(in super::super::super) fn raw_bases(
        &self,
    ) -> impl Iterator<Item = Result<Pair, ReadError>> + '_ {
        self.bases.iter().map(|pair| pair.map_err(|error| self.database.unread(&error)))
    }

    pub(in super::super::super) fn put_raw_meta(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Failure> {
        let put = self.meta.insert(key, value);
        put.map(drop).map_err(|error| self.database.failure(&error))
    }

    pub(in super::super::super) fn put_raw_base(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Failure> {
        let put = self.bases.insert(key, value);
        put.map(drop).map_err(|error| self.database.failure(&error))
    }
}

fn life(key: &[u8], value: &[u8]) -> Option<Life> {
    let first = position(key.get(LIFE_KEYS.len()..)?)?;
    Some(Life { first, incarnation: Incarnation(u64::from_le_bytes(value.try_into().ok()?)) })
}
