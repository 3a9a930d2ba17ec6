//! The server's own log: lines on standard error, as text for people or as JSON for machines.
//!
//! Levels are those of the server's own modules. Libraries tell what goes wrong and no more: in their
//! finer levels they show frames and headers, with the actions and tokens in them.

use crate::config::Config;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

/// What all own modules begin with, after an underscore or at the end.
const OWN: &str = "tidelog";
/// The most that libraries may say.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// Whether every line on standard error is to be JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// Starts tracing as the configuration says. A second start, as in tests, changes nothing.
pub fn start(config: &Config) {
    // The configuration was checked.
    let levels = levels(&config.server.trace).unwrap_or_default();
    let (ansi, lines) = (std::io::stderr().is_terminal(), registry().with(levels));
    if !config.server.trace_json {
        drop(lines.with(fmt::layer().with_ansi(ansi).with_writer(std::io::stderr)).try_init());
        return;
    }
    let json = fmt::layer().json().flatten_event(true).with_current_span(false);
    if lines.with(json.with_writer(std::io::stderr)).try_init().is_ok() {
        JSON.store(true, Ordering::Relaxed);
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
}

/// Reads what is to be traced: a level, and after commas `MODULE=LEVEL`. A word that is neither would
/// silence everything without a word.
pub fn levels(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new().with_target(OWN, LevelFilter::INFO).with_default(OTHERS);
    for directive in text.split(',').map(str::trim) {
        let (module, level) = directive.split_once('=').unwrap_or(("", directive));
        // Nothing at all would be taken for `off`.
        let level = Some(level).filter(|level| !level.is_empty());
        let level = level.and_then(|level| level.parse::<LevelFilter>().ok());
        let level = level.ok_or_else(|| unknown(directive))?;
        targets = match module {
            "" if directive.contains('=') => return Err(unknown(directive)),
            "" => targets.with_target(OWN, level).with_default(level.min(OTHERS)),
            own if own.starts_with(OWN) => targets.with_target(own, level),
            short => targets.with_target(format!("tidelog_server::{short}"), level),
        };
    }
    Ok(targets)
}

fn unknown(directive: &str) -> String {
    format!(
        "{directive:?} is no level: write off, error, warn, info, debug or trace, and MODULE=LEVEL \
         for a module, as in \"info,log=debug\""
    )
}

/// Says why the program ends, in the form that the other lines have.
pub fn fatal(error: &anyhow::Error) {
    if !JSON.load(Ordering::Relaxed) {
        eprintln!("tidelog: {error:#}");
    } else if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{error:#}");
    } else {
        // Where nothing is traced, this is said all the same.
        let words = serde_json::json!({ "level": "ERROR", "message": format!("{error:#}") });
        eprintln!("{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_level_is_of_all_modules_or_of_one() {
        let log = "tidelog_server::log::committer";
        for (text, target, most) in [
            ("info", log, Some(Level::INFO)),
            ("warn,log=debug", log, Some(Level::DEBUG)),
            ("warn,log=debug", "tidelog_server::http", Some(Level::WARN)),
            ("log=debug", "tidelog_server::http", Some(Level::INFO)),
            ("tidelog_server::log=trace, error", log, Some(Level::TRACE)),
            ("off", log, None),
            ("TRACE", "tungstenite::protocol", Some(Level::WARN)),
            ("trace,tungstenite=trace", "tungstenite::protocol", Some(Level::WARN)),
            ("error", "hyper", Some(Level::ERROR)),
        ] {
            let levels = levels(text).expect(text);
            let all = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            let enabled = all.into_iter().find(|level| levels.would_enable(target, level));
            assert_eq!(enabled, most, "{text}: {target}");
        }
    }

    #[test]
    fn a_word_that_would_silence_everything_is_refused() {
        for bad in ["", "inof", "tidelog_server", "info,log", "info,a=loud", "info,,debug", "=info"]
        {
            let reason = levels(bad).expect_err(bad);
            assert!(reason.contains("as in"), "{bad}: {reason}");
        }
    }
}
