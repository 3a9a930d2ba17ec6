//! The scenarios that come with the program.

use super::Spec;

/// Their names and texts, in the order of the list.
const ALL: [(&str, &str); 8] = [
    ("steady", include_str!("builtin/steady.toml")),
    ("fan-out", include_str!("builtin/fan-out.toml")),
    ("reconnect-storm", include_str!("builtin/reconnect-storm.toml")),
    ("weeks-offline", include_str!("builtin/weeks-offline.toml")),
    ("deploy", include_str!("builtin/deploy.toml")),
    ("flaky-mobile", include_str!("builtin/flaky-mobile.toml")),
    ("slow-readers", include_str!("builtin/slow-readers.toml")),
    ("roaming", include_str!("builtin/roaming.toml")),
];

/// What a server has to be told for scenarios that use channels or have actions refused.
pub const RULES: &str = include_str!("../../peers/tidelog.toml");

/// The text of the scenario of this name.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
}

/// All of them.
pub fn all() -> anyhow::Result<Vec<Spec>> {
    ALL.into_iter().map(|(name, text)| Spec::read(name, text, &[])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_makes_sense_and_says_what_it_shows() {
        for spec in all().unwrap() {
            assert!(spec.about.len() > 40, "{} says too little", spec.name);
            assert!(spec.devices() > 10, "{} is empty", spec.name);
        }
    }
}
