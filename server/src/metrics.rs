//! What is counted, and how `/metrics` shows it: Prometheus text, served as `OpenMetrics`.

use crate::ingest::{Judgement, Verdict};
use crate::log::Stats;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The counters. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Open WebSockets.
    pub connections: Gauge,
    /// Long polls and event streams that wait.
    pub waiting: Gauge,
    /// Numbers in `connect`, and cursors, that were not minted here for that user.
    pub claims_failed: Counter,
    live_dropped: Counter,
    node_records_dropped: Counter,
    requests: Family<Answer, Counter>,
    sign_ins: Family<SignIn, Counter>,
    actions: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SignIn {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    path: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    verdict: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let (connections, waiting) = (Gauge::default(), Gauge::default());
        let claims_failed = Counter::default();
        let (live_dropped, node_records_dropped) = (Counter::default(), Counter::default());
        let (sign_ins, actions, requests) =
            (Family::default(), Family::default(), Family::default());
        let mut registry = Registry::with_prefix("tidelog");
        registry.register("connections", "Open WebSockets", connections.clone());
        registry.register("waiting", "Long polls and event streams that wait", waiting.clone());
        registry.register(
            "requests",
            "HTTP requests by path and class of the answer's status",
            Family::clone(&requests),
        );
        registry.register(
            "cursor_claims_failed",
            "Cursors of clients that were not minted by this server for that user",
            claims_failed.clone(),
        );
        registry.register(
            "live_dropped",
            "Live-only actions that found no room on their way to a slow session",
            live_dropped.clone(),
        );
        registry.register(
            "node_records_dropped",
            "Records of nodes that found no room while the disk was slow; each costs a repeat",
            node_records_dropped.clone(),
        );
        registry.register("sign_ins", "Attempts to sign in, by result", Family::clone(&sign_ins));
        registry.register(
            "actions",
            "Actions judged, by verdict: processed, repeated, or the reason why undone",
            Family::clone(&actions),
        );
        let registry = Arc::new(registry);
        Self {
            registry,
            connections,
            waiting,
            claims_failed,
            live_dropped,
            node_records_dropped,
            requests,
            sign_ins,
            actions,
        }
    }
}

impl Metrics {
    /// Somebody tried to sign in.
    pub fn signed_in(&self, accepted: bool) {
        let result = if accepted { "accepted" } else { "refused" };
        self.sign_ins.get_or_create(&SignIn { result }).inc();
    }

    /// So many live-only actions found no room on their way to a session.
    pub fn live_dropped(&self, count: u64) {
        self.live_dropped.inc_by(count);
    }

    /// What the log says of itself, before it is shown.
    pub fn observe(&self, log: &Stats) {
        self.node_records_dropped.inner().store(log.nodes_dropped, Ordering::Relaxed);
    }

    /// A request to `path` was answered with `status`.
    pub fn answered(&self, path: &'static str, status: u16) {
        let status = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Answer { path, status }).inc();
    }

    /// An action was judged.
    pub fn judged(&self, verdict: &Verdict) {
        let verdict = match &verdict.outcome {
            _ if verdict.repeated => "repeated",
            Judgement::Processed => "processed",
            Judgement::Undone(reason, _) => reason.as_str(),
        };
        self.actions.get_or_create(&Outcome { verdict }).inc();
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        text::encode(&mut text, &self.registry).ok();
        text
    }
}
