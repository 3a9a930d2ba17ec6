//! How subscriptions begin, resume and end.
//!
//! A subscription belongs to a node. Named again by the same node, it goes on where it was; else
//! from the position in a `since.id` that this server minted; else it is loaded in full. The time in
//! `since` never counts, because an edit made earlier may arrive later.

use super::answers::{self, AnswerId};
use super::subscription::{Key, Load, LoadKind, State, Subscription, Waiting};
use super::{Effect, Gone, Moment, Session};
use crate::ingest::Given;
use crate::log::{Channel, LogName};
use crate::rules::{Access, Filter, Load as LoadRule, UndoReason};
use tidelog_crdt::Position;
use tidelog_protocol::{Meta, Pair, builtin};

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
        match self.asked(&pair) {
            Ok(asked) => {
                self.subscribe(asked, Waiting { id: pair.meta.id, frame: Some(frame) }, at);
            }
            Err(reason) => self.reject(&pair, reason, at),
        }
    }

    /// What an earlier connection of the node was told to be patient for is loaded now.
    pub(super) fn resume_pending(&mut self, at: Moment) {
        let pending = self.dormant.subscriptions.iter().filter(|known| !known.pending.is_empty());
        let pending: Vec<_> = pending
            .map(|known| (known.channel.clone(), known.filter.clone(), known.pending.clone()))
            .collect();
        for (channel, filter, ids) in pending {
            let action = builtin::subscribe_filtered(channel.as_str(), &filter);
            for id in ids.iter().filter_map(|id| id.parse().ok()) {
                let meta = Meta { id, time: at.now, subprotocol: None };
                let pair = Pair::new(action.clone(), meta);
                match self.asked(&pair) {
                    Ok(asked) => {
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
            answers::position_in_since(&since.id, shared.incarnation, &shared.epochs)
        });
        if !self.subscriptions.contains(&key)
            && self.subscriptions.len() >= shared.limits.subscriptions
        {
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
                return self.answer_subscribed(&asked.key.channel, waiting, at);
            }
            Some(State::Live) | None => {}
        }
        let resumed = self.resumed_from(&mut asked);
        let goes_on = resumed.is_some();
        let kind = if goes_on { LoadKind::Entries } else { full_load(&asked) };
        let (from, gone) = resumed.unwrap_or_default();
        self.intake.loading(waiting.frame);
        let load = Load::new(kind, goes_on, self.intake.received(), Some(waiting));
        let subscription = Subscription::new(&asked.key, asked.filter, asked.access, load);
        self.begin(Subscription { from, resumed: goes_on, through: from, gone, ..subscription });
        self.resume_implied(&asked.key, from);
    }

    pub(super) fn begin(&mut self, subscription: Subscription) {
        let channel = subscription.key.channel.clone();
        if self.subscriptions.insert(subscription) {
            self.effects.push(Effect::Follow(LogName::Channel(channel)));
        }
    }

    /// From where the subscription goes on, and what of a list is gone; none for a full load.
    fn resumed_from(&mut self, asked: &mut Asked) -> Option<(Position, Gone)> {
        self.changed = true;
        let known = self.dormant.take(&asked.key.channel, &asked.key.filter);
        match (known, asked.since) {
            (Some(known), _) if known.acked => Some((known.through, known.gone)),
            // The answer to it was not acknowledged, but it was received, or it could not be named.
            (Some(known), Some(since))
                if known.through > Position::ZERO && since >= known.through =>
            {
                Some((known.through, known.gone))
            }
            (known, since) => {
                // The page may show what came before the load was cut.
                asked.has_shown |= known.is_some();
                since.map(|since| (since, Gone::default()))
            }
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
        self.intake.answer(id.clone(), answers::processed(id, answer));
    }

    fn unsubscribe(&mut self, key: &Key, at: Moment) {
        self.dormant.take(&key.channel, &key.filter);
        let Some(ended) = self.drop_subscription(key) else { return };
        if let State::Loading(load) = ended.state {
            for waiting in load.waiting {
                self.intake.loaded(waiting.frame);
                self.answer_subscribed(&key.channel, waiting, at);
            }
        }
    }

    pub(super) fn drop_subscription(&mut self, key: &Key) -> Option<Subscription> {
        self.changed = true;
        let (ended, last) = self.subscriptions.remove(key)?;
        if last {
            self.effects.push(Effect::Unfollow(LogName::Channel(key.channel.clone())));
        }
        Some(ended)
    }

    /// The answer to a subscription: its id says from where the client may go on.
    pub(super) fn answer_subscribed(&mut self, channel: &Channel, waiting: Waiting, at: Moment) {
        let through = self.subscriptions.sent_through(channel, self.delivery.cursor());
        let through = through.unwrap_or_default();
        let answer = AnswerId::unplaced(self.shared.incarnation, through, at.now);
        let processed = answers::processed(&waiting.id, answer);
        self.intake.answer(waiting.id, processed);
    }
}

fn full_load(asked: &Asked) -> LoadKind {
    match (&asked.access.sync_map, asked.access.load) {
        _ if asked.creating && !asked.has_shown => LoadKind::Nothing,
        (_, LoadRule::None) => LoadKind::Nothing,
        (Some(_), _) => LoadKind::Fold { tombstones: asked.has_shown },
        (None, LoadRule::Log | LoadRule::State) => LoadKind::Entries,
    }
}

fn key_of(pair: &Pair) -> Option<Key> {
    let body: builtin::Subscribe<'_> = pair.action.body().ok()?;
    let filter = Filter::of(&pair.action).ok()?.unwrap_or_default();
    Some(Key { channel: Channel::new(&body.channel).ok()?, filter: filter.text() })
}
