//! Lists of a map bring their items along: the server subscribes the client to each item that it
//! shows, and says so, so that the client need not ask.

use super::answers::{self, AnswerId, Sent};
use super::hiding::Hiding;
use super::node_state::BROUGHT_MAX;
use super::subscription::{Key, Load, LoadKind, State, Subscription};
use super::{Brought, Effect, Moment, Session};
use crate::log::{Channel, Entry, LogName};
use crate::rules::{Access, Filter, SyncMapOp};
use crate::sync_map;
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::{ActionId, Meta, builtin};

impl Session {
    /// An item that comes to be within a list brings its own subscription along. Its name.
    pub(super) fn imply_created(
        &mut self,
        entry: &Entry,
        (name, by): (&str, &Key),
        at: Moment,
        sent: &mut Vec<Sent>,
    ) -> Option<Key> {
        if SyncMapOp::of(entry.action.kind(), name) != Some(SyncMapOp::Create) {
            return None;
        }
        let body = entry.action.body::<sync_map::Body<'_>>().ok()?;
        self.imply(name, &body.id, (by, entry.position), at, sent)
    }

    /// Subscribes the client to an item of a list, and tells it, so that it need not ask.
    pub(super) fn imply(
        &mut self,
        name: &str,
        item: &str,
        (by, through): (&Key, Position),
        at: Moment,
        sent: &mut Vec<Sent>,
    ) -> Option<Key> {
        let channel = Channel::new(&format!("{name}/{item}")).ok()?;
        let key = Key { channel: channel.clone(), filter: String::new() };
        if self.subscriptions.implied() >= BROUGHT_MAX || self.subscriptions.contains(&key) {
            return None;
        }
        let subscription = Subscription {
            key: key.clone(),
            filter: Filter::default(),
            access: self.access_to_item(name, item)?,
            state: State::Live,
            from: through,
            resumed: false,
            through,
            owed: Ranges::default(),
            sent_at: None,
            implied_by: Some(by.clone()),
            hiding: Hiding::default(),
            loaded_ms: at.now,
        };
        let id = AnswerId::unplaced(self.shared.incarnation, self.delivery.cursor, at.now);
        sent.extend(answers::subscribed(channel.as_str(), id));
        if self.subscriptions.insert(subscription) {
            self.effects.push(Effect::Follow(LogName::Channel(channel)));
        }
        Some(key)
    }

    /// What a list brought along goes on with it: clients do not name it.
    pub(super) fn resume_brought(&mut self, by: &Key, brought: Vec<Brought>) {
        for Brought { item, through, .. } in brought {
            let Ok(channel) = Channel::new(&format!("{}/{item}", by.channel)) else { continue };
            let key = Key { channel, filter: String::new() };
            if self.subscriptions.contains(&key) {
                continue;
            }
            let Some(access) = self.access_to_item(by.channel.as_str(), &item) else { continue };
            let load = Load::new(LoadKind::Entries, true, self.intake.received(), None);
            let subscription = Subscription::new(&key, Filter::default(), access, load);
            self.begin(Subscription {
                from: through,
                resumed: true,
                through,
                implied_by: Some(by.clone()),
                ..subscription
            });
        }
    }

    /// What the rules say of the client's access to one item of a map.
    pub(super) fn access_to_item(&self, name: &str, item: &str) -> Option<Access> {
        let channel = format!("{name}/{item}");
        let action = builtin::subscribe(&channel);
        let id = ActionId { node: self.subject.node().clone(), ms: 0, sequence: 0 };
        let meta = Meta { id, time: 0, subprotocol: None };
        self.shared.rules.subscribe(&self.subject, &channel, &action, &meta).ok()
    }
}
