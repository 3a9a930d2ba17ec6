//! The command line: what `tidelog` can be told, in flags or in the environment.
//!
//! Each flag is a variable `TIDELOG_…` too. `serve` has few: the rest is in the configuration file.
//! What is a key there has its words and its default from there.

pub mod certificate;
pub mod check;
pub mod check_config;
pub mod manual;
mod push;
mod replica;
mod store;
pub mod token;

pub use push::{PushArgs, PushCommand, PushListArgs, PushStatusArgs, PushTestArgs};
pub use replica::{
    ReplicaAddArgs, ReplicaArgs, ReplicaChangeArgs, ReplicaCommand, ReplicaLimitArgs,
    ReplicaNameArgs, ReplicaStatusArgs,
};
pub use store::{BackupArgs, CompactArgs, DocArgs, RestoreArgs};

use crate::config::{Config, ConfigError};
use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A sync server for offline-first applications: a durable log per user that Logux clients sync
/// with.
#[derive(Debug, Parser)]
#[command(
    name = "tidelog",
    version,
    arg_required_else_help = true,
    after_help = "To try it on this machine:  tidelog serve --dev"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    ///
    /// Prints one line with the address once it accepts connections. SIGTERM and SIGINT stop it:
    /// it tells its sessions, finishes what it has accepted, and exits with 0. SIGHUP makes it read
    /// its certificate and its keys again.
    Serve(ServeArgs),
    /// Check a configuration file and say what its rules are
    ///
    /// Finds everything for which `serve` would not start, and reads the keys too. Prints
    /// `file:line: reason` and exits with 1 when something is wrong.
    CheckConfig(CheckConfigArgs),
    /// Make a token that signs a user in, and print it
    ///
    /// With --config the token has what the first fitting [[auth.jwt]] asks for, and is tried
    /// before it is printed. A secret comes from there; the private key of public ones has to be
    /// named with --key.
    Token(TokenArgs),
    /// Shut out a token, a user's tokens, or a client's, from now on
    ///
    /// Their sessions end at once. It is on disk when the command returns, and counts for tokens
    /// issued up to now: a user who signs in anew gets in. Works while a server runs on the same
    /// data, and without one.
    Revoke(RevokeArgs),
    /// Let in again what was revoked
    Unrevoke(UnrevokeArgs),
    /// Print what is revoked, one JSON object a line
    Revocations(RevocationsArgs),
    /// Print a log, one JSON object a line
    ///
    /// Works while a server runs on the same data, and without one. Without --user and --channel
    /// it prints all actions.
    Log(LogArgs),
    /// Print a document: what the actions of a log add up to
    ///
    /// With --why it says of one place which entries made its value, which lost, and to what, as far
    /// as they are kept. Works while a server runs on the same data, and without one.
    Doc(DocArgs),
    /// Take actions out that documents and maps have made superfluous, and give their space back
    ///
    /// Which types may go says the configuration, under `[compaction]`. Readers see no difference: who was
    /// away gets what the actions add up to. Prints a receipt; needs room for a copy of the feed. Works
    /// while a server runs on the same data, with what that is configured to do, and without one.
    Compact(CompactArgs),
    /// Print every setting with its default and its meaning, as a configuration file
    ConfigReference,
    /// Print the completion script of a shell
    ///
    /// For bash:  tidelog completions bash > /usr/share/bash-completion/completions/tidelog
    Completions(CompletionsArgs),
    /// Print the man page, or write all of them into a directory
    ///
    /// To read it at once:  tidelog man | man -l -
    Man(ManArgs),
    /// Verify a store that no server has open, and say what it is like
    ///
    /// Reads everything and repairs nothing. Exits with 0 when the store is whole, 3 when only derived
    /// data is damaged, 4 when the feed is, and 1 when it could not be verified: it is not there, it is
    /// locked, or the system refuses.
    Check(CheckArgs),
    /// Make everything derived again from the feed of a store that no server has open
    ///
    /// It is made beside what is there and put in its place at the end, so it can be stopped at any
    /// time.
    Rebuild(RebuildArgs),
    /// Write the store into one file, from which it can be restored
    ///
    /// Works while a server runs on the same data, which goes on serving, and without one. The file
    /// gets its name when it is complete and was checked; a file of that name is replaced.
    Backup(BackupArgs),
    /// Make a store from a backup, in a directory that does not exist yet or is empty
    ///
    /// Nothing is there before all of the backup was read and fits. The store begins a new life: what
    /// clients were told after the backup was taken is not taken for what the restored store says.
    Restore(RestoreArgs),
    /// Let other servers follow this one, and see how the links are
    Replica(ReplicaArgs),
    /// Make a TLS certificate for a network without a public name, such as that of an edge
    ///
    /// Signed by an authority of your own, which is made along with it the first time, and which devices have
    /// to be told to trust, once. Run it again before the certificate ends.
    Certificate(CertificateArgs),
    /// Hand over or remove everything of one user
    User(UserArgs),
    /// Look at the devices that a running server wakes, or try one
    Push(PushArgs),
}

