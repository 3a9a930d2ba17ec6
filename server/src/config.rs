//! The configuration: one typed value from flags, environment, file and defaults.

use crate::cli::ServeArgs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// `--dev`: loopback only, any token signs in.
    pub dev: bool,
    /// `[server]`
    pub server: Server,
    /// `[auth]` and `[[auth.jwt]]`
    pub auth: Auth,
    /// `[limits]`
    pub limits: Limits,
    /// `[cors]`
    pub cors: Cors,
    /// `[log]`
    pub log: LogSettings,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the data is kept.
    pub data: PathBuf,
    /// The application's subprotocol, sent in `connected`.
    pub subprotocol: u32,
    /// Clients below it are refused with `wrong-subprotocol`.
    pub min_subprotocol: u32,
    /// What goes to the trace, as a filter of `tracing`.
    pub trace: String,
    /// Trace lines as JSON.
    pub trace_json: bool,
}

/// `[auth]`
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// Users that need no token and have no log.
    pub anonymous: Vec<String>,
    /// The cookie that holds the token.
    pub cookie: String,
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions of one user at a time.
    pub sessions_per_user: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session: usize,
    /// Bytes of sent and not yet acknowledged entries per session.
    pub window_bytes: usize,
    /// Entries sent and not yet acknowledged per session.
    pub window_entries: usize,
    /// Bytes of actions waiting for the committer.
    pub ingest_queue_bytes: usize,
    /// Bytes of frames that all sessions together may be reading.
    pub frame_budget_bytes: usize,
    /// From accepting a socket to `connect`.
    pub handshake: Duration,
    /// Silence after which the server pings.
    pub ping: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long stopping may take.
    pub drain: Duration,
    /// HTTP request body.
    pub body_bytes: usize,
    /// Actions in one page of HTTP.
    pub page_actions: usize,
    /// Bytes in one page of HTTP.
    pub page_bytes: usize,
    /// The longest `wait` of a long poll.
    pub wait: Duration,
}

/// `[cors]`
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins that browsers may call from; `*` is any.
    pub origins: Vec<String>,
    /// Whether they may send cookies.
    pub credentials: bool,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Newest entries kept in memory.
    pub tail_bytes: usize,
    /// The store's page cache.
    pub cache_bytes: usize,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {reason}", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The parts are right, together they are not.
    #[error("{0}")]
    Refused(String),
}

impl Config {
    /// What `serve` runs with: flags and environment over the file over the defaults.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let file = args.config.clone();
        Ok(Self {
            file,
            dev: args.dev,
            server: Server {
                listen: args
                    .listen
                    .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 31337))),
                data: args
                    .data
                    .clone()
                    .unwrap_or_else(|| Path::new("tidelog-data").into()),
                subprotocol: 0,
                min_subprotocol: 0,
                trace: "info".to_owned(),
                trace_json: false,
            },
            auth: Auth {
                anonymous: Vec::new(),
                cookie: "token".to_owned(),
            },
            limits: Limits {
                sessions_per_user: 1000,
                subscriptions_per_session: 1000,
                window_bytes: 1 << 20,
                window_entries: 1000,
                ingest_queue_bytes: 64 << 20,
                frame_budget_bytes: 256 << 20,
                handshake: Duration::from_secs(20),
                ping: Duration::from_secs(20),
                timeout: Duration::from_secs(70),
                drain: Duration::from_secs(10),
                body_bytes: 16 << 20,
                page_actions: 1000,
                page_bytes: 1 << 20,
                wait: Duration::from_secs(55),
            },
            cors: Cors::default(),
            log: LogSettings {
                tail_bytes: 64 << 20,
                cache_bytes: 64 << 20,
            },
        })
    }
}

/// Reads a duration such as `500ms`, `20s`, `15m`, `1h`, `30d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("\"{text}\" is no duration"))?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(format!(
                "\"{text}\" is no duration: try 500ms, 20s, 15m, 1h or 30d"
            ));
        }
    };
    number
        .checked_mul(ms)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("\"{text}\" is too long"))
}
