//! One subscription of a running session, and how far it has come.

use super::answers::Sent;
use super::frames::Frames;
use super::hiding::{Hiding, ToldBefore};
use super::{Brought, Remembered};
use crate::documents;
use crate::log::{Channel, Entry};
use crate::rules::{Access, Filter, Rules, SyncMapOp};
use crate::sync_map::{self, Fates};
use std::collections::VecDeque;
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::ActionId;

/// The name of a subscription within its node: its channel and its filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The channel.
    pub channel: Channel,
    /// The filter as canonical JSON text; empty for none.
    pub filter: String,
}

/// One subscription of a running session.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Its name.
    pub key: Key,
    /// Which fields the entries must have.
    pub filter: Filter,
    /// What the rules allow.
    pub access: Access,
    /// Where it stands.
    pub state: State,
    /// Where it began on this connection: what is above was, or will be, sent.
    pub from: Position,
    /// It went on where an earlier connection of the node had come.
    pub resumed: bool,
    /// Entries up to here need not be sent: they were loaded, or came before.
    pub through: Position,
    /// Entries up to `through` that are left to another subscription, which was live when this one
    /// was loaded: should that one end first, they are still to come.
    pub owed: Ranges,
    /// The count of sent frames at which everything up to `through` was sent; the subscription is
    /// acknowledged when as many were acknowledged. None while loading.
    pub sent_at: Option<u64>,
    /// The subscription that brought this one along.
    pub implied_by: Option<Key>,
    /// What may be hidden under the documents that the page was sent.
    pub hiding: Hiding,
    /// When the last load was over.
    pub loaded_ms: u64,
}

/// Whether a subscription's load is over.
#[derive(Debug)]
pub(super) enum State {
    /// The channel's past is being sent.
    Loading(Load),
    /// Entries are sent as they come.
    Live,
}

/// A load under way.
#[derive(Debug)]
pub(super) struct Load {
    /// How the past is read.
    pub kind: LoadKind,
    /// The node resumes: what it authored, or what reached it by another subscription on this
    /// connection, is left out.
    pub resumes: bool,
    /// Read and not yet sent, frame by frame.
    pub queue: VecDeque<Vec<Sent>>,
    /// Everything was read.
    pub read: bool,
    /// It reads again what another subscription was to bring, which has ended: those entries, and
    /// what is above.
    pub again: Option<(Ranges, Position)>,
    /// Tells this load from an earlier one of the same name.
    pub serial: u64,
    /// It reads when this many of the client's actions are judged: a client that changes an item
    /// and then asks for it is shown its change.
    pub after: u64,
    /// Who waits for the end of it.
    pub waiting: Vec<Waiting>,
}

impl Load {
    /// A load that has read nothing yet.
    pub(super) fn new(kind: LoadKind, resumes: bool, after: u64, waiting: Option<Waiting>) -> Self {
        let waiting = waiting.into_iter().collect();
        Self {
            kind,
            resumes,
            queue: VecDeque::new(),
            read: false,
            again: None,
            serial: 0,
            after,
            waiting,
        }
    }
}

/// How the past of a channel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadKind {
    /// Entry by entry, above `through`.
    Entries,
    /// What the entries of a map add up to, item by item; or of another channel, by document.
    Items {
        /// Those that were last touched up to here are read.
        after: Position,
        /// The page may show items that were touched above this; none when it has nothing yet.
        shown_above: Option<Position>,
    },
    /// What came above `through`: entry by entry, unless there are more than so many.
    Missed(usize),
    /// What came above `through`, and then the documents that stand for actions which compaction took out,
    /// if they changed above this.
    Anew(Position),
    /// Nothing of it.
    Nothing,
}

/// A `logux/subscribe` that is answered when its load is over.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The id of the action.
    pub id: ActionId,
    /// The frame it came in; none when that was on an earlier connection.
    pub frame: Option<u64>,
}

