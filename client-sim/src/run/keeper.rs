//! The server as a process of ours: started, stopped and started again where the scenario says so.

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOPPING: Duration = Duration::from_secs(120);
/// How often it is tried whether it listens.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server that is started by us.
pub(super) struct Keeper {
    command: String,
    address: SocketAddr,
    child: RefCell<Option<Child>>,
    pid: Cell<Option<u32>>,
}

/// What a restart took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// Whether it was killed.
    pub killed: bool,
    /// From the signal to the end of the process, in seconds.
    pub stopping_seconds: f64,
    /// From its start until it listened again.
    pub starting_seconds: f64,
}

impl Keeper {
    /// Starts the server with a command of the shell, and waits until it listens.
    pub(super) async fn start(command: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let free = TcpStream::connect(address).await.is_err();
        ensure!(free, "something listens on {address} already; --serve starts a server of its own");
        let keeper = Self {
            command: command.to_owned(),
            address,
            child: RefCell::new(None),
            pid: Cell::new(None),
        };
        keeper.spawn().await?;
        Ok(keeper)
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid.get()
    }

    async fn spawn(&self) -> anyhow::Result<()> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {}", self.command)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("--serve: there is no shell")?;
        let listening = async {
            while TcpStream::connect(self.address).await.is_err() {
                if let Some(status) = child.try_wait()? {
                    anyhow::bail!("the server ended with {status} before it listened");
                }
                sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        let late = || format!("the server does not listen on {} after 60 s", self.address);
        timeout(STARTING, listening).await.with_context(late)??;
        self.pid.set(child.id());
        self.child.replace(Some(child));
        Ok(())
    }

    /// Stops the server, or kills it, and starts it again.
    pub(super) async fn restart(&self, kill: bool) -> anyhow::Result<Restart> {
        let began = Instant::now();
        self.stop(if kill { Signal::KILL } else { Signal::TERM }).await?;
        let stopped = Instant::now();
        self.spawn().await?;
        Ok(Restart {
            killed: kill,
            stopping_seconds: (stopped - began).as_secs_f64(),
            starting_seconds: stopped.elapsed().as_secs_f64(),
        })
    }

    /// Asks the server to stop, and waits until it has.
    pub(super) async fn stop(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, signal)?;
        }
        let ended = timeout(STOPPING, child.wait()).await;
        ended.context("the server did not stop within 120 s of being asked to")??;
        Ok(())
    }

    /// Asks it to stop for good.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        self.stop(Signal::TERM).await
    }
}
