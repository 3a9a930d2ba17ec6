//! What a session shows its client: pages of history, and what comes in live, in order of position.

use super::delivery::{Phase, Reading};
use super::frames::Frames;
use super::subscription::Key;
use super::{Effect, Moment, ReadOrder, Session};
use crate::documents;
use crate::hub::Delivery as Mail;
use crate::log::{Entry, Page};
use crate::sync_map::{self, Fates};
use tidelog_crdt::Position;

impl Session {
    /// Reads the next chunk of history, if its turn has come.
    pub(super) fn read_on(&mut self) {
        if self.delivery.is_reading() || self.delivery.phase != Phase::Behind || !self.window_open()
        {
            return;
        }
        let others: Vec<_> = self.subscriptions.live_logs().collect();
        let order = self.own_order(others.clone()).unwrap_or_else(|| {
            let logs = self.own_log.iter().cloned().chain(others).collect();
            ReadOrder::Stretch { logs, above: self.delivery.cursor }
        });
        self.delivery.start_reading(Reading::History);
        self.effects.push(Effect::Read(order));
    }

    /// A page of history, or of a load.
    pub(super) fn take_page(&mut self, page: &Page, fates: &Fates, at: Moment) {
        match self.delivery.done_reading() {
            Some(Reading::History) => self.take_history(page, fates, at),
            Some(Reading::Load(key, serial)) if self.subscriptions.is_loading(&key, serial) => {
                self.take_load_page(&key, page, fates, at);
            }
            Some(Reading::Load(..)) | None => {}
        }
    }

    fn take_history(&mut self, page: &Page, fates: &Fates, at: Moment) {
        // Who missed little gets it as it was.
        if self.delivery.own_load.take().is_some() {
            self.delivery.own_states.none_come();
        }
        let mut showing = Showing::new(fates, at);
        self.show_page(page, &mut showing);
        self.answer_before(&showing, at);
        self.send_shown(showing, self.delivery.cursor.max(page.through));
        if !page.more && self.delivery.phase == Phase::Behind {
            self.delivery.phase = Phase::Resuming;
            self.effects.push(Effect::Resume(self.delivery.cursor));
        }
    }

    /// Adds what the client is to see of a page.
    pub(super) fn show_page(&mut self, page: &Page, showing: &mut Showing<'_>) {
        let cursor = self.delivery.cursor;
        for entry in page.entries.iter().filter(|entry| entry.position > cursor) {
            for waiting in self.delivery.take_waiting(Some(entry.position)) {
                // What a log has too comes by its page.
                if !(waiting.entry.kept && self.in_my_logs(&waiting.entry)) {
                    self.show_mail(&waiting, showing);
                }
            }
            self.show(entry, false, showing);
        }
    }

    /// The client's own answer comes first, and `synced` last: a page that has had neither sends
    /// the action again, and so is known to have it.
    pub(super) fn answer_before(&mut self, showing: &Showing<'_>, at: Moment) {
        if std::mem::take(&mut self.delivery.holds_answers) && !showing.frames.is_empty() {
            self.send_answers(at);
        }
    }

    /// Entries from the inbox, in order of position; only live-only ones may be older.
    pub(super) fn deliver_mail(&mut self, mail: Vec<Mail>, fates: &Fates, at: Moment) {
        let mut showing = Showing::new(fates, at);
        let before = self.delivery.cursor;
        for mail in mail {
            self.show_mail(&mail, &mut showing);
            self.delivery.cursor = self.delivery.cursor.max(mail.entry.position);
        }
        let through = std::mem::replace(&mut self.delivery.cursor, before).max(before);
        self.send_shown(showing, through);
    }

