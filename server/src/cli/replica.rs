//! `tidelog replica`.

use super::StoreArgs;
use clap::{Args, Subcommand};

/// `tidelog replica`
#[derive(Clone, Debug, Args)]
pub struct ReplicaArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReplicaCommand,
}

/// What can be done about servers that follow this one.
#[derive(Clone, Debug, Subcommand)]
pub enum ReplicaCommand {
    /// Let a server follow this one, and print its token, which is kept nowhere
    Add(ReplicaAddArgs),
    /// Let it follow no more: its token is useless at once, and its link ends
    Remove(ReplicaNameArgs),
    /// Print another token for it; the one of before is useless at once
    Token(ReplicaNameArgs),
    /// Print who may follow this server, how far each is, and how the link to the one that it follows is
    Status(ReplicaStatusArgs),
}

/// `tidelog replica add`
#[derive(Clone, Debug, Args)]
pub struct ReplicaAddArgs {
    /// A name for it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A glob over the users that it is for, several times for several [default: *]
    #[arg(long, env = "TIDELOG_USERS", value_name = "GLOB")]
    pub users: Vec<String>,
    /// A glob over the channels that it is for, several times for several [default: *]
    #[arg(long, env = "TIDELOG_CHANNELS", value_name = "GLOB")]
    pub channels: Vec<String>,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog replica remove` and `tidelog replica token`
#[derive(Clone, Debug, Args)]
pub struct ReplicaNameArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog replica status`
#[derive(Clone, Debug, Args)]
pub struct ReplicaStatusArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}
