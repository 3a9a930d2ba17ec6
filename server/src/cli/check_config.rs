//! `tidelog check-config`: everything that `serve` would find wrong with a file, and what it says.

use super::{CheckConfigArgs, ServeArgs};
use crate::auth::Authenticator;
use crate::config::{Config, ConfigError, FILE};
use crate::rules::Rules;
use crate::tls::Tls;
use std::fmt::Write as _;
use std::path::Path;

/// Checks the file, and prints what it says.
#[expect(clippy::print_stdout, reason = "the text is the command's output")]
pub fn run(args: &CheckConfigArgs) -> anyhow::Result<()> {
    let serve = ServeArgs {
        config: Some(args.config.clone()),
        listen: args.listen,
        dev: args.dev,
        ..ServeArgs::default()
    };
    print!("{}", check(&serve)?);
    Ok(())
}

/// Checks what `serve` would be told, its keys and its rules; the text to print when all is well.
fn check(args: &ServeArgs) -> Result<String, ConfigError> {
    // What is wrong on a line comes first.
    let config = Config::told(args)?;
    if let Some(tls) = &config.tls {
        Tls::read(tls).map_err(|error| config.rules.source.refused(&error.to_string()))?;
    }
    Authenticator::new(&config)?;
    let rules = Rules::compile(&config)?;
    config.refuse_to_serve()?;
    let file = config.file.as_deref().unwrap_or(Path::new(FILE));
    let mut text = format!("{}: ok\n", file.display());
    if let Some(tls) = &config.tls {
        let _ = writeln!(text, "  TLS with the certificate in {}", tls.cert_file.display());
    }
    text.push_str(&sign_in(&config));
    text.push_str(&describe(&config));
    for (line, map) in rules.shadowed_maps() {
        let _ = writeln!(
            text,
            "note: line {line}: this [[action]] takes actions of the [[sync_map]] {map:?} before \
             the map sees them"
        );
    }
    Ok(text)
}

fn sign_in(config: &Config) -> String {
    let mut text = String::new();
    for jwt in &config.auth.jwt {
        let _ = writeln!(text, "  line {:<4} tokens by {}", jwt.line, jwt.keys);
    }
    for user in &config.auth.anonymous {
        let _ = writeln!(text, "  without a token: {user}, who has no log");
    }
    if config.dev {
        text.push_str("  development: any token signs in, on loopback only\n");
    }
    text
}

fn describe(config: &Config) -> String {
    let rules = &config.rules;
    let line = |span: std::ops::Range<usize>| rules.source.line(span.start);
    let mut text = String::new();
    for rule in &rules.actions {
        let counts = [
            (rule.channels.len(), "channels"),
            (rule.users.len(), "users"),
            (rule.clients.len(), "clients"),
            (rule.nodes.len(), "nodes"),
        ];
        let mut to = "its author's log".to_owned();
        for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
            let _ = write!(to, ", {what}: {count}");
        }
        let ending = if rule.keep { "" } else { ", live only" };
        let (line, kind) = (line(rule.kind.span()), rule.kind.get_ref());
        let _ = writeln!(text, "  line {line:<4} action   {kind}  to {to}{ending}");
    }
    for rule in &rules.channels {
        let (line, pattern) = (line(rule.pattern.span()), rule.pattern.get_ref());
        let _ = writeln!(text, "  line {line:<4} channel  {pattern}");
    }
    for rule in &rules.sync_maps {
        let (line, name) = (line(rule.name.span()), rule.name.get_ref());
        let _ =
            writeln!(text, "  line {line:<4} sync_map {name}  in the channels {name}, {name}/:id");
    }
    if !config.user_log.state.is_empty() {
        let kinds = config.user_log.state.join(", ");
        let _ = writeln!(text, "  in users' logs documents stand for {kinds}");
    }
    if rules.actions.is_empty() && rules.channels.is_empty() && rules.sync_maps.is_empty() {
        text.push_str("  no rules: every action is accepted into its author's log\n");
    }
    for rule in &rules.merges {
        let line = line(rule.kind.span());
        let (kind, operation) = (rule.kind.get_ref(), rule.operation.get_ref());
        let document = rule.document.get_ref();
        let _ = writeln!(text, "  line {line:<4} merge    {kind}  as {operation} of {document}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.toml");
        std::fs::write(&file, text).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let args = ServeArgs { config: Some(file), ..ServeArgs::default() };
        self::check(&args)
            .map_err(|it| it.to_string().replace(&prefix, ""))
            .map(|it| it.replace(&prefix, ""))
    }

    #[test]
    fn a_good_file_is_summed_up() {
        let file = "[auth]\nanonymous = [\"guest\"]\n\
                    [[action]]\ntype = \"tasks/*\"\nchannels = [\"a\", \"b/{action.id}\"]\nkeep = false\n\
                    [[channel]]\npattern = \"b/:id\"\n\
                    [[sync_map]]\nname = \"tasks\"\n\
                    [[merge]]\ntype = \"like\"\ndocument = \"likes\"\noperation = \"counter/add\"\n\
                    [user_log]\nstate = [\"crdt/*\", \"like\"]\n";
        let text = summary(file).unwrap();
        assert_eq!(
            text,
            "t.toml: ok\n  \
             without a token: guest, who has no log\n  \
             line 4    action   tasks/*  to its author's log, channels: 2, live only\n  \
             line 8    channel  b/:id\n  \
             line 10   sync_map tasks  in the channels tasks, tasks/:id\n  \
             in users' logs documents stand for crdt/*, like\n  \
             line 12   merge    like  as counter/add of likes\n\
             note: line 4: this [[action]] takes actions of the [[sync_map]] \"tasks\" before the \
             map sees them\n"
        );
    }

    #[test]
    fn a_file_without_rules_says_so() {
        let text = summary("[server]\ndev = true").unwrap();
        assert!(text.contains("no rules") && text.contains("any token signs in"), "{text}");
    }

    #[test]
    fn what_serve_would_refuse_is_found() {
        assert!(summary("").unwrap_err().contains("nobody could sign in"));
        let public = summary("[server]\ndev = true\nlisten = \"0.0.0.0:1\"").unwrap_err();
        assert!(public.contains("loopback only"), "{public}");
        let dev = |own: &str| summary(&format!("[server]\ndev = true\n[user_log]\n{own}"));
        let squash = dev("squash = 10").unwrap_err();
        assert!(squash.contains("[user_log] squash: name in state"), "{squash}");
        let state = dev("state = [\"\"]").unwrap_err();
        assert!(state.contains("[user_log] state: each is a glob"), "{state}");
    }

    #[test]
    fn every_kind_of_fault_has_its_line() {
        for (text, start) in [
            ("x = 1", "t.toml:1: "),
            ("[[auth.jwt]]\nsecret_file = \"missing\"", "t.toml:1: missing cannot be read"),
            ("\n[[action]]\ntype = \"a\"\nallow = \"b\"", "t.toml:4: in the expression `b`"),
        ] {
            let error = summary(text).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
