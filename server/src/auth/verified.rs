//! Tokens that were verified: what a device shows with each request costs its signature once.
//!
//! A token is found by its hash, so none is kept. That a key signed it stays true for as long as the keys are the same; its
//! times, its user, and whether it was revoked are looked at each time.

use super::jwt::{Claims, Issuer, Proof, Token};
use super::keys::Key;
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of tokens that are known at once. Read, the claims of one take five times as much.
const BYTES_MAX: u64 = 2 << 20;
/// What a token of a few claims has.
const BYTES_USUAL: u64 = 400;

/// The keys of all issuers, in their order.
type KeysOfAll = Box<[Arc<[Key]>]>;

type Name = [u8; 32];

/// Tokens that were verified.
#[derive(Debug)]
pub(super) struct Verified(Cache<Name, Arc<Known>, Bytes>);

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    claims: Arc<Claims>,
    /// The issuer whose key signed it: its place among all.
    issuer: usize,
    /// The keys that were there then.
    keys: KeysOfAll,
    bytes: u64,
}

/// A token that somebody shows.
pub(super) enum Shown<'a> {
    /// It was verified before. With its text.
    Known(&'a str, Arc<Known>),
    /// Its text, what that says, and the keys that there were when it was shown.
    New(&'a str, Token<'a>, KeysOfAll),
}

impl<'a> Shown<'a> {
    /// What `text` is, where these `keys` count; none if it is no token.
    pub(super) fn read<Keys: Iterator<Item = Arc<[Key]>>>(
        text: &'a str,
        verified: &Verified,
        keys: impl Fn() -> Keys,
    ) -> Option<Self> {
        let known = verified.find(text, keys()).map(|known| Self::Known(text, known));
        known.or_else(|| Some(Self::New(text, Token::parse(text)?, keys().collect())))
    }

    pub(super) fn claims(&self) -> &Arc<Claims> {
        match self {
            Self::Known(_, known) => &known.claims,
            Self::New(_, token, _) => &token.claims,
        }
    }

    /// Whether `issuer`, the `nth` of all, signed it.
    pub(super) fn proof(&self, nth: usize, issuer: &Issuer, now_ms: u64) -> Proof {
        match self {
            Self::Known(_, known) if known.issuer == nth => Proof::Signed,
            // Issuers may share a key, and mean another user by the same token.
            Self::Known(text, _) => {
                Token::parse(text).map_or(Proof::Forged, |token| issuer.proof(&token, now_ms))
            }
            Self::New(_, token, _) => issuer.proof(token, now_ms),
        }
    }

    /// The `nth` issuer signed it.
    pub(super) fn is_signed(&self, nth: usize, verified: &Verified) {
        // Keys that came since it was shown may be the proof. That there were none is no state that a later one could be
        // told from.
        if let Self::New(text, token, keys) = self
            && keys.get(nth).is_some_and(|keys| !keys.is_empty())
        {
            verified.keep(text, Arc::clone(&token.claims), nth, keys.clone());
        }
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Name, Arc<Known>> for Bytes {
    fn weight(&self, _: &Name, known: &Arc<Known>) -> u64 {
        known.bytes
    }
}

impl Verified {
    pub(super) fn new() -> Self {
        let usual = usize::try_from(BYTES_MAX / BYTES_USUAL).unwrap_or_default();
        Self(Cache::with_weighter(usual, BYTES_MAX, Bytes))
    }

    /// What is known of the token `text`, if `keys` are those that it was verified with.
    fn find(&self, text: &str, keys: impl Iterator<Item = Arc<[Key]>>) -> Option<Arc<Known>> {
        let known = self.0.get(&name(text))?;
        let same = known.keys.iter().zip(keys).all(|(then, now)| Arc::ptr_eq(then, &now));
        same.then_some(known)
    }

    fn keep(&self, text: &str, claims: Arc<Claims>, issuer: usize, keys: KeysOfAll) {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.0.insert(name(text), Arc::new(Known { claims, issuer, keys, bytes }));
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::default();
    name.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &KeysOfAll) -> impl Iterator<Item = Arc<[Key]>> {
        keys.iter().cloned()
    }

    fn keep(verified: &Verified, text: &str, keys: &KeysOfAll) {
        verified.keep(text, Arc::default(), 0, keys.clone());
    }

    #[test]
    fn a_token_is_known_until_a_key_changes() {
        let verified = Verified::new();
        let keys: KeysOfAll = [Arc::from(Vec::new()), Arc::from(Vec::new())].into();
        assert!(verified.find("a.b.c", of(&keys)).is_none());
        keep(&verified, "a.b.c", &keys);
        assert!(verified.find("a.b.c", of(&keys)).is_some());
        assert!(verified.find("a.b.d", of(&keys)).is_none());
        for at in 0..keys.len() {
            let mut changed = keys.clone();
            changed[at] = Arc::from(Vec::new());
            assert!(verified.find("a.b.c", of(&changed)).is_none(), "another key");
        }
        assert!(verified.find("a.b.c", of(&keys)).is_some());
    }

    #[test]
    fn what_is_known_is_bounded_in_bytes() {
        let verified = Verified::new();
        let keys = KeysOfAll::default();
        let text = |n: usize| format!("{n:0>4000}");
        for n in 0..2000 {
            keep(&verified, &text(n), &keys);
        }
        let known = (0..2000).filter(|n| verified.find(&text(*n), of(&keys)).is_some()).count();
        assert!((100..=524).contains(&known), "{known}");
    }
}
