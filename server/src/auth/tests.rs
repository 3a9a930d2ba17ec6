//! What the tests of signing in share: keys in a folder, tokens, attempts.

mod attempts;
mod fuzz;
mod key_files;
mod revoked;
mod rotation;
mod tokens;

use super::*;
use crate::config::Source;
use serde_json::json;
use std::path::{Path, PathBuf};

const NOW: u64 = 1_700_000_000_000;
pub(super) const NOW_S: u64 = NOW / 1000;
const HERE: [u8; 4] = [10, 0, 0, 1];

/// A folder with a secret and the keys of `tests/data`.
pub(super) struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
        Self { folder }
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        if data.exists() { data } else { self.folder.path().join(name) }
    }

    pub(super) fn authenticator(&self, text: &str) -> Result<Authenticator, ConfigError> {
        let text = text.replace("DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
        let source = Source::new(&self.folder.path().join("t.toml"), text);
        Authenticator::new(&Config::parse(source)?)
    }

    pub(super) fn sign(&self, key: &str, claims: &serde_json::Value) -> String {
        let serde_json::Value::Object(claims) = claims else { unreachable!() };
        SigningKey::read(&self.file(key)).unwrap().sign(claims).unwrap()
    }
}

const SECRET: &str = "[[auth.jwt]]\nsecret_file = \"secret\"";

fn attempt<'a>(node: &'a NodeId, token: Option<&'a str>) -> Attempt<'a> {
    Attempt {
        claim: Claim::Node(node),
        token,
        cookies: None,
        origin: None,
        host: None,
        address: HERE.into(),
    }
}

fn sign_in(authenticator: &Authenticator, node: &str, token: &str) -> Result<Identity, Refusal> {
    authenticator.sign_in(&attempt(&NodeId::new(node).unwrap(), Some(token)), NOW)
}

pub(super) fn http<'a>(token: Option<&'a str>, client: Option<&'a ClientId>) -> Attempt<'a> {
    Attempt {
        claim: Claim::Http(client),
        token,
        cookies: None,
        origin: None,
        host: None,
        address: HERE.into(),
    }
}
