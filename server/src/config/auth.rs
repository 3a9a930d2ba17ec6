//! `[auth]` and `[[auth.jwt]]`.

use super::jwks::Jwks;
use super::quantity::{read_age, read_duration, show_age, show_duration};
use super::source::{ConfigError, Source};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tidelog_protocol::UserId;
use toml::Spanned;

/// How users sign in.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Users that need no token and have no log.
    pub anonymous: Vec<UserId>,
    /// The cookie that holds the token when none comes otherwise; none when it is turned off.
    pub cookie: Option<String>,
    /// How far the clock of who issues tokens may be off.
    pub leeway: Duration,
    /// How long after its `iat` a token may be used; one without `iat` may not, then.
    pub token_age: Option<Duration>,
    /// How key sets are fetched.
    pub jwks: Jwks,
    /// Who issues tokens, tried in order.
    pub jwt: Vec<Jwt>,
}

/// One issuer of tokens.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// What tokens may be signed with; all that the keys allow when empty.
    pub algorithms: Vec<Algorithm>,
    /// The `iss` that a token must have.
    pub issuer: Option<String>,
    /// A token must have one of these as `aud`; when empty, no `aud` at all.
    pub audience: Vec<String>,
    /// The claim that holds the user id.
    pub user_claim: String,
    /// Where the keys are.
    pub keys: KeySource,
    /// Its line in the file, for errors.
    pub line: usize,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Public keys: a JWK set in JSON, or PEM.
    Public(PathBuf),
    /// Public keys: a JWK set that is fetched.
    Url(String),
    /// A secret for HS256.
    Secret(PathBuf),
    /// The variable of the environment that holds a secret for HS256.
    SecretVariable(String),
}

impl fmt::Display for KeySource {
    /// Without the query of a URL: some hand out sets for a key in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(file) => write!(f, "public keys in {}", file.display()),
            Self::Url(url) => {
                write!(f, "public keys from {}", url.split('?').next().unwrap_or_default())
            }
            Self::Secret(file) => write!(f, "the secret in {}", file.display()),
            Self::SecretVariable(name) => write!(f, "the secret in ${name}"),
        }
    }
}

/// What a token is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a shared secret.
    HS256,
    /// RSA, PKCS#1 v1.5, with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[derive(Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthTable {
    /// Users who need no token and have no log.
    anonymous: Vec<Spanned<String>>,
    /// The cookie with the token, when none comes otherwise; "" turns it off.
    cookie: Spanned<String>,
    /// How far clocks of issuers may be off.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    leeway: Duration,
    /// How long after its `iat` a token may be used, such as 30d; one without `iat` may not, then.
    #[serde(deserialize_with = "read_age", serialize_with = "show_age")]
    token_age: Option<Duration>,
    /// How key sets are fetched.
    #[serde(skip_serializing)]
    jwks: Jwks,
    /// Issuers of tokens.
    #[serde(skip_serializing)]
    jwt: Vec<Spanned<JwtTable>>,
}

