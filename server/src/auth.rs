//! Who signs in: tokens, cookies, anonymous users, and how often one may fail.
//!
//! # What limits failures, and what it must not do
//!
//! Many devices share one address behind a NAT, so an address alone says little about who fails:
//!
//! - *(address, user) together* are locked after a few failures for a few seconds; attempts in that
//!   time are refused before the token is verified, and count as failures. Whoever is behind the
//!   same address under another name does not notice.
//! - *An address over its ceiling* is not locked: a good token from there is accepted whatever
//!   others did. Only verifying a signature tells a good token from a forged one, so what is
//!   bounded is how often that happens: attempts from there wait in line
//!   ([`Authenticator::delay`]) instead of being refused, because a client that is told
//!   `wrong-credentials` stops trying, and one that waits longer than a handshake may is only
//!   disconnected and comes again.
//! - What needs no key is checked first: the token's form, its algorithm, and what its claims say
//!   of user, time, issuer and audience. A signature is verified once all of it fits.
//!
//! What is remembered is bounded in number and forgotten with time.

mod cookie;
mod jwt;
mod keys;
mod limiter;
mod signing;

pub(crate) use signing::{SigningError, SigningKey};

use crate::config::{Config, ConfigError, Cors};
use jwt::{Issuer, Reason, Token};
use limiter::Limiter;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{ClientId, NodeId, UserId};

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

/// Why nobody signed in. On a WebSocket both are `wrong-credentials`; over HTTP 401 and 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, or one that does not prove the user.
    #[error("the token does not prove who this is")]
    Credentials,
    /// This user failed too often from this address, and has to wait.
    #[error("too many failed attempts, try again in some seconds")]
    TooManyFailures,
}

impl Refusal {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Credentials, Self::TooManyFailures];

    /// Its name among metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "wrong_credentials",
            Self::TooManyFailures => "too_many_failures",
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
    limiter: Limiter,
}

impl Authenticator {
    /// Reads the keys that the configuration names. `--dev` needs none, and reads none.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let (auth, source) = (&config.auth, &config.rules.source);
        let issuers = if config.dev { &[] } else { auth.jwt.as_slice() };
        let issuers = issuers.iter().map(|jwt| Issuer::new(jwt, auth.leeway, source));
        Ok(Self {
            dev: config.dev,
            anonymous: auth.anonymous.clone(),
            cookie: auth.cookie.clone(),
            cors: config.cors.clone(),
            issuers: issuers.collect::<Result<_, _>>()?,
            limiter: Limiter::new(&config.limits),
        })
    }

    /// How long to hold an attempt from `address` before [`sign_in`](Self::sign_in): zero, but
    /// for an address over its ceiling of failures. Each call takes a place in the line.
    pub fn delay(&self, address: IpAddr, now_ms: u64) -> Duration {
        Duration::from_millis(self.limiter.place_in_line(address, now_ms))
    }

    /// Checks one attempt at `now_ms`.
    pub fn sign_in(&self, attempt: &Attempt<'_>, now_ms: u64) -> Result<Identity, Refusal> {
        let named = attempt.claim.user();
        if let Some(user) = self.anonymous.iter().find(|user| Some(user.as_str()) == named) {
            return Ok(Identity { anonymous: true, ..Identity::without_token(user.clone()) });
        }
        let cookie = || cookie::token(attempt, self.cookie.as_deref(), &self.cors);
        let text = attempt.token.or_else(cookie);
        if self.dev {
            return development(attempt.claim, text);
        }
        let token = text.filter(|text| text.len() <= TOKEN_BYTES_MAX).and_then(Token::parse);
        let stated = || self.issuers.iter().find_map(|issuer| issuer.user(token.as_ref()?));
        let user = named.map(Cow::Borrowed).or_else(stated).unwrap_or_default();
        if self.limiter.locked(attempt.address, &user, now_ms) {
            return Err(Refusal::TooManyFailures);
        }
        let identity = token.as_ref().and_then(|token| self.verify(attempt.claim, token, now_ms));
        identity.ok_or_else(|| {
            self.limiter.failed(attempt.address, &user, now_ms);
            Refusal::Credentials
        })
    }

    /// Who the token proves: the first issuer whose settings and keys agree decides.
    fn verify(&self, claim: Claim<'_>, token: &Token<'_>, now_ms: u64) -> Option<Identity> {
        self.issuers.iter().find_map(|issuer| {
            let identity = self.verify_by(issuer, claim, token, now_ms);
            let refused = |reason: &Reason| {
                tracing::debug!(issuer_line = issuer.line, reason, "a token does not sign in");
            };
            identity.inspect_err(refused).ok()
        })
    }

    fn verify_by(
        &self,
        issuer: &Issuer,
        claim: Claim<'_>,
        token: &Token<'_>,
        now_ms: u64,
    ) -> Result<Identity, Reason> {
        if matches!(claim, Claim::Node(node) if node.user_str().is_none()) {
            return Err("the node id has no user");
        }
        let user = issuer.user(token).ok_or("it names no user")?;
        let expires_ms = issuer.fits(token, now_ms)?;
        if claim.user().is_some_and(|named| named != user) {
            return Err("it is of another user");
        }
        let user = UserId::new(&user).ok().filter(|user| user.as_str() != "server");
        let user = user.ok_or("its user cannot be")?;
        if !issuer.signed(token) {
            return Err("no key of the issuer signed it");
        }
        let anonymous = self.anonymous.contains(&user);
        Ok(Identity { user, claims: token.claims(), expires_ms, anonymous })
    }
}

impl Identity {
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
