//! What every connection and request shares.

use crate::admission::Admission;
use crate::aside::blocking;
use crate::auth::{Authenticator, Presence};
use crate::compaction::Terms;
use crate::documents::Documents;
use crate::http;
use crate::hub::Hub;
use crate::ingest::Ingest;
use crate::leaving::Leaving;
use crate::log::{Log, NodeRecord, PageLimit, ReadError};
use crate::metrics::Metrics;
use crate::nodes::Recent;
use crate::outgoing::OutgoingMemory;
use crate::replica::Replicas;
use crate::rules::Rules;
use crate::session::{self, NodeState};
use crate::sync_map::{Lives, Snapshots};
use crate::wake::{Had, Wakes};
use crate::ws::Budget;
use std::ops::Deref;
use std::sync::Arc;
use tidelog_protocol::{ClientId, Headers, NodeId, peer};
use tokio::sync::watch;

/// A handle of the running server. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What is known of maps beside their logs, for sessions and requests alike.
pub(crate) struct Maps {
    /// Maps folded.
    pub snapshots: Snapshots,
    /// What became of items.
    pub lives: Lives,
}

/// The parts of a running server.
pub struct Parts {
    /// The log.
    pub log: Log,
    /// The way into it.
    pub ingest: Ingest,
    /// What the actions of its logs add up to.
    pub(crate) documents: Documents,
    /// What goes when it is compacted.
    pub(crate) compaction: Terms,
    /// Who is connected.
    pub hub: Hub,
    /// Who may do what.
    pub rules: Arc<Rules>,
    /// Who may come in.
    pub auth: Arc<Authenticator>,
    /// What is counted.
    pub metrics: Metrics,
    /// Who is woken, and how.
    pub(crate) wakes: Arc<Wakes>,
    /// Who follows this server, and how the link to the one that it follows is.
    pub(crate) replicas: Arc<Replicas>,
    /// Whether it follows one.
    pub(crate) upstream: bool,
    /// What sessions share.
    pub session: Arc<session::Shared>,
    /// What is known of maps.
    pub(crate) maps: Maps,
    /// What requests share.
    pub(crate) http: http::Shared,
    /// What peers are told at their making.
    pub peer: Arc<peer::Settings>,
    /// The server's node id.
    pub node: NodeId,
    /// The version of the application, sent to clients.
    pub subprotocol: u32,
    /// `--dev`: the demo is there.
    pub(crate) dev: bool,
    /// What clients are told before `connected`.
    pub headers: Option<Headers>,
    /// Connected clients of one user.
    pub sessions_per_user: usize,
    /// How much of a log is read at once for a session.
    pub page: PageLimit,
    /// Memory for large frames.
    pub budget: Budget,
    /// Memory for what goes out.
    pub(crate) outgoing: OutgoingMemory,
    /// Who is let in, and when.
    pub(crate) door: Admission,
    /// In which order clients leave when the server stops.
    pub(crate) leaving: Leaving,
    /// What is known of nodes that left a moment ago.
    pub recent: Recent,
    /// True when the server stops.
    pub stop: watch::Receiver<bool>,
}

impl App {
    /// A server of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    /// Waits until the server stops.
    pub async fn stopping(&self) {
        // A sender that is gone means the same.
        drop(self.stop.clone().wait_for(|stop| *stop).await);
    }

    /// What is remembered of a node. Removes what only memory has: a connection takes it over.
    pub async fn node_state(&self, node: NodeId) -> Result<NodeState, ReadError> {
        if let Some(state) = self.recent.take(&node) {
            return Ok(state);
        }
        let log = self.log.clone();
        let record = blocking(move || log.node(&node)).await?;
        Ok(record.map(|record| NodeState::from_bytes(&record.bytes)).unwrap_or_default())
    }

    /// The same of a node that stays as it is: another sends what it has left.
    pub(crate) async fn known_node(&self, node: &NodeId) -> Result<NodeState, ReadError> {
        if let Some(state) = self.recent.get(node) {
            return Ok(state);
        }
        let (log, node) = (self.log.clone(), node.clone());
        let record = blocking(move || log.node(&node)).await?;
        Ok(record.map(|record| NodeState::from_bytes(&record.bytes)).unwrap_or_default())
    }

    /// A device has had something, and need not be woken for it.
    pub(crate) fn has_had(&self, client: &ClientId, had: &Had) {
        for seconds in self.wakes.had(client, had) {
            self.metrics.push.pulled(seconds);
        }
    }

    /// Remembers a running session's node on disk, about a second later.
    pub fn save_node(&self, node: &NodeId, state: &NodeState, now: u64) {
        self.has_had(&node.client(), &Had::of_session(state));
        let record = NodeRecord { seen_ms: now, bytes: state.to_bytes() };
        self.log.save_node(node.clone(), record);
    }

    /// Remembers the node of a session that has ended: on disk, and for a while exactly. Its client is here until it
    /// is known what that has had, or it would be woken for it.
    pub(crate) fn leave_node(&self, node: &NodeId, state: NodeState, presence: Presence, now: u64) {
        self.save_node(node, &state, now);
        self.recent.put(node.clone(), state);
        drop(presence);
    }
}
