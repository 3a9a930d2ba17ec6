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
    /// Say how much its link may take, from now on; what is not said stays
    Limit(ReplicaChangeArgs),
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
    /// What its link may take.
    #[command(flatten)]
    pub limits: ReplicaLimitArgs,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What the link of a replica may take.
#[derive(Clone, Debug, Args)]
pub struct ReplicaLimitArgs {
    /// How much of what all replicas bring at once is its own, compared with others [default: 1]
    #[arg(long, env = "TIDELOG_WEIGHT", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub weight: Option<u32>,
    /// Bytes a second that go over its link each way, such as 64KiB, or off [default: off]
    #[arg(long, env = "TIDELOG_BANDWIDTH", value_name = "BYTES")]
    pub bandwidth: Option<String>,
}

/// `tidelog replica limit`
#[derive(Clone, Debug, Args)]
pub struct ReplicaChangeArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What its link may take.
    #[command(flatten)]
    pub limits: ReplicaLimitArgs,
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
