//! What a server must not do.

use serde::Serialize;
use std::fmt;

/// Something that a server must not do, as it was seen by one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Violation {
    /// Actions that were acknowledged, or are in the log, never came.
    Missing {
        /// How many.
        count: u64,
        /// The first that is known.
        first: String,
    },
    /// An action came again.
    Repeated {
        /// Its id.
        id: String,
    },
    /// An action came after a later one of the same author.
    OutOfOrder {
        /// Its id.
        id: String,
    },
    /// What two devices received is in another order, or one of them has something else.
    OtherOrder {
        /// The device that is compared with a new one.
        device: String,
    },
    /// An action of this run came that nobody made.
    NeverMade {
        /// Its id.
        id: String,
    },
    /// An action came with another body.
    Altered {
        /// Its id.
        id: String,
        /// What came.
        body: String,
    },
    /// An action was undone that the rules allow.
    Undone {
        /// Its id.
        id: String,
        /// Why.
        reason: String,
    },
    /// An action was accepted that the rules refuse.
    Accepted {
        /// Its id.
        id: String,
    },
    /// More was acknowledged than was sent.
    AcknowledgedNothing,
    /// The server's number fell on a connection.
    NumberFell {
        /// From.
        from: u64,
        /// To.
        to: u64,
    },
    /// Devices of one user do not end with the same values.
    EndUnequal {
        /// The field.
        field: usize,
        /// What a new device has.
        expected: String,
        /// What this one has.
        found: String,
    },
    /// Not everything was acknowledged in the end.
    Unacknowledged {
        /// How many actions.
        count: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { count, first } => {
                write!(f, "{count} actions never came that are acknowledged, the first is {first}")
            }
            Self::Repeated { id } => write!(f, "{id} came again"),
            Self::OutOfOrder { id } => write!(f, "{id} came after a later one of its author"),
            Self::OtherOrder { device } => {
                write!(f, "{device} received its log in another order than a new device does")
            }
            Self::NeverMade { id } => write!(f, "{id} came, and nobody made it"),
            Self::Altered { id, body } => write!(f, "{id} came with another body: {body}"),
            Self::Undone { id, reason } => {
                write!(f, "{id} is undone, and no rule says so: {reason}")
            }
            Self::Accepted { id } => write!(f, "{id} is accepted, and the rules refuse it"),
            Self::AcknowledgedNothing => f.write_str("more is acknowledged than was sent"),
            Self::NumberFell { from, to } => {
                write!(f, "the server's number fell from {from} to {to}")
            }
            Self::EndUnequal { field, expected, found } => {
                write!(f, "field {field} ends as {found}, a new device has {expected}")
            }
            Self::Unacknowledged { count } => {
                write!(f, "{count} actions are not acknowledged in the end")
            }
        }
    }
}

impl std::error::Error for Violation {}

/// A violation, with who saw it, and what that device last heard and said.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The node that saw it.
    pub node: String,
    /// What it saw.
    #[serde(flatten)]
    pub violation: Violation,
    /// Its last frames.
    pub transcript: String,
}
