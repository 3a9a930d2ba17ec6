//! The documentation against the program: what it shows works, and it shows everything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tidelog_server::cli;
use tidelog_server::config::{Config, Source, reference, server_setting};
use tidelog_server::rules::Rules;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn document(name: &str) -> String {
    let file = file(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What stands in `name` between the first `start` and the `end` after it is `expected`. With
/// `TIDELOG_BLESS=1` it is written instead.
fn generated(name: &str, start: &str, end: &str, expected: &str) {
    let document = document(name);
    let (before, rest) = document.split_once(start).unwrap_or_else(|| panic!("{name}: {start}"));
    let (shown, after) = rest.split_once(end).unwrap_or_else(|| panic!("{name}: {end}"));
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        let document = [before, start, expected, end, after].concat();
        std::fs::write(file(name), document).expect("the documentation can be written");
        return;
    }
    for (shown, expected) in shown.lines().zip(expected.lines()) {
        assert_eq!(shown, expected, "{name} has drifted: run this test with TIDELOG_BLESS=1");
    }
    assert_eq!(shown, expected, "{name} has drifted: run this test with TIDELOG_BLESS=1");
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
    for name in ["configuration.md", "documents.md", "push.md", "rules.md"] {
        let document = document(name);
        let examples = examples(&document);
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let config = parse(example).unwrap_or_else(|error| panic!("{name}: {error}"));
            Rules::compile(&config).unwrap_or_else(|error| panic!("{name}: {error}\n{example}"));
        }
    }
}

/// Both in one test, because they write one file.
#[test]
fn the_settings_and_flags_in_the_documentation_are_those_of_the_program() {
    let mut flags = "| flag of `serve` | variable | key |\n|---|---|---|\n".to_owned();
    for flag in cli::command().find_subcommand("serve").unwrap().get_opts() {
        let name = flag.get_id().as_str();
        let value = flag.get_value_names().map_or("", |names| names[0].as_str());
        let value = if flag.get_action().takes_values() { value } else { "" };
        let value =
            if flag.is_require_equals_set() { format!("[={value}]") } else { format!(" {value}") };
        let shown = format!("--{}{value}", flag.get_long().unwrap());
        let variable = flag.get_env().unwrap().to_str().unwrap();
        let key =
            server_setting(name).map_or(String::new(), |_| format!("`{name}` in `[server]` "));
        let _ = writeln!(flags, "| `{}` | `{variable}` | {key}|", shown.trim_end());
    }
    generated("configuration.md", "over the default:\n\n", "\nA key that", &flags);
    generated("configuration.md", "```toml\n", "```", &reference());
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
    for section in [
        "[server]",
        "[auth]",
        "[auth.jwks]",
        "[limits]",
        "[cors]",
        "[log]",
        "[wake]",
        "[wake.apns]",
        "[wake.fcm]",
    ] {
        let all = examples(&configuration)[0];
        let (_, shown) = all.split_once(section).unwrap_or_else(|| panic!("{section}"));
        let shown = shown.split("\n[").next().unwrap_or_default();
        for key in keys(section)
            .iter()
            .filter(|key| !["jwt", "jwks", "apns", "fcm"].contains(&key.as_str()))
        {
            let line = |line: &str| line.split_whitespace().next() == Some(key.as_str());
            assert!(shown.lines().any(line), "{section} {key}");
        }
    }
    let (rules, push) = (document("rules.md"), document("push.md"));
    for (section, document) in [
        ("[[auth.jwt]]", &configuration),
        ("[tls]", &configuration),
        ("[[action]]", &rules),
        ("[[channel]]", &rules),
        ("[[sync_map]]", &rules),
        ("[[merge]]", &rules),
        ("[[push]]", &push),
    ] {
        for key in keys(section) {
            assert!(document.contains(&format!("`{key}`")), "{section} {key}");
        }
    }
}
