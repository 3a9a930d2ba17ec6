//! Who may follow this server: names, hashes of tokens, and scopes, each a note of the store.

use super::scope::Scope;
use crate::log::{Log, ReadError};
use anyhow::{Context, ensure};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// The notes that are replicas.
const NOTES: &str = "replica/";
/// The longest name.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of chance in a token.
const SECRET_BYTES: usize = 32;

/// What a link may take of what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Its share, compared with others.
    pub weight: Option<u32>,
    /// Bytes in a second, each way; 0 is no limit.
    pub bandwidth: Option<u64>,
}

/// A server that may follow this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replica {
    /// Its name.
    pub(crate) name: String,
    /// SHA-256 of its token's secret.
    hash: [u8; 32],
    /// Globs over the users that it is for.
    pub(crate) users: Vec<String>,
    /// Globs over the channels.
    pub(crate) channels: Vec<String>,
    /// When it was added, in ms since the epoch.
    pub(crate) added_ms: u64,
    /// How much it gets of what all bring at once, compared with others; 1 if nothing is said.
    #[serde(default)]
    weight: Option<u32>,
    /// Bytes in a second, each way.
    #[serde(default)]
    pub(crate) bandwidth: Option<u64>,
}

impl Replica {
    /// What it is for.
    pub(crate) fn scope(&self) -> Scope {
        Scope::new(&self.users, &self.channels)
    }

    /// A new one, and its token: that is kept nowhere.
    pub(super) fn make(
        name: &str,
        (users, channels): (Vec<String>, Vec<String>),
        added_ms: u64,
    ) -> anyhow::Result<(Self, String)> {
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure!(
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(of_a_name),
            "a replica's name has up to {NAME_BYTES_MAX} letters, digits, - and _: {name:?}"
        );
        let (hash, token) = draw(name)?;
        let name = name.to_owned();
        let (weight, bandwidth) = (None, None);
        Ok((Self { name, hash, users, channels, added_ms, weight, bandwidth }, token))
    }

    /// How much it gets of what all bring at once, compared with others.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.unwrap_or(1)
    }

    /// The same with other limits; what is not said stays.
    pub(super) fn limited(&self, limits: Limits) -> Self {
        let bandwidth = match limits.bandwidth {
            Some(0) => None,
            Some(bandwidth) => Some(bandwidth),
            None => self.bandwidth,
        };
        Self { weight: limits.weight.or(self.weight), bandwidth, ..self.clone() }
    }

    /// Whether `other` is let in by the same token to the same.
    fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash && self.users == other.users && self.channels == other.channels
    }

    /// The same with another token.
    pub(super) fn renewed(&self) -> anyhow::Result<(Self, String)> {
        let (hash, token) = draw(&self.name)?;
        Ok((Self { hash, ..self.clone() }, token))
    }

    /// The note that keeps it.
    pub(super) fn note(&self) -> anyhow::Result<(String, Vec<u8>)> {
        Ok((note_of(&self.name), rmp_serde::to_vec_named(self)?))
    }
}

/// The name of the note of a replica.
pub(super) fn note_of(name: &str) -> String {
    format!("{NOTES}{name}")
}

fn draw(name: &str) -> anyhow::Result<([u8; 32], String)> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).context("the system gives no random numbers")?;
    let secret = URL_SAFE_NO_PAD.encode(secret);
    Ok((hash_of(&secret), format!("{name}.{secret}")))
}

fn hash_of(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

/// All replicas, in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    all: Arc<RwLock<BTreeMap<String, Arc<Replica>>>>,
    /// Changes whenever one of them does.
    changed: watch::Sender<u64>,
}

impl Registry {
    /// Reads what the store has. Blocks.
    pub(super) fn open(log: &Log) -> Result<Self, ReadError> {
        let mut all = BTreeMap::new();
        for (name, note) in log.notes(NOTES)? {
            match rmp_serde::from_slice::<Replica>(&note) {
                Ok(replica) => drop(all.insert(replica.name.clone(), Arc::new(replica))),
                Err(error) => tracing::error!(%error, "{name} cannot be read; add it again"),
            }
        }
        let changed = watch::Sender::new(0);
        Ok(Self { all: Arc::new(RwLock::new(all)), changed })
    }

    /// Whose token it is.
    pub(crate) fn of_token(&self, token: &str) -> Option<Arc<Replica>> {
        let (name, secret) = token.split_once('.')?;
        let replica = self.get(name)?;
        verify_slices_are_equal(&replica.hash, &hash_of(secret)).ok()?;
        Some(replica)
    }

    /// The replica of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Replica>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> Vec<Arc<Replica>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// From now on a name means this, or nobody.
    pub(super) fn set(&self, name: &str, replica: Option<Replica>) {
        {
            let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
            match replica {
                Some(replica) => drop(all.insert(name.to_owned(), Arc::new(replica))),
                None => drop(all.remove(name)),
            }
        }
        self.changed.send_modify(|times| *times += 1);
    }

    /// The replica as it is now, if it is let in as before.
    pub(super) fn now(&self, replica: &Replica) -> Option<Arc<Replica>> {
        self.get(&replica.name).filter(|now| now.is_same(replica))
    }

    /// Waits until `replica` is no more let in as before.
    pub(crate) async fn until_changed(&self, replica: &Arc<Replica>) {
        let is_other = |_: &u64| self.now(replica).is_none();
        // The sender lives as long as this.
        drop(self.changed.subscribe().wait_for(is_other).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> (Vec<String>, Vec<String>) {
        (vec!["*".into()], vec!["*".into()])
    }

    #[test]
    fn a_token_is_whose_it_is_until_it_is_renewed_or_its_replica_removed() {
        let registry = Registry { all: Arc::default(), changed: watch::Sender::new(0) };
        let (ship, token) = Replica::make("ship-7", everything(), 1).unwrap();
        registry.set("ship-7", Some(ship.clone()));
        assert!(!String::from_utf8_lossy(&ship.note().unwrap().1).contains(&token[8..]));
        let is_of = |token: &str| registry.of_token(token).map(|replica| replica.name.clone());
        assert_eq!(is_of(&token).as_deref(), Some("ship-7"));
        assert_eq!(is_of(&token.replace("ship-7.", "ship-8.")), None);
        for wrong in ["", ".", "ship-7", "ship-7.", &token[..token.len() - 1]] {
            assert_eq!(is_of(wrong), None, "{wrong}");
        }
        let (renewed, other) = ship.renewed().unwrap();
        registry.set("ship-7", Some(renewed));
        assert_eq!((is_of(&token), is_of(&other).is_some()), (None, true));
        registry.set("ship-7", None);
        assert_eq!(is_of(&other), None);
    }

    #[test]
    fn names_are_plain() {
        for name in ["", "a b", "a/b", "a.b", "ü", &"a".repeat(65)] {
            assert!(Replica::make(name, everything(), 1).is_err(), "{name}");
        }
    }
}
