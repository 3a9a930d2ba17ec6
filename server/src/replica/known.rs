//! What is known of those who follow this server: whether they are linked, and how far they are.

use super::desk::{Desk, LAG_NOTES, UPSTREAM_LAG_NOTE};
use super::lag::Lag;
use super::pace::Paces;
use super::registry::Replica;
use serde::Serialize;
use std::sync::Arc;

/// What is known of one server that follows this one.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Known {
    /// When it was here last, in ms since the epoch.
    pub(crate) seen_ms: u64,
    /// When the link came up, if it is up.
    pub(crate) since_ms: Option<u64>,
    /// Which socket it is; 0 for requests.
    #[serde(skip)]
    pub(super) link: u64,
    /// The end of its feed, and how much of it is here.
    pub(crate) head: u64,
    pub(crate) taken: u64,
    /// Actions that it brought, those that were refused, and those that were undone.
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) undone: u64,
}

/// A server that has not asked for so long is not linked.
const LINKED_MS: u64 = 90_000;

impl Known {
    /// Whether the link is up, as far as this side knows.
    pub(crate) fn is_linked(&self, now_ms: u64) -> bool {
        self.since_ms.is_some() && self.seen_ms + LINKED_MS > now_ms
    }
}

impl Desk {
    /// What is known of `replica`.
    pub(crate) fn known(&self, replica: &str) -> Known {
        self.memory().known.get(replica).cloned().unwrap_or_default()
    }

    /// How far `replica` is behind.
    pub(super) fn lag(&self, replica: &str) -> Arc<Lag> {
        Arc::clone(self.memory().lags.entry(replica.to_owned()).or_default())
    }

    /// What is to be written down of who is how far.
    pub(super) fn lag_notes(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let lags = self.memory().lags.clone();
        let notes =
            lags.iter().map(|(name, lag)| (format!("{LAG_NOTES}{name}"), lag.note(&self.log)));
        let upstream = (UPSTREAM_LAG_NOTE.to_owned(), self.upstream.note(&self.log));
        notes.chain([upstream]).filter(|(_, note)| note.is_some()).collect()
    }

    /// Nothing is known any more of a replica that was removed. The note to be deleted.
    pub(super) fn forget(&self, replica: &str) -> String {
        let mut memory = self.memory();
        memory.lags.remove(replica);
        memory.known.remove(replica);
        memory.paces.remove(replica);
        format!("{LAG_NOTES}{replica}")
    }

    /// Those whose link was up, and who have not asked for long.
    pub(super) fn gone(&self, now_ms: u64) -> Vec<String> {
        let memory = self.memory();
        let gone =
            memory.known.iter().filter(|(_, it)| it.since_ms.is_some() && !it.is_linked(now_ms));
        gone.map(|(name, _)| name.clone()).collect()
    }

    /// A replica is linked by this socket, or, with 0, by requests.
    pub(super) fn is_linked_by(&self, replica: &Replica, link: u64) {
        self.note(replica, |known| known.link = link);
    }

    /// The socket is closed; the replica may be linked by another one by now.
    pub(super) fn is_closed(&self, replica: &str, link: u64, now_ms: u64) {
        if self.known(replica).link == link {
            self.tell_gone(replica, now_ms);
        }
    }

    /// The link of a replica is down.
    pub(super) fn tell_gone(&self, replica: &str, now_ms: u64) {
        let since_ms = self.memory().known.get_mut(replica).and_then(|it| it.since_ms.take());
        let Some(since_ms) = since_ms else { return };
        let seconds = now_ms.saturating_sub(since_ms) / 1000;
        let lacks = self.lag(replica).behind(now_ms).map(|it| it.actions);
        tracing::info!(replica, seconds, lacks, "the link of a replica is down");
    }

    /// How fast each direction of a link goes.
    pub(super) fn paces(&self, replica: &str) -> Arc<Paces> {
        Arc::clone(self.memory().paces.entry(replica.to_owned()).or_default())
    }
}
