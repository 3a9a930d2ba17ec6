//! What a run measures: times, events per device, what it costs the server, and how it went over time.

mod fairness;
mod series;
mod server;
mod stats;
mod times;

pub use fairness::Fairness;
pub(crate) use fairness::fairness;
pub use series::Sample;
pub(crate) use series::Sampler;
pub(crate) use server::{Reading, ServerWatch};
pub(crate) use stats::{Episode, GroupStats, Stats};
pub use times::{Latency, Point};
pub(crate) use times::{Times, float};
