//! Who comes in, who is sent away, and how long it takes until a client has everything.

use super::put;
use crate::admission::Class;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From ten milliseconds to ten minutes.
const SECONDS: [f64; 15] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 600.0];

/// What is counted at the door. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    admitted: Family<OfClass, Counter>,
    shed: Family<At, Counter>,
    caught_up: Family<OfClass, Histogram>,
    lag: Gauge<f64, std::sync::atomic::AtomicU64>,
    handshakes: Gauge,
}

/// Where somebody is sent away.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// More sockets than may be open: one is closed.
    Accept,
    /// A request for a WebSocket is answered with 503.
    Upgrade,
    /// A WebSocket whose turn has not come in time is closed.
    Turn,
    /// Another request is answered with 503.
    Request,
    /// The server stops.
    Drain,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfClass {
    pub(super) class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct At {
    stage: &'static str,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Accept, Self::Upgrade, Self::Turn, Self::Request, Self::Drain];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Upgrade => "upgrade",
            Self::Turn => "turn",
            Self::Request => "request",
            Self::Drain => "drain",
        }
    }
}

impl Default for Door {
    fn default() -> Self {
        let door = Self {
            admitted: Family::default(),
            shed: Family::default(),
            caught_up: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            lag: Gauge::default(),
            handshakes: Gauge::default(),
        };
        // What is there from the start can be asked for a rate from the start.
        for class in Class::ALL.map(|class| OfClass { class: class.as_str() }) {
            drop(door.admitted.get_or_create(&class));
            drop(door.caught_up.get_or_create(&class));
        }
        for stage in Stage::ALL {
            drop(door.shed.get_or_create(&At { stage: stage.as_str() }));
        }
        door
    }
}

impl Door {
    pub(super) fn register(&self, to: &mut Registry) {
        put(
            to,
            "admitted",
            "Clients and requests that were let in, by how much they had missed",
            &self.admitted,
        );
        put(to, "shed", "Those that were sent away to come again, by where", &self.shed);
        put(
            to,
            "caught_up_seconds",
            "From the first connect of a client until it has everything and all it sent is answered, waits that it gave up included",
            &self.caught_up,
        );
        put(
            to,
            "event_loop_lag_seconds",
            "How much too late tasks run, at most in the last quarter of a second",
            &self.lag,
        );
        put(
            to,
            "handshakes_waiting",
            "Sockets that wait for their TLS handshake to begin",
            &self.handshakes,
        );
    }

    /// Somebody was let in.
    pub(crate) fn admitted(&self, class: Class) {
        self.admitted.get_or_create(&OfClass { class: class.as_str() }).inc();
    }

    /// Somebody was sent away.
    pub(crate) fn shed(&self, stage: Stage) {
        self.shed.get_or_create(&At { stage: stage.as_str() }).inc();
    }

    /// A client was caught up, so long after it came first.
    pub(crate) fn caught_up(&self, class: Class, seconds: f64) {
        self.caught_up.get_or_create(&OfClass { class: class.as_str() }).observe(seconds);
    }

    /// Tasks run so late.
    #[expect(clippy::cast_precision_loss, reason = "a measurement is no ledger")]
    pub(crate) fn lag(&self, ms: u64) {
        self.lag.set(ms as f64 / 1000.0);
    }

    /// A socket waits for its TLS handshake, for as long as what is returned lives.
    pub(crate) fn waits_for_handshake(&self) -> super::Share {
        let mut share = super::Share::of(self.handshakes.clone());
        share.set(1);
        share
    }
}
