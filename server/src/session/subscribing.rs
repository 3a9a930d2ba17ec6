//! How subscriptions begin, resume and end.
//!
//! A subscription belongs to a node. Named again by the same node, it goes on where it was; else
//! from the position in a `since.id` that this server minted; else it is loaded in full. The time in
//! `since` never counts, because an edit made earlier may arrive later.

use super::answers::{self, Answer, AnswerId};
use super::hiding::{Hiding, ToldBefore};
use super::node_state::BROUGHT_MAX;
use super::subscription::{Key, Load, LoadKind, State, Subscription, Waiting};
use super::{Brought, Effect, Moment, Remembered, Session};
use crate::ingest::Given;
use crate::log::{Channel, LogName};
use crate::rules::{Access, Filter, Load as LoadRule, UndoReason};
use tidelog_crdt::Position;
use tidelog_protocol::{Meta, Pair, builtin};

/// How many `logux/subscribe` wait for one load; a page mounts a store a few times at most.
const WAITING_MAX: usize = 64;
/// The longest filter, as JSON: it lives as long as its subscription.
const FILTER_BYTES_MAX: usize = 4 << 10;

/// What a `logux/subscribe` asks for, with the access that the rules give.
struct Asked {
    key: Key,
    filter: Filter,
    access: Access,
    creating: bool,
    /// The page has had something of it: there is a `since`, trusted or not, or a load was cut.
    has_shown: bool,
    /// The position in it, if this server minted it.
    since: Option<Position>,
}

impl Asked {
    fn is_filtered_list(&self) -> bool {
        let list = self.access.sync_map.as_ref().is_some_and(|map| map.item.is_none());
        list && !self.key.filter.is_empty()
    }
}

/// Where a subscription was when it was last named.
#[derive(Default)]
struct Resumed {
    from: Position,
    /// Items that it had brought along.
    brought: Vec<Brought>,
}

impl From<Remembered> for Resumed {
    fn from(known: Remembered) -> Self {
        Self { from: known.through, brought: known.brought }
    }
}

impl Session {
    /// A `logux/subscribe` came in the frame `frame`.
    pub(super) fn on_subscribe(&mut self, pair: Pair, frame: u64, at: Moment) {
        if !self.is_own(&pair) {
            return self.reject(&pair, UndoReason::Denied, at);
        }
        let given = self.shared.verdicts.of(self.subject.client(), &pair.meta.id);
        if let Some(given) = given.filter(|given| given.undone.is_some()) {
            return self.repeat(&pair, given);
        }
        if self.intake.has_answered(&pair.meta.id) {
            return;
        }
        match self.asked(&pair) {
            Ok(asked) => {
                self.subscribe(asked, Waiting { id: pair.meta.id, frame: Some(frame) }, at);
            }
            Err(reason) => self.reject(&pair, reason, at),
        }
    }

    /// What an earlier connection of the node was told to be patient for is loaded now.
    pub(super) fn resume_pending(&mut self, at: Moment) {
        let known = self.dormant.subscriptions.iter_mut();
        let pending = known.filter(|known| !known.pending.is_empty()).map(|known| {
            let ids = std::mem::take(&mut known.pending);
            (known.channel.clone(), known.filter.clone(), ids)
        });
        let pending: Vec<_> = pending.collect();
        for (channel, filter, ids) in pending {
            let action = builtin::subscribe_filtered(channel.as_str(), &filter);
            for id in ids.iter().filter_map(|id| id.parse().ok()) {
                let meta = Meta { id, time: at.now, subprotocol: None };
                let pair = Pair::new(action.clone(), meta);
                match self.asked(&pair) {
                    Ok(asked) => {
                        // The page may show what came before the connection broke.
                        let asked = Asked { has_shown: true, ..asked };
                        self.subscribe(asked, Waiting { id: pair.meta.id, frame: None }, at);
                    }
                    Err(reason) => self.reject(&pair, reason, at),
                }
            }
        }
    }

