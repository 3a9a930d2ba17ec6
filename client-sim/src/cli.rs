//! The command line of `tidelog-sim`.

mod run;
mod say;

pub use run::{RunArgs, compare, list, play, rules, show};
pub use say::say;

use crate::client::Target;
use crate::secure::{Place, Url};
use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::io::{Write, stdout};
use std::path::PathBuf;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Form, Token};

/// Simulated Logux clients that put a server under load and check what they receive.
///
/// Every run is bounded in count and in time, and stays on this machine unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "tidelog-sim", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run a scenario: devices that live by a plan, an oracle, and a report
    Run(Box<RunArgs>),
    /// Print the scenarios that there are
    List,
    /// Print a scenario, as a file to begin with
    Show {
        /// Its name.
        name: String,
    },
    /// Print the rules that a server needs for all scenarios
    Rules,
    /// Print two reports side by side, with ratios
    Compare {
        /// The JSON of a run, or the directory that it left.
        a: PathBuf,
        /// That of another.
        b: PathBuf,
    },
    /// Measure one thing.
    #[command(flatten)]
    Scenario(Scenario),
    /// Print the completion script of a shell
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page, or write all of them into a directory
    Man {
        /// Where to write the pages of all commands; it is made if there is none.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Prints the completion script of `shell`.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tidelog-sim", &mut script);
    Ok(stdout().write_all(&script)?)
}

/// Prints the man page, or writes all of them into `dir`.
pub fn man(dir: Option<PathBuf>) -> anyhow::Result<()> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return Ok(stdout().write_all(&page)?);
    };
    std::fs::create_dir_all(&dir)?;
    Ok(clap_mangen::generate_to(Cli::command(), &dir)?)
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Clients send actions and wait until they are answered and acknowledged.
    Actions(ActionsArgs),
    /// One author sends to a channel that many follow.
    FanOut(FanOutArgs),
    /// Clients connect, sign in and leave.
    Connect(ConnectArgs),
    /// Signed-in clients that do nothing.
    Idle(IdleArgs),
    /// One author, and one other session that gets its actions, which the server does not keep.
    Relay(RelayArgs),
    /// Messages to a server that sends each back: the limit that `relay` is measured beside.
    Echo(RelayArgs),
    /// Devices without a WebSocket push actions and wait until they are answered.
    Push(PushArgs),
    /// Devices without a WebSocket pull: all of their log, or only if there is something new.
    Pull(PullArgs),
}

impl Scenario {
    /// What all scenarios are told.
    pub fn common(&self) -> &Common {
        match self {
            Self::Actions(args) => &args.common,
            Self::FanOut(args) => &args.common,
            Self::Connect(args) => &args.common,
            Self::Idle(args) => &args.common,
            Self::Relay(args) | Self::Echo(args) => &args.common,
            Self::Push(args) => &args.common,
            Self::Pull(args) => &args.common,
        }
    }
}

/// What all scenarios are told.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where the server listens, or a URL such as `wss://sync.example`.
    #[arg(long, value_name = "ADDRESS|URL", default_value = "127.0.0.1:31337")]
    pub server: Url,
    /// Who signs the server's certificate, in PEM; those whom the system trusts when left out.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Let `--server` be on another machine, which has to be yours.
    #[arg(long)]
    pub beyond_loopback: bool,
    /// The server's process, to measure what a run costs it.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// What clients speak: this version of the protocol, as JSON or as bytes.
    #[arg(long, value_enum, default_value = "5")]
    pub protocol: Protocol,
    /// Signs every client in.
    #[arg(long, default_value = "token")]
    pub token: String,
    /// Addresses to come from, 127.1.0.1 and so on; one has ports for 28,000 connections.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub sources: u8,
    /// Begins the names of users, so that runs do not meet; made from the time when left out.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Give up on whatever takes longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
    pub patience: u64,
}

impl Common {
    /// How clients reach the server.
    pub fn target(&self) -> anyhow::Result<Target> {
        let (version, form) = match self.protocol {
            Protocol::V4 => (Version::V4, Form::Text),
            Protocol::V5 => (Version::V5, Form::Text),
            Protocol::V7 => (Version::V7, Form::Text),
            Protocol::V7Binary => (Version::V7, Form::Binary),
        };
        let token = Some(Token::new(self.token.clone()));
        let place = Place::all(std::slice::from_ref(&self.server), self.ca.as_deref())?.pop();
        let Place { address: server, tls } = place.context("there is no server")?;
        Ok(Target { server, tls, version, form, token, source: None })
    }
}

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Version 4.
    #[value(name = "4")]
    V4,
    /// Version 5.
    #[value(name = "5")]
    V5,
    /// Version 7, in JSON.
    #[value(name = "7")]
    V7,
    /// Version 7, in its binary form.
    #[value(name = "7-binary")]
    V7Binary,
}

