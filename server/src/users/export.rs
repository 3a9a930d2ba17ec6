//! Everything of one user as lines of JSON: entries, requests to clean, records of nodes, and a last line
//! that says that it is all.

use crate::app::App;
use crate::log::{Base, Channel, Log, LogName, NodeRecord, Piece, ReadError};
use crate::log_export;
use crate::session::NodeState;
use crate::wake::{self, Device};
use serde::Serialize;
use serde_json::json;
use tidelog_crdt::Position;
use tidelog_protocol::{NodeId, UserId};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// An export under way.
pub(super) struct Export {
    user: UserId,
    above: Position,
    until: Position,
    counts: Counts,
    ended: bool,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    entries: u64,
    cleans: u64,
    documents: u64,
    nodes: u64,
    devices: u64,
}

impl Export {
    /// Of what `log` has now.
    pub(super) fn new(log: &Log, user: UserId) -> Self {
        let (above, until) = (Position::ZERO, log.head());
        Self { user, above, until, counts: Counts::default(), ended: false }
    }

    /// The next lines; none when all were given. May wait for the disk.
    pub(super) fn next(&mut self, log: &Log) -> Result<Option<String>, ReadError> {
        if self.above < self.until {
            let (pieces, through) = log.pieces_of(&self.user, (self.above, self.until))?;
            self.above = through;
            return Ok(Some(pieces.iter().map(|piece| self.piece(piece)).collect()));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let bases = log.bases(&LogName::User(self.user.clone()))?.unwrap_or_default().bases;
        self.counts.documents = bases.len() as u64;
        let mut lines: String = bases.iter().map(document).collect();
        let nodes = log.nodes_of(&self.user)?;
        self.counts.nodes = nodes.len() as u64;
        lines.extend(nodes.iter().map(|(id, record)| node(id, record)));
        let devices = wake::of_user(log, &self.user)?;
        self.counts.devices = devices.len() as u64;
        lines.extend(devices.iter().map(device));
        let end = json!({
            "kind": "end",
            "user": self.user.as_str(),
            "store": log.store_id(),
            "head": self.until,
            "entries": self.counts.entries,
            "cleans": self.counts.cleans,
            "documents": self.counts.documents,
            "nodes": self.counts.nodes,
            "devices": self.counts.devices,
        });
        lines.push_str(&end.to_string());
        lines.push('\n');
        Ok(Some(lines))
    }

    fn piece(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Entry(entry) => {
                self.counts.entries += 1;
                log_export::line_of_kind("entry", entry)
            }
            Piece::Clean { position, id, accepted_ms } => {
                self.counts.cleans += 1;
                let line = json!({
                    "kind": "clean",
                    "position": position,
                    "id": id.to_string(),
                    "accepted": accepted_ms,
                });
                format!("{line}\n")
            }
        }
    }
}

/// What actions of the user's log add up to that were compacted.
fn document(base: &Base) -> String {
    let line = json!({
        "kind": "document",
        "document": base.name.as_str(),
        "position": base.position,
        "value": base.document.value(),
    });
    format!("{line}\n")
}

fn node(node: &NodeId, record: &NodeRecord) -> String {
    let state = NodeState::from_bytes(&record.bytes);
    let subscriptions: Vec<_> = state
        .subscriptions
        .iter()
        .map(|known| {
            json!({
                "channel": known.channel.as_str(),
                "filter": known.filter,
                "through": known.through,
            })
        })
        .collect();
    let line = json!({
        "kind": "node",
        "node": node.as_str(),
        "seen": record.seen_ms,
        "acknowledged": state.acked,
        "subscriptions": subscriptions,
    });
    format!("{line}\n")
}

/// A device that the user registered, with the place where it is woken.
fn device(device: &Device) -> String {
    let (kind, place) = (device.target.kind(), device.target.place());
    let channels: Vec<_> = device.channels.iter().map(Channel::as_str).collect();
    let line = json!({
        "kind": "device",
        "device": device.id.as_str(),
        "client": device.client.as_str(),
        "push": kind,
        "place": place,
        "channels": channels,
        "language": device.language,
        "claims": *device.claims,
        "registered": device.registered_ms,
        "refreshed": device.refreshed_ms,
    });
    format!("{line}\n")
}

/// Writes an export from a running server.
pub async fn export_live(
    app: &App,
    user: &str,
    writer: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let mut export = Export::new(&app.log, super::user(user)?);
    loop {
        let log = app.log.clone();
        let (lines, back) = tokio::task::spawn_blocking(move || {
            let next = export.next(&log);
            next.map(|lines| (lines, export))
        })
        .await??;
        export = back;
        let Some(lines) = lines else { return Ok(()) };
        writer.write_all(lines.as_bytes()).await?;
    }
}