    fn asked(&self, pair: &Pair) -> Result<Asked, UndoReason> {
        let body: builtin::Subscribe<'_> =
            pair.action.body().map_err(|_| UndoReason::WrongChannel)?;
        let channel = Channel::new(&body.channel).map_err(|_| UndoReason::WrongChannel)?;
        let filter = Filter::of(&pair.action).map_err(|_| UndoReason::Error)?.unwrap_or_default();
        let access = self.shared.rules.subscribe(
            &self.subject,
            channel.as_str(),
            &pair.action,
            &pair.meta,
        )?;
        let key = Key { channel, filter: filter.text() };
        if key.filter.len() > FILTER_BYTES_MAX {
            return Err(UndoReason::Error);
        }
        let shared = &self.shared;
        let since = body.since.as_ref().and_then(|since| {
            let here = (shared.incarnation, &shared.epochs);
            answers::position_in_since(&since.id, &key.channel, here)
        });
        let full = self.subscriptions.len() >= shared.limits.subscriptions;
        // Those that wait for one load are bounded too: a client may ask for it again and again.
        let known = self.subscriptions.get(&key);
        if known.is_some_and(|known| known.waiting() >= WAITING_MAX) || (full && known.is_none()) {
            return Err(UndoReason::TooManySubscriptions);
        }
        Ok(Asked {
            key,
            filter,
            access,
            creating: body.creating,
            has_shown: body.since.is_some(),
            since,
        })
    }

    fn subscribe(&mut self, mut asked: Asked, waiting: Waiting, at: Moment) {
        match self.subscriptions.get_mut(&asked.key).map(|known| &mut known.state) {
            Some(State::Loading(load)) => {
                self.intake.loading(waiting.frame);
                return load.waiting.push(waiting);
            }
            // A store of a map that mounts later needs its values, and to have them twice harms
            // nobody.
            Some(State::Live) if asked.access.sync_map.is_none() || asked.creating => {
                return self.answer_subscribed(&asked.key.channel, &waiting, at);
            }
            Some(State::Live) | None => {}
        }
        // The page's log has them, however it goes on.
        let told = self.dormant.told(&asked.key.channel, &asked.key.filter);
        let resumed = self.resumed_from(&mut asked);
        let goes_on = resumed.is_some();
        let kind = if goes_on { missed(&asked) } else { full_load(&asked) };
        let Resumed { from, brought } = resumed.unwrap_or_default();
        self.intake.loading(waiting.frame);
        let load = Load::new(kind, goes_on, self.intake.received(), Some(waiting));
        let subscription = Subscription::new(&asked.key, asked.filter, asked.access, load);
        let hiding = self.hiding(told, goes_on, subscription.access.loads_documents());
        let (resumed, through) = (goes_on, from);
        self.begin(Subscription { from, resumed, through, hiding, ..subscription });
        self.resume_brought(&asked.key, brought);
    }

    /// What may be hidden under what the page was `told`, if that is known.
    fn hiding(&self, told: Option<ToldBefore>, goes_on: bool, has_documents: bool) -> Hiding {
        let forgotten = (goes_on && !self.dormant.is_exact).then_some(Position::ZERO);
        let unknown = ToldBefore { untold: forgotten, ..ToldBefore::default() };
        let mut told = told.unwrap_or(unknown);
        told.untold = told.untold.filter(|_| has_documents);
        if goes_on { Hiding::resume(self.is_old, told) } else { Hiding::begin(self.is_old, told) }
    }

    pub(super) fn begin(&mut self, subscription: Subscription) {
        let channel = subscription.key.channel.clone();
        self.following.begin(&subscription.key, subscription.from);
        if self.subscriptions.insert(subscription) {
            self.effects.push(Effect::Follow(LogName::Channel(channel)));
        }
    }

    /// How the subscription goes on; none for a full load.
    fn resumed_from(&mut self, asked: &mut Asked) -> Option<Resumed> {
        self.changed = true;
        let known = self.dormant.take(&asked.key.channel, &asked.key.filter);
        // The page may show what came before a load was cut.
        asked.has_shown |= known.as_ref().is_some_and(|known| !known.acked);
        let room = BROUGHT_MAX.saturating_sub(self.subscriptions.implied());
        match (known, asked.since) {
            // The page has thrown it away meanwhile: its new store has nothing. In any other channel
            // only what came since is news, because who has what came before keeps it elsewhere.
            (_, None) if asked.access.sync_map.is_some() && !asked.has_shown => None,
            (Some(known), _) if known.acked && known.brought.len() <= room => Some(known.into()),
            // The answer to it was not acknowledged, but it was received, or it could not be named.
            (Some(known), Some(since))
                if known.through > Position::ZERO
                    && since >= known.through
                    && known.brought.len() <= room =>
            {
                Some(known.into())
            }
            // What a filtered list had brought along is not known: an item that leaves the filter
            // would not be told of.
            (_, Some(_)) if asked.is_filtered_list() => None,
            (_, since) => since.map(|from| Resumed { from, ..Resumed::default() }),
        }
    }

