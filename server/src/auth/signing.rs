//! Signing tokens, for `tidelog token`.

use super::keys::{self, library_algorithm};
use crate::config::{Algorithm, KeySource};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value};
use std::path::Path;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SigningError(String);

type ReadPem = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// A key that tokens are signed with.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// Reads a file: a private key in PEM, or else a secret.
    pub(crate) fn read(file: &Path) -> Result<Self, SigningError> {
        let content = keys::read(file).map_err(SigningError)?;
        if !content.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Self::secret(&KeySource::Secret(file.to_owned()));
        }
        let tries: [(Algorithm, ReadPem); 3] = [
            (Algorithm::RS256, EncodingKey::from_rsa_pem),
            (Algorithm::ES256, EncodingKey::from_ec_pem),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem),
        ];
        let mut tries = tries.into_iter();
        let found = tries.find_map(|(algorithm, read)| Some((algorithm, read(&content).ok()?)));
        let (algorithm, key) = found.ok_or_else(|| {
            SigningError(format!(
                "{} is no private key of RSA, EC (P-256) or Ed25519 in PKCS#8; convert it with \
                 `openssl pkcs8 -topk8 -nocrypt -in KEY`",
                file.display()
            ))
        })?;
        Ok(Self { algorithm, key })
    }

    /// Reads the secret that a configuration names.
    pub(crate) fn secret(source: &KeySource) -> Result<Self, SigningError> {
        let secret = keys::secret(source).map_err(SigningError)?;
        Ok(Self { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(&secret) })
    }

    /// What it signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs `claims`.
    pub(crate) fn sign(&self, claims: &Map<String, Value>) -> Result<String, SigningError> {
        let header = Header::new(library_algorithm(self.algorithm));
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| SigningError(format!("the key cannot sign: {error}")))
    }
}

impl std::fmt::Debug for SigningKey {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.algorithm)
    }
}
