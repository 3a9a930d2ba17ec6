//! The keys that tokens are verified with: a secret, public keys in PEM, a JWK set.
//!
//! What goes wrong is said without showing any of a file's content.

use crate::config::{Algorithm, Jwt, KeySource};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{DecodingKey, crypto};
use std::path::Path;

/// A secret for HS256 has at least as many bytes as its hash (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// RSA keys have at least 2048 bits (RFC 7518, 3.3).
const RSA_BYTES_MIN: usize = 256;
/// An issuer rotates a few keys; a token without a key id is tried with each.
const KEYS_MAX: usize = 32;
/// What none of the keys in a file or a set is for.
const SUPPORTED: &str = "RS256 (2048 bits or more), ES256 or EdDSA";

/// A key, and the one algorithm that it is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    verifying: DecodingKey,
}

impl Key {
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`.
    pub(super) fn verifies(&self, message: &str, signature: &str) -> bool {
        let algorithm = library_algorithm(self.algorithm);
        crypto::verify(signature, message.as_bytes(), &self.verifying, algorithm).unwrap_or(false)
    }
}

/// The name that the library has for an algorithm.
pub(super) fn library_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// Reads the keys of an issuer from its files, those of its algorithms.
pub(super) fn load(jwt: &Jwt) -> Result<Vec<Key>, String> {
    let keys = match &jwt.keys {
        KeySource::Public(file) => public_keys(file)?,
        KeySource::Secret(_) | KeySource::SecretVariable(_) => {
            let key = DecodingKey::from_secret(&secret(&jwt.keys)?);
            vec![Key { id: None, algorithm: Algorithm::HS256, verifying: key }]
        }
        // They come by the network, and may not be here yet.
        KeySource::Url(_) => return Ok(Vec::new()),
    };
    if let Some(missing) =
        jwt.algorithms.iter().find(|it| !keys.iter().any(|key| key.algorithm == **it))
    {
        return Err(format!("there is no key for {missing}"));
    }
    wanted(keys, &jwt.algorithms)
}

/// Reads a JWK set.
pub(super) fn from_set(text: &str, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set: JwkSet = serde_json::from_str(text).map_err(|_| "it is no JWK set".to_owned())?;
    wanted(set.keys.iter().filter_map(from_jwk).collect(), algorithms)
}

/// The keys of these algorithms; of all if none is named.
fn wanted(mut keys: Vec<Key>, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    keys.retain(|key| algorithms.is_empty() || algorithms.contains(&key.algorithm));
    match keys.len() {
        0 => Err(format!("there is no key for {SUPPORTED}")),
        1..=KEYS_MAX => Ok(keys),
        many => Err(format!("there are {many} keys; at most {KEYS_MAX} are used")),
    }
}

/// Reads a secret: what is in the file or the variable, without a line break at its end.
pub(super) fn secret(keys: &KeySource) -> Result<Vec<u8>, String> {
    let (mut secret, place) = match keys {
        KeySource::SecretVariable(name) => {
            let value = std::env::var(name);
            let value =
                value.map_err(|_| format!("the variable {name} of secret_env is not set"))?;
            (value.into_bytes(), name.clone())
        }
        KeySource::Secret(file) | KeySource::Public(file) => {
            (read(file)?, file.display().to_string())
        }
        KeySource::Url(_) => return Err("a JWK set holds no secret".to_owned()),
    };
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err(format!("{place} holds a key in PEM, not a secret: name it with keys_file"));
    }
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "the secret of {place} has {} bytes; HS256 needs {SECRET_BYTES_MIN}: make one with \
             `openssl rand -base64 48`",
            secret.len()
        ));
    }
    Ok(secret)
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn public_keys(file: &Path) -> Result<Vec<Key>, String> {
    let content = read(file)?;
    let text = String::from_utf8(content)
        .map_err(|_| format!("{} is neither a JWK set nor PEM", file.display()))?;
    let keys = match serde_json::from_str::<JwkSet>(&text) {
        Ok(set) => Ok(set.keys.iter().filter_map(from_jwk).collect()),
        Err(_) => pem_blocks(&text).map(from_pem).collect::<Result<Vec<_>, _>>(),
    };
    let keys = keys.map_err(|reason| format!("{}: {reason}", file.display()))?;
    if keys.is_empty() {
        let what = format!("has no public key for {SUPPORTED}, as a JWK set in JSON or in PEM");
        return Err(format!("{} {what}", file.display()));
    }
    Ok(keys)
}

/// A key of a set; none when it is for something else, as sets hold keys for many uses.
fn from_jwk(jwk: &Jwk) -> Option<Key> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let signs = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
    let fits = common.key_algorithm.is_none_or(|algorithm| algorithm == named);
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| signs && fits)?;
    strong(&key, algorithm).then(|| Key { id: common.key_id.clone(), algorithm, verifying: key })
}

/// The blocks of PEM in a text, whatever is between them.
fn pem_blocks(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("-----BEGIN ").map(|(at, _)| at);
    starts.filter_map(|at| {
        let block = text.get(at..)?;
        let end = block.find("-----END ")?;
        let tail = block.get(end + 9..)?.find("-----")?;
        block.get(..end + 9 + tail + 5)
    })
}

type ReadPem = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;

fn from_pem(block: &str) -> Result<Key, String> {
    let label = block.strip_prefix("-----BEGIN ").and_then(|rest| rest.split("-----").next());
    let label = label.unwrap_or_default();
    if label.contains("PRIVATE KEY") {
        let way = "the server needs the public one: `openssl pkey -in PRIVATE -pubout`";
        return Err(format!("this is a private key, and {way}"));
    }
    if label == "CERTIFICATE" {
        let way = "`openssl x509 -in CERTIFICATE -pubkey -noout`";
        return Err(format!("this is a certificate; take the public key out of it: {way}"));
    }
    let pem = block.as_bytes();
    let tries: [(Algorithm, ReadPem); 3] = [
        (Algorithm::RS256, DecodingKey::from_rsa_pem),
        (Algorithm::ES256, DecodingKey::from_ec_pem),
        (Algorithm::EdDSA, DecodingKey::from_ed_pem),
    ];
    let found = tries.into_iter().find_map(|(algorithm, read)| Some((algorithm, read(pem).ok()?)));
    let (algorithm, key) = found.ok_or_else(|| format!("the {label:?} in it cannot be read"))?;
    if !strong(&key, algorithm) {
        let wanted = "RSA of 2048 bits or more, EC on P-256, or Ed25519";
        return Err(format!("the key in it is of the wrong kind: {wanted} is supported"));
    }
    Ok(Key { id: None, algorithm, verifying: key })
}

/// Whether a key is long enough and on the right curve.
fn strong(key: &DecodingKey, algorithm: Algorithm) -> bool {
    let length = |text: &str| text.len() * 3 / 4;
    match Jwk::from_decoding_key(key, Some(library_algorithm(algorithm))).map(|jwk| jwk.algorithm) {
        Ok(AlgorithmParameters::RSA(key)) => length(&key.n) >= RSA_BYTES_MIN,
        Ok(AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
        Ok(AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    }
}
