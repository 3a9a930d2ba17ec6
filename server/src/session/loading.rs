//! The load of a subscription: the channel's past, in chunks, as the client acknowledges them.
//!
//! A load stands apart from the order of positions: its frames carry the connection's current
//! number. Entries that arrive meanwhile belong to it, until it has read as far as the cursor.

use super::answers::Sent;
use super::delivery::Reading;
use super::frames::Frames;
use super::subscription::{Key, Load, LoadKind, State, Subscription};
use super::{Effect, Moment, ReadOrder, Session};
use crate::catch_up::{OwnOrder, OwnPart, Remaining};
use crate::log::{Entry, LogName, Page};
use crate::rules::Filter;
use crate::sync_map::{Fates, Loaded, Told, Wanted};
use std::sync::Arc;
use tidelog_crdt::Position;

/// What can be done next for a load.
enum Step {
    Send(Key),
    Finish(Key),
    Read(Key, ReadOrder),
}

impl Session {
    /// Sends, reads or finishes loads, as far as the window lets it.
    pub(super) fn send_loads(&mut self, at: Moment) {
        let mut finished = Vec::new();
        while let Some(step) = self.next_step() {
            match step {
                Step::Send(key) => self.send_chunk(&key, at),
                Step::Finish(key) => {
                    self.finish(&key, at);
                    finished.push(key);
                }
                Step::Read(key, order) => {
                    let serial = self.subscriptions.load_mut(&key).map_or(0, |load| load.serial);
                    self.delivery.start_reading(Reading::Load(key, serial));
                    self.effects.push(Effect::Read(order));
                }
            }
        }
        if !finished.is_empty() {
            self.settle(at);
            // Answers that wait for room are what the next frame has.
            let sent = self.frames.sent + u64::from(self.intake.has_answers());
            self.subscriptions.all_sent(&finished, sent);
        }
    }

    /// One load at a time is read and sent; the next has its turn when it is over.
    fn next_step(&mut self) -> Option<Step> {
        let (window_open, may_read) = (self.window_open(), !self.delivery.is_reading());
        let (judged, cursor) = (self.intake.judged(), self.delivery.cursor());
        let is_live = self.delivery.is_live();
        let (key, load, subscription) = self.subscriptions.next_load()?;
        if load.after > judged {
            return None;
        }
        if !load.queue.is_empty() {
            return window_open.then_some(Step::Send(key));
        }
        if load.read {
            // A page of history that is being read leaves this channel out, so the load ends after
            // it; and what has moved the cursor meanwhile is to be loaded too.
            if !may_read {
                return None;
            }
            if subscription.through >= cursor {
                return Some(Step::Finish(key));
            }
        }
        let order = order_of(&key, load, subscription);
        // What the user's log has of it comes first: a page that takes actions as they come would
        // count it twice.
        if matches!(&order, ReadOrder::States { wanted, .. } if wanted.begins()) && !is_live {
            return None;
        }
        may_read.then_some(Step::Read(key, order))
    }

    fn send_chunk(&mut self, key: &Key, at: Moment) {
        let frame = self.subscriptions.load_mut(key).and_then(|load| load.queue.pop_front());
        self.send_frame(&frame.unwrap_or_default(), at.now);
    }

