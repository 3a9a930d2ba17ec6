//! The socket in the data directory through which commands reach a running server.
//!
//! One request per connection: a line of JSON. The answer is lines of JSON until the connection
//! ends. Only the owner of the directory can connect.

use crate::app::App;
use crate::backup;
use crate::compaction;
use crate::doc::{self, Question};
use crate::log_export::{self, Selection};
use crate::replica;
use crate::revocations::{self, Order};
use crate::users;
use crate::wake;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// The longest request.
const REQUEST_BYTES_MAX: u64 = 16 << 10;

/// What a command asks a running server for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Entries, one a line.
    Log(Selection),
    /// Take out what documents and maps have made superfluous; progress, and a receipt in the last line.
    Compact {
        /// Only what was accepted so many ms ago, if not as the configuration says.
        older_than_ms: Option<u64>,
    },
    /// A document, in one line.
    Doc(Question),
    /// Revoking, taking that back, and what was revoked.
    Revocations(Order),
    /// Devices that are woken.
    Push(wake::Order),
    /// The store as it is now: no lines, but what a file of a backup has.
    Backup {},
    /// Servers that follow this one.
    Replica(replica::Order),
    /// Everything of a user, one record a line.
    UserExport {
        /// Who.
        user: String,
    },
    /// Remove everything of a user; progress, and a receipt in the last line.
    UserErase {
        /// Who.
        user: String,
    },
}

/// Where the socket of the server on `data` is.
pub fn path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}

/// A socket's address has room for so many bytes of a path, and a zero.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A way to the socket that its address has room for.
struct Way {
    path: PathBuf,
    /// Held open while the path leads through it.
    _directory: Option<File>,
}

impl Way {
    fn to(data: &Path) -> io::Result<Self> {
        let path = path(data);
        let bytes = path.as_os_str().len();
        if bytes <= PATH_BYTES_MAX {
            return Ok(Self { path, _directory: None });
        }
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the path of the socket {} has {bytes} bytes, and may have {PATH_BYTES_MAX}: \
                     keep the data in a directory with a shorter path",
                    path.display()
                ),
            ));
        }
        let directory = File::open(data)?;
        let path = self::path(Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())));
        Ok(Self { path, _directory: Some(directory) })
    }
}

/// Whether commands will be able to reach a server on `data`: asked before anything is made there.
pub fn check(data: &Path) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        Way::to(data)?;
    }
    Ok(())
}

/// A running listener.
pub struct Admin {
    task: JoinHandle<()>,
    path: PathBuf,
}

impl Admin {
    /// Stops listening and removes the socket.
    pub async fn stop(self) {
        self.task.abort();
        drop(self.task.await);
        drop(std::fs::remove_file(self.path));
    }
}

/// Listens on the socket in `data`. The store's lock is held, so an old socket is a dead one.
pub fn serve(data: &Path, app: App) -> anyhow::Result<Admin> {
    let path = path(data);
    drop(std::fs::remove_file(&path));
    let listener = Way::to(data)
        .and_then(|way| UnixListener::bind(&way.path))
        .with_context(|| format!("cannot make the socket {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(accept(listener, app));
    Ok(Admin { task, path })
}

/// The server that runs on `data`, if there is one.
pub fn connect(data: &Path) -> Option<std::os::unix::net::UnixStream> {
    let way = Way::to(data).ok()?;
    std::os::unix::net::UnixStream::connect(&way.path).ok()
}

/// Asks the server behind `stream`; `on_line` gets each line of its answer. An error if the server says
/// one, or nothing at all.
pub fn ask_lines(
    mut stream: std::os::unix::net::UnixStream,
    request: &Request,
    mut on_line: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    use std::io::{BufRead, Write};
    #[derive(Deserialize)]
    struct Problem {
        error: String,
    }
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut any = false;
    for line in std::io::BufReader::new(stream).lines() {
        let line = line.context("the server went away")?;
        if let Ok(Problem { error }) = serde_json::from_str(&line) {
            anyhow::bail!("{error}");
        }
        on_line(&line)?;
        any = true;
    }
    anyhow::ensure!(
        any,
        "the server does not answer; it may be of an earlier version, or stopping"
    );
    Ok(())
}

/// Asks the server behind `stream`, and copies its answer to `out`.
pub fn ask(
    mut stream: std::os::unix::net::UnixStream,
    request: &Request,
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    std::io::copy(&mut stream, out)?;
    Ok(())
}

/// Asks the server behind `stream`; the whole answer, or the error that it tells.
pub fn ask_all(
    stream: std::os::unix::net::UnixStream,
    request: &Request,
) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Told {
        error: String,
    }
    let mut answer = Vec::new();
    ask(stream, request, &mut answer)?;
    let answer = String::from_utf8(answer)?;
    match serde_json::from_str(&answer) {
        Ok(Told { error }) => anyhow::bail!(error),
        Err(_) => Ok(answer),
    }
}

async fn accept(listener: UnixListener, app: App) {
    let mut commands = tokio::task::JoinSet::new();
    loop {
        while commands.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                commands.spawn(async move {
                    if let Err(error) = answer(stream, app).await {
                        tracing::debug!(%error, "a command went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a command");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, app: App) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    reader.read_line(&mut line).await?;
    // A command says nothing more until it closes.
    let gone = async move { drop(reader.read(&mut [0]).await) };
    let answered = match serde_json::from_str(&line)? {
        Request::Log(selection) => log_export::stream(&app, selection, &mut writer, gone).await,
        Request::Compact { older_than_ms } => {
            compaction::compact_live(&app, older_than_ms, &mut writer).await
        }
        Request::Doc(question) => match doc::answer_live(&app, question).await {
            Ok(line) => writer.write_all(line.as_bytes()).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        Request::Revocations(order) => match revocations::answer(&app, order).await {
            Ok(lines) => writer.write_all(lines.as_bytes()).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        Request::Push(order) => match wake::answer(&app, order).await {
            Ok(lines) => writer.write_all(lines.as_bytes()).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        Request::Replica(order) => match replica::answer(&app, order).await {
            Ok(lines) => writer.write_all(lines.as_bytes()).await.map_err(Into::into),
            Err(error) => Err(error),
        },
        Request::Backup {} => backup::send(&app, &mut writer).await,
        Request::UserExport { user } => users::export_live(&app, &user, &mut writer).await,
        Request::UserErase { user } => users::erase_live(&app, &user, &mut writer).await,
    };
    if let Err(error) = answered {
        let problem = serde_json::json!({ "error": error.to_string() });
        writer.write_all(format!("{problem}\n").as_bytes()).await?;
    }
    writer.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source};
    use std::time::Duration;

    #[tokio::test]
    async fn following_a_silent_log_ends_with_the_command() {
        // Nothing was ever written to it, so nothing told that it was gone.
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::parse(Source::new(&dir.path().join("a.toml"), "")).unwrap();
        config.dev = true;
        config.server.data = dir.path().join("data");
        let (_stop, stopping) = tokio::sync::watch::channel(false);
        let app = crate::serve::build(&config, stopping).unwrap();
        let (mut command, server) = UnixStream::pair().unwrap();
        let selection = Selection { follow: true, ..Selection::default() };
        let mut line = serde_json::to_vec(&Request::Log(selection)).unwrap();
        line.push(b'\n');
        command.write_all(&line).await.unwrap();
        let answering = tokio::spawn(answer(server, app));
        drop(command);
        let ended = tokio::time::timeout(Duration::from_secs(20), answering).await;
        ended.expect("it follows on").unwrap().unwrap();
    }
}
