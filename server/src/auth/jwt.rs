//! JSON Web Tokens: what one says, whether an issuer's settings agree, and who signed it.

use super::key_ring::KeyRing;
use crate::config::{Algorithm, Auth, ConfigError, Jwt, Source};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a token says of itself.
pub(super) type Claims = Map<String, Value>;

/// A token that is well-formed. Nothing it says is true before [`Issuer::proof`] says so.
pub(super) struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    pub(super) claims: Arc<Claims>,
    /// Header and claims as they were signed.
    message: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    /// Extensions that must be understood; there are none that we do.
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = decode(header)?;
        let token = Self {
            algorithm: header.alg,
            key_id: header.kid,
            claims: Arc::new(decode(claims)?),
            message,
            signature,
        };
        header.crit.is_none().then_some(token)
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Why a token does not sign in, for the trace; it says nothing of what the token holds.
pub(super) type Reason = &'static str;

/// A compiled `[[auth.jwt]]`.
#[derive(Debug)]
pub(super) struct Issuer {
    /// Its line in the configuration.
    pub(super) line: usize,
    pub(super) keys: KeyRing,
    name: Option<String>,
    audience: Vec<String>,
    user_claim: String,
    leeway_ms: u64,
    age_ms: Option<u64>,
}

/// What is known of who signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// One of the issuer's keys.
    Signed,
    /// None of them.
    Forged,
    /// Perhaps one that is not known here yet.
    KeyUnknown,
}

impl Issuer {
    /// Reads the keys; those that were fetched in an earlier life, from `data`.
    pub(super) fn new(
        jwt: &Jwt,
        auth: &Auth,
        source: &Source,
        data: &Path,
    ) -> Result<Self, ConfigError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let keys = KeyRing::open(jwt, &auth.jwks, data);
        Ok(Self {
            line: jwt.line,
            keys: keys.map_err(|reason| source.error_on(jwt.line, reason))?,
            name: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
            user_claim: jwt.user_claim.clone(),
            leeway_ms: ms(auth.leeway),
            age_ms: auth.token_age.map(ms),
        })
    }

    /// The user that the token is about: a text, or a whole number as its digits.
    pub(super) fn user<'c>(&self, claims: &'c Claims) -> Option<Cow<'c, str>> {
        match claims.get(&self.user_claim)? {
            Value::String(user) => Some(Cow::Borrowed(user)),
            Value::Number(user) if !user.is_f64() => Some(Cow::Owned(user.to_string())),
            _ => None,
        }
    }

    /// Whether time, issuer and audience are right; if so, when the session ends. The leeway lets
    /// a client in whose token has just expired; it makes no token last longer.
    ///
    /// A token with an audience is not for a server that has none, as RFC 7519 has it.
    pub(super) fn fits(&self, claims: &Claims, now_ms: u64) -> Result<Option<u64>, Reason> {
        let time = |name: &str| match claims.get(name) {
            Some(time) => seconds_as_ms(time).map(Some).ok_or("a time in it is no time"),
            None => Ok(None),
        };
        let expires_ms = self.end(time("exp")?, time("iat")?)?;
        let late_ms = expires_ms.map(|ms| ms.saturating_add(self.leeway_ms));
        let starts_ms = time("nbf")?.map(|ms| ms.saturating_sub(self.leeway_ms));
        let issuer = match (&self.name, claims.get("iss")) {
            (None, _) => true,
            (Some(expected), Some(Value::String(issuer))) => issuer == expected,
            (Some(_), _) => false,
        };
        if late_ms.is_some_and(|ms| ms <= now_ms) {
            Err("it has expired")
        } else if starts_ms.is_some_and(|ms| now_ms < ms) {
            Err("it is not valid yet")
        } else if !issuer {
            Err("it is of another issuer")
        } else if !self.is_audience(claims.get("aud")) {
            Err("it is for another audience")
        } else {
            Ok(expires_ms.filter(|ms| now_ms < *ms).or(late_ms))
        }
    }

    fn is_audience(&self, given: Option<&Value>) -> bool {
        let expected =
            |one: &Value| self.audience.iter().any(|it| Some(it.as_str()) == one.as_str());
        match given {
            None => self.audience.is_empty(),
            Some(Value::Array(several)) => several.iter().any(expected),
            Some(one) => expected(one),
        }
    }

    /// When a token ends that says these times of itself.
    fn end(&self, exp: Option<u64>, iat: Option<u64>) -> Result<Option<u64>, Reason> {
        let Some(age_ms) = self.age_ms else { return Ok(exp) };
        let issued = iat.ok_or("it has no iat, and token_age needs one")?;
        let aged = issued.saturating_add(age_ms);
        Ok(Some(exp.map_or(aged, |exp| exp.min(aged))))
    }

    /// Whether one of the issuer's keys signed the token. A key takes only its own algorithm, so
    /// that a public key can never pass for a secret.
    pub(super) fn proof(&self, token: &Token<'_>, now_ms: u64) -> Proof {
        let keys = self.keys.current(now_ms);
        let mut fitting = keys.iter().filter(|key| {
            key.algorithm() == token.algorithm
                && key.id().zip(token.key_id.as_deref()).is_none_or(|(key, named)| key == named)
        });
        let (mut tried, mut by_name) = (false, false);
        let signed = fitting.any(|key| {
            tried = true;
            by_name |= key.id().is_some() && key.id() == token.key_id.as_deref();
            key.verifies(token.message, token.signature)
        });
        if signed {
            Proof::Signed
        } else if !by_name && self.keys.may_have_new(token.algorithm, tried, now_ms) {
            Proof::KeyUnknown
        } else {
            Proof::Forged
        }
    }
}

/// A `NumericDate`: seconds since the epoch, fractions allowed.
pub(crate) fn seconds_as_ms(time: &Value) -> Option<u64> {
    if let Some(seconds) = time.as_u64() {
        return seconds.checked_mul(1000);
    }
    let ms = time.as_f64()? * 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked, and fractions of a millisecond do not matter"
    )]
    (0.0..1e16).contains(&ms).then_some(ms as u64)
}