    pub(super) fn on_unsubscribe(&mut self, pair: &Pair, at: Moment) {
        if !self.is_own(pair) {
            return self.reject(pair, UndoReason::Denied, at);
        }
        let id = &pair.meta.id;
        match self.shared.verdicts.of(self.subject.client(), id) {
            // A second `processed` would end another subscription at the client.
            Some(Given { undone: None, .. }) => return,
            Some(given) => return self.repeat(pair, given),
            None => {}
        }
        let Some(key) = key_of(pair) else {
            return self.reject(pair, UndoReason::WrongChannel, at);
        };
        self.unsubscribe(&key, at);
        let answer = self.unplaced_answer(at);
        let given = Given { undone: None, answer };
        self.shared.verdicts.remember(self.subject.client(), id.clone(), given);
        self.intake.answer(id, || Answer::Processed(id.clone(), answer));
    }

    fn unsubscribe(&mut self, key: &Key, at: Moment) {
        self.dormant.take(&key.channel, &key.filter);
        self.following.end(key);
        let Some(ended) = self.drop_subscription(key) else { return };
        if let State::Loading(load) = ended.state {
            for waiting in load.waiting {
                self.intake.loaded(waiting.frame);
                self.answer_subscribed(&key.channel, &waiting, at);
            }
        }
    }

    pub(super) fn drop_subscription(&mut self, key: &Key) -> Option<Subscription> {
        self.changed = true;
        let (ended, last) = self.subscriptions.remove(key)?;
        self.following.end(key);
        self.subscriptions.load_owed();
        if last {
            self.effects.push(Effect::Unfollow(LogName::Channel(key.channel.clone())));
        }
        Some(ended)
    }

    /// The answer to a subscription: its id says from where the client may go on.
    pub(super) fn answer_subscribed(&mut self, channel: &Channel, waiting: &Waiting, at: Moment) {
        let through = self.subscriptions.sent_through(channel, self.delivery.cursor());
        let (incarnation, epochs) = (self.shared.incarnation, &self.shared.epochs);
        let through = through.unwrap_or_default();
        let answer = AnswerId::of_subscription(incarnation, through, at.now, (channel, epochs));
        let processed = || Answer::Processed(waiting.id.clone(), answer);
        self.intake.answer(&waiting.id, processed);
    }
}

fn full_load(asked: &Asked) -> LoadKind {
    match (&asked.access.sync_map, asked.access.load) {
        _ if asked.creating && !asked.has_shown => LoadKind::Nothing,
        (_, LoadRule::None) => LoadKind::Nothing,
        (Some(_), _) => items(asked),
        // A document has no filter; its log has.
        (None, LoadRule::State) if asked.key.filter.is_empty() => items(asked),
        (None, LoadRule::Log | LoadRule::State) => LoadKind::Entries,
    }
}

/// How the page comes by what it missed.
fn missed(asked: &Asked) -> LoadKind {
    let has_state = asked.access.sync_map.is_some() || asked.key.filter.is_empty();
    asked.access.squash.filter(|_| has_state).map_or(LoadKind::Entries, LoadKind::Missed)
}

fn items(asked: &Asked) -> LoadKind {
    let shown_above = asked.has_shown.then_some(Position::ZERO);
    LoadKind::Items { after: Position::ZERO, shown_above }
}

fn key_of(pair: &Pair) -> Option<Key> {
    let body: builtin::Subscribe<'_> = pair.action.body().ok()?;
    let filter = Filter::of(&pair.action).ok()?.unwrap_or_default();
    Some(Key { channel: Channel::new(&body.channel).ok()?, filter: filter.text() })
}
