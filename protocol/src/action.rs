//! An action as raw JSON: its bytes go from socket to store to socket untouched.

use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Why bytes are no action.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Not JSON, or not an object with a string `type`.
    #[error("an action is a JSON object with a string \"type\": {0}")]
    Shape(#[from] serde_json::Error),
}

/// A JSON object with a string `type`. The body is parsed only where a rule asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    json: Bytes,
    kind: Arc<str>,
}

impl Action {
    /// Checks that `json` is an object with a string `type`, and keeps it as it is.
    pub fn new(json: Bytes) -> Result<Self, ActionError> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        let head: Head<'_> = serde_json::from_slice(&json)?;
        let kind = Arc::from(head.kind.as_ref());
        Ok(Self { json, kind })
    }

    /// Takes JSON that was checked before, such as a row of the log, with the `type` it has.
    pub fn from_parts(json: Bytes, kind: &str) -> Self {
        Self { json, kind: kind.into() }
    }

    /// The action's `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The action's JSON, byte for byte as it came.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Reads the body as `T`.
    pub fn body<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}
