//! What the commands about documents and about the room that they take are told.

use super::StoreArgs;
use clap::Args;
use clap::builder::FalseyValueParser;
use std::path::PathBuf;
use std::time::Duration;

/// `tidelog doc`
#[derive(Clone, Debug, Args)]
pub struct DocArgs {
    /// The document
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The document of this user's log
    #[arg(
        long,
        env = "TIDELOG_USER",
        value_name = "USER",
        conflicts_with = "channel",
        required_unless_present = "channel"
    )]
    pub user: Option<String>,
    /// The document of this channel
    #[arg(long, env = "TIDELOG_CHANNEL", value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Say why this place shows what it shows: keys separated by slashes, or as a JSON array; / is
    /// the document itself
    #[arg(long, env = "TIDELOG_WHY", value_name = "PATH")]
    pub why: Option<String>,
    /// Print one JSON object instead of lines for people
    #[arg(long, env = "TIDELOG_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// `tidelog compact`
#[derive(Clone, Debug, Args)]
pub struct CompactArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Only what was accepted so long ago: 1h, 30d [default: as the configuration says]
    #[arg(
        long,
        env = "TIDELOG_OLDER_THAN",
        value_name = "TIME",
        value_parser = crate::config::duration
    )]
    pub older_than: Option<Duration>,
}

/// `tidelog backup`
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// The file; - is standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog restore`
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The backup; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the store is to be.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Make another store, which begins with what this one has, for a server that will follow it
    #[arg(long, env = "TIDELOG_AS_REPLICA", value_parser = FalseyValueParser::new())]
    pub as_replica: bool,
    /// Only read it to its end, and say whether it is whole
    #[arg(long, env = "TIDELOG_VERIFY", value_parser = FalseyValueParser::new())]
    pub verify: bool,
}
