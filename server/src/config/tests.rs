use super::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Source::new(Path::new("conf/tidelog.toml"), text))
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:31337");
    assert_eq!(config.limits.ping, Duration::from_secs(20));
    assert_eq!(config.auth.cookie.as_deref(), Some("token"));
    assert!(!config.dev && config.auth.jwt.is_empty() && config.rules.actions.is_empty());
}

#[test]
fn a_file_wins_over_defaults_and_a_flag_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidelog.toml");
    std::fs::write(
        &file,
        "[server]\ndev = true\nlisten = \"127.0.0.1:4000\"\ndata = \"store\"\n[limits]\nping = \"5s\"\n",
    )
    .unwrap();
    let args = ServeArgs { config: Some(file.clone()), ..ServeArgs::default() };
    let config = Config::load(&args).unwrap();
    assert_eq!(config.server.listen.port(), 4000);
    assert_eq!(config.server.data, folder.path().join("store"));
    assert_eq!(config.limits.ping, Duration::from_secs(5));
    let args = ServeArgs {
        listen: Some("127.0.0.1:5000".parse().unwrap()),
        data: Some("here".into()),
        ..args
    };
    let config = Config::load(&args).unwrap();
    assert_eq!((config.server.listen.port(), config.server.data), (5000, "here".into()));
    assert!(config.dev, "the file says so");
    let args = ServeArgs { dev: Some(false), ..args };
    assert!(Config::load(&args).is_err(), "a flag wins, and then nobody can sign in");
}

#[test]
fn development_listens_on_loopback_only() {
    let listen = |address: &str| {
        let listen = Some(address.parse().unwrap());
        Config::load(&ServeArgs { dev: Some(true), listen, ..ServeArgs::default() })
    };
    for loopback in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert!(listen(loopback).is_ok(), "{loopback}");
    }
    for public in ["0.0.0.0:31337", "[::]:0", "192.168.1.2:0"] {
        let error = listen(public).expect_err(public).to_string();
        assert!(error.contains("loopback") && error.contains(public), "{error}");
    }
}

#[test]
fn a_server_that_nobody_can_sign_in_to_says_what_to_add() {
    let error = Config::load(&ServeArgs::default()).unwrap_err().to_string();
    let snippet: String = error
        .lines()
        .skip_while(|line| !line.contains("[[auth.jwt]]"))
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    assert!(error.contains("tidelog serve --dev"), "{error}");
    assert_eq!(parse(&snippet).expect("it can be pasted").auth.jwt.len(), 1);
    assert!(parse("[auth]\nanonymous = [\"guest\"]").unwrap().refuse_to_serve().is_ok());
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let config = parse("[[auth.jwt]]\nsecret_file = \"k\"\n[[auth.jwt]]\nkeys_file = \"/etc/k\"");
    let keys: Vec<_> = config.unwrap().auth.jwt.into_iter().map(|jwt| jwt.keys).collect();
    assert_eq!(keys, [KeySource::Secret("conf/k".into()), KeySource::Public("/etc/k".into())]);
}

