//! From an action to the device that has it: pushes, how they were answered, and who came.

use super::put;
use crate::wake::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;

/// What is counted of pushes.
#[derive(Clone)]
pub(crate) struct Pushes {
    sent: Family<Sent, Counter>,
    pulled_seconds: Histogram,
    /// How many that has.
    pulled: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Sent {
    service: &'static str,
    result: &'static str,
}

const SERVICES: [&str; 3] = ["web", "apns", "fcm"];
const RESULTS: [&str; 5] = ["accepted", "gone", "refused", "failed", "denied"];
const SECONDS: [f64; 9] = [0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0];

impl Default for Pushes {
    fn default() -> Self {
        let (sent, pulled) = (Family::default(), Counter::default());
        let pushes = Self { sent, pulled_seconds: Histogram::new(SECONDS), pulled };
        for service in SERVICES {
            for result in RESULTS {
                drop(pushes.sent.get_or_create(&Sent { service, result }));
            }
        }
        pushes
    }
}

impl Pushes {
    pub(super) fn register(&self, to: &mut Registry) {
        put(
            to,
            "pushes",
            "Pushes that were sent, by push service and how it answered; a failed one is tried again, and so is a denied one, for which a key, a setting or the clock is wrong here",
            &self.sent,
        );
        put(
            to,
            "push_pulled_seconds",
            "From a push until the device has had what it was for; who takes longer than ten minutes is not counted",
            &self.pulled_seconds,
        );
    }

    /// A push service answered.
    pub(crate) fn answered(&self, service: &'static str, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Accepted => "accepted",
            Outcome::Gone => "gone",
            Outcome::Refused(_) => "refused",
            Outcome::Later { ours: true, .. } => "denied",
            Outcome::Later { .. } => "failed",
        };
        self.sent.get_or_create(&Sent { service, result }).inc();
    }

    /// A device has had what it was told of so many seconds ago.
    pub(crate) fn pulled(&self, seconds: f64) {
        self.pulled_seconds.observe(seconds);
        self.pulled.inc();
    }

    /// What became of pushes since the start: by service and result, and of how many the device came.
    pub(crate) fn since_start(&self) -> (BTreeMap<&str, BTreeMap<&str, u64>>, u64) {
        let count = |service, result| self.sent.get_or_create(&Sent { service, result }).get();
        let of = |service| RESULTS.map(|result| (result, count(service, result))).into();
        (SERVICES.map(|service| (service, of(service))).into(), self.pulled.get())
    }
}
