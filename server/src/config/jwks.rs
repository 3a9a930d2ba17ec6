//! `[auth.jwks]`, and the addresses of key sets.

use super::quantity::{read_bytes, read_duration, show_bytes, show_duration};
use documented::DocumentedFields;
use hyper::Uri;
use hyper::http::uri::Scheme;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// `[auth.jwks]`: how key sets are fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Jwks {
    /// How often a set is fetched anew.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub refresh: Duration,
    /// The least time between two fetches, however many tokens name unknown keys.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub floor: Duration,
    /// How long keys count after the last fetch that succeeded.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub grace: Duration,
    /// How long a fetch may take, and how long a sign-in waits for one.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub timeout: Duration,
    /// The longest set.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub bytes: usize,
    /// Whether sets may come unencrypted from other machines.
    pub allow_http: bool,
    /// Who signs the certificates of servers of sets, in PEM; the system's authorities when empty.
    pub ca_file: PathBuf,
}

impl Default for Jwks {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(3600),
            floor: Duration::from_secs(30),
            grace: Duration::from_secs(30 * 86_400),
            timeout: Duration::from_secs(10),
            bytes: 1 << 20,
            allow_http: false,
            ca_file: PathBuf::new(),
        }
    }
}

impl Jwks {
    /// Refuses an address that keys must not come from.
    pub(super) fn check_url(&self, url: &str) -> Result<(), &'static str> {
        let parsed: Uri = url.parse().map_err(|_| "jwks_url is no URL")?;
        let host = parsed.authority().filter(|authority| !authority.host().is_empty());
        let host = host.ok_or("jwks_url needs scheme and host: https://id.example.com/keys")?;
        // It would be in every message about the set.
        if host.as_str().contains('@') {
            return Err("jwks_url has a user or a password in it, and key sets are public");
        }
        let encrypted = parsed.scheme() == Some(&Scheme::HTTPS);
        let plain = parsed.scheme() == Some(&Scheme::HTTP);
        if encrypted || (plain && (self.allow_http || is_loopback(host.host()))) {
            return Ok(());
        }
        Err("jwks_url has to be https://: whoever could change the set on its way could sign in \
             as anyone. Within a network that you trust, allow_http in [auth.jwks] lifts this")
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = bare.parse::<IpAddr>();
    bare == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}
