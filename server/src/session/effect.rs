//! What a session asks the rest of the server to do.

use super::NodeState;
use crate::catch_up::OwnOrder;
use crate::ingest::Submission;
use crate::log::{Channel, LogName};
use crate::sync_map::Wanted;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::Frame;

/// One thing to do, in the order in which they come.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send a frame.
    Send(Frame),
    /// Judge and append; answered by `on_verdicts`. At most one is under way.
    Ingest(Vec<Submission>),
    /// Read; answered by `on_stretch` or `on_loaded`. At most one is under way.
    Read(ReadOrder),
    /// Entries of this log are to arrive in the inbox.
    Follow(LogName),
    /// Entries of this log are no longer wanted.
    Unfollow(LogName),
    /// Everything up to here was read: live from the inbox again, if nothing came by since.
    /// Answered by `on_resumed`.
    Resume(Position),
    /// Remember this of the node.
    Remember(NodeState),
    /// Something was undone here, and is to be counted.
    Undone(&'static str),
}

/// What to read from the log.
#[derive(Debug, Clone)]
pub(crate) enum ReadOrder {
    /// The entries of these logs above a position, merged in order of position.
    Stretch {
        /// The logs.
        logs: Vec<LogName>,
        /// Only what is above.
        above: Position,
    },
    /// Items of a map, as they are: the next part of a load.
    Items {
        /// The channel.
        channel: Channel,
        /// The name of the map.
        map: Arc<str>,
        /// The channel is that of one item.
        single: bool,
        /// Which of them.
        wanted: Wanted,
    },
    /// The user's own log, for who has missed much of it.
    Own(OwnOrder),
    /// The documents of a channel, as they are: the next part of a load.
    States {
        /// The channel.
        channel: Channel,
        /// Which of them.
        wanted: Wanted,
    },
    /// The entries of a channel above `after`; or, when they are many, what they add up to.
    Missed {
        /// The channel.
        channel: Channel,
        /// The name of the map whose channel it is.
        map: Option<Arc<str>>,
        /// More are many.
        most: usize,
        /// Which items or documents, then.
        wanted: Wanted,
    },
    /// Nothing but the head: from where a subscription without a load starts.
    Head,
}
