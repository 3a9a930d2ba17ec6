//! The server's own log: structured lines on standard error.

use crate::config::Config;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Libraries that would write out what they carry, tokens and actions included. They say what goes
/// wrong and no more, whatever the filter asks for.
const QUIET: [&str; 8] = [
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "sled",
    "tokio_tungstenite",
    "tower_http",
    "tungstenite",
];

/// Starts tracing as the configuration says. A second start, as in tests, changes nothing.
pub fn start(config: &Config) {
    let filter =
        EnvFilter::try_new(&config.server.trace).unwrap_or_else(|_| EnvFilter::new("info"));
    let quiet = QUIET.iter().filter_map(|library| format!("{library}=warn").parse().ok());
    let filter = quiet.fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if config.server.trace_json {
        lines.json().try_init()
    } else {
        lines.with_target(false).try_init()
    };
    drop(started);
}
