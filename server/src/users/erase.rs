//! Erasing a user: sessions end first, then everything goes, and a receipt says what went. Where servers follow
//! each other, the others hear of it (see `erasures`), and do the same.

use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::erasures::{self, Left};
use crate::log::{Log, LogName, Removed};
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::UserId;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Sessions are waited for no longer than this.
const LEAVE: Duration = Duration::from_secs(10);
/// What could not be done is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// Lines of progress on their way to the command; one more is left out.
const PROGRESS_MAX: usize = 16;

/// Erases a user of a running server; lines of progress, and the receipt at last.
pub async fn erase_live(
    app: &App,
    user: &str,
    writer: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let user = super::user(user)?;
    let erasures = &app.replicas.desk.erasures;
    let _turn = erasures.turn().await;
    let log = app.log.clone();
    let is_of_a_tree = app.upstream || blocking(move || erasures::is_of_a_tree(&log)).await?;
    let tombstone = if is_of_a_tree { Some(erasures.begin(&user).await?) } else { None };
    let sessions = end_sessions(app, &user).await;
    // They are notes, which the copy of the feed takes along as they are.
    let devices = app.wakes.book.forget_user(&user).await?;
    let (progress_sent, mut lines) = mpsc::channel(PROGRESS_MAX);
    let (log, erased) = (app.log.clone(), user.clone());
    let head = log.head();
    let work = tokio::task::spawn_blocking(move || {
        log.erase(&erased, &mut |at| {
            // A command that reads slowly, or has gone, does without.
            drop(progress_sent.try_send(progress(at, head)));
        })
    });
    let mut listening = true;
    while let Some(line) = lines.recv().await {
        // The work goes on without a listener: half of it is no help to anybody.
        listening = listening && writer.write_all(format!("{line}\n").as_bytes()).await.is_ok();
    }
    let removed = work.await?;
    app.documents.forget_earlier();
    let removed = removed?;
    if let Some(seen) = &tombstone {
        erasures.done(&user, seen, (Some(removed.head), &removed.names)).await?;
    }
    let gone = Gone { devices, sessions, told: tombstone.is_some() };
    let receipt = receipt(&user, (&removed, &gone), &app.log, clock::now_ms());
    tracing::info!(
        records = count(&removed.positions),
        nodes = removed.nodes,
        generation = removed.generation,
        "a user was erased"
    );
    writer.write_all(format!("{receipt}\n").as_bytes()).await.context("the command has gone")
}

/// Erases whom other servers have erased, and what was left of it when this one stopped, for as long as it runs.
pub(crate) async fn carry_out(app: App) -> Infallible {
    let erasures = &app.replicas.desk.erasures;
    loop {
        while let Some(user) = erasures.next() {
            if let Err(error) = carry_out_one(&app, &user).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a user is not erased yet; it is tried again"
                );
                tokio::time::sleep(AGAIN).await;
            }
        }
        erasures.news.notified().await;
    }
}

async fn carry_out_one(app: &App, user: &UserId) -> anyhow::Result<()> {
    let erasures = &app.replicas.desk.erasures;
    let _turn = erasures.turn().await;
    // A command may have done it meanwhile.
    let Some(seen) = erasures.left_of(user) else { return Ok(()) };
    let (log, whom, what) = (app.log.clone(), user.clone(), seen.clone());
    let is_there = blocking(move || what.is_there(&log, &whom)).await?;
    if is_there || seen.left == Left::All {
        end_sessions(app, user).await;
    }
    if seen.left == Left::All {
        app.wakes.book.forget_user(user).await?;
    }
    let mut names = BTreeSet::new();
    if is_there {
        let (log, whom, what) = (app.log.clone(), user.clone(), seen.clone());
        let removed = blocking(move || what.carry_out(&log, &whom)).await;
        app.documents.forget_earlier();
        let removed = removed?;
        let (records, generation) = (count(&removed.positions), removed.generation);
        tracing::info!(records, generation, "a user was erased, as another server has said");
        names = removed.names;
    }
    Ok(erasures.done(user, &seen, (None, &names)).await?)
}

/// Ends the user's sessions and forgets what memory has of their nodes; how many there were.
async fn end_sessions(app: &App, user: &UserId) -> usize {
    let ended = app.hub.dismiss(user);
    let all_left = async {
        for inbox in &ended {
            inbox.left().await;
        }
    };
    if tokio::time::timeout(LEAVE, all_left).await.is_err() {
        tracing::warn!("sessions of a user who is erased did not end in time");
    }
    app.recent.forget(user);
    ended.len()
}

/// One line of progress.
pub(super) fn progress(at: Position, head: Position) -> String {
    json!({ "progress": { "position": at, "head": head } }).to_string()
}

/// Shows a line: progress on standard error, the receipt on `out`.
pub(super) fn show(line: &str, out: &mut impl Write) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Progress {
        progress: At,
    }
    #[derive(Deserialize)]
    struct At {
        position: u64,
        head: u64,
    }
    match serde_json::from_str(line) {
        Ok(Progress { progress: At { position, head } }) => {
            eprintln!("tidelog: copied up to position {position} of {head}");
            Ok(())
        }
        Err(_) => Ok(writeln!(out, "{line}")?),
    }
}

/// What went beside what was in the log, and whether other servers are told.
pub(super) struct Gone {
    pub(super) devices: usize,
    pub(super) sessions: usize,
    pub(super) told: bool,
}

/// What was removed, as one line of JSON.
pub(super) fn receipt(
    user: &UserId,
    (removed, gone): (&Removed, &Gone),
    log: &Log,
    now_ms: u64,
) -> String {
    let made = removed.made.iter().map(|(name, positions)| {
        let (kind, name) = kind_and_name(name);
        json!({ kind: name, "entries": count(positions), "positions": ranges(positions) })
    });
    let documents = removed.documents.iter().map(|(log, document)| {
        let (kind, name) = kind_and_name(log);
        json!({ kind: name, "document": document.as_str() })
    });
    let (before, after) = removed.feed_bytes;
    json!({
        "erased": user.as_str(),
        "time": now_ms,
        "store": log.store_id(),
        "head": removed.head,
        "generation": removed.generation,
        "records": count(&removed.positions),
        "made": made.collect::<Vec<_>>(),
        "received": {
            "entries": count(&removed.received),
            "positions": ranges(&removed.received),
        },
        "cleans": { "requests": count(&removed.cleans), "positions": ranges(&removed.cleans) },
        "documents": documents.collect::<Vec<_>>(),
        "nodes": removed.nodes,
        "devices": gone.devices,
        "sessions": gone.sessions,
        "told": gone.told,
        "feed_bytes": { "before": before, "after": after },
    })
    .to_string()
}

fn kind_and_name(log: &LogName) -> (&'static str, &str) {
    match log {
        LogName::User(user) => ("user", user.as_str()),
        LogName::Channel(channel) => ("channel", channel.as_str()),
    }
}

fn count(positions: &Ranges) -> u64 {
    positions.iter().map(|(first, last)| last.get() - first.get() + 1).sum()
}

fn ranges(positions: &Ranges) -> Vec<Value> {
    positions.iter().map(|(first, last)| json!([first, last])).collect()
}
