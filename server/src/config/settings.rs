//! The sections that are plain settings: server, limits, CORS, log.
//!
//! A key of the file is the name of its field, its default is in `Default`, and its doc comment is
//! what the reference and `--help` say of it. Every limit says what happens when it is reached.

use super::memory;
use super::proxies::{ProxyHeader, read_networks};
use super::quantity::{
    read_action_bytes, read_bytes, read_bytes_or_off, read_count, read_count_or_off, read_depth,
    read_duration, show_bytes, show_duration, show_or_off,
};
use documented::DocumentedFields;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data is kept.
    pub data: PathBuf,
    /// For development: any token signs in as whoever the client says it is; loopback only.
    pub(super) dev: bool,
    /// The version of your application, sent to clients; with 0, each client gets its own back.
    pub subprotocol: u32,
    /// Clients of a version below it are refused with `wrong-subprotocol`.
    pub min_subprotocol: u32,
    /// Reverse proxies, as addresses and networks, whose word counts on where a request comes from.
    #[serde(deserialize_with = "read_networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Where they say it: `x-forwarded-for`, or `forwarded` (RFC 7239).
    pub proxy_header: ProxyHeader,
    /// What the server says about its work: off, error, warn, info, debug or trace; for a module
    /// of the server, as in `info,log=debug`.
    pub trace: String,
    /// Says it as JSON, one object a line, instead of text.
    pub trace_json: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 31337)),
            data: "tidelog-data".into(),
            dev: false,
            subprotocol: 0,
            min_subprotocol: 0,
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            trace: "info".to_owned(),
            trace_json: false,
        }
    }
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory that the server stays under, 256MiB at least. A fifth is the program's own and the allocator's; what is
    /// not set of `frame_budget_bytes` (a quarter), `outgoing_bytes` (an eighth), `ingest_queue_bytes` and `cache_bytes`
    /// (a 32nd each), `tail_bytes` (a 64th), `connections` (a quarter at 12KiB each), `frame_bytes` and `body_bytes`
    /// is a part of the rest.
    #[serde(deserialize_with = "read_bytes_or_off", serialize_with = "show_or_off")]
    pub memory: Option<usize>,
    /// Open sockets, also while they shake hands for TLS; above it a new one is closed at once.
    #[serde(deserialize_with = "read_count")]
    pub connections: usize,
    /// Sessions of one user; the oldest is closed for a new one.
    #[serde(deserialize_with = "read_count")]
    pub sessions_per_user: usize,
    /// Subscriptions that one session asks for; one more is undone with `tooManySubscriptions`.
    #[serde(deserialize_with = "read_count")]
    pub subscriptions_per_session: usize,
    /// A frame before sign-in, and every message but `sync` after it; a longer one ends the
    /// connection with `wrong-format`.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub frame_bytes_before_sign_in: usize,
    /// A frame after sign-in: a client sends all that it made offline in one; a longer one, or a
    /// binary one that stands for more than twice as much JSON, ends the connection with
    /// `wrong-format`.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub frame_bytes: usize,
    /// Actions in one frame; more end the connection with `wrong-format`.
    #[serde(deserialize_with = "read_count")]
    pub actions_per_frame: usize,
    /// An action's JSON, 200 KiB at most; a longer one is undone with `tooLarge`.
    #[serde(deserialize_with = "read_action_bytes", serialize_with = "show_bytes")]
    pub action_bytes: usize,
    /// An action's `type`; a longer one ends the connection with `wrong-format`.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub type_bytes: usize,
    /// How deep arrays and objects nest in an action, 120 at most; deeper ends the connection
    /// with `wrong-format`.
    #[serde(deserialize_with = "read_depth")]
    pub json_depth: usize,
    /// The headers object of a client; a longer one ends the connection with `wrong-format`.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub headers_bytes: usize,
    /// Entries sent to a session that it has not acknowledged; sending waits.
    #[serde(deserialize_with = "read_count")]
    pub window_entries: usize,
    /// Bytes sent to a session that it has not acknowledged; sending waits.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub window_bytes: usize,
    /// Actions waiting to be committed, in bytes; reading from sockets waits.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub ingest_queue_bytes: usize,
    /// Frames of all sessions, from their header to their last answer, with what they take once they
    /// are read; a user has at most a quarter of it, and reading waits.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub frame_budget_bytes: usize,
    /// What waits for all clients together to take it; with three quarters of it nobody is let in, only
    /// who has taken what it was sent is sent more, and who takes nothing for 10s is cut.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub outgoing_bytes: usize,
    /// Logs and live targets of one action; above it, it is undone with `error`.
    #[serde(deserialize_with = "read_count")]
    pub addresses_per_action: usize,
    /// For the TLS handshake, for the head of a request, and for signing in; then the socket is
    /// closed.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub handshake: Duration,
    /// Silence after which the server sends `ping`.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub ping: Duration,
    /// How long a `ping` or a `sync` may stay unanswered, or what is sent untaken; then the socket is
    /// closed.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub timeout: Duration,
    /// How long stopping takes at most: sessions end one after the other in four fifths of it; what is left
    /// then is cut.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub drain: Duration,
    /// Body of an HTTP request; above it, the answer is 413.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub body_bytes: usize,
    /// Actions in a page over HTTP; the rest is in the next page.
    #[serde(deserialize_with = "read_count")]
    pub page_actions: usize,
    /// Bytes of actions in a page over HTTP; the rest is in the next page.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub page_bytes: usize,
    /// The longest `wait` of a long poll; a longer one is cut to it.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub wait: Duration,
    /// Failed sign-ins of a user from one address within `sign_in_window`; further ones are
    /// refused unseen.
    #[serde(deserialize_with = "read_count")]
    pub sign_in_failures: usize,
    /// After this time a failed sign-in of a user from an address is forgotten.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub sign_in_window: Duration,
    /// Failed sign-ins from one address within a minute, whoever the users; above it, attempts
    /// from there wait in line, a hundred a second.
    #[serde(deserialize_with = "read_count")]
    pub sign_in_failures_per_address: usize,
    /// Actions that one user makes in a second, beyond `actions_burst`; above it, they are undone with
    /// `tooManyActions`, and a push is answered with 429.
    #[serde(deserialize_with = "read_count_or_off", serialize_with = "show_or_off")]
    pub actions_per_second: Option<usize>,
    /// Actions of one user that may come at once before `actions_per_second` counts; a device sends
    /// at once all that it made offline.
    #[serde(deserialize_with = "read_count")]
    pub actions_burst: usize,
    /// Bytes of one user's actions that are kept, 128 beside the JSON of each; above it, an action is
    /// undone with `overQuota`, and a push is answered with 429.
    #[serde(deserialize_with = "read_bytes_or_off", serialize_with = "show_or_off")]
    pub kept_bytes_per_user: Option<usize>,
    /// How long a node that does not come is remembered; then it starts anew, with repeats.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub node_records: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            connections: 100_000,
            sessions_per_user: 100,
            subscriptions_per_session: 1_000,
            frame_bytes_before_sign_in: 64 << 10,
            frame_bytes: 32 << 20,
            actions_per_frame: 200_000,
            action_bytes: 128 << 10,
            type_bytes: 256,
            json_depth: 64,
            headers_bytes: 16 << 10,
            window_entries: 1_000,
            window_bytes: 1 << 20,
            ingest_queue_bytes: 32 << 20,
            frame_budget_bytes: 256 << 20,
            outgoing_bytes: 128 << 20,
            addresses_per_action: 256,
            handshake: Duration::from_secs(20),
            ping: Duration::from_secs(20),
            timeout: Duration::from_secs(70),
            drain: Duration::from_secs(10),
            body_bytes: 16 << 20,
            page_actions: 1_000,
            page_bytes: 1 << 20,
            wait: Duration::from_secs(55),
            sign_in_failures: 3,
            sign_in_window: Duration::from_secs(3),
            sign_in_failures_per_address: 300,
            actions_per_second: None,
            actions_burst: 200_000,
            kept_bytes_per_user: None,
            node_records: Duration::from_secs(180 * 86_400),
        }
    }
}

