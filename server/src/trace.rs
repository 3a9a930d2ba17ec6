//! The server's own log: lines on standard error, as text for people or as JSON for machines.

use crate::config::Config;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Whether every line on standard error is to be JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// Starts tracing as the configuration says. A second start, as in tests, changes nothing.
pub fn start(config: &Config) {
    // The configuration was checked.
    let filter = filter(&config.server.trace).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if !config.server.trace_json {
        drop(lines.try_init());
    } else if lines.json().flatten_event(true).with_current_span(false).try_init().is_ok() {
        JSON.store(true, Ordering::Relaxed);
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
}

/// Reads what is to be traced. A word that is no level would silence everything without a word.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    for directive in text.split(',').filter(|directive| !directive.contains(['=', '['])) {
        let level = directive.trim().parse::<LevelFilter>();
        // Nothing at all would be taken for `off`.
        level.ok().filter(|_| !directive.is_empty()).ok_or_else(|| unknown(directive))?;
    }
    EnvFilter::try_new(text).map_err(|_| unknown(text))
}

fn unknown(directive: &str) -> String {
    format!(
        "{directive:?} is no level: write off, error, warn, info, debug or trace, and MODULE=LEVEL \
         for a module, as in \"info,tidelog_server::log=debug\""
    )
}

/// Says why the program ends, in the form that the other lines have.
pub fn fatal(error: &anyhow::Error) {
    if JSON.load(Ordering::Relaxed) {
        tracing::error!("{error:#}");
    } else {
        eprintln!("tidelog: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_levels_and_modules_and_nothing_that_matches_nothing() {
        for good in [
            "info",
            "OFF",
            "warn,tidelog_server::log=debug",
            "tidelog_server=trace",
            "error,sled=off",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "tidelog_server", "info,log", "info,a=loud", "info,,debug"] {
            let reason = filter(bad).expect_err(bad);
            assert!(reason.contains("as in"), "{bad}: {reason}");
        }
    }
}
