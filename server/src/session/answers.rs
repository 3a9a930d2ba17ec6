//! Answers to a client's actions, and the ids that they travel under.
//!
//! The id says what is answered: `"<ms> server:<incarnation>:<position> <k>"`. For an entry that is
//! the commit's time and its position, with k = 0 for processed and 1 for undone, so that an answer
//! that is repeated has the same id. For what has no entry it is now, the current position, and a
//! k from 2 up.

use crate::epochs::Epochs;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::{Action, ActionId, Meta, NodeId, builtin};

/// The k of an answer that says an entry was processed.
const PROCESSED: u64 = 0;
/// The least k of an answer that belongs to no entry.
const NO_ENTRY: u64 = 2;

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

    /// An answer that belongs to no entry.
    pub fn unplaced(incarnation: Incarnation, position: Position, now: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(NO_ENTRY);
        let k = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { ms: now, incarnation, position, k }
    }

    fn meta(self, time: u64) -> Option<Meta> {
        let node = NodeId::new(&format!("server:{}:{}", self.incarnation, self.position)).ok()?;
        let id = ActionId { node, ms: self.ms, sequence: self.k };
        Some(Meta { id, time, subprotocol: None })
    }
}

/// An action of the server's own, with its meta.
pub type Sent = (Action, Meta);

/// `logux/processed` for `id`.
pub fn processed(id: &ActionId, answer: AnswerId) -> Option<Sent> {
    Some((builtin::processed(id), answer.meta(answer.ms)?))
}

/// `logux/undo` of `action`. Its time is after that of the action, or a store that travels in time
/// would keep the action: at equal times the node ids decide.
pub fn undone(action: &Action, meta: &Meta, reason: &str, answer: AnswerId) -> Option<Sent> {
    let time = answer.ms.max(meta.time.saturating_add(1).min(ActionId::NUMBER_MAX));
    Some((builtin::undo(&meta.id, reason, action), answer.meta(time)?))
}

/// `logux/subscribed` to `channel`.
pub fn subscribed(channel: &str, answer: AnswerId) -> Option<Sent> {
    Some((builtin::subscribed(channel), answer.meta(answer.ms)?))
}

/// The position in a `since.id`, if this server minted it for the answer to a subscription, in the
/// history that it now has.
///
/// The id of an entry's answer, or of a rendered entry, says nothing of a subscription. A position
/// that was given anew after a backup was restored belongs to an epoch that started after the id
/// was made.
pub fn position_in_since(id: &str, incarnation: Incarnation, epochs: &Epochs) -> Option<Position> {
    let id: ActionId = id.parse().ok()?;
    let (server, position) = id.node.as_str().rsplit_once(':')?;
    let position = Position::new(position.parse().ok()?)?;
    let ours = server == format!("server:{incarnation}") && id.sequence >= NO_ENTRY;
    if position == Position::ZERO {
        return None;
    }
    let epoch = epochs.of(position)?;
    (ours && epoch.started_ms <= id.ms).then_some(position)
}
