//! The documentation against the program: what it shows works, and it shows everything.

use std::path::Path;
use tidelog_server::config::{Config, Source};
use tidelog_server::rules::Rules;

fn document(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The blocks of TOML in a document.
fn examples(document: &str) -> Vec<&str> {
    let blocks = document.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

fn parse(text: &str) -> Result<Config, String> {
    let source = Source::new(Path::new("tidelog.toml"), text);
    Config::parse(source).map_err(|error| format!("{error}\n{text}"))
}

/// The keys of a section, which an unknown one makes the parser tell.
fn keys(section: &str) -> Vec<String> {
    let Err(error) = parse(&format!("{section}\nno_such_key = 1")) else {
        panic!("an unknown key of {section} is taken")
    };
    let (_, listed) = error.split_once(", expected ").unwrap_or_else(|| panic!("{error}"));
    let names = listed.lines().next().unwrap_or_default().split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_examples_work() {
    for name in ["configuration.md", "rules.md"] {
        let document = document(name);
        let examples = examples(&document);
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let config = parse(example).unwrap_or_else(|error| panic!("{name}: {error}"));
            Rules::compile(&config).unwrap_or_else(|error| panic!("{name}: {error}\n{example}"));
        }
    }
}

#[test]
fn the_settings_shown_are_the_defaults() {
    let document = document("configuration.md");
    let shown = parse(examples(&document)[0]).unwrap();
    let defaults = parse("").unwrap();
    assert_eq!(format!("{:?}", shown.server), format!("{:?}", defaults.server));
    assert_eq!(format!("{:?}", shown.auth), format!("{:?}", defaults.auth));
    assert_eq!(format!("{:?}", shown.limits), format!("{:?}", defaults.limits));
    assert_eq!(format!("{:?}", shown.cors), format!("{:?}", defaults.cors));
    assert_eq!(format!("{:?}", shown.log), format!("{:?}", defaults.log));
}

#[test]
fn every_key_is_documented() {
    let configuration = document("configuration.md");
    for section in ["[server]", "[auth]", "[auth.jwks]", "[limits]", "[cors]", "[log]"] {
        let all = examples(&configuration)[0];
        let (_, shown) = all.split_once(section).unwrap_or_else(|| panic!("{section}"));
        let shown = shown.split("\n[").next().unwrap_or_default();
        for key in keys(section).iter().filter(|key| !["jwt", "jwks"].contains(&key.as_str())) {
            let line = |line: &str| line.split_whitespace().next() == Some(key.as_str());
            assert!(shown.lines().any(line), "{section} {key}");
        }
    }
    let rules = document("rules.md");
    for (section, document) in [
        ("[[auth.jwt]]", &configuration),
        ("[tls]", &configuration),
        ("[[action]]", &rules),
        ("[[channel]]", &rules),
        ("[[sync_map]]", &rules),
    ] {
        for key in keys(section) {
            assert!(document.contains(&format!("`{key}`")), "{section} {key}");
        }
    }
}
