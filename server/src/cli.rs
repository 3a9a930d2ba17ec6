//! The command line: what `tidelog` can be told, in flags or in the environment.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A durable log per user that Logux clients sync with.
#[derive(Debug, Parser)]
#[command(name = "tidelog", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Check a configuration file and say what its rules are.
    CheckConfig(CheckConfigArgs),
    /// Make a token that the server accepts.
    Token(TokenArgs),
    /// Print a log as NDJSON.
    Log(LogArgs),
}

/// `tidelog serve`
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file.
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "TIDELOG_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where the data is kept.
    #[arg(long, env = "TIDELOG_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Development: loopback only, any token signs in.
    #[arg(long, env = "TIDELOG_DEV")]
    pub dev: bool,
}

/// `tidelog check-config`
#[derive(Clone, Debug, Args)]
pub struct CheckConfigArgs {
    /// Configuration file.
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
}

/// `tidelog token`
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// The user that the token signs in.
    #[arg(long, env = "TIDELOG_USER", value_name = "USER")]
    pub user: String,
    /// How long the token lives, such as 15m, 1h, 30d.
    #[arg(long, env = "TIDELOG_TTL", default_value = "1h", value_parser = crate::config::duration)]
    pub ttl: Duration,
    /// A secret (HS256) or a private key in PEM (RS256, ES256, `EdDSA`).
    #[arg(long, env = "TIDELOG_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Configuration file.
    #[arg(long, env = "TIDELOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `tidelog log`
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Where the data is kept.
    #[arg(long, env = "TIDELOG_DATA", value_name = "DIR", default_value = "tidelog-data")]
    pub data: PathBuf,
    /// Only the log of this user.
    #[arg(long, env = "TIDELOG_USER", value_name = "USER", conflicts_with = "channel")]
    pub user: Option<String>,
    /// Only the log of this channel.
    #[arg(long, env = "TIDELOG_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Only entries above this position.
    #[arg(long, env = "TIDELOG_SINCE", value_name = "N", default_value_t = 0)]
    pub since: u64,
    /// Go on with new entries until interrupted.
    #[arg(long, env = "TIDELOG_FOLLOW")]
    pub follow: bool,
}
