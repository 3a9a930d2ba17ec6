//! `[upstream]`: the server that this one follows as a replica.

use super::quantity::{read_bytes_or_off, show_or_off};
use super::source::Source;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[upstream]`
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Where the server is that this one follows, by https or wss; without it, it follows none.
    pub url: String,
    /// The name that this server has there; the token has to be of this name.
    pub replica: String,
    /// A file with the token that tidelog replica add has printed there.
    pub token_file: PathBuf,
    /// Certificates (PEM) that prove who it is; without it, those of the system.
    pub ca_file: PathBuf,
    /// Bytes a second that go over the link, each way; batches are no larger then.
    #[serde(deserialize_with = "read_bytes_or_off", serialize_with = "show_or_off")]
    pub bandwidth: Option<usize>,
}

impl Upstream {
    /// With paths relative to the file that it is in.
    pub(super) fn beside(mut self, source: &Source) -> Self {
        for file in [&mut self.token_file, &mut self.ca_file] {
            if !file.as_os_str().is_empty() {
                *file = source.beside(file);
            }
        }
        self
    }

    /// The server that is to be followed, if there is one; what cannot be.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.url.is_empty() {
            return Ok(());
        }
        let url = self.http_url();
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let is_near = ["localhost", "127.0.0.1", "[", ""].contains(&host);
        match scheme {
            "https" => {}
            "http" if is_near => {}
            "http" => {
                return Err(format!(
                    "[upstream] url: the token would go to {host} as plain text; use https"
                ));
            }
            _ => return Err("[upstream] url: it begins with https:// or wss://".to_owned()),
        }
        if self.token_file.as_os_str().is_empty() {
            return Err(
                "[upstream] token_file (--upstream-token-file) is missing: `tidelog replica \
                        add` on the other server prints the token for it"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The same server by HTTP.
    fn http_url(&self) -> String {
        match self.url.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            _ => self.url.clone(),
        }
    }

    /// The server to follow, if there is one.
    pub(crate) fn followed(&self) -> Option<Self> {
        let url = self.http_url();
        (!url.is_empty()).then(|| Self { url, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_nowhere_as_plain_text() {
        let check = |url: &str| {
            let token_file = "token".into();
            Upstream { url: url.to_owned(), token_file, ..Upstream::default() }.check()
        };
        for good in ["", "https://cloud.example", "wss://cloud.example", "http://127.0.0.1:31337"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["http://cloud.example", "ws://cloud.example:80/", "cloud.example", "ftp://x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let upstream = Upstream { url: "wss://cloud.example".into(), ..Upstream::default() };
        assert_eq!(upstream.followed().unwrap().url, "https://cloud.example");
        assert!(upstream.check().unwrap_err().contains("--upstream-token-file"));
    }
}
