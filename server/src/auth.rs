//! Who signs in: tokens, cookies, anonymous users, and how often one may fail.
//!
//! # What limits failures, and what it must not do
//!
//! Many devices share one address behind a NAT, so an address alone says little about who fails:
//!
//! - *(address, user) together* are locked after a few failures for a few seconds; attempts in that
//!   time are refused before the token is verified, and count as failures; clients come again after
//!   that. Whoever is behind the same address under another name does not notice.
//! - *An address over its ceiling* is not locked: a good token from there is accepted whatever
//!   others did. Only verifying a signature tells a good token from a forged one, so what is
//!   bounded is how often that happens: attempts from there wait in line
//!   ([`Authenticator::delay`]) instead of being refused, because a client that is told
//!   `wrong-credentials` stops trying, and one that waits longer than a handshake may is only
//!   disconnected and comes again.
//! - What needs no key is checked first: the token's form, its algorithm, and what its claims say
//!   of user, time, issuer and audience. A signature is verified once all of it fits, and once for all
//!   requests that show the same token ([`verified`]).
//! - A token whose key is not known here proves nothing and forges nothing: it is no failure.
//!
//! What is remembered is bounded in number and forgotten with time.

mod cookie;
mod jwks;
mod jwt;
mod key_ring;
mod key_sets;
mod keys;
mod limiter;
mod revoked;
mod signing;
mod verified;

pub(crate) use jwt::seconds_as_ms;
pub(crate) use key_sets::KeySets;
pub(crate) use revoked::{Change, Presence, Revocation, Revoked, Target, Terms};
pub(crate) use signing::{SigningError, SigningKey};

use crate::config::{Config, ConfigError, Cors};
use crate::hub::Inbox;
use jwt::{Claims, Issuer, Proof, Reason};
use limiter::Limiter;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{ClientId, NodeId, UserId};
use verified::{Shown, Verified};

/// The claim that binds a token to a device.
pub(crate) const CLIENT_CLAIM: &str = "client";
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// One attempt to sign in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Who the peer says it is.
    pub claim: Claim<'a>,
    /// The token of `connect`, or that of `Authorization: Bearer`.
    pub token: Option<&'a str>,
    /// The `Cookie` header of the request.
    pub cookies: Option<&'a str>,
    /// The `Origin` header: the page that the request is from, when a browser sends it.
    pub origin: Option<&'a str>,
    /// The `Host` header.
    pub host: Option<&'a str>,
    /// Where the peer is.
    pub address: IpAddr,
}

/// Who the peer says it is.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// A WebSocket: the node id of `connect`. One without a user cannot sign in: there would be
    /// no log to follow.
    Node(&'a NodeId),
    /// HTTP: the token tells the user; `Tidelog-Client` may name the device.
    Http(Option<&'a ClientId>),
}

impl<'a> Claim<'a> {
    /// The user that the peer names.
    fn user(self) -> Option<&'a str> {
        match self {
            Self::Node(node) => node.user_str(),
            Self::Http(client) => client.and_then(ClientId::user_str),
        }
    }
}

/// Who signed in.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The token's claims; empty without a token.
    pub claims: Arc<Map<String, Value>>,
    /// When the token expires and the session ends.
    pub expires_ms: Option<u64>,
    /// A user without a log.
    pub anonymous: bool,
}

/// Why nobody signed in. A token that was looked at is `wrong-credentials` on a WebSocket, after
/// which a stock client does not come again, and 401 over HTTP; [`Refusal::TooManyFailures`] is
/// `bruteforce`, and 429; [`Refusal::NotNow`] closes without a word, and is 503. After those it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, or one that does not prove the user.
    #[error("the token does not prove who this is")]
    Credentials,
    /// This user failed too often from this address, and has to wait.
    #[error("too many failed attempts, try again in some seconds")]
    TooManyFailures,
    /// The token, the user or the client was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The key that the token names is not known, and cannot be fetched now.
    #[error("the keys that could prove the token cannot be fetched now")]
    NotNow,
}

/// What stands in the way of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    Refused(Refusal),
    /// The keys of this issuer have to be fetched first.
    Keys(usize),
}

/// Why a token is not one of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Token(Reason),
    KeyUnknown,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Self::Token(reason)
    }
}

impl Refusal {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::Credentials, Self::TooManyFailures, Self::Revoked, Self::NotNow];

    /// Its name among metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "wrong_credentials",
            Self::TooManyFailures => "too_many_failures",
            Self::Revoked => "revoked",
            Self::NotNow => "not_now",
        }
    }
}

/// Decides who signs in.
#[derive(Debug)]
pub struct Authenticator {
    dev: bool,
    anonymous: Vec<UserId>,
    cookie: Option<String>,
    cors: Cors,
    issuers: Vec<Issuer>,
    verified: Verified,
    limiter: Limiter,
    revoked: Arc<Revoked>,
}

