//! `[admission]`: how many come in at once when all come back.

use super::quantity::{read_count, read_duration, show_duration};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[admission]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// TLS handshakes at once; further clients that have begun one wait before theirs.
    #[serde(deserialize_with = "read_count")]
    pub handshakes: usize,
    /// WebSockets that are open and not signed in; for one more the request is answered with 503.
    #[serde(deserialize_with = "read_count")]
    pub unsigned: usize,
    /// Clients that have signed in and wait for their turn, and places that are kept for others; when
    /// as many wait, requests for further WebSockets are answered with 503.
    #[serde(deserialize_with = "read_count")]
    pub waiting: usize,
    /// WebSockets in all, live ones and those on their way; for one more the request is answered with
    /// 503.
    #[serde(deserialize_with = "read_count")]
    pub sessions: usize,
    /// Clients at once, and requests, that have missed no more than a page, all of it in memory;
    /// further ones wait for their turn.
    #[serde(deserialize_with = "read_count")]
    pub light: usize,
    /// To so few `light` falls while the server has too much to do.
    #[serde(deserialize_with = "read_count")]
    pub light_floor: usize,
    /// Clients at once that have missed more, and requests with a body of more than 16 KiB or without a
    /// cursor; further ones wait for their turn.
    #[serde(deserialize_with = "read_count")]
    pub heavy: usize,
    /// To so few `heavy` falls while the server has too much to do.
    #[serde(deserialize_with = "read_count")]
    pub heavy_floor: usize,
    /// When nine of ten appends take longer than this, the server has too much to do.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub commit_target: Duration,
    /// When its threads are later than this, the server has too much to do.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub lag_target: Duration,
    /// When what has been let in will take the disk longer than this, the server has too much to do;
    /// at twice that nobody more is let in.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub debt_target: Duration,
    /// How long a client waits for its turn in an open WebSocket; then that is closed. Stock clients
    /// give up after 70s.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub patience: Duration,
    /// How long a client that takes what it has missed slowly keeps others waiting; what it has sent and
    /// is not answered keeps them longer.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub hold: Duration,
    /// How long the place of a client is kept that does not wait.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub place: Duration,
    /// How long a request waits for its turn; then it is answered with 503 and Retry-After.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub request: Duration,
    /// The longest Retry-After.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub retry_after: Duration,
    /// When a newcomer would wait longer than this, /ready says 503.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub busy: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            handshakes: 256,
            unsigned: 20_000,
            waiting: 50_000,
            sessions: 100_000,
            light: 2048,
            light_floor: 32,
            heavy: 256,
            heavy_floor: 8,
            commit_target: Duration::from_millis(250),
            lag_target: Duration::from_millis(100),
            debt_target: Duration::from_secs(20),
            patience: Duration::from_secs(55),
            hold: Duration::from_secs(5),
            place: Duration::from_secs(30),
            request: Duration::from_secs(1),
            retry_after: Duration::from_secs(300),
            busy: Duration::from_secs(55),
        }
    }
}

impl Admission {
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, floor, most) in
            [("light", self.light_floor, self.light), ("heavy", self.heavy_floor, self.heavy)]
        {
            if floor > most {
                return Err(format!(
                    "[admission] {name}_floor ({floor}) is above {name} ({most}), which it falls from"
                ));
            }
        }
        Ok(())
    }
}
