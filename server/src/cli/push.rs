//! `tidelog push`.

use super::StoreArgs;
use clap::{Args, Subcommand};

/// `tidelog push`
#[derive(Clone, Debug, Args)]
pub struct PushArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PushCommand,
}

/// What can be asked about devices that are woken.
#[derive(Clone, Debug, Subcommand)]
pub enum PushCommand {
    /// Print how many devices are registered, and how many wait for which push service
    Status(PushStatusArgs),
    /// Print the devices of a user, one JSON object a line
    List(PushListArgs),
    /// Send a push to one device now, and print what the push service says
    Test(PushTestArgs),
}

/// `tidelog push status`
#[derive(Clone, Debug, Args)]
pub struct PushStatusArgs {
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog push list`
#[derive(Clone, Debug, Args)]
pub struct PushListArgs {
    /// The user
    #[arg(value_name = "USER")]
    pub user: String,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `tidelog push test`
#[derive(Clone, Debug, Args)]
pub struct PushTestArgs {
    /// The user
    #[arg(value_name = "USER")]
    pub user: String,
    /// The device, as `tidelog push list` prints it
    #[arg(value_name = "DEVICE")]
    pub device: String,
    /// A message to show; without it, the push is silent
    #[arg(long, env = "TIDELOG_TITLE", value_name = "TEXT")]
    pub title: Option<String>,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
}
