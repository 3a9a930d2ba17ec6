//! Documents as actions, for who loads what they are instead of how they came to be.
//!
//! They are loaded in parts like the items of a map, by the last entry that is in them. The time of a
//! state is just after the latest action in it: a store that puts actions in the order of their times
//! lays it over those that it has already, and what comes live over it.

use super::fold::Folded;
use super::{Documents, Fold};
use crate::log::{Channel, LogName, ReadError};
use crate::sync_map::{RENDERED_SEQUENCE, Shown, Snapshot, Standing};
use bytes::Bytes;
use serde_json::Value;
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tidelog_crdt::{DocumentName, Incarnation, Position};
use tidelog_protocol::{Action, ActionId, Meta, NodeId};

/// The type of a state.
const STATE: &str = "crdt/state";
/// The lowest bits of a sequence tell kinds of answers apart; a state is none.
const KIND_BITS: u32 = 2;

impl Documents {
    /// The documents of `channel` as they are. Waits for the disk, and for whoever folds this log.
    pub(crate) fn states(&self, channel: &Channel) -> Result<Arc<Snapshot>, ReadError> {
        let log = LogName::Channel(channel.clone());
        self.with(&log, |fold| fold.states(channel, self.log.incarnation()))
    }
}

impl Fold {
    /// The documents as states.
    pub(crate) fn states(&self, channel: &Channel, incarnation: Incarnation) -> Arc<Snapshot> {
        let mut items: BTreeMap<Position, Standing> = BTreeMap::new();
        for (name, folded) in self.documents() {
            let Some(shown) = folded.state(name, channel, incarnation) else { continue };
            let touched = folded.changed;
            match items.get_mut(&touched) {
                // One entry changed several documents: who has had it, has had them all.
                Some(item) => {
                    item.gone = false;
                    let empty = item.deleted.take();
                    item.changed.extend(empty.into_iter().chain([shown]));
                }
                None => drop(items.insert(touched, standing(name, shown))),
            }
        }
        Snapshot::of_items(items.into_values().collect(), self.through())
    }
}

/// A document as an item; an empty one is gone, so that who has nothing is not told of it.
fn standing(name: &DocumentName, shown: Shown) -> Standing {
    let (item, touched, gone) = (name.as_str().into(), shown.position, shown.gone);
    let (deleted, changed) = if gone { (Some(shown), Vec::new()) } else { (None, vec![shown]) };
    Standing { item, touched, gone, deleted, changed, rewritten: Vec::new() }
}

impl Folded {
    fn state(
        &self,
        name: &DocumentName,
        channel: &Channel,
        incarnation: Incarnation,
    ) -> Option<Shown> {
        let (gone, action) = self.rendered.get_or_init(|| {
            let action = self.document.to_action(name);
            let json = Bytes::from(action.to_string());
            (action.get("state").is_none_or(Value::is_null), Action::from_parts(json, STATE))
        });
        // Of two states of one time the later one counts: nodes are compared as texts.
        let node = NodeId::new(&format!("server:{incarnation}:{:013}", self.changed.get())).ok()?;
        // Documents of one entry have names of their own, in each of its channels.
        let mut hasher = SipHasher24::new();
        (channel.as_str(), name.as_str()).hash(&mut hasher);
        let sequence = RENDERED_SEQUENCE + (hasher.finish() >> 32 << KIND_BITS);
        let ms = self.latest_ms + 1;
        let meta = Meta { id: ActionId { node, ms, sequence }, time: ms, subprotocol: None };
        Some(Shown { gone: *gone, position: self.changed, action: action.clone(), meta })
    }
}
