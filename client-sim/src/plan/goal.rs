//! What a run is meant to reach, as its scenario says.

use serde::{Deserialize, Serialize};

/// A figure, and what it is meant to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// The figure.
    pub figure: Figure,
    /// The group whose figure it is, where groups have one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// It is meant to be at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// It is meant to be at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

/// What can be a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Half of a group's acknowledgements took less, in ms.
    AcknowledgedP50Ms,
    /// 99 % did.
    AcknowledgedP99Ms,
    /// 99 % of the deliveries to a group took less, in ms.
    DeliveredP99Ms,
    /// 99 % of a group's devices had everything after so many seconds.
    CaughtUpP99Seconds,
    /// The last one of a group had.
    CaughtUpMaxSeconds,
    /// Jain's index among the devices of a group that were let in together.
    Fairness,
    /// The longest wait of a group, by what the whole work takes at the measured pace.
    WaitByPace,
    /// The most memory that the server had, in MiB.
    ServerPeakMib,
}

impl Figure {
    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedP50Ms => "p50 of acknowledgements, ms",
            Self::AcknowledgedP99Ms => "p99 of acknowledgements, ms",
            Self::DeliveredP99Ms => "p99 of deliveries, ms",
            Self::CaughtUpP99Seconds => "p99 of the time until caught up, s",
            Self::CaughtUpMaxSeconds => "longest time until caught up, s",
            Self::Fairness => "Jain's index of fairness",
            Self::WaitByPace => "longest wait, in what all the work takes at the steady pace",
            Self::ServerPeakMib => "most memory of the server, MiB",
        }
    }
}
