//! Erasing a user: sessions end first, then everything goes, and a receipt says what went.

use crate::app::App;
use crate::clock;
use crate::log::{Log, LogName, Removed};
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::UserId;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Sessions are waited for no longer than this.
const LEAVE: Duration = Duration::from_secs(10);
/// Lines of progress on their way to the command; one more is left out.
const PROGRESS_MAX: usize = 16;

/// Erases a user of a running server; lines of progress, and the receipt at last.
pub async fn erase_live(
    app: &App,
    user: &str,
    writer: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let user = super::user(user)?;
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
    let receipt = receipt(&user, (&removed, devices), &app.log, sessions, clock::now_ms());
    tracing::info!(
        records = count(&removed.positions),
        nodes = removed.nodes,
        generation = removed.generation,
        "a user was erased"
    );
    writer.write_all(format!("{receipt}\n").as_bytes()).await.context("the command has gone")
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

/// What was removed, as one line of JSON.
pub(super) fn receipt(
    user: &UserId,
    (removed, devices): (&Removed, usize),
    log: &Log,
    sessions: usize,
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
        "devices": devices,
        "sessions": sessions,
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