/// The command line; `serve` says of its flags what the configuration says of their keys.
pub fn command() -> clap::Command {
    Cli::command().mut_subcommand("serve", |serve| {
        serve.mut_args(|flag| match crate::config::server_setting(flag.get_id().as_str()) {
            Some(setting) if setting.default.is_bool() => flag.help(setting.meaning),
            Some(setting) => {
                let default = setting.default.as_str().unwrap_or_default();
                flag.help(format!("{} [default: {default}]", setting.meaning))
            }
            None => flag,
        })
    })
}

impl Cli {
    /// What this process was told. Ends it when that cannot be understood.
    pub fn of_process() -> Self {
        let told = Self::from_arg_matches(&command().get_matches());
        told.unwrap_or_else(|error| error.exit())
    }
}

/// `tidelog certificate`
#[derive(Clone, Debug, Args)]
pub struct CertificateArgs {
    /// What pages call the server: names and addresses
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// The directory that the files go to
    #[arg(long, env = "TIDELOG_DIR", value_name = "DIR", default_value = "tls")]
    pub dir: PathBuf,
}

/// `tidelog serve`; what its keys mean is said in `config::Server`.
#[derive(Clone, Debug, Default, Args)]
#[expect(missing_docs, reason = "clap would take a comment for the help")]
pub struct ServeArgs {
    /// Configuration file [default: tidelog.toml, if there is one]
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[arg(long, env = "TIDELOG_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    #[arg(long, env = "TIDELOG_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Speak TLS with this certificate, and those that signed it (PEM)
    #[arg(long, env = "TIDELOG_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, env = "TIDELOG_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    #[arg(long, env = "TIDELOG_DEV", value_name = "BOOL", value_parser = FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub dev: Option<bool>,
    /// Follow this server as a replica, by https or wss
    #[arg(long, env = "TIDELOG_UPSTREAM", value_name = "URL")]
    pub upstream: Option<String>,
    /// The name that this server has there
    #[arg(long, env = "TIDELOG_REPLICA", value_name = "NAME")]
    pub replica: Option<String>,
    /// The token that `tidelog replica add` has printed there
    #[arg(long, env = "TIDELOG_UPSTREAM_TOKEN_FILE", value_name = "FILE")]
    pub upstream_token_file: Option<PathBuf>,
    #[arg(long, env = "TIDELOG_TRACE", value_name = "LEVELS")]
    pub trace: Option<String>,
    #[arg(long, env = "TIDELOG_TRACE_JSON", value_name = "BOOL", value_parser = FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub trace_json: Option<bool>,
}

/// `tidelog check-config`: what `serve` would be told.
#[derive(Clone, Debug, Args)]
pub struct CheckConfigArgs {
    /// Configuration file
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE", default_value = crate::config::FILE)]
    pub config: PathBuf,
    /// Where the server would listen, if not where the file says
    #[arg(long, env = "TIDELOG_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Whether the server would run for development, if not as the file says
    #[arg(long, env = "TIDELOG_DEV", value_name = "BOOL", value_parser = FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub dev: Option<bool>,
}

/// Where the data of a store is: where `serve` would have it.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Configuration of the server [default: tidelog.toml, if there is one]
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the data is kept [default: where the configuration says]
    #[arg(long, env = "TIDELOG_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl StoreArgs {
    /// The data directory.
    pub fn data(&self) -> Result<PathBuf, ConfigError> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => Ok(Config::find(self.config.as_deref())?.server.data),
        }
    }
}

