//! One server process and its data: start, stop, kill, start again.

use crate::{binary, export::Line, within};
use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tidelog_client_sim::Process;
use tidelog_client_sim::client::Target;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Form, Token};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How often what another process does is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The text of a configuration file.
    pub config: String,
    /// Where the data is; a directory of its own when left out.
    pub data: Option<PathBuf>,
    /// Who signs in is proved by a token, as the configuration says; without it, the server is for
    /// development.
    pub signed: bool,
    /// What a shell does before it becomes the server, such as setting limits.
    pub wrapper: Option<String>,
    /// Further flags.
    pub flags: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(&'static str, PathBuf)>,
}

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    options: Options,
    /// Configuration, trace, and the data unless it is elsewhere.
    home: TempDir,
}

impl Server {
    /// Starts a server with defaults on an empty directory.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts a server and waits until it accepts connections.
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("tidelog-test-").tempdir()?;
        let data = options.data.clone().unwrap_or_else(|| home.path().join("data"));
        fs::write(home.path().join("tidelog.toml"), &options.config)?;
        let (child, address) = spawn(&home, &options, &data, "127.0.0.1:0").await?;
        Ok(Self { child, address, data, options, home })
    }

    /// Starts the process again, on the same address with the same data. It has to be over.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let listen = self.address.to_string();
        (self.child, _) = spawn(&self.home, &self.options, &self.data, &listen).await?;
        Ok(())
    }

    /// What a shell does before it becomes the server, from the next start on.
    pub fn set_wrapper(&mut self, wrapper: Option<String>) {
        self.options.wrapper = wrapper;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How devices reach it.
    pub fn target(&self) -> Target {
        target(self.address)
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The most memory that was ever in use, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<u64> {
        Ok(Process::new(self.pid()?).peak_kib()? / 1024)
    }

    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server is over")
    }

    /// What Ctrl-C sends.
    pub const INTERRUPT: Signal = Signal::INT;
    /// `kill -9`
    pub const KILL: Signal = Signal::KILL;
    /// Asks a process to stop.
    pub const TERM: Signal = Signal::TERM;
    /// Asks a process to read its certificate and its keys again.
    pub const HUP: Signal = Signal::HUP;

    /// Sends a signal, and does not wait for what it does.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.context("the server is over")?, signal)?;
        Ok(())
    }

    /// `kill -9`, and waits for the end.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Self::KILL)?;
        self.exited().await?;
        Ok(())
    }

    /// Waits for the end of the process.
    pub async fn exited(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(within("the end of the server", self.child.wait()).await??)
    }

    /// SIGTERM; the exit code has to be 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Self::TERM)?;
        let status = self.exited().await?;
        ensure!(status.success(), "SIGTERM ended in {status}:\n{}", self.trace());
        Ok(())
    }

    /// How devices reach it with `token`.
    pub fn target_with(&self, token: &str) -> Target {
        Target { token: Some(Token::new(token.to_owned())), ..self.target() }
    }

    /// Waits until the server has traced `text`, more often than `times`.
    pub async fn until_traced(&self, text: &str, times: usize) -> anyhow::Result<()> {
        let looking = async {
            while self.trace().matches(text).count() <= times {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        within(&format!("{text:?} in the trace"), looking).await
    }

    /// What the server has traced.
    pub fn trace(&self) -> String {
        fs::read_to_string(self.home.path().join("trace")).unwrap_or_default()
    }

    /// What `tidelog log` prints of the data.
    pub async fn log(&self, arguments: &[&str]) -> anyhow::Result<Vec<Line>> {
        crate::export(&self.data, arguments).await
    }
}

/// How devices reach a server that listens at `address`.
pub(crate) fn target(address: SocketAddr) -> Target {
    Target {
        server: address,
        tls: None,
        version: Version::V5,
        form: Form::Text,
        token: Some(Token::new("token".to_owned())),
        source: None,
    }
}

async fn spawn(
    home: &TempDir,
    options: &Options,
    data: &Path,
    listen: &str,
) -> anyhow::Result<(Child, SocketAddr)> {
    let trace = fs::File::options().create(true).append(true).open(home.path().join("trace"))?;
    let mut command = match options.wrapper.as_deref() {
        Some(wrapper) => wrapped(wrapper)?,
        None => command()?,
    };
    let mut child = command
        .args(["serve", "--listen", listen])
        .args(Some("--dev").filter(|_| !options.signed))
        .arg("--data")
        .arg(data)
        .arg("--config")
        .arg(home.path().join("tidelog.toml"))
        .args(&options.flags)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(trace)
        .spawn()?;
    let stdout = child.stdout.take().context("the server has no output")?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    within("the server's line with its address", lines.read_line(&mut line)).await??;
    let Some(address) = line.split_whitespace().find_map(|word| word.parse().ok()) else {
        let trace = fs::read_to_string(home.path().join("trace")).unwrap_or_default();
        anyhow::bail!("the server did not start: {line}\n{trace}");
    };
    // It stays open, or the server would fail to print.
    child.stdout = Some(lines.into_inner());
    Ok((child, address))
}

/// The binary behind a shell that does something first.
fn wrapped(wrapper: &str) -> anyhow::Result<Command> {
    let mut command = isolated(Command::new("sh"));
    command.args(["-c", &format!("{wrapper} exec \"$0\" \"$@\"")]).arg(binary::path()?);
    Ok(command)
}

/// The binary, ready for arguments.
pub fn command() -> anyhow::Result<Command> {
    Ok(isolated(Command::new(binary::path()?)))
}

/// A variable of the surrounding shell must not become a setting of the process under test.
fn isolated(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDELOG_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
