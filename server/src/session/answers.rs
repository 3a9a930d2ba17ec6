//! Answers to a client's actions, and the ids that they travel under.
//!
//! The id says what is answered: `"<ms> server:<incarnation>:<position> <k>"`. For an entry that is
//! the commit's time and its position, with k = 0 for processed and 1 for undone, so that an answer
//! that is repeated has the same id. For what has no entry it is now and the current position, and
//! k counts: k mod 4 is 3 for a subscription and 2 for everything else. The k of a subscription has a
//! tag of 16 bits in it, a hash over the channel with the id of the epoch: as a `since.id` it counts
//! for that channel, in that history, and nowhere else, but for one coincidence in 65,536.

use crate::epochs::Epochs;
use crate::ingest::{Judgement, Verdict};
use crate::log::Channel;
use crate::rules::UndoReason;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::{Action, ActionId, Meta, NodeId, Pair, builtin};

/// The k of an answer that says an entry was processed.
const PROCESSED: u64 = 0;
/// And that it was undone.
const UNDONE: u64 = 1;
/// What k is, modulo 4, for an answer that belongs to no entry.
const NO_ENTRY: u64 = 2;
/// And if it is the answer to a subscription.
const SUBSCRIPTION: u64 = 3;
/// The two bits of k that say what is answered.
const KIND_BITS: u32 = 2;
/// The bits of the k of a subscription, above those, that say to which channel.
const TAG_BITS: u32 = 16;

/// The name under which an answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerId {
    ms: u64,
    incarnation: Incarnation,
    position: Position,
    k: u64,
}

impl AnswerId {
    /// The answer that the entry at `position`, accepted at `ms`, was processed.
    pub fn of_entry(incarnation: Incarnation, position: Position, ms: u64) -> Self {
        Self { ms, incarnation, position, k: PROCESSED }
    }

    /// The answer that the entry at `position`, stored at `ms`, was undone; an undo that the log tells
    /// of is called the same.
    pub fn of_undone(incarnation: Incarnation, position: Position, ms: u64) -> Self {
        Self { ms, incarnation, position, k: UNDONE }
    }

    /// An answer that belongs to no entry.
    pub fn unplaced(incarnation: Incarnation, position: Position, now: u64) -> Self {
        let k = (next() << KIND_BITS) | NO_ENTRY;
        Self { ms: now, incarnation, position, k }
    }

    /// The answer to a subscription to `channel`, which was delivered up to `position`.
    pub(super) fn of_subscription(
        incarnation: Incarnation,
        position: Position,
        now: u64,
        (channel, epochs): (&Channel, &Epochs),
    ) -> Self {
        let count = (next() << TAG_BITS) | tag(channel, position, epochs);
        let k = (count << KIND_BITS) | SUBSCRIPTION;
        Self { ms: now, incarnation, position, k }
    }

    fn meta(self, time: u64) -> Option<Meta> {
        let node = NodeId::new(&format!("server:{}:{}", self.incarnation, self.position)).ok()?;
        let id = ActionId { node, ms: self.ms, sequence: self.k };
        Some(Meta { id, time, subprotocol: None })
    }
}

/// Tells apart answers without an entry that are given in one millisecond. Within 32 bits, so that k
/// stays below 2^53.
fn next() -> u64 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).into()
}

fn tag(channel: &Channel, position: Position, epochs: &Epochs) -> u64 {
    let epoch = epochs.of(position).map_or(0, |epoch| epoch.id);
    let mut hasher = SipHasher24::new_with_keys(epoch, position.get());
    hasher.write(channel.as_str().as_bytes());
    hasher.finish() >> (u64::BITS - TAG_BITS)
}

/// An action of the server's own, with its meta.
pub(super) type Sent = (Action, Meta);

/// What is to be answered. It is made when it is sent: until then it is a fraction of its size, and a
/// client that does not read decides how long that is.
pub(super) enum Answer {
    /// `logux/processed` for the action.
    Processed(ActionId, AnswerId),
    /// `logux/undo` of the action.
    Undone(Box<(Action, Meta)>, UndoReason, AnswerId),
}

impl Answer {
    /// What a verdict is answered with.
    pub(super) fn to(verdict: Verdict) -> Self {
        match verdict.outcome {
            Judgement::Processed => Self::Processed(verdict.id, verdict.answer),
            Judgement::Undone(reason, sent) => Self::Undone(sent, reason, verdict.answer),
        }
    }

    /// That it is undone.
    pub(super) fn undone(pair: &Pair, reason: UndoReason, answer: AnswerId) -> Self {
        Self::Undone(Box::new((pair.action.clone(), pair.meta.clone())), reason, answer)
    }

    /// How much it keeps in memory, beside its place in the queue.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Processed(..) => 0,
            Self::Undone(sent, reason, _) => sent.0.json().len() + reason.text().len(),
        }
    }

    pub(super) fn make(self) -> Option<Sent> {
        match self {
            Self::Processed(id, answer) => processed(&id, answer),
            Self::Undone(sent, reason, answer) => undone(&sent.0, &sent.1, reason.text(), answer),
        }
    }
}

/// `logux/processed` for `id`.
pub(super) fn processed(id: &ActionId, answer: AnswerId) -> Option<Sent> {
    Some((builtin::processed(id), answer.meta(answer.ms)?))
}

/// `logux/undo` of `action`. Its time is after that of the action, or a store that travels in time
/// would keep the action: at equal times the node ids decide.
pub(super) fn undone(action: &Action, meta: &Meta, reason: &str, answer: AnswerId) -> Option<Sent> {
    let time = answer.ms.max(meta.time.saturating_add(1).min(ActionId::NUMBER_MAX));
    Some((builtin::undo(&meta.id, reason, action), answer.meta(time)?))
}

/// `logux/subscribed` to `channel`.
pub(super) fn subscribed(channel: &str, answer: AnswerId) -> Option<Sent> {
    Some((builtin::subscribed(channel), answer.meta(answer.ms)?))
}

/// The position in a `since.id`, if this server minted it for the answer to a subscription to
/// `channel`, in the history that it now has.
///
/// The id of any other answer, or of a rendered entry, says nothing of what was delivered. A position
/// that was given anew after a backup was restored belongs to an epoch that started after the id
/// was made.
pub(super) fn position_in_since(
    id: &str,
    channel: &Channel,
    (incarnation, epochs): (Incarnation, &Epochs),
) -> Option<Position> {
    let id: ActionId = id.parse().ok()?;
    let (server, position) = id.node.as_str().rsplit_once(':')?;
    let position = Position::new(position.parse().ok()?)?;
    let (count, kind) = (id.sequence >> KIND_BITS, id.sequence & ((1 << KIND_BITS) - 1));
    let ours = server == format!("server:{incarnation}")
        && kind == SUBSCRIPTION
        && count & ((1 << TAG_BITS) - 1) == tag(channel, position, epochs);
    if position == Position::ZERO {
        return None;
    }
    let epoch = epochs.of(position)?;
    (ours && epoch.started_ms <= id.ms).then_some(position)
}
