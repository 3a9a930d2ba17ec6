//! A page that speaks the protocol, the session at the other end, and a log in memory.

use super::super::*;
use super::page::Page;
use crate::catch_up::{OwnOrder, OwnPart};
use crate::config::{Config, Source};
use crate::epochs::Epoch;
use crate::hub::Delivery as Mail;
use crate::ingest::{Judgement, Submission};
use crate::log::{Addresses, Entry, Incarnations, PageLimit};
use crate::sync_map::{Fates, Lives, Snapshot};
use bytes::Bytes;
use std::path::Path;
use tidelog_crdt::Dot;
use tidelog_protocol::codec::Version;
use tidelog_protocol::peer::{
    Accept, ClientEvent, ClientHandshake, HandshakeEvent, Hello, ServerHandshake, Settings,
};
use tidelog_protocol::{Action, ActionId, Form, Meta, NodeId, Pair};

pub(super) const RULES: &str = r#"
    [[action]]
    type = "posts/*"
    channels = ["posts"]
    [[action]]
    type = "note"
    [[channel]]
    pattern = "posts"
    [[channel]]
    pattern = "secret"
    allow = "false"
    [[action]]
    type = "crdt/*"
    channels = ["shelf"]
    [[channel]]
    pattern = "shelf"
    load = "state"
    squash = 3
    [[channel]]
    pattern = "tasks"
    squash = 3
    [[sync_map]]
    name = "tasks"
"#;
/// How much of a load is read at once.
const PART: PageLimit = PageLimit { entries: 2, bytes: 1000 };
pub(super) const HERE: Incarnation = Incarnation(7);