/// `tidelog token`
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// The user that the token signs in
    #[arg(long, env = "TIDELOG_USER", value_name = "USER")]
    pub user: String,
    /// How long it lives: 15m, 1h, 30d
    #[arg(
        long,
        env = "TIDELOG_TTL",
        value_name = "TIME",
        default_value = "1h",
        value_parser = crate::config::duration
    )]
    pub ttl: Duration,
    /// What to sign with: a private key (PEM, PKCS#8), or a file with a secret (HS256)
    #[arg(long, env = "TIDELOG_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Configuration of the server that the token is for [default: tidelog.toml, if there is one]
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tidelog revoke`
#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// What is shut out.
    #[command(flatten)]
    pub target: TargetArgs,
    /// When the last of the tokens has expired anyway, so that this can be forgotten: 15m, 1h, 30d
    /// from now [default: what the token says, `token_age`, or never]
    #[arg(
        long,
        env = "TIDELOG_EXPIRES",
        value_name = "TIME",
        value_parser = crate::config::duration
    )]
    pub expires: Option<Duration>,
}

/// `tidelog unrevoke`
#[derive(Clone, Debug, Args)]
pub struct UnrevokeArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// What is let in again.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `tidelog revocations`
#[derive(Clone, Debug, Args)]
pub struct RevocationsArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What is revoked: one of these.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct TargetArgs {
    /// The token with this `jti`
    #[arg(long, env = "TIDELOG_TOKEN", value_name = "JTI", hide_env_values = true)]
    pub token: Option<String>,
    /// The token in this file, by its `jti` and until its `exp`; - is standard input
    #[arg(long, env = "TIDELOG_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// All tokens of this user that were issued up to now
    #[arg(long, env = "TIDELOG_USER", value_name = "USER")]
    pub user: Option<String>,
    /// What signs in as this client, with tokens that were issued up to now
    #[arg(long, env = "TIDELOG_CLIENT", value_name = "USER:CLIENT")]
    pub client: Option<String>,
}

/// `tidelog log`
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Where the log is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Only the log of this user
    #[arg(long, env = "TIDELOG_USER", value_name = "USER", conflicts_with = "channel")]
    pub user: Option<String>,
    /// Only the log of this channel
    #[arg(long, env = "TIDELOG_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Only what is above this position
    #[arg(long, env = "TIDELOG_SINCE", value_name = "N", default_value_t = 0)]
    pub since: u64,
    /// Go on with what comes, until interrupted
    #[arg(long, env = "TIDELOG_FOLLOW", value_parser = FalseyValueParser::new())]
    pub follow: bool,
}

/// `tidelog completions`
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `tidelog man`
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Where to write the pages of all commands; it is made if there is none
    #[arg(long, env = "TIDELOG_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `tidelog check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Print one JSON object instead of lines for people
    #[arg(long, env = "TIDELOG_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// `tidelog rebuild`