    /// Sends what is shown, up to `through`. Only the last frame may say so.
    pub(super) fn send_shown(&mut self, showing: Showing<'_>, through: Position) {
        let Showing { frames, implied, at, .. } = showing;
        let first = self.frames.sent;
        let mut frames = frames.into_inner();
        let last = frames.pop();
        for frame in frames {
            self.send_frame(&frame, at.now);
        }
        self.delivery.arrive(through);
        self.subscriptions.brought_through(through);
        self.send_frame(&last.unwrap_or_default(), at.now);
        for (key, nth) in implied {
            if let Some(subscription) = self.subscriptions.get_mut(&key) {
                // That frame tells of it.
                subscription.sent_at = Some((first + nth).min(self.frames.sent));
            }
        }
    }

    fn show_mail(&mut self, Mail { entry, live }: &Mail, showing: &mut Showing<'_>) {
        let new = entry.position > self.delivery.cursor || !entry.kept;
        if new || (*live && !self.in_my_logs(entry)) {
            self.show(entry, *live, showing);
        }
    }

    /// Adds what the client is to see of `entry`.
    fn show(&mut self, entry: &Entry, live: bool, showing: &mut Showing<'_>) {
        self.subscriptions.note_late(entry, &self.shared.rules);
        if self.in_own_log(entry) {
            self.delivery.own_states.hiding.note(entry, &self.shared.rules);
        }
        let own = entry.id.node.client_str() == self.subject.client().as_str();
        if own && entry.kept {
            self.delivery.on_own(entry.position);
        }
        let named = entry.addresses.clients.contains(self.subject.client())
            || entry.addresses.nodes.contains(self.subject.node());
        let echoed = entry.kept && self.delivery.echoes(entry.position);
        if own && !echoed && !(live && named) {
            return self.note_own(entry);
        }
        if (live && named) || self.in_own_log(entry) {
            let mut shown = sync_map::shown(entry, None);
            if documents::is_state(entry) {
                self.delivery.own_states.tell_base(&mut shown.1, showing.at);
            }
            showing.frames.last().push(shown);
            return;
        }
        let Some(subscription) = self.subscriptions.wanting(entry).next() else { return };
        let list = subscription.list_name().map(|name| (name, subscription.key.clone()));
        let plain = !subscription.is_of_map() || showing.fates.instead(entry.position).is_none();
        let key = subscription.key.clone();
        if let Some((name, by)) = list.filter(|_| plain) {
            let implied =
                self.imply_created(entry, (&name, &by), showing.at, showing.frames.last());
            showing.implied.extend(implied.map(|key| (key, showing.frames.count())));
        }
        if let Some(subscription) = self.subscriptions.get_mut(&key) {
            subscription.show(entry, showing.fates, showing.at.head, &mut showing.frames);
        }
        self.end_deleted(entry, showing.fates);
    }

    /// An entry of the client's own is passed over.
    fn note_own(&mut self, entry: &Entry) {
        self.subscriptions.note_own(entry, &self.shared.rules);
        if self.in_own_log(entry) {
            self.delivery.own_states.hiding.note_had(entry, &self.shared.rules);
        }
    }

    /// An item that goes takes along the subscription that its list had brought.
    pub(super) fn end_deleted(&mut self, entry: &Entry, fates: &Fates) {
        if fates.instead(entry.position).is_none()
            && let Some(ended) = self.subscriptions.ended_by(entry)
        {
            self.drop_subscription(&ended);
        }
    }

    pub(super) fn in_own_log(&self, entry: &Entry) -> bool {
        self.own_log.as_ref().is_some_and(|log| entry.addresses.includes(log))
    }

    fn in_my_logs(&self, entry: &Entry) -> bool {
        self.in_own_log(entry) || self.subscriptions.wanting(entry).next().is_some()
    }
}

/// What is about to be sent.
pub(super) struct Showing<'a> {
    fates: &'a Fates,
    at: Moment,
    pub(super) frames: Frames,
    /// Subscriptions that come along, each with the count of the frame that tells of it.
    implied: Vec<(Key, u64)>,
}

impl<'a> Showing<'a> {
    pub(super) fn new(fates: &'a Fates, at: Moment) -> Self {
        Self { fates, at, frames: Frames::default(), implied: Vec::new() }
    }
}