impl Authenticator {
    /// Reads the keys that the configuration names. `--dev` needs none, and reads none.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let (auth, source) = (&config.auth, &config.rules.source);
        let issuers = if config.dev { &[] } else { auth.jwt.as_slice() };
        let data = &config.server.data;
        let issuers = issuers.iter().map(|jwt| Issuer::new(jwt, auth, source, data));
        Ok(Self {
            dev: config.dev,
            anonymous: auth.anonymous.clone(),
            cookie: auth.cookie.clone(),
            cors: config.cors.clone(),
            issuers: issuers.collect::<Result<_, _>>()?,
            verified: Verified::new(),
            limiter: Limiter::new(&config.limits),
            revoked: Arc::new(Revoked::new(auth)),
        })
    }

    /// Reads the key files again and has key sets fetched. A bad file changes nothing.
    pub fn reload(&self) {
        for issuer in &self.issuers {
            match issuer.keys.reload() {
                Ok(()) => tracing::info!(line = issuer.line, "the keys were read again"),
                Err(reason) => tracing::error!(
                    line = issuer.line,
                    "the new keys cannot be used, and those before them still are: {reason}"
                ),
            }
        }
    }

    /// Fetches key sets whenever they are due or a sign-in asks for one, for ever.
    pub async fn keep_keys(&self) -> Infallible {
        let remotes = self.issuers.iter().filter_map(|issuer| issuer.keys.remote());
        futures_util::future::join_all(remotes.map(jwks::Remote::keep)).await;
        std::future::pending().await
    }

    /// What was revoked.
    pub(crate) fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }

    /// Whether who signed in, as `client` if it has a name, was not shut out since.
    pub(crate) fn holds(
        &self,
        identity: &Identity,
        client: Option<&ClientId>,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let refused = self.revoked.refuses(identity, client, now_ms);
        if refused { Err(Refusal::Revoked) } else { Ok(()) }
    }

    /// Whether `client` of `user` is connected, or waits for news over HTTP.
    pub(crate) fn is_here(&self, user: &UserId, client: &ClientId) -> bool {
        self.revoked.is_here(user, client)
    }

    /// Notes that who signed in is here; if that is revoked, or was meanwhile, `inbox` is dismissed.
    pub(crate) fn enter(
        &self,
        identity: &Identity,
        client: Option<&ClientId>,
        inbox: &Arc<Inbox>,
        now_ms: u64,
    ) -> Presence {
        Revoked::enter(&self.revoked, (identity, client), inbox, now_ms)
    }

    /// How long to hold an attempt from `address` before [`sign_in`](Self::sign_in): zero, but
    /// for an address over its ceiling of failures. Each call takes a place in the line.
    pub fn delay(&self, address: IpAddr, now_ms: u64) -> Duration {
        Duration::from_millis(self.limiter.place_in_line(address, now_ms))
    }

    /// Checks one attempt that came at `now_ms`; if it takes keys that are not here, waits for them
    /// as long as a fetch may take.
    pub async fn admit(&self, attempt: &Attempt<'_>, now_ms: u64) -> Result<Identity, Refusal> {
        loop {
            match self.judge(attempt, now_ms) {
                Ok(identity) => return Ok(identity),
                Err(Obstacle::Refused(refusal)) => return Err(refusal),
                Err(Obstacle::Keys(nth)) => {
                    let remote = self.issuers.get(nth).and_then(|issuer| issuer.keys.remote());
                    let Some(remote) = remote else { return Err(Refusal::NotNow) };
                    // A fetch that ran when the attempt came, then one for it: so this ends.
                    if !remote.renewed(now_ms).await {
                        return Err(Refusal::NotNow);
                    }
                }
            }
        }
    }

    /// Checks one attempt at `now_ms` with the keys that are here.
    pub fn sign_in(&self, attempt: &Attempt<'_>, now_ms: u64) -> Result<Identity, Refusal> {
        self.judge(attempt, now_ms).map_err(|obstacle| match obstacle {
            Obstacle::Refused(refusal) => refusal,
            Obstacle::Keys(_) => Refusal::NotNow,
        })
    }

    fn judge(&self, attempt: &Attempt<'_>, now_ms: u64) -> Result<Identity, Obstacle> {
        let identity = self.identify(attempt, now_ms)?;
        let client = match attempt.claim {
            Claim::Node(node) => Some(node.client()),
            Claim::Http(client) => client.cloned(),
        };
        self.holds(&identity, client.as_ref(), now_ms).map_err(Obstacle::Refused)?;
        Ok(identity)
    }

    fn identify(&self, attempt: &Attempt<'_>, now_ms: u64) -> Result<Identity, Obstacle> {
        let named = attempt.claim.user();
        if let Some(user) = self.anonymous.iter().find(|user| Some(user.as_str()) == named) {
            return Ok(Identity { anonymous: true, ..Identity::without_token(user.clone()) });
        }
        let cookie = || cookie::token(attempt, self.cookie.as_deref(), &self.cors);
        let text = attempt.token.or_else(cookie);
        if self.dev {
            return development(attempt.claim, text).map_err(Obstacle::Refused);
        }
        let text = text.filter(|text| text.len() <= TOKEN_BYTES_MAX);
        let keys = || self.issuers.iter().map(|issuer| issuer.keys.current(now_ms));
        let token = text.and_then(|text| Shown::read(text, &self.verified, keys));
        let stated = || self.issuers.iter().find_map(|it| it.user(token.as_ref()?.claims()));
        let user = named.map(Cow::Borrowed).or_else(stated).unwrap_or_default();
        if self.limiter.locked(attempt.address, &user, now_ms) {
            return Err(Obstacle::Refused(Refusal::TooManyFailures));
        }
        let refused = Obstacle::Refused(Refusal::Credentials);
        let verify = |token: &Shown<'_>| self.verify(attempt.claim, token, now_ms);
        token.as_ref().map_or(Err(refused), verify).inspect_err(|obstacle| {
            if *obstacle == refused {
                self.limiter.failed(attempt.address, &user, now_ms);
            }
        })
    }

    /// Who the token proves: the first issuer whose settings and keys agree decides.
    fn verify(
        &self,
        claim: Claim<'_>,
        token: &Shown<'_>,
        now_ms: u64,
    ) -> Result<Identity, Obstacle> {
        let mut obstacle = Obstacle::Refused(Refusal::Credentials);
        for (nth, issuer) in self.issuers.iter().enumerate() {
            let proof = || token.proof(nth, issuer, now_ms);
            match self.verify_by(issuer, claim, token.claims(), proof, now_ms) {
                Ok(identity) => {
                    token.is_signed(nth, &self.verified);
                    return Ok(identity);
                }
                Err(Fault::KeyUnknown) => obstacle = Obstacle::Keys(nth),
                Err(Fault::Token(reason)) => {
                    let issuer_line = issuer.line;
                    tracing::debug!(issuer_line, reason, "a token does not sign in");
                }
            }
        }
        Err(obstacle)
    }

    fn verify_by(
        &self,
        issuer: &Issuer,
        claim: Claim<'_>,
        claims: &Arc<Claims>,
        proof: impl FnOnce() -> Proof,
        now_ms: u64,
    ) -> Result<Identity, Fault> {
        if matches!(claim, Claim::Node(node) if node.user_str().is_none()) {
            return Err(Fault::Token("the node id has no user"));
        }
        let user = issuer.user(claims).ok_or("it names no user")?;
        let expires_ms = issuer.fits(claims, now_ms)?;
        if claim.user().is_some_and(|named| named != user) {
            return Err(Fault::Token("it is of another user"));
        }
        let user = UserId::new(&user).ok().filter(|user| user.as_str() != "server");
        let user = user.ok_or("its user cannot be")?;
        match proof() {
            Proof::Signed => {
                let anonymous = self.anonymous.contains(&user);
                Ok(Identity { user, claims: Arc::clone(claims), expires_ms, anonymous })
            }
            Proof::Forged => Err(Fault::Token("no key of the issuer signed it")),
            Proof::KeyUnknown => Err(Fault::KeyUnknown),
        }
    }
}

impl Identity {
    /// The name of the token: its `jti`.
    pub(crate) fn token_id(&self) -> Option<&str> {
        self.claims.get("jti").and_then(Value::as_str)
    }

    /// When the token was issued: its `iat`.
    pub(crate) fn issued_ms(&self) -> Option<u64> {
        self.claims.get("iat").and_then(jwt::seconds_as_ms)
    }

    fn without_token(user: UserId) -> Self {
        Self { user, claims: Arc::default(), expires_ms: None, anonymous: false }
    }
}

/// `--dev`: who one says one is. Over HTTP the token is the user.
fn development(claim: Claim<'_>, token: Option<&str>) -> Result<Identity, Refusal> {
    let user = match claim {
        Claim::Node(node) => node.user_str(),
        Claim::Http(_) => token.filter(|token| claim.user().is_none_or(|named| named == *token)),
    };
    let user = user.filter(|user| *user != "server").and_then(|user| UserId::new(user).ok());
    user.map(Identity::without_token).ok_or(Refusal::Credentials)
}

#[cfg(test)]
mod tests;