#[derive(Clone, Debug, Args)]
pub struct RebuildArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog user`
#[derive(Clone, Debug, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: UserCommand,
}

/// What can be done with the data of a user.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Print everything of a user, one JSON object a line
    ///
    /// What the user made, wherever it went, what is in the user's log, and what is remembered of the
    /// user's nodes. The last line is of kind "end": without it something is missing. Works while a
    /// server runs on the same data, and without one.
    Export(UserDataArgs),
    /// Remove everything of a user for good, and print a receipt
    ///
    /// Ends the user's sessions, and takes what the user made, what is in the user's log, and what is
    /// remembered of the user's nodes out of the data and out of its files; there has to be room for a
    /// copy of the feed. Works while a server runs on the same data, and without one.
    Erase(UserDataArgs),
}

/// `tidelog user export` and `tidelog user erase`
#[derive(Clone, Debug, Args)]
pub struct UserDataArgs {
    /// The user
    #[arg(value_name = "USER")]
    pub user: String,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_fit_together() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable_and_help() {
        let commands = command();
        let nested = commands.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in commands.get_subcommands().chain(nested) {
            for flag in command.get_opts().filter(|flag| flag.get_id() != "help") {
                let name = format!("{} --{}", command.get_name(), flag.get_id());
                let variable = flag.get_env().and_then(|it| it.to_str()).expect(&name);
                let expected = format!("TIDELOG_{}", flag.get_id().as_str().to_uppercase());
                assert_eq!(variable, expected, "{name}");
                assert!(flag.get_help().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn the_flags_of_serve_say_what_their_keys_say() {
        let help = command().find_subcommand_mut("serve").unwrap().render_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in ["listen", "data", "dev", "trace", "trace_json"] {
            let setting = crate::config::server_setting(name).expect(name);
            assert!(words.contains(&setting.meaning), "{name}: {help}");
        }
        assert!(words.contains("[default: 127.0.0.1:31337]"), "{help}");
    }

    #[test]
    fn what_the_documentation_shows_parses() {
        for line in [
            "tidelog serve --config tidelog.toml --listen 127.0.0.1:0 --data tidelog-data --dev",
            "tidelog check-config --config FILE",
            "tidelog token --user U --ttl 1h --key FILE",
            "tidelog log --data DIR --user U --since 7 --follow",
            "tidelog log --channel tasks/14",
            "tidelog doc cart --user U",
            "tidelog compact --older-than 7d",
            "tidelog doc cart --channel carts/1 --why items/a --json",
            "tidelog revoke --user U",
            "tidelog revoke --token JTI --expires 1h",
            "tidelog revoke --token-file - --data DIR",
            "tidelog unrevoke --client U:C",
            "tidelog revocations",
            "tidelog serve --dev=false --trace-json=true",
            "tidelog check-config --dev",
            "tidelog log --config FILE",
            "tidelog serve --trace info,log=debug --trace-json",
            "tidelog config-reference",
            "tidelog completions zsh",
            "tidelog man --dir DIR",
            "tidelog check --data DIR --json",
            "tidelog check --config FILE",
            "tidelog rebuild --data DIR",
            "tidelog replica add ship-7 --users ship-7-* --channels tasks/* --data DIR",
            "tidelog replica remove ship-7",
            "tidelog replica token ship-7",
            "tidelog replica status",
            "tidelog serve --upstream wss://cloud.example --replica ship-7 --upstream-token-file FILE",
            "tidelog replica limit ship-7 --weight 3 --bandwidth 64KiB",
            "tidelog certificate ship.local 10.0.0.5 --dir tls",
            "tidelog backup FILE --data DIR",
            "tidelog restore FILE --data DIR",
            "tidelog restore - --verify",
            "tidelog restore FILE --as-replica --data DIR",
            "tidelog push status --data DIR",
            "tidelog push list ann",
            "tidelog push test ann phone --title Hello",
            "tidelog user export ann --data DIR",
            "tidelog user erase ann --config FILE",
        ] {
            Cli::try_parse_from(line.split(' ')).expect(line);
        }
        for line in [
            "tidelog",
            "tidelog serve --listen here",
            "tidelog token",
            "tidelog token --user U --ttl forever",
            "tidelog log --user U --channel C",
            "tidelog revoke",
            "tidelog revoke --user U --client U:C",
            "tidelog user erase",
            "tidelog certificate",
            "tidelog replica limit ship-7 --weight 0",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
