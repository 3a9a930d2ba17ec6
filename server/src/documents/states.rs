//! Documents as actions, for who loads what they are instead of how they came to be.
//!
//! They are loaded in parts like the items of a map, by the last entry that is in them. The time of a
//! state is just after the latest action in it: a store that puts actions in the order of their times
//! lays it over those that it has already, and what comes live over it.

use super::fold::Folded;
use super::{Documents, Fold, may_be_state, parts_of};
use crate::log::{Channel, Entry, LogName, ReadError};
use crate::rules::Rules;
use crate::sync_map::{RENDERED_SEQUENCE, Shown, Snapshot, Standing};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use siphasher::sip::SipHasher24;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tidelog_crdt::{DocumentName, Incarnation, Position};
use tidelog_protocol::{Action, ActionId, Meta, NodeId};

/// The type of a state.
const STATE: &str = "crdt/state";
/// The lowest bits of a sequence tell kinds of answers apart; a state is none.
const KIND_BITS: u32 = 2;

/// The documents of a user's own log that stand for actions in it.
pub(crate) struct OwnStates {
    /// As they are.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Those of which there is more in channels.
    elsewhere: BTreeSet<DocumentName>,
}

impl OwnStates {
    /// Whether they say all that `entry` does, which is up to where they go.
    pub(crate) fn has(&self, entry: &Entry, rules: &Rules) -> bool {
        let stands = |name: &DocumentName| !self.elsewhere.contains(name);
        if let Some(name) = base_of(entry) {
            return stands(&name);
        }
        let mut parts = Vec::new();
        if may_be_state(entry, rules) {
            parts = parts_of(entry, rules);
        }
        !parts.is_empty() && parts.iter().all(|(name, _)| stands(name))
    }
}

/// Whether `entry` is what compaction has left of a document, or another state of one.
pub(crate) fn is_state(entry: &Entry) -> bool {
    is_state_of(&entry.action, &entry.id)
}

/// The same of an action under its name.
pub(crate) fn is_state_of(action: &Action, id: &ActionId) -> bool {
    action.kind() == STATE && id.node.as_str().starts_with("server:")
}

/// The document that `entry` is, if compaction has left it in place of its entries.
fn base_of(entry: &Entry) -> Option<DocumentName> {
    #[derive(Deserialize)]
    struct State<'a> {
        #[serde(borrow)]
        doc: Cow<'a, str>,
    }
    let state: State<'_> = is_state(entry).then(|| entry.action.body().ok()).flatten()?;
    DocumentName::new(&state.doc).ok()
}

impl Documents {
    /// The documents of `channel` as they are; or, where not `all`, those that stand for actions which
    /// compaction took out. Waits for the disk, and for whoever folds this log.
    pub(crate) fn states(&self, channel: &Channel, all: bool) -> Result<Arc<Snapshot>, ReadError> {
        let log = LogName::Channel(channel.clone());
        self.with(&log, |fold| fold.states(&log, self.log.incarnation(), all))
    }

    /// The documents of the log of a user that stand for actions in it, for a reader who began to load
    /// them when it went as far as `began`.
    pub(crate) fn own_states(
        &self,
        log: &LogName,
        began: Position,
    ) -> Result<OwnStates, ReadError> {
        self.with(log, |fold| fold.own_states(log, self.log.incarnation(), began))
    }
}

impl Fold {
    /// The documents as states; or, where not `all`, those that stand for actions that are gone.
    pub(crate) fn states(
        &self,
        log: &LogName,
        incarnation: Incarnation,
        all: bool,
    ) -> Arc<Snapshot> {
        self.states_of(log, incarnation, |folded| all || folded.spared > Position::ZERO)
    }

    /// As [`Documents::own_states`].
    pub(crate) fn own_states(
        &self,
        log: &LogName,
        incarnation: Incarnation,
        began: Position,
    ) -> OwnStates {
        // What goes to a channel only since then is no reason to take back what was left out.
        let elsewhere =
            |folded: &Folded| folded.elsewhere > Position::ZERO && folded.elsewhere <= began;
        let stands = |folded: &Folded| folded.spared > Position::ZERO && !elsewhere(folded);
        let snapshot = self.states_of(log, incarnation, stands);
        let others = self.documents().iter().filter(|(_, folded)| elsewhere(folded));
        OwnStates { snapshot, elsewhere: others.map(|(name, _)| name.clone()).collect() }
    }

    fn states_of(
        &self,
        log: &LogName,
        incarnation: Incarnation,
        wanted: impl Fn(&Folded) -> bool,
    ) -> Arc<Snapshot> {
        let mut items: BTreeMap<Position, Standing> = BTreeMap::new();
        for (name, folded) in self.documents().iter().filter(|(_, folded)| wanted(folded)) {
            let Some(shown) = folded.state(name, log, incarnation) else { continue };
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
    fn state(&self, name: &DocumentName, log: &LogName, incarnation: Incarnation) -> Option<Shown> {
        let (gone, action) = self.rendered.get_or_init(|| {
            let action = self.document.to_action(name);
            let json = Bytes::from(action.to_string());
            (action.get("state").is_none_or(Value::is_null), Action::from_parts(json, STATE))
        });
        // Of two states of one time the later one counts: nodes are compared as texts.
        let node = NodeId::new(&format!("server:{incarnation}:{:013}", self.changed.get())).ok()?;
        // Documents of one entry have names of their own, in each of its logs.
        let mut hasher = SipHasher24::new();
        match log {
            LogName::Channel(channel) => (channel.as_str(), name.as_str()).hash(&mut hasher),
            LogName::User(user) => ("", user.as_str(), name.as_str()).hash(&mut hasher),
        }
        let sequence = RENDERED_SEQUENCE + (hasher.finish() >> 32 << KIND_BITS);
        let ms = self.latest_ms + 1;
        let meta = Meta { id: ActionId { node, ms, sequence }, time: ms, subprotocol: None };
        Some(Shown { gone: *gone, position: self.changed, action: action.clone(), meta })
    }
}
