//! The keys of an issuer, which change while the server runs.

use super::jwks::Remote;
use super::keys::{self, Key};
use crate::config::{Algorithm, Jwks, Jwt, KeySource};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Where an issuer's keys are, and those that count now.
#[derive(Debug)]
pub(super) enum KeyRing {
    /// Files and variables, read at the start and when the server is told to.
    Local(Local),
    /// A set that is fetched.
    Remote(Remote),
}

#[derive(Debug)]
pub(super) struct Local {
    jwt: Jwt,
    keys: RwLock<Arc<[Key]>>,
}

impl KeyRing {
    /// Reads the keys that are here.
    pub(super) fn open(jwt: &Jwt, terms: &Jwks, data: &Path) -> Result<Self, String> {
        if let KeySource::Url(url) = &jwt.keys {
            return Remote::open(url, &jwt.algorithms, terms, data).map(Self::Remote);
        }
        let keys = RwLock::new(keys::load(jwt)?.into());
        Ok(Self::Local(Local { jwt: jwt.clone(), keys }))
    }

    /// The keys that count at `now_ms`.
    pub(super) fn current(&self, now_ms: u64) -> Arc<[Key]> {
        match self {
            Self::Local(local) => {
                Arc::clone(&local.keys.read().unwrap_or_else(PoisonError::into_inner))
            }
            Self::Remote(remote) => remote.current(now_ms),
        }
    }

    /// Whether a key that is not here might have signed a token that came at `now_ms`; `tried` says
    /// that keys that are here might have, and did not.
    pub(super) fn may_have_new(&self, algorithm: Algorithm, tried: bool, now_ms: u64) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Remote(remote) => remote.may_have_new(algorithm, tried, now_ms),
        }
    }

    /// Reads the files again, or has the set fetched. What cannot be used changes nothing.
    pub(super) fn reload(&self) -> Result<(), String> {
        match self {
            Self::Local(local) => {
                let keys = keys::load(&local.jwt)?;
                *local.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
            }
            Self::Remote(remote) => remote.want(),
        }
        Ok(())
    }

    /// The set that is fetched, if these are one's.
    pub(super) fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Some(remote),
        }
    }
}