impl Limits {
    /// So large a part of the memory, if it has a ceiling; else `bytes`.
    pub(crate) fn memory_or(&self, part: usize, bytes: usize) -> usize {
        self.memory.map_or(bytes, |memory| memory::shared(memory) / part)
    }

    /// What a peer may send.
    pub fn protocol(&self) -> tidelog_protocol::Limits {
        tidelog_protocol::Limits {
            frame_bytes_before_sign_in: self.frame_bytes_before_sign_in,
            frame_bytes: self.frame_bytes,
            actions_per_frame: self.actions_per_frame,
            name_bytes: self.type_bytes,
            json_depth: self.json_depth,
            headers_bytes: self.headers_bytes,
            ..tidelog_protocol::Limits::default()
        }
    }
}

/// `[cors]`: which web pages may call over HTTP, and sign in by cookie.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://app.example.com`; `*` is any, without cookies.
    pub origins: Vec<String>,
    /// Whether pages of these origins may send cookies.
    pub credentials: bool,
}

impl Cors {
    /// Whether a page of `origin` may send its cookies.
    pub fn lets_cookies(&self, origin: &str) -> bool {
        self.credentials && self.origins.iter().any(|known| known == origin)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for origin in self.origins.iter().filter(|origin| *origin != "*") {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
                return Err(format!(
                    "[cors] origins: {origin:?} is no origin: write \"https://app.example.com\" \
                     (scheme and host, no path), or \"*\""
                ));
            }
        }
        if self.credentials && self.origins.iter().any(|origin| origin == "*") {
            return Err("[cors] credentials need the origins by name: browsers refuse cookies \
                        for \"*\""
                .to_owned());
        }
        Ok(())
    }
}

/// `[log]`: the store.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Newest entries kept in memory, each half of them; older ones are read from disk.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub tail_bytes: usize,
    /// The page cache of the store.
    #[serde(deserialize_with = "read_bytes", serialize_with = "show_bytes")]
    pub cache_bytes: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { tail_bytes: 32 << 20, cache_bytes: 32 << 20 }
    }
}