/// `tidelog-sim actions`
#[derive(Clone, Debug, Args)]
pub struct ActionsArgs {
    /// What all scenarios are told.
    #[command(flatten)]
    pub common: Common,
    /// Clients.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = count())]
    pub clients: u64,
    /// Users that the clients belong to; one each when left out.
    #[arg(long, value_name = "N", value_parser = count())]
    pub users: Option<u64>,
    /// Frames that each client has on the way.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count())]
    pub outstanding: u64,
    /// Actions in a frame.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Bytes of an action.
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(u64).range(64..=100_000))]
    pub bytes: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = seconds())]
    pub seconds: u64,
    /// Stop after so many actions.
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub actions: u64,
    /// The server keeps nothing: do not read back as a new client what was acknowledged.
    #[arg(long)]
    pub keeps_nothing: bool,
}

/// `tidelog-sim fan-out`
#[derive(Clone, Debug, Args)]
pub struct FanOutArgs {
    /// What all scenarios are told.
    #[command(flatten)]
    pub common: Common,
    /// Clients that follow the channel.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count())]
    pub subscribers: u64,
    /// Actions that not everyone has yet.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count())]
    pub outstanding: u64,
    /// Bytes of an action.
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(u64).range(128..=100_000))]
    pub bytes: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = seconds())]
    pub seconds: u64,
}

/// `tidelog-sim relay` and `tidelog-sim echo`
#[derive(Clone, Debug, Args)]
pub struct RelayArgs {
    /// What all scenarios are told.
    #[command(flatten)]
    pub common: Common,
    /// Actions, or messages, that are on the way.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count())]
    pub outstanding: u64,
    /// Bytes of each.
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(u64).range(64..=100_000))]
    pub bytes: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = seconds())]
    pub seconds: u64,
}

/// `tidelog-sim connect`
#[derive(Clone, Debug, Args)]
pub struct ConnectArgs {
    /// What all scenarios are told.
    #[command(flatten)]
    pub common: Common,
    /// Clients at a time.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = count())]
    pub concurrency: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = seconds())]
    pub seconds: u64,
    /// Stop after so many sign-ins.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub sign_ins: u64,
}

/// `tidelog-sim idle`
#[derive(Clone, Debug, Args)]
pub struct IdleArgs {
    /// What all scenarios are told.
    #[command(flatten)]
    pub common: Common,
    /// Clients.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = count())]
    pub connections: u64,
    /// How long to hold them.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = seconds())]
    pub hold: u64,
}

/// `tidelog-sim push`
#[derive(Clone, Debug, Args)]
pub struct PushArgs {
    /// What all scenarios are told; over HTTP each device signs in with its user's name, as development
    /// has it, unless there are `tokens`.
    #[command(flatten)]
    pub common: Common,
    /// Devices, each with a connection and a user of its own.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count())]
    pub clients: u64,
    /// A file with a user and a token in each line, for servers that check them; as many as clients.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Actions in a request.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Bytes of an action.
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(u64).range(64..=100_000))]
    pub bytes: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = seconds())]
    pub seconds: u64,
    /// Stop after so many actions.
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub actions: u64,
    /// The server keeps nothing: do not check its answers, and read nothing back.
    #[arg(long)]
    pub keeps_nothing: bool,
}

/// `tidelog-sim pull`
#[derive(Clone, Debug, Args)]
pub struct PullArgs {
    /// What all scenarios are told; over HTTP each device signs in with its user's name, as development
    /// has it, unless there are `tokens`.
    #[command(flatten)]
    pub common: Common,
    /// Devices, each with a connection and a user of its own.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count())]
    pub clients: u64,
    /// A file with a user and a token in each line, for servers that check them; as many as clients.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Actions that each pull gets; with 0 the log is empty, and pulls are conditional.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub actions: u64,
    /// Bytes of an action.
    #[arg(long, value_name = "N", default_value_t = 224, value_parser = clap::value_parser!(u64).range(64..=100_000))]
    pub bytes: u64,
    /// How long to go on.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = seconds())]
    pub seconds: u64,
    /// The server keeps nothing: do not fill its logs, and do not look at its pages.
    #[arg(long)]
    pub keeps_nothing: bool,
}

fn count() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=200_000)
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_command_has_a_man_page() {
        let dir = tempfile::tempdir().unwrap();
        man(Some(dir.path().join("pages"))).unwrap();
        for name in ["tidelog-sim.1", "tidelog-sim-fan-out.1", "tidelog-sim-idle.1"] {
            let page = std::fs::read_to_string(dir.path().join("pages").join(name)).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        }
    }
}
