//! `memory` in `[limits]`: what is not set by itself is a part of it.

use super::settings::{Limits, LogSettings};
use toml::Table;

/// A connection with nothing under way, with what the kernel does not count.
const CONNECTION_BYTES: usize = 12 << 10;
/// So much of the memory is the program's own, and what the allocator has been given back and keeps for a while.
const ALLOCATOR: usize = 5;
/// Less is nothing that a server could stay under.
const MEMORY_MIN: usize = 256 << 20;
/// A frame and what is read of it take at most so much of what all frames may take.
const FRAMES: usize = 8;

/// Gives everything in `told` that is left out its part of the memory, if a ceiling is set.
pub(super) fn share(
    limits: &mut Limits,
    log: &mut LogSettings,
    told: &Table,
) -> Result<(), String> {
    let Some(memory) = limits.memory else { return Ok(()) };
    if memory < MEMORY_MIN {
        let why = "the engine keeps up to 200MiB of what it has written, whatever is set";
        return Err(format!("[limits] memory: a server takes 256MiB at least: {why}"));
    }
    let memory = shared(memory);
    let is_left_out = |section: &str, name: &str| {
        told.get(section).and_then(toml::Value::as_table).is_none_or(|it| !it.contains_key(name))
    };
    let parts: [(&str, &str, &mut usize, usize); 5] = [
        ("limits", "frame_budget_bytes", &mut limits.frame_budget_bytes, memory / 4),
        ("limits", "outgoing_bytes", &mut limits.outgoing_bytes, memory / 8),
        ("limits", "ingest_queue_bytes", &mut limits.ingest_queue_bytes, memory / 32),
        // Two halves, and one more while it is written.
        ("log", "tail_bytes", &mut log.tail_bytes, memory / 64),
        ("log", "cache_bytes", &mut log.cache_bytes, memory / 32),
    ];
    let mut taken = 0_usize;
    for (section, name, setting, part) in parts {
        if is_left_out(section, name) {
            *setting = part;
        }
        taken = taken.saturating_add(*setting);
    }
    if taken > memory / 4 * 3 {
        return Err(format!(
            "[limits] memory: what is set beside it takes {taken} bytes, more than three fifths of \
             it; leave frame_budget_bytes, outgoing_bytes, ingest_queue_bytes, tail_bytes and \
             cache_bytes out, and they are parts of it"
        ));
    }
    let frame = limits.frame_budget_bytes / FRAMES;
    for (name, setting) in
        [("frame_bytes", &mut limits.frame_bytes), ("body_bytes", &mut limits.body_bytes)]
    {
        if is_left_out("limits", name) {
            *setting = frame.min(*setting);
        }
    }
    if is_left_out("limits", "connections") {
        limits.connections = (memory / 4 / CONNECTION_BYTES).min(limits.connections);
    }
    Ok(())
}

/// What of the memory is there to be given away.
pub(super) fn shared(memory: usize) -> usize {
    memory - memory / ALLOCATOR
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Source};
    use std::path::Path;

    fn parse(text: &str) -> Result<Config, String> {
        let source = Source::new(Path::new("tidelog.toml"), text.to_owned());
        Config::parse(source).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_a_part_of_the_memory() {
        let config = parse("[limits]\nmemory = \"320MiB\"\noutgoing_bytes = \"1MiB\"").unwrap();
        let limits = &config.limits;
        assert_eq!(limits.frame_budget_bytes, 64 << 20);
        assert_eq!(limits.outgoing_bytes, 1 << 20, "as it is set");
        assert_eq!((limits.frame_bytes, limits.body_bytes), (8 << 20, 8 << 20));
        assert_eq!(limits.ingest_queue_bytes, 8 << 20);
        assert_eq!((config.log.tail_bytes, config.log.cache_bytes), (4 << 20, 8 << 20));
        assert_eq!(limits.connections, 5461);
        assert_eq!(limits.memory_or(16, 64 << 20), 16 << 20);
    }

    #[test]
    fn with_1280_mebibytes_it_is_as_without_a_ceiling() {
        let config = parse("[limits]\nmemory = \"1280MiB\"").unwrap();
        let plain = parse("").unwrap();
        let sizes = |config: &Config| {
            let limits = &config.limits;
            [limits.frame_budget_bytes, limits.outgoing_bytes, limits.ingest_queue_bytes]
                .into_iter()
                .chain([limits.frame_bytes, limits.body_bytes, config.log.cache_bytes])
                .chain([limits.memory_or(16, 64 << 20), limits.memory_or(32, 32 << 20)])
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&config), sizes(&plain));
        assert_eq!(plain.limits.connections, 100_000, "without a ceiling");
        assert_eq!(config.limits.connections, 21_845);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, reason) in [
            ("memory = \"255MiB\"", "256MiB at least"),
            ("memory = \"512MiB\"\nframe_budget_bytes = \"400MiB\"", "three fifths"),
            ("memory = \"much\"", "is no size"),
        ] {
            let error = parse(&format!("[limits]\n{text}")).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