/// The log, and what all sessions share.
pub(super) struct World {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) shared: Shared,
    pub(super) now: u64,
    /// How pages speak that connect.
    pub(super) spoken: (Version, Form),
    /// What the authors of submitted actions had seen.
    pub(super) contexts: Vec<tidelog_crdt::Context>,
    lives: Lives,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_rules(RULES)
    }

    pub(super) fn with_rules(rules: &'static str) -> Self {
        let config = Config::parse(Source::new(Path::new("test.toml"), rules)).unwrap();
        let epoch = Epoch { first: Position::ZERO.plus(1), id: 99, started_ms: 0 };
        let limits = Limits {
            subscriptions: 10,
            window_frames: 3,
            window_bytes: 1 << 20,
            chunk_actions: 2,
            pending_actions: 100,
            pending_frames: 100,
        };
        let shared = Shared {
            incarnation: HERE,
            epochs: Epochs::new(vec![epoch]),
            rules: Arc::new(Rules::compile(&config).unwrap()),
            verdicts: Arc::default(),
            limits,
        };
        let spoken = (Version::V5, Form::Text);
        Self {
            entries: Vec::new(),
            shared,
            now: 1_000_000,
            spoken,
            contexts: Vec::new(),
            lives: Lives::default(),
        }
    }

    pub(super) fn head(&self) -> Position {
        self.entries.last().map_or(Position::ZERO, |entry| entry.position)
    }

    pub(super) fn at(&self) -> Moment {
        Moment { now: self.now, head: self.head() }
    }

    /// Somebody's action, placed where the rules say.
    pub(super) fn add(&mut self, node: &str, json: &str) -> Arc<Entry> {
        let time = 500_000 + self.head().get() + 1;
        self.add_made(node, json, time)
    }

    /// The same, made at `time`.
    pub(super) fn add_made(&mut self, node: &str, json: &str, time: u64) -> Arc<Entry> {
        let position = self.head().plus(1);
        let id = ActionId { node: NodeId::new(node).unwrap(), ms: position.get(), sequence: 0 };
        let meta = Meta { id, time, subprotocol: None };
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        self.place(action, meta)
    }

    pub(super) fn place(&mut self, action: Action, meta: Meta) -> Arc<Entry> {
        let position = self.head().plus(1);
        let identity = crate::auth::Identity {
            user: meta.id.node.user().unwrap(),
            claims: Arc::default(),
            expires_ms: None,
            anonymous: false,
        };
        let subject = Subject::new(&identity, meta.id.node.clone(), 0);
        let placement = self.shared.rules.place(&subject, &action, &meta).unwrap();
        let channels = placement.channels;
        let entry = Arc::new(Entry {
            position,
            id: meta.id,
            time: meta.time,
            accepted_ms: self.now,
            subprotocol: 0,
            addresses: Addresses {
                users: placement.users,
                channels,
                clients: Vec::new(),
                nodes: Vec::new(),
            },
            dot: Dot { incarnation: HERE, position },
            aliases: Vec::new(),
            causes: crate::log::Causes::default(),
            action,
            kept: true,
            cleaned: false,
        });
        self.entries.push(entry.clone());
        entry
    }

    pub(super) fn judge(&mut self, page: &Page, submission: Submission) -> Verdict {
        let Submission { pair: Pair { action, meta, .. }, known: author } = submission;
        let known = self.entries.iter().find(|entry| entry.id == meta.id).cloned();
        let id = meta.id.clone();
        let subject = page.session.subject();
        let placement = self.shared.rules.place(subject, &action, &meta);
        if let Ok(placement) = &placement {
            let placed = (&**subject, action.kind(), placement);
            self.contexts.push(author.context(
                &Incarnations::one(HERE),
                placed,
                &self.shared.rules,
            ));
        }
        if known.is_none() && placement.is_err() {
            let answer = AnswerId::unplaced(HERE, self.head(), self.now);
            let sent = Box::new((action, meta));
            let outcome = Judgement::Undone(crate::rules::UndoReason::Denied, sent);
            return Verdict { id, outcome, answer, repeated: false, position: None };
        }
        let repeated = known.is_some();
        let entry = known.unwrap_or_else(|| self.place(action, meta));
        let answer = AnswerId::of_entry(HERE, entry.position, entry.accepted_ms);
        let position = Some(entry.position);
        Verdict { id, outcome: Judgement::Processed, answer, repeated, position }
    }

    pub(super) fn read(&self, logs: &[LogName], above: Position) -> crate::log::Page {
        let mine = |entry: &&Arc<Entry>| {
            entry.position > above && logs.iter().any(|log| entry.addresses.includes(log))
        };
        let all: Vec<_> = self.entries.iter().filter(mine).cloned().collect();
        let entries: Vec<_> = all.iter().take(2).cloned().collect();
        let more = all.len() > entries.len();
        let through = if more { entries.last().unwrap().position } else { self.head() };
        crate::log::Page { entries, through, more }
    }

    pub(super) fn connect(&self, node: &str, number: u64, state: NodeState) -> Page {
        let (settings, node) = (Arc::new(Settings::server()), NodeId::new(node).unwrap());
        let hello = Hello {
            version: self.spoken.0,
            form: self.spoken.1,
            node: node.clone(),
            synced: number,
            token: None,
            subprotocol: 0,
            headers: None,
        };
        let client_settings = Arc::new(Settings::client());
        let (mut client, frames) = ClientHandshake::new(self.now, &client_settings, hello);
        let mut server = ServerHandshake::new(self.now, &settings);
        let Ok(HandshakeEvent::SignIn(sign_in)) = server.on_frame(&frames[0], self.now) else {
            panic!("no sign-in")
        };
        let accept = Accept {
            node: NodeId::new("server:7").unwrap(),
            subprotocol: 0,
            headers: None,
            now: self.now,
        };
        let accepted = server.accept(&sign_in, accept);
        let Ok(ClientEvent::Connected(connected)) = client.on_frame(&accepted.frames[0]) else {
            panic!("not connected")
        };
        let identity = crate::auth::Identity {
            user: node.user().unwrap(),
            claims: Arc::default(),
            expires_ms: None,
            anonymous: false,
        };
        let subject = Subject::new(&identity, node.clone(), 0);
        let (head, compacted) = (self.head(), Position::ZERO);
        let start = Start { subject, synced: number, node: state, head, compacted };
        let (session, _) =
            Session::start(accepted.connection, Arc::new(self.shared.clone()), start, self.now);
        Page {
            node,
            client: client.finish(&connected, self.now).connection,
            session,
            number,
            sent_number: 0,
            got: Vec::new(),
            frames: Vec::new(),
            acknowledges: true,
            live: false,
            sequence: 0,
        }
    }

    /// A page that connects with what it had, as a page does that lost its connection.
    pub(super) fn reconnect(&self, page: Page) -> Page {
        let (node, number) = (page.node.as_str().to_owned(), page.number);
        let sequence = page.sequence;
        let mut page = self.connect(&node, number, page.session.end());
        page.sequence = sequence;
        page
    }

    /// Lets the page and its session talk until neither has anything to say.
    pub(super) fn settle(&mut self, page: &mut Page) {
        loop {
            let effects = page.session.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.do_effect(effect, page);
            }
        }
    }

    pub(super) fn do_effect(&mut self, effect: Effect, page: &mut Page) {
        match effect {
            Effect::Send(frame) => page.receive(&frame, self.at()),
            Effect::Ingest(batch) => {
                let before = self.entries.len();
                let verdicts: Vec<_> = batch.into_iter().map(|s| self.judge(page, s)).collect();
                // What is published reaches a session that is caught up before the verdicts do.
                if page.session.wants_mail() {
                    let new = self.entries.iter().skip(before).cloned();
                    let mail: Vec<_> = new.map(|entry| Mail { entry, live: false }).collect();
                    let fates = self.fates(mail.iter().map(|mail| &mail.entry));
                    page.session.on_mail(mail, false, &fates, self.at());
                }
                page.session.on_verdicts(verdicts, self.at());
            }
            Effect::Read(ReadOrder::Stretch { logs, above }) => {
                let read = self.read(&logs, above);
                let fates = self.fates(read.entries.iter());
                page.session.on_page(&read, &fates, self.at());
            }
            Effect::Read(ReadOrder::Head) => {
                let head =
                    crate::log::Page { entries: Vec::new(), through: self.head(), more: false };
                page.session.on_page(&head, &Fates::default(), self.at());
            }
            Effect::Read(ReadOrder::Items { channel, map, wanted, .. }) => {
                let mut fold = crate::sync_map::Fold::new(&map);
                let log = LogName::Channel(channel);
                let mine = self.entries.iter().filter(|entry| entry.addresses.includes(&log));
                mine.for_each(|entry| fold.add(entry));
                let loaded = Snapshot::of(fold, self.head()).part(&wanted, PART);
                page.session.on_loaded(loaded, self.at());
            }
            Effect::Read(ReadOrder::States { channel, wanted }) => {
                let log = LogName::Channel(channel);
                let states = self.fold(&log).states(&log, HERE, true);
                page.session.on_loaded(states.part(&wanted, PART), self.at());
            }
            Effect::Read(ReadOrder::Own(order)) => self.read_own(&order, page),
            Effect::Read(ReadOrder::Missed { channel, map, most, wanted }) => {
                let log = LogName::Channel(channel.clone());
                let missed = self.entries.iter().filter(|entry| {
                    entry.position > wanted.after && entry.addresses.includes(&log)
                });
                let order = match map {
                    _ if missed.count() <= most => {
                        ReadOrder::Stretch { logs: vec![log], above: wanted.after }
                    }
                    Some(map) => ReadOrder::Items { channel, map, single: true, wanted },
                    None => ReadOrder::States { channel, wanted },
                };
                self.do_effect(Effect::Read(order), page);
            }
            Effect::Resume(through) => {
                let resumed =
                    if through == self.head() { Resumed::CaughtUp } else { Resumed::ReadOn };
                page.live = through == self.head();
                page.session.on_resumed(&resumed, self.at());
            }
            Effect::Follow(_) | Effect::Unfollow(_) | Effect::Remember(_) | Effect::Undone(_) => {}
        }
    }

    fn fold(&self, log: &LogName) -> crate::documents::Fold {
        let mut fold = crate::documents::Fold::default();
        while fold.through() < self.head() {
            let read = self.read(std::slice::from_ref(log), fold.through());
            fold.take(&read, &Incarnations::one(HERE), &self.shared.rules);
        }
        fold
    }

    fn read_own(&mut self, order: &OwnOrder, page: &mut Page) {
        let logs: Vec<_> = [&order.log].into_iter().chain(&order.others).cloned().collect();
        let own = std::slice::from_ref(&order.log);
        let mine = |entry: &&Arc<Entry>| {
            entry.position > order.above && entry.addresses.includes(&order.log)
        };
        let before = |entry: &&Arc<Entry>| mine(entry) && entry.position <= order.remaining.began;
        let few = match order.most {
            Some(most) => self.entries.iter().filter(mine).count() <= most,
            None => order.remaining.wanted.begins() && !self.entries.iter().any(|it| before(&it)),
        };
        if few {
            let order = ReadOrder::Stretch { logs, above: order.above };
            return self.do_effect(Effect::Read(order), page);
        }
        let states = self.fold(&own[0]).own_states(&order.log, HERE, order.remaining.began);
        let mut read = self.read(&logs, order.above);
        while read.more && read.entries.iter().all(|it| states.has(it, &self.shared.rules)) {
            read = self.read(&logs, read.through);
        }
        read.entries.retain(|it| !(mine(&it) && states.has(it, &self.shared.rules)));
        let fates = self.fates(read.entries.iter());
        let part = || states.snapshot.part(&order.remaining.wanted, PART);
        let states = (!read.more).then(part);
        page.session.on_own(OwnPart { page: read, fates, states }, self.at());
    }

    fn fates<'a>(&self, entries: impl Iterator<Item = &'a Arc<Entry>>) -> Fates {
        let mut read = |log: &LogName, (above, until): (Position, Position), _: PageLimit| {
            let all = self.entries.iter().filter(|entry| entry.addresses.includes(log));
            let between = all.filter(|entry| entry.position > above && entry.position <= until);
            let entries = between.cloned().collect();
            Ok::<_, ()>(crate::log::Page { entries, through: until, more: false })
        };
        self.lives.fates(entries, &self.shared.rules, self.head(), &mut read).unwrap()
    }

    /// An entry reaches a page that is caught up.
    pub(super) fn publish(&mut self, entry: &Arc<Entry>, page: &mut Page) {
        let mail = Mail { entry: entry.clone(), live: false };
        let fates = self.fates([entry].into_iter());
        page.session.on_mail(vec![mail], false, &fates, self.at());
        self.settle(page);
    }

    /// The page acknowledges all that it got, and from now on what it gets.
    pub(super) fn acknowledge(&mut self, page: &mut Page) {
        page.acknowledges = true;
        for _ in 0..page.frames.iter().filter(|frame| **frame == "sync").count() {
            let synced = page.client.synced(page.number, self.now);
            page.session.on_frame(&synced, self.at()).unwrap();
        }
        self.settle(page);
    }

    pub(super) fn start(&mut self, page: &mut Page) {
        self.now += 50;
        page.session.on_tick(self.at()).unwrap();
        self.settle(page);
    }

    pub(super) fn open(&mut self, node: &str) -> Page {
        let mut page = self.connect(node, 0, NodeState::default());
        self.start(&mut page);
        page
    }

    pub(super) fn send(&mut self, page: &mut Page, json: &str) -> ActionId {
        let id = self.say(page, json);
        self.settle(page);
        id
    }

    pub(super) fn send_as(&mut self, page: &mut Page, json: &str, id: &ActionId) {
        self.say_as(page, json, id);
        self.settle(page);
    }

    /// The page says it, and nothing that the session asks for is done yet.
    pub(super) fn say(&self, page: &mut Page, json: &str) -> ActionId {
        page.sequence += 1;
        let id = ActionId { node: page.node.clone(), ms: self.now, sequence: page.sequence };
        self.say_as(page, json, &id);
        id
    }

    fn say_as(&self, page: &mut Page, json: &str, id: &ActionId) {
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        let meta = Meta { id: id.clone(), time: id.ms, subprotocol: None };
        let frame = page.client.sync(page.sequence, [(&action, &meta)], 0, self.now);
        page.session.on_frame(&frame, self.at()).unwrap();
    }
}

pub(super) const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"posts"}"#;
