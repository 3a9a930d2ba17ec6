//! What `tidelog-sim run` and its neighbours are told, and what they do.

use super::say::say;
use crate::access::{Access, read_users};
use crate::plan::{Plan, RULES, Spec, builtin, builtins};
use crate::report::{Comparison, read, write};
use crate::run::{With, check, run};
use crate::secure::{Place, Url};
use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{getpid, setpriority_process};
use std::path::{Path, PathBuf};

/// `tidelog-sim run`
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// A built-in scenario, or a file.
    #[arg(value_name = "NAME|FILE")]
    pub scenario: String,
    /// Change a setting of the scenario, such as `seconds=10` or `crowd.users=100`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What all chance comes from; the same seed makes the same plan.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Print who does what when, and do nothing.
    #[arg(long)]
    pub plan: bool,
    /// Where a server listens, or a URL such as `wss://sync.example`; more than one for devices that move.
    #[arg(long, value_name = "ADDRESS|URL", default_value = "127.0.0.1:31337")]
    pub server: Vec<Url>,
    /// Who signs the certificates of servers, in PEM; those whom the system trusts when left out.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The servers send each other what they have: all of them have to end with the same logs.
    #[arg(long)]
    pub replicas: bool,
    /// Let a server be on another machine, which has to be yours.
    #[arg(long)]
    pub beyond_loopback: bool,
    /// Start the server with this command of the shell, and stop, kill and start it where the scenario says so.
    #[arg(long, value_name = "COMMAND")]
    pub serve: Option<String>,
    /// The server's process, to measure what the run costs it.
    #[arg(long, value_name = "PID", conflicts_with = "serve")]
    pub server_pid: Option<u32>,
    /// The server's metrics, such as `http://127.0.0.1:31337/metrics`, to measure the same from afar.
    #[arg(long, value_name = "URL", value_parser = plain_http)]
    pub metrics: Option<hyper::Uri>,
    /// Signs devices in; `{user}` in it is the user. A server in development takes this one.
    #[arg(long, default_value = "{user}")]
    pub token: String,
    /// A file with a user and a token in each line, for servers that check them.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Addresses to come from, 127.1.0.1 and so on; one has ports for 28,000 connections.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub sources: u8,
    /// Begins the names of users, so that runs do not meet; made from the time when left out.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Let the system prefer others, by so much; the server, for one, on the same machine.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=19))]
    pub nice: i32,
    /// Where to leave the JSON, the page and the transcripts; `tidelog-sim-NAME` when left out.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fail if a goal of the scenario is missed, too.
    #[arg(long)]
    pub strict: bool,
    /// Print JSON in place of the table.
    #[arg(long)]
    pub json: bool,
    /// Draw no bars.
    #[arg(long)]
    pub quiet: bool,
}

/// Runs a scenario; whether everything holds that has to.
pub async fn play(args: &RunArgs) -> anyhow::Result<bool> {
    let spec = args.spec()?;
    if args.plan {
        say(Plan::new(&spec))?;
        return Ok(true);
    }
    let access = args.access()?;
    check(&access, args.beyond_loopback)?;
    if args.nice > 0 {
        setpriority_process(Some(getpid()), args.nice).context("--nice")?;
    }
    let with = With {
        serve: args.serve.clone(),
        server_pid: args.server_pid,
        metrics: args.metrics.clone(),
        quiet: args.quiet || args.json,
        command: command_line(),
    };
    let outcome = run(&spec, access, with).await?;
    let name = format!("tidelog-sim-{}", outcome.scenario);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(name));
    let written = write(&outcome, &out)?;
    if args.json {
        say(format_args!("{}\n", serde_json::to_string(&outcome)?))?;
    } else {
        say(&outcome)?;
        for path in written {
            say(format_args!("  {}\n", path.display()))?;
        }
    }
    Ok(outcome.holds() && (outcome.reached() || !args.strict))
}

/// Metrics are for whoever runs the server, and are asked for without TLS.
fn plain_http(text: &str) -> Result<hyper::Uri, String> {
    let uri: hyper::Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        _ => Err(
            "it begins with http://; where there is TLS only, ask from the machine of the server"
                .to_owned(),
        ),
    }
}

/// Prints what there is.
pub fn list() -> anyhow::Result<()> {
    for spec in builtins()? {
        let Spec { name, seconds, about, .. } = &spec;
        say(format_args!("{name:<16} {:>6} devices, {seconds:>3} s  {about}\n", spec.devices()))?;
    }
    Ok(())
}

/// Prints a scenario.
pub fn show(name: &str) -> anyhow::Result<()> {
    match builtin(name) {
        Some(text) => say(text)?,
        None => bail!("there is no {name}; `tidelog-sim list` prints what there is"),
    }
    Ok(())
}

/// Prints the rules that a server needs for all scenarios.
pub fn rules() -> anyhow::Result<()> {
    Ok(say(RULES)?)
}

/// Prints two outcomes side by side.
pub fn compare(a: &Path, b: &Path) -> anyhow::Result<()> {
    Ok(say(Comparison::new(&read(a)?, &read(b)?))?)
}

impl RunArgs {
    fn spec(&self) -> anyhow::Result<Spec> {
        let mut settings = self.set.clone();
        settings.extend(self.seed.map(|seed| format!("seed={seed}")));
        if let Some(text) = builtin(&self.scenario) {
            return Spec::read(&self.scenario, text, &settings);
        }
        let path = Path::new(&self.scenario);
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("{} is neither a scenario of `tidelog-sim list` nor a file", self.scenario)
        })?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into());
        Spec::read(&name, &text, &settings)
    }

    fn access(&self) -> anyhow::Result<Access> {
        let given = self.users.as_deref().map(read_users).transpose()?.unwrap_or_default();
        Ok(Access {
            servers: Place::all(&self.server, self.ca.as_deref())?,
            replicas: self.replicas,
            sources: self.sources,
            token: self.token.clone(),
            users: given,
            run: self.run.clone().unwrap_or_else(|| format!("sim{}", crate::now_ms())),
        })
    }
}

/// What was typed, without what signs in.
fn command_line() -> String {
    let mut words = Vec::new();
    let mut secret = false;
    for word in std::env::args().skip(1) {
        words.push(if secret { "…".to_owned() } else { word.clone() });
        secret = word == "--token";
        if word.starts_with("--token=") {
            words.pop();
            words.push("--token=…".to_owned());
        }
    }
    format!("tidelog-sim {}", words.join(" "))
}
