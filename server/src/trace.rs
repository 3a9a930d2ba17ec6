//! The server's own log: structured lines on standard error.

use crate::config::Config;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts tracing as the configuration says. A second start, as in tests, changes nothing.
pub fn start(config: &Config) {
    let filter =
        EnvFilter::try_new(&config.server.trace).unwrap_or_else(|_| EnvFilter::new("info"));
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
