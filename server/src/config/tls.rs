//! `[tls]`: where the certificate is.

use super::source::Source;
use documented::DocumentedFields;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `[tls]`, when the server speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate and those that signed it, in PEM.
    pub cert_file: PathBuf,
    /// Its private key, in PEM.
    pub key_file: PathBuf,
}

#[derive(Clone, Debug, Default, Deserialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsTable {
    /// The server's certificate, then those that signed it, in PEM.
    cert_file: Option<PathBuf>,
    /// Its private key in PEM, without a password.
    key_file: Option<PathBuf>,
}

impl TlsTable {
    /// Both files, relative to the one that names them, or none.
    pub(super) fn check(self, source: &Source) -> Result<Option<Tls>, &'static str> {
        let beside = |file: PathBuf| source.beside(&file);
        pair(self.cert_file.map(beside), self.key_file.map(beside))
    }
}

impl Tls {
    /// What the file says, where no flag says otherwise.
    pub(super) fn overruled(
        file: Option<Self>,
        cert_file: Option<&Path>,
        key_file: Option<&Path>,
    ) -> Result<Option<Self>, &'static str> {
        let (cert, key) = file.map(|it| (it.cert_file, it.key_file)).unzip();
        pair(cert_file.map(Path::to_owned).or(cert), key_file.map(Path::to_owned).or(key))
    }
}

fn pair(
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
) -> Result<Option<Tls>, &'static str> {
    match (cert_file, key_file) {
        (None, None) => Ok(None),
        (Some(cert_file), Some(key_file)) => Ok(Some(Tls { cert_file, key_file })),
        (Some(_), None) => {
            Err("TLS needs the certificate's private key, too: key_file in [tls], or --tls-key")
        }
        (None, Some(_)) => {
            Err("TLS needs the key's certificate, too: cert_file in [tls], or --tls-cert")
        }
    }
}