impl Default for AuthTable {
    fn default() -> Self {
        Self {
            anonymous: Vec::new(),
            cookie: Spanned::new(0..0, "token".to_owned()),
            leeway: Duration::from_secs(30),
            token_age: None,
            jwks: Jwks::default(),
            jwt: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub(super) struct JwtTable {
    /// What tokens may be signed with: HS256, RS256, ES256, `EdDSA`; all that the keys allow when
    /// left out.
    #[serde(default)]
    algorithms: Vec<Algorithm>,
    /// The `iss` that a token must have.
    issuer: Option<String>,
    /// A text or a list: a token must have one of them as `aud`; no `aud` at all when left out.
    #[serde(default)]
    audience: Audience,
    /// The claim with the user id; "sub" when left out.
    #[serde(default = "subject")]
    user_claim: String,
    /// Public keys: a JWK set (JSON), or PEM with one or more.
    keys_file: Option<PathBuf>,
    /// A file with the secret for HS256.
    secret_file: Option<PathBuf>,
    /// The variable of the environment that holds that secret.
    secret_env: Option<String>,
    /// Public keys: a JWK set that is fetched from there, see `[auth.jwks]`.
    jwks_url: Option<Spanned<String>>,
}

fn subject() -> String {
    "sub".to_owned()
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged, expecting = "audience is a text or a list of texts")]
enum Audience {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl AuthTable {
    pub(super) fn check(self, source: &Source) -> Result<Auth, ConfigError> {
        let anonymous = self.anonymous.iter().map(|user| check_anonymous(user, source));
        let cookie = check_cookie(&self.cookie, source)?;
        let anonymous = anonymous.collect::<Result<_, _>>()?;
        let mut jwks = self.jwks;
        if !jwks.ca_file.as_os_str().is_empty() {
            jwks.ca_file = source.beside(&jwks.ca_file);
        }
        let jwt = self.jwt.into_iter().map(|table| check_jwt(table, &jwks, source));
        let jwt = jwt.collect::<Result<_, _>>()?;
        let (leeway, token_age) = (self.leeway, self.token_age);
        Ok(Auth { anonymous, cookie, leeway, token_age, jwks, jwt })
    }
}

fn check_anonymous(user: &Spanned<String>, source: &Source) -> Result<UserId, ConfigError> {
    let text = user.get_ref();
    if text == "server" {
        return Err(source.error(user.span(), "the user \"server\" is the server itself"));
    }
    UserId::new(text)
        .map_err(|error| source.error(user.span(), format!("{text:?} cannot be a user: {error}")))
}

fn check_cookie(name: &Spanned<String>, source: &Source) -> Result<Option<String>, ConfigError> {
    let text = name.get_ref();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.bytes().all(token) {
        return Ok(Some(text.clone()).filter(|text| !text.is_empty()));
    }
    Err(source.error(name.span(), format!("{text:?} cannot be the name of a cookie")))
}

fn check_jwt(table: Spanned<JwtTable>, jwks: &Jwks, source: &Source) -> Result<Jwt, ConfigError> {
    let line = source.line(table.span().start);
    let table = table.into_inner();
    if let Some(url) = &table.jwks_url {
        jwks.check_url(url.get_ref()).map_err(|reason| source.error(url.span(), reason))?;
    }
    let keys = key_source(&table, source).map_err(|reason| source.error_on(line, reason))?;
    let symmetric = !matches!(keys, KeySource::Public(_) | KeySource::Url(_));
    if let Some(wrong) = table.algorithms.iter().find(|it| (**it == Algorithm::HS256) != symmetric)
    {
        let reason = if symmetric {
            format!("{wrong} needs public keys: name them with keys_file or jwks_url")
        } else {
            "HS256 needs a secret: name it with secret_file or secret_env".to_owned()
        };
        return Err(source.error_on(line, reason));
    }
    Ok(Jwt {
        algorithms: table.algorithms,
        issuer: table.issuer,
        audience: match table.audience {
            Audience::None => Vec::new(),
            Audience::One(audience) => vec![audience],
            Audience::Several(audiences) => audiences,
        },
        user_claim: table.user_claim,
        keys,
        line,
    })
}

fn key_source(table: &JwtTable, source: &Source) -> Result<KeySource, &'static str> {
    let url = table.jwks_url.as_ref().map(Spanned::get_ref);
    match (&table.keys_file, url, &table.secret_file, &table.secret_env) {
        (Some(file), None, None, None) => Ok(KeySource::Public(source.beside(file))),
        (None, Some(url), None, None) => Ok(KeySource::Url(url.clone())),
        (None, None, Some(file), None) => Ok(KeySource::Secret(source.beside(file))),
        (None, None, None, Some(variable)) if is_variable(variable) => {
            Ok(KeySource::SecretVariable(variable.clone()))
        }
        // It may be the secret itself, so it is not repeated.
        (None, None, None, Some(_)) => {
            Err("secret_env is the name of a variable, such as JWT_SECRET")
        }
        (None, None, None, None) => {
            Err("[[auth.jwt]] needs its keys: jwks_url or keys_file (public keys, a JWK set \
                 or PEM), secret_file or secret_env (HS256)")
        }
        _ => Err("[[auth.jwt]] takes one of jwks_url, keys_file, secret_file and secret_env; \
                  write another [[auth.jwt]] for more"),
    }
}

fn is_variable(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
        && name.bytes().next().is_some_and(letter)
}