/// Each faulty file, the line that is named, and a word of the reason.
const FAULTS: &[(&str, usize, &str)] = &[
    ("[server]\nlisten = 1", 2, "socket address"),
    ("[server]\nlisten = \"localhost\"", 2, "socket address"),
    ("\n\nsrever = 1", 3, "unknown field `srever`"),
    ("[server]\n\nport = 1", 3, "unknown field `port`"),
    ("[limits]\nping = 20", 2, "duration"),
    ("[limits]\nping = \"20\"", 2, "duration"),
    ("[limits]\n\nbody_bytes = \"16MB!\"", 3, "size"),
    ("[limits]\nbody_bytes = 0", 2, "size"),
    ("[limits]\naction_bytes = \"201KiB\"", 2, "200KiB at most"),
    ("[limits]\njson_depth = 121", 2, "120 deep at most"),
    ("[limits]\nconnections = 0", 2, "nonzero"),
    ("[limits]\nactions_per_second = 0", 2, "off"),
    ("[limits]\nactions_per_second = true", 2, "off"),
    ("[limits]\nkept_bytes_per_user = \"none\"", 2, "size"),
    ("[limits]\nconnections = -1", 2, "nonzero"),
    ("[auth]\nanonymous = [\"a\",\n \"b:c\"]", 3, "colon"),
    ("[auth]\nanonymous = [\"server\"]", 2, "server"),
    ("[auth]\ncookie = \"a b\"", 2, "cookie"),
    ("[auth]\n[[auth.jwt]]\nissuer = \"x\"", 2, "needs its keys"),
    ("[[auth.jwt]]\nkeys_file = \"a\"\nsecret_file = \"b\"", 1, "takes one"),
    ("[[auth.jwt]]\nsecret_file = \"b\"\nalgorithms = [\"RS256\"]", 1, "RS256 needs public keys"),
    ("[[auth.jwt]]\nkeys_file = \"b\"\nalgorithms = [\"HS256\"]", 1, "HS256 needs a secret"),
    ("[[auth.jwt]]\nkeys_file = \"b\"\nalgorithms = [\"none\"]", 3, "unknown variant `none`"),
    ("[[auth.jwt]]\njwks_url = \"http://example.com/keys\"", 2, "has to be https"),
    ("[[auth.jwt]]\njwks_url = \"ftp://example.com/keys\"", 2, "has to be https"),
    ("[[auth.jwt]]\njwks_url = \"http://127.0.0.1.example.com/\"", 2, "has to be https"),
    ("[[auth.jwt]]\njwks_url = \"/keys\"", 2, "needs scheme and host"),
    ("[[auth.jwt]]\njwks_url = \"https://me:hush@example.com/\"", 2, "password"),
    ("[[auth.jwt]]\njwks_url = \"https://a/\"\nkeys_file = \"b\"", 1, "takes one"),
    ("[[auth.jwt]]\njwks_url = \"https://a/\"\nalgorithms = [\"HS256\"]", 1, "needs a secret"),
    ("[auth]\ntoken_age = \"soon\"", 2, "or \"never\""),
    ("[auth.jwks]\nrefresh = 1", 2, "duration"),
    ("[auth.jwks]\n\nrefrehs = \"1h\"", 3, "unknown field `refrehs`"),
    ("[server]\ntrusted_proxies = [\"10.0.0.0/33\"]", 2, "no address and no network"),
    ("[server]\nproxy_header = \"via\"", 2, "unknown variant `via`"),
    ("[[auth.jwt]]\nsecret = \"hush\"", 2, "unknown field `secret`"),
    ("[[action]]\nallow = \"true\"", 1, "missing field `type`"),
    ("[[action]]\ntype = \"a\"\nalow = \"true\"", 3, "unknown field `alow`"),
    ("[[action]]\ntype = \"a\"\nchannels = \"a\"", 3, "sequence"),
    ("[[channel]]\npattern = \"a\"\n\nload = \"all\"", 4, "unknown variant `all`"),
    ("[[sync_map]]\n", 1, "missing field `name`"),
    ("[log]\ntail_bytes = \"big\"", 2, "size"),
    ("[a\n", 1, "expected"),
    ("\na =\n", 2, "value"),
    ("[limits]\nping = \"1s\"\nping = \"2s\"", 3, "duplicate"),
];

#[test]
fn an_error_has_file_line_and_reason() {
    for (text, line, reason) in FAULTS {
        let error = error(text);
        assert!(error.starts_with(&format!("conf/tidelog.toml:{line}: ")), "{text:?}: {error}");
        assert!(error.contains(reason), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{text:?}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    for (text, reason) in [
        ("[server]\nsubprotocol = 2\nmin_subprotocol = 3", "above subprotocol"),
        ("[limits]\nping = \"2m\"", "shorter than timeout"),
        ("[cors]\norigins = [\"example.com\"]", "is no origin"),
        ("[cors]\norigins = [\"https://example.com/\"]", "is no origin"),
        ("[cors]\norigins = [\"*\"]\ncredentials = true", "by name"),
    ] {
        assert!(error(text).contains(reason), "{text}: {}", error(text));
    }
    assert!(parse("[cors]\norigins = [\"https://a.b:8080\", \"*\"]").is_ok());
    assert!(parse("[server]\nmin_subprotocol = 3").is_ok());
}

#[test]
fn key_sets_come_from_this_machine_or_encrypted_unless_told_otherwise() {
    for url in ["https://id.example.com/keys?a=b", "http://localhost:1/", "http://[::1]:1/keys"] {
        assert!(parse(&format!("[[auth.jwt]]\njwks_url = \"{url}\"")).is_ok(), "{url}");
    }
    let lifted = "[auth.jwks]\nallow_http = true\n[[auth.jwt]]\njwks_url = \"http://id/keys\"";
    assert!(parse(lifted).is_ok());
}

#[test]
fn tls_takes_both_files_and_flags_win() {
    let file = "[tls]\ncert_file = \"c\"\nkey_file = \"k\"";
    let tls = parse(file).unwrap().tls.unwrap();
    assert_eq!((tls.cert_file, tls.key_file), ("conf/c".into(), "conf/k".into()));
    assert!(parse("").unwrap().tls.is_none());
    assert!(error("[tls]\ncert_file = \"c\"").contains("--tls-key"));
    assert!(error("[tls]\nkey_file = \"c\"").contains("--tls-cert"));
    let load = |cert: Option<&str>, key: Option<&str>| {
        let (tls_cert, tls_key) = (cert.map(PathBuf::from), key.map(PathBuf::from));
        let args = ServeArgs { dev: Some(true), tls_cert, tls_key, ..ServeArgs::default() };
        Config::load(&args).map(|config| config.tls)
    };
    let both = Tls { cert_file: "c".into(), key_file: "k".into() };
    assert_eq!(load(Some("c"), Some("k")).unwrap(), Some(both));
    assert!(load(Some("c"), None).unwrap_err().to_string().contains("--tls-key"));
}

#[test]
fn proxies_are_addresses_and_networks() {
    let text = "[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]";
    let proxies = parse(text).unwrap().server.trusted_proxies;
    let shown: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::read(Path::new("/nowhere/tidelog.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/tidelog.toml: cannot be read: "), "{error}");
}
