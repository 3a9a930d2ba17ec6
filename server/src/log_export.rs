//! Entries as NDJSON: what `tidelog log` prints, of a stopped store and of a running server alike.

use crate::admin;
use crate::app::App;
use crate::cli::LogArgs;
use crate::clock;
use crate::log::{Channel, Entry, Log, LogName, Page, PageLimit, ReadError, Settings};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tidelog_crdt::{Position, Seen};
use tidelog_protocol::UserId;
use tokio::io::{AsyncWrite, AsyncWriteExt};

const PAGE: PageLimit = PageLimit { entries: 500, bytes: 1 << 20 };
/// How often a follower looks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which entries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Of this user's log only.
    pub user: Option<String>,
    /// Of this channel's log only.
    pub channel: Option<String>,
    /// Only what is above this position.
    pub since: u64,
    /// Go on with new entries.
    pub follow: bool,
}

/// What may be wrong with a selection.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// No user is called that.
    #[error("no user id: {0}")]
    User(#[from] tidelog_protocol::IdError),
    /// No channel is called that.
    #[error("no channel name: {0}")]
    Channel(#[from] crate::log::ChannelError),
}

impl Selection {
    fn log(&self) -> Result<Option<LogName>, SelectionError> {
        match (&self.user, &self.channel) {
            (Some(user), _) => Ok(Some(LogName::User(UserId::new(user)?))),
            (None, Some(channel)) => Ok(Some(LogName::Channel(Channel::new(channel)?))),
            (None, None) => Ok(None),
        }
    }
}

/// A selection under way.
pub struct Export {
    name: Option<LogName>,
    above: Position,
}

impl Export {
    /// Starts at the selection's position.
    pub fn new(selection: &Selection) -> Result<Self, SelectionError> {
        let above = Position::new(selection.since).unwrap_or(Position::MAX);
        Ok(Self { name: selection.log()?, above })
    }

    /// The next lines, and whether there are more now. May wait for the disk.
    pub fn next(&mut self, log: &Log) -> Result<(String, bool), ReadError> {
        let Page { entries, through, more } = match &self.name {
            Some(name) => log.read(name, self.above, log.head(), PAGE)?,
            None => log.feed(self.above, PAGE)?,
        };
        self.above = self.above.max(through);
        Ok((entries.iter().map(|entry| line(entry)).collect(), more))
    }
}

/// Writes a selection from a running server, for as long as the command listens: until `gone`.
pub async fn stream(
    app: &App,
    selection: Selection,
    writer: &mut (impl AsyncWrite + Unpin),
    gone: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut export = Export::new(&selection)?;
    let mut gone = std::pin::pin!(gone);
    loop {
        let log = app.log.clone();
        let (lines, more, back) = tokio::task::spawn_blocking(move || {
            let next = export.next(&log);
            next.map(|(lines, more)| (lines, more, export))
        })
        .await??;
        export = back;
        writer.write_all(lines.as_bytes()).await?;
        if more {
            continue;
        }
        if !selection.follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Of a log that is silent nothing is written, so that no write fails.
            () = &mut gone => return Ok(()),
            () = app.stopping() => return Ok(()),
        }
    }
}

/// `tidelog log`: from the running server, if there is one, else from the store itself.
pub fn run(args: &LogArgs) -> anyhow::Result<()> {
    let selection = Selection {
        user: args.user.clone(),
        channel: args.channel.clone(),
        since: args.since,
        follow: args.follow,
    };
    let (mut out, data) = (std::io::stdout().lock(), args.store.data()?);
    let printed = match admin::connect(&data) {
        Some(server) => admin::ask(server, &admin::Request::Log(selection), &mut out),
        None => print_stopped(&data, &selection, &mut out),
    };
    match printed {
        // The reader has had enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn print_stopped(
    data: &Path,
    selection: &Selection,
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let settings = Settings { read_only: true, ..Settings::new(data.to_owned()) };
    let (log, _) = Log::open(settings, clock::now_ms())?;
    let mut export = Export::new(selection)?;
    loop {
        let (lines, more) = export.next(&log)?;
        out.write_all(lines.as_bytes())?;
        if !more {
            break;
        }
    }
    out.flush()?;
    if selection.follow {
        anyhow::bail!(
            "no server runs on {}, so nothing new will come: start one, or leave out --follow",
            data.display()
        );
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    position: u64,
    id: String,
    time: u64,
    accepted: u64,
    #[serde(skip_serializing_if = "is_zero")]
    subprotocol: u32,
    users: Vec<&'a str>,
    channels: Vec<&'a str>,
    dot: String,
    /// What its author had seen: for each server the first and the last position of each range.
    seen: BTreeMap<String, Vec<[u64; 2]>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cleaned: bool,
    action: &'a RawValue,
}

fn ranges(seen: &Seen) -> Vec<[u64; 2]> {
    let prefix = (seen.prefix > Position::ZERO).then(|| [1, seen.prefix.get()]);
    let own = seen.own.iter().map(|(first, last)| [first.get(), last.get()]);
    prefix.into_iter().chain(own).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One entry as a line of JSON.
fn line(entry: &Entry) -> String {
    json(None, entry)
}

/// One entry as a line of JSON that says of which kind it is, among lines of other kinds.
pub(crate) fn line_of_kind(kind: &'static str, entry: &Entry) -> String {
    json(Some(kind), entry)
}

fn json(kind: Option<&'static str>, entry: &Entry) -> String {
    let users = entry.addresses.users.iter().map(UserId::as_str).collect();
    let line = Line {
        kind,
        position: entry.position.get(),
        id: entry.id.to_string(),
        time: entry.time,
        accepted: entry.accepted_ms,
        subprotocol: entry.subprotocol,
        users,
        channels: entry.addresses.channels.iter().map(Channel::as_str).collect(),
        dot: entry.dot.to_string(),
        seen: entry
            .causes
            .context()
            .iter()
            .map(|(server, seen)| (server.to_string(), ranges(seen)))
            .collect(),
        cleaned: entry.cleaned,
        action: entry.action.body().unwrap_or(RawValue::NULL),
    };
    // Strings, numbers and JSON that was read before always serialize.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}
