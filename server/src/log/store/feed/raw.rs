//! What the feed knows of the store as a whole, as it is: for copies of it, and which lives there were.

use super::super::super::error::{Damage, Failure, ReadError};
use super::super::super::incarnations::Life;
use super::super::super::naming::Named;
use super::super::super::origins::{Loose, Step};
use super::{Feed, STORE_KEY, position};
use tidelog_crdt::{Dot, Incarnation, Position, Ranges};

const LIFE_KEYS: &[u8] = b"life/";
/// Incarnation and position here; the dot.
const ORIGIN_KEYS: &[u8] = b"origin/";
/// Incarnation and position here; ranges of dots.
const LOOSE_KEYS: &[u8] = b"loose/";
/// Position; names.
const NAMED_KEYS: &[u8] = b"named/";

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

    /// What is here of the dots of others, by the position up to which it is.
    pub(in super::super::super) fn origins(&self) -> Result<Vec<(Incarnation, Step)>, ReadError> {
        let mut steps = Vec::new();
        for pair in self.meta.scan_prefix(ORIGIN_KEYS) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let step = step(&key, &value).ok_or_else(|| {
                self.damaged(Position::ZERO, Damage("what is here of others cannot be read"))
            })?;
            steps.push(step);
        }
        Ok(steps)
    }

    /// With the commit that ends at `at`, everything up to `dot` of its incarnation is here.
    pub(in super::super::super) fn put_origin(
        &self,
        at: Position,
        dot: Dot,
    ) -> Result<(), Failure> {
        let key = [ORIGIN_KEYS, &dot.incarnation.0.to_be_bytes(), &at.get().to_be_bytes()];
        self.put_raw_meta(&key.concat(), &dot.position.get().to_le_bytes())
    }

    /// The dots that are here without what was before them, by the position up to which they are.
    pub(in super::super::super) fn loose(&self) -> Result<Vec<Loose>, ReadError> {
        let mut all = Vec::new();
        for pair in self.meta.scan_prefix(LOOSE_KEYS) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let loose = loose(&key, &value).ok_or_else(|| {
                self.damaged(Position::ZERO, Damage("what is here of others cannot be read"))
            })?;
            all.push(loose);
        }
        Ok(all)
    }

    /// With the commit that ends at `at` these dots of an incarnation are here.
    pub(in super::super::super) fn put_loose(
        &self,
        at: Position,
        incarnation: Incarnation,
        dots: &Ranges,
    ) -> Result<(), Failure> {
        let key = [LOOSE_KEYS, &incarnation.0.to_be_bytes(), &at.get().to_be_bytes()];
        // Plain data always serializes.
        self.put_raw_meta(&key.concat(), &rmp_serde::to_vec(dots).unwrap_or_default())
    }

    /// Forgets what [`Feed::put_loose`] put for commits above `head`, which a crash has cut off: their
    /// positions are given again.
    pub(in super::super::super) fn forget_loose(&self, head: Position) -> Result<(), Failure> {
        let failure = |error| self.database.failure(&error);
        for key in self.meta.scan_prefix(LOOSE_KEYS).keys() {
            let key = key.map_err(failure)?;
            let at = key.get(LOOSE_KEYS.len() + 8..).and_then(position);
            if at.is_none_or(|at| at > head) {
                self.meta.remove(key).map_err(failure)?;
            }
        }
        Ok(())
    }

    /// The entries that have several names.
    pub(in super::super::super) fn named(&self) -> Result<Vec<(Position, Named)>, ReadError> {
        let mut all = Vec::new();
        for pair in self.meta.scan_prefix(NAMED_KEYS) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let at = key.get(NAMED_KEYS.len()..).and_then(position);
            let named = at.and_then(|at| Some((at, Named::decode(&value)?)));
            all.push(named.ok_or_else(|| {
                self.damaged(at.unwrap_or_default(), Damage("the names of an entry cannot be read"))
            })?);
        }
        Ok(all)
    }

    /// Records the names of the entry at `at`.
    pub(in super::super::super) fn put_named(
        &self,
        at: Position,
        named: &Named,
    ) -> Result<(), Failure> {
        self.put_raw_meta(&[NAMED_KEYS, &at.get().to_be_bytes()].concat(), &named.encode())
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

fn step(key: &[u8], value: &[u8]) -> Option<(Incarnation, Step)> {
    let (incarnation, at) = key.get(ORIGIN_KEYS.len()..)?.split_first_chunk::<8>()?;
    let dot = Position::new(u64::from_le_bytes(value.try_into().ok()?))?;
    Some((Incarnation(u64::from_be_bytes(*incarnation)), (position(at)?, dot)))
}

fn loose(key: &[u8], value: &[u8]) -> Option<Loose> {
    let (incarnation, at) = key.get(LOOSE_KEYS.len()..)?.split_first_chunk::<8>()?;
    let dots = rmp_serde::from_slice(value).ok()?;
    Some((Incarnation(u64::from_be_bytes(*incarnation)), position(at)?, dots))
}

fn life(key: &[u8], value: &[u8]) -> Option<Life> {
    let first = position(key.get(LIFE_KEYS.len()..)?)?;
    Some(Life { first, incarnation: Incarnation(u64::from_le_bytes(value.try_into().ok()?)) })
}