    /// The load is over: entries come live from here on, and who waited is answered.
    fn finish(&mut self, key: &Key, at: Moment) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let State::Loading(load) = std::mem::replace(&mut subscription.state, State::Live) else {
            return;
        };
        subscription.is_loaded(at.now);
        self.delivery.on_loaded(subscription.through, self.frames.sent, at.now);
        self.following.on_sent(key, self.frames.sent, at.now);
        self.changed = true;
        for waiting in load.waiting {
            self.intake.loaded(waiting.frame);
            self.answer_subscribed(&key.channel, &waiting, at);
        }
    }

    /// A page of a channel's entries, or the head alone.
    pub(super) fn take_load_page(&mut self, key: &Key, page: &Page, fates: &Fates, at: Moment) {
        let mut rendered = Frames::default();
        for entry in &page.entries {
            if !self.is_loaded_by(key, entry) {
                continue;
            }
            self.subscriptions.note_late_of(key, entry, &self.shared.rules);
            match self.comes_otherwise(entry, key) {
                Otherwise::Came => self.note_had(key, entry),
                Otherwise::WillCome => self.subscriptions.owe(key, entry.position),
                Otherwise::No => {
                    if let Some(subscription) = self.subscriptions.get_mut(key) {
                        subscription.show(entry, fates, at.head, &mut rendered);
                    }
                    self.end_deleted(entry, fates);
                }
            }
        }
        let frames = self.frames_of(rendered);
        let read = !page.more && page.through >= self.delivery.cursor();
        // A subscription without a load starts at the head that it first saw.
        if let Some(subscription) = self.subscriptions.get_mut(key)
            && let State::Loading(load) = &mut subscription.state
        {
            if load.kind == LoadKind::Nothing {
                subscription.from = page.through;
            }
            load.kind = LoadKind::Entries;
        }
        self.continue_load(key, page.through, |load| {
            load.queue.extend(frames);
            load.read = read;
        });
    }

    /// A page of a channel's entries, and then the documents that are sent anew.
    pub(super) fn take_anew(&mut self, key: &Key, part: OwnPart, at: Moment) {
        let Some(LoadKind::Anew(after)) = self.subscriptions.load_mut(key).map(|it| it.kind) else {
            return;
        };
        self.take_load_page(key, &part.page, &part.fates, at);
        let (done, after) = part.states.as_ref().map_or((false, after), |it| (it.done, it.after));
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let mut frames = Frames::default();
        for round in part.states.map(|states| states.rounds).unwrap_or_default() {
            frames.start();
            let sent = round.into_iter().map(|Told { mut shown, .. }| {
                subscription.hiding.tell(&mut shown.meta);
                (shown.action, shown.meta)
            });
            frames.last().extend(sent);
        }
        let frames = self.frames_of(frames);
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let State::Loading(load) = &mut subscription.state else { return };
        load.queue.extend(frames);
        if !done {
            (load.kind, load.read) = (LoadKind::Anew(after), false);
        }
    }

    /// An entry of the load of `key` has come by another way, or is to come by the user's log.
    fn note_had(&mut self, key: &Key, entry: &Entry) {
        let own = entry.id.node.client_str() == self.subject.client().as_str();
        if own || entry.position <= self.delivery.cursor() {
            self.subscriptions.note_had(key, entry, &self.shared.rules);
        }
    }

    fn is_loaded_by(&self, key: &Key, entry: &Arc<Entry>) -> bool {
        let Some(subscription) = self.subscriptions.get(key) else { return false };
        // What a list has brought along by now wants its entries too, even where its filter does not.
        let brought_along = |other: &Subscription| other.implied_by.as_ref() == Some(key);
        subscription.loads(entry.position)
            && (subscription.filter_passes(entry)
                || self.subscriptions.wanting(entry).any(brought_along))
    }

    /// Items of a map. A list of a stock client misses the second `changed` of an item that comes in
    /// the same frame as the first, so a frame has one of each.
    pub(super) fn take_loaded(&mut self, loaded: Loaded, at: Moment) {
        let Some(Reading::Load(key, serial)) = self.delivery.done_reading() else { return };
        if !self.subscriptions.is_loading(&key, serial) {
            return;
        }
        let Some(subscription) = self.subscriptions.get(&key) else { return };
        // An item that takes several actions is not brought along: the page then asks for it, and
        // its store hears of all of them.
        let list = subscription.list_name();
        let mut told = subscription.access.loads_documents().then_some(subscription.hiding);
        let mut frames = Frames::default();
        for round in loaded.rounds {
            frames.start();
            for Told { whole, mut shown } in round {
                if let Some(hiding) = &mut told {
                    hiding.tell(&mut shown.meta);
                }
                if let (Some(name), Some(item)) = (&list, whole) {
                    let sent = frames.last();
                    self.imply(name, &item, (&key, loaded.through), at, sent);
                }
                frames.last().push((shown.action, shown.meta));
            }
        }
        let (frames, through) = (self.frames_of(frames), loaded.through);
        if let Some(subscription) = self.subscriptions.get_mut(&key) {
            subscription.hiding = told.unwrap_or(subscription.hiding);
        }
        if !loaded.done {
            let Some(load) = self.subscriptions.load_mut(&key) else { return };
            load.queue.extend(frames);
            // What is touched later may be in this part.
            let shown_above = match load.kind {
                LoadKind::Items { shown_above, .. } => shown_above.or(Some(through)),
                LoadKind::Missed(_) | LoadKind::Anew(_) | LoadKind::Entries | LoadKind::Nothing => {
                    Some(Position::ZERO)
                }
            };
            load.kind = LoadKind::Items { after: loaded.after, shown_above };
            return;
        }
        let read = through >= self.delivery.cursor();
        self.continue_load(&key, through, |load| {
            load.queue.extend(frames);
            load.kind = LoadKind::Entries;
            load.read = read;
        });
    }

    /// Frames that are not longer than they may be.
    fn frames_of(&self, frames: Frames) -> Vec<Vec<Sent>> {
        let most = self.shared.limits.chunk_actions.max(1);
        let mut cut = Vec::new();
        for mut frame in frames.into_inner() {
            while frame.len() > most {
                let rest = frame.split_off(most);
                cut.push(std::mem::replace(&mut frame, rest));
            }
            cut.push(frame);
        }
        cut
    }

    fn continue_load(&mut self, key: &Key, through: Position, change: impl FnOnce(&mut Load)) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        subscription.through = subscription.through.max(through);
        if let State::Loading(load) = &mut subscription.state {
            change(load);
        }
    }

    /// Whether the entry reaches this page by another way: its user's log, or a subscription that
    /// was live on this connection when, or will be when, the entry's turn comes.
    ///
    /// A new subscriber gets all of its channel, even what another subscription has brought to the
    /// page before: a store that mounts later has seen none of it.
    fn comes_otherwise(&self, entry: &Arc<Entry>, key: &Key) -> Otherwise {
        let Some(State::Loading(load)) = self.subscriptions.get(key).map(|it| &it.state) else {
            return Otherwise::No;
        };
        let own = entry.id.node.client_str() == self.subject.client().as_str();
        if (own && load.resumes) || self.in_own_log(entry) {
            return Otherwise::Came;
        }
        let to_come = entry.position > self.delivery.cursor();
        let others = self.subscriptions.of_entry(entry).filter(|other| other.key != *key);
        let covers = |other: &&Subscription| {
            other.is_live() && entry.position > other.from && other.filter_passes(entry)
        };
        let (mut came, mut will_come) = (false, false);
        for other in others.filter(covers) {
            // What the other has loaded is behind it.
            let comes = to_come && entry.position > other.through;
            (came, will_come) = (came || !comes, will_come || comes);
        }
        match (came && load.resumes, will_come) {
            (true, _) => Otherwise::Came,
            (false, true) => Otherwise::WillCome,
            (false, false) => Otherwise::No,
        }
    }
}

