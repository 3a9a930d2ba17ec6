//! What is counted and measured: the list of it is docs/metrics.md.
//!
//! The names and values of labels are words of this program, never a client's: what a client could
//! choose would grow without bound.

mod door;
mod links;
mod process;
mod push;
mod share;
mod site;
mod text;

pub(crate) use door::{Door, Stage};
pub(crate) use share::Share;
pub(crate) use site::Site;
pub(crate) use text::Format;

use crate::auth::Refusal;
use crate::ingest::{Judgement, Verdict};
use crate::log::Meter;
use crate::rules::UndoReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use push::Pushes;
use std::sync::Arc;
use tidelog_protocol::codec::Version;

/// The counters. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Long polls and event streams that wait.
    pub waiting: Gauge,
    /// Numbers in `connect`, and cursors, that were not minted here for that user.
    pub claims_failed: Counter,
    /// From an action to the device that has it.
    pub(crate) push: Pushes,
    live_dropped: Counter,
    catching_up: Gauge,
    outgoing: Gauge,
    connections: Family<Spoken, Gauge>,
    requests: Family<Answer, Counter>,
    sign_ins: Family<SignIn, Counter>,
    /// Those of them that are the rule.
    signed_in: Counter,
    accepted: Counter,
    repeated: Counter,
    undone: Family<Undone, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Spoken {
    protocol: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SignIn {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Undone {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    path: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

impl Default for Metrics {
    /// What is counted from now on.
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics =
            Self::register(registry.sub_registry_with_prefix("tidelog"), Gauge::default());
        Self { registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
    /// What is counted from now on, and what is read from `site` whenever somebody asks; `outgoing`
    /// tells what waits for slow clients.
    pub(crate) fn of(site: Site, outgoing: Gauge) -> Self {
        let mut registry = Registry::default();
        let metrics = Self::register(registry.sub_registry_with_prefix("tidelog"), outgoing);
        register_meter(registry.sub_registry_with_prefix("tidelog"), site.log.meter());
        site.door.told().register(registry.sub_registry_with_prefix("tidelog"));
        registry.register_collector(Box::new(site));
        registry.register_collector(Box::new(process::Process));
        Self { registry: Arc::new(registry), ..metrics }
    }

    fn register(to: &mut Registry, outgoing: Gauge) -> Self {
        let sign_ins = Family::<SignIn, Counter>::default();
        let metrics = Self {
            registry: Arc::default(),
            waiting: Gauge::default(),
            claims_failed: Counter::default(),
            push: Pushes::default(),
            live_dropped: Counter::default(),
            catching_up: Gauge::default(),
            outgoing,
            connections: Family::default(),
            requests: Family::default(),
            signed_in: sign_ins.get_or_create_owned(&SignIn { result: result(None) }),
            sign_ins,
            accepted: Counter::default(),
            repeated: Counter::default(),
            undone: Family::default(),
        };
        metrics.register_who_comes(to);
        metrics.register_what_comes(to);
        metrics.push.register(to);
        metrics.begin_at_zero();
        metrics
    }

    /// Connections, requests and sign-ins.
    fn register_who_comes(&self, to: &mut Registry) {
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        put(to, "build_info", "1, with the version of the server", &build);
        put(
            to,
            "connections",
            "Open WebSockets, by the protocol version that they speak; none before sign-in",
            &self.connections,
        );
        put(
            to,
            "sessions_catching_up",
            "Sessions that are behind, and are sent what the log has",
            &self.catching_up,
        );
        put(to, "outgoing_bytes", "Frames that wait for slow clients to take them", &self.outgoing);
        put(to, "waiting", "Long polls and event streams that wait for news", &self.waiting);
        put(
            to,
            "http_requests",
            "HTTP requests, by route, method, and status of the answer",
            &self.requests,
        );
        put(to, "sign_ins", "Attempts to sign in, by result", &self.sign_ins);
    }

    /// Actions and numbers.
    fn register_what_comes(&self, to: &mut Registry) {
        put(
            to,
            "actions_accepted",
            "Actions that were processed, other than subscriptions",
            &self.accepted,
        );
        put(
            to,
            "actions_repeated",
            "Actions that came again and had been judged before",
            &self.repeated,
        );
        put(
            to,
            "actions_undone",
            "Actions that were undone, subscriptions among them, by reason",
            &self.undone,
        );
        put(
            to,
            "cursor_claims_failed",
            "Numbers and cursors of clients that were not minted by this server for that user",
            &self.claims_failed,
        );
        put(
            to,
            "live_dropped",
            "Live-only actions that found no room on their way to a slow session",
            &self.live_dropped,
        );
    }

    /// What is there from the start can be asked for a rate from the start.
    fn begin_at_zero(&self) {
        let versions = Version::ALL.map(Some).into_iter().chain([None]);
        versions.for_each(|version| drop(self.connection(version)));
        let results = Refusal::ALL.map(Some).into_iter().chain([None]);
        for result in results.map(result) {
            drop(self.sign_ins.get_or_create(&SignIn { result }));
        }
        for reason in UndoReason::WORDS.map(|reason| reason.word()) {
            drop(self.undone.get_or_create(&Undone { reason }));
        }
    }

    /// A WebSocket is open for as long as this lives; it has no version before sign-in.
    pub(crate) fn connection(&self, version: Option<Version>) -> Share {
        let protocol = version.map_or("none".to_owned(), |it| it.protocol().to_string());
        let mut share = Share::of(self.connections.get_or_create_owned(&Spoken { protocol }));
        share.set(1);
        share
    }

    /// A session's part in [`Share::set`] 1 while it catches up.
    pub(crate) fn catching_up(&self) -> Share {
        Share::of(self.catching_up.clone())
    }

    /// A connection's part in the bytes that wait for slow clients.
    pub(crate) fn outgoing(&self) -> Share {
        Share::of(self.outgoing.clone())
    }

    /// So many live-only actions found no room on their way to a session.
    pub(crate) fn live_dropped(&self, count: u64) {
        self.live_dropped.inc_by(count);
    }

    /// Somebody tried to sign in.
    pub(crate) fn signed_in(&self, refusal: Option<Refusal>) {
        match refusal {
            None => self.signed_in.inc(),
            refusal => self.sign_ins.get_or_create(&SignIn { result: result(refusal) }).inc(),
        };
    }

    /// A request to the route `path` was answered with `status`.
    pub(crate) fn answered(&self, path: String, method: &'static str, status: u16) {
        self.requests.get_or_create(&Answer { path, method, status }).inc();
    }

    /// An action was judged.
    pub(crate) fn judged(&self, verdict: &Verdict) {
        let counter = match &verdict.outcome {
            _ if verdict.repeated => &self.repeated,
            Judgement::Processed => &self.accepted,
            Judgement::Undone(reason, _) => return self.undone(reason.word()),
        };
        counter.inc();
    }

    /// An action was undone for `reason`.
    pub(crate) fn undone(&self, reason: &'static str) {
        self.undone.get_or_create(&Undone { reason }).inc();
    }

    /// The answer of `/metrics`. Looks at the disk.
    pub(crate) fn text(&self, format: Format) -> String {
        format.write(&self.registry)
    }
}

fn put(to: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    to.register(name, help, metric.clone());
}

fn register_meter(to: &mut Registry, meter: &Meter) {
    put(
        to,
        "append_seconds",
        "From asking to append actions until they are durable: room in the queue, a turn, the disk",
        &meter.append_seconds,
    );
    put(
        to,
        "commit_seconds",
        "From taking a batch until it is durable and published",
        &meter.commit_seconds,
    );
    put(to, "fsync_seconds", "The syncs that commits wait for", &meter.fsync_seconds);
    put(to, "commit_actions", "Actions in a commit", &meter.commit_actions);
    put(to, "commit_bytes", "Bytes that a commit writes to the feed", &meter.commit_bytes);
}

fn result(refusal: Option<Refusal>) -> &'static str {
    refusal.map_or("accepted", Refusal::as_str)
}
