//! How far the feed of another server was taken: what both sides of a link remember.

use crate::clock::Stopwatch;
use crate::log::{Log, Stopped};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidelog_crdt::{Dot, Incarnation, Position};
use tidelog_protocol::ActionId;
use tidelog_protocol::replica::Taken;

/// It is written down so often; after a crash a little is taken again.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// What nobody tells of, such as a body that was taken out, is looked for so often.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct TakenNote(u8, Taken);

/// What a note says; none if it cannot be read, which costs repeats.
pub(super) fn read(note: &[u8]) -> Option<Taken> {
    match rmp_serde::from_slice(note) {
        Ok(TakenNote(1, taken)) => Some(taken),
        Ok(TakenNote(..)) | Err(_) => None,
    }
}

/// Writes the note of this name.
pub(super) async fn write(log: &Log, name: String, taken: Taken) -> Result<(), Stopped> {
    let note = rmp_serde::to_vec(&TakenNote(1, taken)).unwrap_or_default();
    log.keep_note(name, Some(note)).await
}

/// When it was written down last.
#[derive(Debug, Default)]
pub(super) struct Saved(Option<Stopwatch>);

impl Saved {
    /// Whether it is time to do it again; then it counts as done.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.0.as_ref().is_none_or(|saved| saved.has_passed(SAVE_EVERY));
        if is_due {
            self.0 = Some(Stopwatch::start());
        }
        is_due
    }
}

/// Whether a feed in this life, which ends at `head`, is shorter than what was taken of it.
pub(super) fn is_shorter(taken: &Taken, incarnation: Incarnation, head: Position) -> bool {
    taken.incarnation == incarnation && taken.through > head
}

/// Whether an action can have this name: those that this store gave it knows, unless it lost them.
pub(super) fn is_possible(log: &Log, id: &ActionId, dot: Dot) -> bool {
    match log.incarnations().resume(dot.incarnation, Position::MAX) {
        Some(last) if dot.position <= last => {
            log.find(id).ok().flatten().is_some_and(|position| position == dot.position)
        }
        _ => true,
    }
}