/// Whether an entry reaches a page without the load that is under way.
enum Otherwise {
    No,
    /// It was sent on this connection, or is the client's own, or comes by its user's log.
    Came,
    /// Another subscription will bring it, if it lasts as long.
    WillCome,
}

fn order_of(key: &Key, load: &Load, subscription: &Subscription) -> ReadOrder {
    match (load.kind, &subscription.access.sync_map) {
        (LoadKind::Nothing, _) => ReadOrder::Head,
        (LoadKind::Missed(most), map) => ReadOrder::Missed {
            channel: key.channel.clone(),
            map: map.as_ref().map(|map| map.name.clone()),
            most,
            wanted: Wanted {
                filter: subscription.filter.clone(),
                after: subscription.through,
                shown_above: Some(Position::ZERO),
            },
        },
        (LoadKind::Anew(after), _) => ReadOrder::Own(OwnOrder {
            log: LogName::Channel(key.channel.clone()),
            others: Vec::new(),
            above: subscription.through,
            most: None,
            remaining: Remaining {
                began: Position::ZERO,
                wanted: Wanted {
                    filter: Filter::default(),
                    after,
                    shown_above: Some(Position::ZERO),
                },
            },
        }),
        (LoadKind::Items { after, shown_above }, Some(map)) => ReadOrder::Items {
            channel: key.channel.clone(),
            map: map.name.clone(),
            single: map.item.is_some(),
            wanted: Wanted { filter: subscription.filter.clone(), after, shown_above },
        },
        (LoadKind::Items { after, shown_above }, None) => ReadOrder::States {
            channel: key.channel.clone(),
            wanted: Wanted { filter: Filter::default(), after, shown_above },
        },
        (LoadKind::Entries, _) => ReadOrder::Stretch {
            logs: vec![LogName::Channel(key.channel.clone())],
            above: subscription.through,
        },
    }
}
