//! `tidelog token`: a token that the server accepts, for trying things out and for scripts.

use super::TokenArgs;
use crate::auth::{Attempt, Authenticator, Claim, SigningError, SigningKey};
use crate::clock;
use crate::config::{Config, ConfigError, FILE, Jwt, KeySource};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use tidelog_protocol::UserId;

/// Why there is no token, and what to do.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key is.
    #[error(transparent)]
    Key(#[from] SigningError),
    /// What was asked for cannot be.
    #[error("{0}")]
    Refused(String),
}

/// Makes a token and prints it.
#[expect(clippy::print_stdout, reason = "the token is the command's output")]
pub fn run(args: &TokenArgs) -> anyhow::Result<()> {
    println!("{}", make(args, clock::now_ms())?);
    Ok(())
}

fn make(args: &TokenArgs, now_ms: u64) -> Result<String, TokenError> {
    let user = UserId::new(&args.user).ok().filter(|user| user.as_str() != "server");
    if user.is_none() {
        let reason = "cannot sign in: a user has no spaces and no colons, and is not \"server\"";
        return Err(TokenError::Refused(format!("{:?} {reason}", args.user)));
    }
    let found = Some(Path::new(FILE)).filter(|file| args.key.is_none() && file.exists());
    let key = args.key.as_deref().map(SigningKey::read).transpose()?;
    match (args.config.as_deref().or(found), key) {
        (Some(file), key) => accepted(args, &Config::read(file)?, key.as_ref(), now_ms),
        (None, Some(key)) => Ok(key.sign(&claims(args, None, now_ms))?),
        (None, None) => Err(TokenError::Refused(
            "nothing to sign with: name the server's configuration with --config FILE, or a key \
             with --key FILE (a private key in PEM, or a file with a secret). A server with --dev \
             takes any token"
                .to_owned(),
        )),
    }
}

/// A token made for the first `[[auth.jwt]]` that takes it.
fn accepted(
    args: &TokenArgs,
    config: &Config,
    key: Option<&SigningKey>,
    now_ms: u64,
) -> Result<String, TokenError> {
    let file = config.file.as_deref().unwrap_or(Path::new(FILE)).display();
    let authenticator = Authenticator::new(config)?;
    for jwt in &config.auth.jwt {
        let secret = match (key, &jwt.keys) {
            (None, KeySource::Secret(_) | KeySource::SecretVariable(_)) => {
                Some(SigningKey::secret(&jwt.keys)?)
            }
            _ => None,
        };
        let Some(key) = key.or(secret.as_ref()) else {
            continue;
        };
        let token = key.sign(&claims(args, Some(jwt), now_ms))?;
        if signs_in(&authenticator, &token, &args.user, now_ms) {
            return Ok(token);
        }
    }
    Err(TokenError::Refused(match key {
        _ if config.auth.jwt.is_empty() => format!(
            "{file} has no [[auth.jwt]] that could take a token; a server with --dev takes any"
        ),
        Some(key) => {
            let algorithm = key.algorithm();
            format!("no [[auth.jwt]] of {file} takes a token that this key signs with {algorithm}")
        }
        None => format!("{file} has public keys only: name the private key with --key FILE"),
    }))
}

fn signs_in(authenticator: &Authenticator, token: &str, user: &str, now_ms: u64) -> bool {
    let attempt = Attempt {
        claim: Claim::Http(None),
        token: Some(token),
        cookies: None,
        origin: None,
        host: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    authenticator.sign_in(&attempt, now_ms).is_ok_and(|identity| identity.user.as_str() == user)
}

fn claims(args: &TokenArgs, jwt: Option<&Jwt>, now_ms: u64) -> Map<String, Value> {
    let now = now_ms / 1000;
    let mut claims = Map::new();
    if let Some(issuer) = jwt.and_then(|jwt| jwt.issuer.as_ref()) {
        claims.insert("iss".to_owned(), issuer.as_str().into());
    }
    if let Some(audience) = jwt.and_then(|jwt| jwt.audience.first()) {
        claims.insert("aud".to_owned(), audience.as_str().into());
    }
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), now.saturating_add(args.ttl.as_secs().max(1)).into());
    let claim = jwt.map_or("sub", |jwt| &jwt.user_claim);
    claims.insert(claim.to_owned(), args.user.as_str().into());
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use std::path::PathBuf;
    use std::time::Duration;

    const NOW: u64 = 1_700_000_000_000;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    fn run_with(config: &str, key: Option<&str>, user: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.toml");
        let config = config.replace("DATA", &data("").display().to_string());
        std::fs::write(&file, &config).unwrap();
        std::fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef").unwrap();
        let args = TokenArgs {
            user: user.to_owned(),
            ttl: Duration::from_secs(60),
            key: key.map(data),
            config: Some(file.clone()),
        };
        let token = make(&args, NOW).map_err(|error| error.to_string())?;
        let config = Config::parse(Source::new(&file, config)).unwrap();
        let authenticator = Authenticator::new(&config).unwrap();
        assert!(signs_in(&authenticator, &token, user, NOW + 59_000));
        assert!(
            !signs_in(&authenticator, &token, user, NOW + 60_000 + 30_000),
            "it lives a minute"
        );
        Ok(token)
    }

    #[test]
    fn a_token_is_what_the_configuration_takes() {
        let claims = "issuer = \"me\"\naudience = [\"a\", \"b\"]\nuser_claim = \"uid\"";
        let public =
            |name: &str| format!("[[auth.jwt]]\nkeys_file = \"DATA/{name}.public.pem\"\n{claims}");
        let secret = format!("[[auth.jwt]]\nsecret_file = \"secret\"\n{claims}");
        assert!(run_with(&secret, None, "10").is_ok());
        for name in ["rsa", "ec", "ed"] {
            run_with(&public(name), Some(&format!("{name}.private.pem")), "10").expect(name);
        }
        let both = format!("{}\n{secret}", public("ec"));
        assert!(run_with(&both, None, "10").is_ok(), "the one with the secret");
        assert!(run_with(&both, Some("ec.private.pem"), "10").is_ok());
    }

    #[test]
    fn what_is_missing_is_said() {
        let secret = "[[auth.jwt]]\nsecret_file = \"secret\"";
        let ec = "[[auth.jwt]]\nkeys_file = \"DATA/ec.public.pem\"";
        for (config, key, user, reason) in [
            (secret, None, "a b", "no spaces"),
            (secret, None, "server", "is not \"server\""),
            ("", None, "10", "no [[auth.jwt]]"),
            ("x = 1", None, "10", "unknown field"),
            (ec, None, "10", "--key"),
            (ec, Some("rsa.private.pem"), "10", "signs with RS256"),
            (ec, Some("missing.pem"), "10", "cannot be read"),
            (ec, Some("ec.public.pem"), "10", "no private key"),
            (ec, Some("ec.sec1.private.pem"), "10", "openssl pkcs8"),
        ] {
            let error = run_with(config, key, user).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_key_alone_is_enough() {
        let args = TokenArgs {
            user: "10".to_owned(),
            ttl: Duration::from_secs(60),
            key: Some(data("ed.private.pem")),
            config: None,
        };
        assert_eq!(make(&args, NOW).unwrap().split('.').count(), 3);
        let args = TokenArgs { key: None, ..args };
        assert!(make(&args, NOW).unwrap_err().to_string().contains("--config FILE"));
    }
}