/// How many frames were acknowledged, counted from the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    /// Of those that the session sent.
    pub of_ours: u64,
    /// Of those that the client sent.
    pub of_theirs: u64,
}

impl Subscription {
    /// A subscription whose load begins.
    pub(super) fn new(key: &Key, filter: Filter, access: Access, load: Load) -> Self {
        Self {
            key: key.clone(),
            filter,
            access,
            state: State::Loading(load),
            from: Position::ZERO,
            resumed: false,
            through: Position::ZERO,
            owed: Ranges::default(),
            sent_at: None,
            implied_by: None,
            hiding: Hiding::default(),
            loaded_ms: 0,
        }
    }

    /// Whether it has read a base that is still to be sent, after `entry`, which comes otherwise: who goes by what
    /// comes would not see that.
    pub(super) fn is_to_send_base_over(&self, entry: &Entry, rules: &Rules) -> bool {
        let State::Loading(load) = &self.state else { return false };
        self.hiding.is_over(entry, rules)
            && load
                .queue
                .iter()
                .flatten()
                .any(|(action, meta)| documents::is_state_of(action, &meta.id))
    }

    /// Its load is over.
    pub(super) fn is_loaded(&mut self, now: u64) {
        self.loaded_ms = now;
    }

    /// Whether its load is over.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    pub(super) fn remembered(&self, acked: Position, frames: Acknowledged) -> Remembered {
        let (loaded, resumed) = self.standing(frames);
        // Until the page has acknowledged what was sent anew, it may not be there.
        let ToldBefore { state_ms, late, untold } = self.hiding.remembered(loaded);
        Remembered {
            channel: self.key.channel.clone(),
            filter: self.key.filter.clone(),
            through: self.delivered(acked, frames),
            acked: loaded || resumed,
            brought: Vec::new(),
            pending: self.pending(frames.of_theirs),
            state_ms,
            late,
            untold,
            live: loaded || (!resumed && self.is_live()),
        }
    }

    /// The same of an item that a list brought along.
    pub(super) fn brought(&self, acked: Position, frames: Acknowledged) -> Option<Brought> {
        let (loaded, resumed) = self.standing(frames);
        let item = self.access.sync_map.as_ref()?.item.as_deref()?;
        Some(Brought {
            item: item.into(),
            through: self.delivered(acked, frames),
            live: loaded || (!resumed && self.is_live()),
        })
    }

    /// Whether its load was acknowledged; else, whether it goes on where it was before.
    fn standing(&self, frames: Acknowledged) -> (bool, bool) {
        let loaded = self.sent_at.is_some_and(|sent| sent <= frames.of_ours);
        (loaded, !loaded && self.resumed)
    }

    /// Up to where the client is known to have it. What was resumed and not acknowledged resumes
    /// from where it did.
    fn delivered(&self, acked: Position, frames: Acknowledged) -> Position {
        let through = match self.standing(frames) {
            (true, _) => self.through.max(acked),
            (false, true) => self.from,
            (false, false) if self.is_live() => self.through,
            // The load was cut: it starts again.
            (false, false) => Position::ZERO,
        };
        self.owed.iter().next().map_or(through, |(owed, _)| through.min(before(owed)))
    }

    /// Another subscription has ended that was to bring what is owed: it is read again, by a load
    /// with this serial number; a page that was read for it until now is of no use.
    pub(super) fn load_owed(&mut self, serial: u64) {
        let State::Loading(load) = &mut self.state else { return };
        let Some((first, _)) = self.owed.iter().next() else { return };
        load.serial = serial;
        let (mut owed, above) = load.again.take().unwrap_or_default();
        for (first, last) in std::mem::take(&mut self.owed).iter() {
            owed.insert_range(first, last);
        }
        load.again = Some((owed, above.max(self.through)));
        load.read = false;
        self.through = before(first);
    }

    /// Of what was sent of documents something hides what came: those that changed since are sent anew, and then
    /// what comes after `cursor`. Whether there are any.
    pub(super) fn load_anew(
        &mut self,
        cursor: Position,
        frames: Acknowledged,
        serial: u64,
    ) -> bool {
        let Some(first) = self.hiding.begin_anew(self.standing(frames).0) else { return false };
        let after = before(first);
        let kind = if self.access.loads_documents() {
            LoadKind::Items { after, shown_above: Some(Position::ZERO) }
        } else {
            LoadKind::Anew(after)
        };
        self.state = State::Loading(Load { serial, ..Load::new(kind, false, 0, None) });
        self.through = self.through.max(cursor);
        // If this is cut, it is loaded in full.
        (self.sent_at, self.resumed) = (None, false);
        true
    }

    /// Whether `entry` is of this load, by its position.
    pub(super) fn loads(&self, position: Position) -> bool {
        let State::Loading(load) = &self.state else { return false };
        let again = load.again.as_ref();
        position > self.through
            && again.is_none_or(|(owed, above)| position > *above || owed.contains(position))
    }

    /// How many wait for the end of its load.
    pub(super) fn waiting(&self) -> usize {
        match &self.state {
            State::Loading(load) => load.waiting.len(),
            State::Live => 0,
        }
    }

    /// Who waits for the load and came in a frame that was acknowledged.
    fn pending(&self, acknowledged: u64) -> Vec<String> {
        let State::Loading(load) = &self.state else { return Vec::new() };
        let early = |waiting: &&Waiting| waiting.frame.is_none_or(|frame| frame < acknowledged);
        load.waiting.iter().filter(early).map(|waiting| waiting.id.to_string()).collect()
    }

    /// The name of the map, when this is the subscription of a list, whose items clients subscribe
    /// to one by one.
    pub(super) fn list_name(&self) -> Option<String> {
        let map = self.access.sync_map.as_ref().filter(|map| map.item.is_none())?;
        Some(map.name.to_string())
    }

    pub(super) fn is_list(&self) -> bool {
        self.access.sync_map.as_ref().is_some_and(|map| map.item.is_none())
    }

    /// What `entry` does to which item of the map that this is a channel of.
    pub(super) fn operation(&self, entry: &Entry) -> Option<(SyncMapOp, String)> {
        let operation = SyncMapOp::of(entry.action.kind(), self.map_name()?)?;
        Some((operation, entry.action.body::<sync_map::Body<'_>>().ok()?.id))
    }

    fn map_name(&self) -> Option<&str> {
        self.access.sync_map.as_ref().map(|map| &*map.name)
    }

    /// Whether the filter lets `entry` pass.
    pub(super) fn filter_passes(&self, entry: &Entry) -> bool {
        self.filter.passes(&entry.action, self.map_name())
    }

    /// Adds `entry` as this subscription shows it: rendered, or what `fates` says. The actions of one
    /// item are in a frame each, because a list of a stock client misses the second one of a frame.
    pub(super) fn show(&mut self, entry: &Entry, fates: &Fates, head: Position, to: &mut Frames) {
        match fates.instead(entry.position).filter(|_| self.is_of_map()) {
            None => {
                if let (true, [_, item]) = (self.is_of_map(), &*entry.addresses.channels) {
                    to.start_for(item);
                }
                let mut shown = sync_map::shown(entry, self.map_name());
                // What compaction has made a document of already.
                if documents::is_state(entry) {
                    self.hiding.tell_base(&mut shown.1, head);
                }
                to.last().push(shown);
            }
            Some(instead) => {
                for shown in instead {
                    to.start();
                    to.last().push((shown.action.clone(), shown.meta.clone()));
                }
                to.start();
            }
        }
    }

    /// Whether `fates` says of entries of its channel how they are shown.
    pub(super) fn is_of_map(&self) -> bool {
        self.access.sync_map.is_some()
    }
}

pub(super) fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}
