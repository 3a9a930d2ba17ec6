//! What a session shows its client: pages of history, and what comes in live, in order of position.

use super::answers::Sent;
use super::delivery::{Phase, Reading};
use super::{Effect, Moment, ReadOrder, Session};
use crate::hub::Delivery as Mail;
use crate::log::{Entry, Page};
use crate::sync_map;

impl Session {
    /// Reads the next chunk of history, if its turn has come.
    pub(super) fn read_on(&mut self) {
        if self.delivery.is_reading() || self.delivery.phase != Phase::Behind || !self.window_open()
        {
            return;
        }
        let logs: Vec<_> =
            self.own_log.iter().cloned().chain(self.subscriptions.live_logs()).collect();
        self.delivery.start_reading(Reading::History);
        let above = self.delivery.cursor;
        self.effects.push(Effect::Read(ReadOrder::Stretch { logs, above }));
    }

    /// A page of history, or of a load.
    pub(super) fn take_page(&mut self, page: &Page, at: Moment) {
        match self.delivery.done_reading() {
            Some(Reading::History) => self.take_history(page, at),
            Some(Reading::Load(key, serial)) if self.subscriptions.is_loading(&key, serial) => {
                self.take_load_page(&key, page);
            }
            Some(Reading::Load(..)) | None => {}
        }
    }

    fn take_history(&mut self, page: &Page, at: Moment) {
        let mut sent = Vec::with_capacity(page.entries.len());
        let cursor = self.delivery.cursor;
        for entry in page.entries.iter().filter(|entry| entry.position > cursor) {
            for waiting in self.delivery.take_waiting(Some(entry.position)) {
                // What a log has too comes by its page.
                if !(waiting.entry.kept && self.in_my_logs(&waiting.entry)) {
                    self.show_mail(&waiting, at, &mut sent);
                }
            }
            self.show(entry, false, at, &mut sent);
        }
        // The client's own answer comes first, and `synced` last: a page that has had neither sends
        // the action again, and so is known to have it.
        if std::mem::take(&mut self.delivery.holds_answers) && !sent.is_empty() {
            self.send_answers(at);
        }
        self.delivery.cursor = self.delivery.cursor.max(page.through);
        self.subscriptions.brought_through(self.delivery.cursor);
        self.send_frame(&sent, at.now);
        if !page.more && self.delivery.phase == Phase::Behind {
            self.delivery.phase = Phase::Resuming;
            self.effects.push(Effect::Resume(self.delivery.cursor));
        }
    }

    /// Entries from the inbox, in order of position; only live-only ones may be older.
    pub(super) fn deliver_mail(&mut self, mail: Vec<Mail>, at: Moment) {
        let mut sent = Vec::new();
        for mail in mail {
            self.show_mail(&mail, at, &mut sent);
            self.delivery.cursor = self.delivery.cursor.max(mail.entry.position);
        }
        self.subscriptions.brought_through(self.delivery.cursor);
        self.send_frame(&sent, at.now);
    }

    fn show_mail(&mut self, Mail { entry, live }: &Mail, at: Moment, sent: &mut Vec<Sent>) {
        let new = entry.position > self.delivery.cursor || !entry.kept;
        if new || (*live && !self.in_my_logs(entry)) {
            self.show(entry, *live, at, sent);
        }
    }

    /// Adds to `sent` what the client is to see of `entry`.
    fn show(&mut self, entry: &Entry, live: bool, at: Moment, sent: &mut Vec<Sent>) {
        let own = entry.id.node.client_str() == self.subject.client().as_str();
        if own && entry.kept {
            self.delivery.on_own(entry.position);
        }
        let named = entry.addresses.clients.contains(self.subject.client())
            || entry.addresses.nodes.contains(self.subject.node());
        let echoed = entry.kept && self.delivery.echoes(entry.position);
        if own && !echoed && !(live && named) {
            return;
        }
        if (live && named) || self.in_own_log(entry) {
            sent.push(sync_map::shown(entry, None));
            return;
        }
        if self.subscriptions.is_gone(entry) {
            return;
        }
        let Some(subscription) = self.subscriptions.wanting(entry).next() else { return };
        let shown = subscription.render(entry);
        if let Some(name) = subscription.list_name() {
            let by = subscription.key.clone();
            self.imply_created(entry, &name, &by, at, sent);
        }
        sent.push(shown);
        self.take_note(entry);
    }

    /// Lists take note of items that go.
    pub(super) fn take_note(&mut self, entry: &Entry) {
        if let Some(ended) = self.subscriptions.note(entry) {
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
