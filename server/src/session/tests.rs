//! Transcripts: a page that speaks the protocol, a session, and a log in memory.

use super::*;
use crate::config::{Config, Source};
use crate::epochs::Epoch;
use crate::hub::Delivery as Mail;
use crate::ingest::{Judgement, Submission};
use crate::log::{Addresses, Entry};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::Path;
use tidelog_crdt::Dot;
use tidelog_protocol::codec::Version;
use tidelog_protocol::peer::{
    Accept, ClientEvent, ClientHandshake, HandshakeEvent, Hello, ServerHandshake, Settings,
};
use tidelog_protocol::{Action, ActionId, Form, Meta, NodeId, Pair, builtin};

const RULES: &str = r#"
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
    [[sync_map]]
    name = "tasks"
"#;
const HERE: Incarnation = Incarnation(7);

/// The log, and what all sessions share.
struct World {
    entries: Vec<Arc<Entry>>,
    shared: Shared,
    now: u64,
}

/// A page with its connection, and the session at the other end.
struct Page {
    node: NodeId,
    client: Connection,
    session: Session,
    /// The number it would connect with again.
    number: u64,
    /// The last number that this connection sent.
    sent_number: u64,
    /// Everything it got: type, and the time in the id.
    got: Vec<Got>,
    /// Frames it got, by name.
    frames: Vec<&'static str>,
    acknowledges: bool,
    live: bool,
    sequence: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Got {
    kind: String,
    id: ActionId,
    time: u64,
    answers: Option<String>,
}

impl World {
    fn new() -> Self {
        let config = Config::parse(Source::new(Path::new("test.toml"), RULES)).unwrap();
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
        Self { entries: Vec::new(), shared, now: 1_000_000 }
    }

    fn head(&self) -> Position {
        self.entries.last().map_or(Position::ZERO, |entry| entry.position)
    }

    fn at(&self) -> Moment {
        Moment { now: self.now, head: self.head() }
    }

    /// Somebody's action, placed where the rules say.
    fn add(&mut self, node: &str, json: &str) -> Arc<Entry> {
        let position = self.head().plus(1);
        let id = ActionId { node: NodeId::new(node).unwrap(), ms: position.get(), sequence: 0 };
        let meta = Meta { id, time: 500_000 + position.get(), subprotocol: None };
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        self.place(action, meta)
    }

    fn place(&mut self, action: Action, meta: Meta) -> Arc<Entry> {
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
            context: tidelog_crdt::Context::default(),
            action,
            kept: true,
            cleaned: false,
        });
        self.entries.push(entry.clone());
        entry
    }

    fn judge(&mut self, page: &Page, submission: Submission) -> Verdict {
        let Submission { pair: Pair { action, meta, .. }, .. } = submission;
        let known = self.entries.iter().find(|entry| entry.id == meta.id).cloned();
        let id = meta.id.clone();
        if known.is_none()
            && self.shared.rules.place(page.session.subject(), &action, &meta).is_err()
        {
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

    fn read(&self, logs: &[LogName], above: Position) -> crate::log::Page {
        let mine = |entry: &&Arc<Entry>| {
            entry.position > above && logs.iter().any(|log| entry.addresses.includes(log))
        };
        let all: Vec<_> = self.entries.iter().filter(mine).cloned().collect();
        let entries: Vec<_> = all.iter().take(2).cloned().collect();
        let more = all.len() > entries.len();
        let through = if more { entries.last().unwrap().position } else { self.head() };
        crate::log::Page { entries, through, more }
    }

    fn connect(&self, node: &str, number: u64, state: NodeState) -> Page {
        let (settings, node) = (Arc::new(Settings::server()), NodeId::new(node).unwrap());
        let hello = Hello {
            version: Version::V5,
            form: Form::Text,
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
        let start = Start { subject, synced: number, node: state, head: self.head() };
        let (session, _) =
            Session::start(accepted.connection, self.shared.clone(), start, self.now);
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
    fn reconnect(&self, page: Page) -> Page {
        let (node, number) = (page.node.as_str().to_owned(), page.number);
        let sequence = page.sequence;
        let mut page = self.connect(&node, number, page.session.end());
        page.sequence = sequence;
        page
    }

    /// Lets the page and its session talk until neither has anything to say.
    fn settle(&mut self, page: &mut Page) {
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

    fn do_effect(&mut self, effect: Effect, page: &mut Page) {
        match effect {
            Effect::Send(frame) => page.receive(&frame, self.at()),
            Effect::Ingest(batch) => {
                let before = self.entries.len();
                let verdicts: Vec<_> = batch.into_iter().map(|s| self.judge(page, s)).collect();
                // What is published reaches a session that is caught up before the verdicts do.
                if page.session.wants_mail() {
                    let new = self.entries.iter().skip(before).cloned();
                    let mail = new.map(|entry| Mail { entry, live: false }).collect();
                    page.session.on_mail(mail, false, self.at());
                }
                page.session.on_verdicts(verdicts, self.at());
            }
            Effect::Read(ReadOrder::Stretch { logs, above }) => {
                let read = self.read(&logs, above);
                page.session.on_page(&read, self.at());
            }
            Effect::Read(ReadOrder::Head) => {
                let head =
                    crate::log::Page { entries: Vec::new(), through: self.head(), more: false };
                page.session.on_page(&head, self.at());
            }
            Effect::Read(ReadOrder::Fold { channel, name, filter, tombstones }) => {
                let mut fold = crate::sync_map::Fold::new(&name);
                let log = LogName::Channel(channel);
                let mine = self.entries.iter().filter(|entry| entry.addresses.includes(&log));
                mine.for_each(|entry| fold.add(entry));
                let loaded = fold.load(&filter, tombstones);
                page.session.on_loaded(loaded, self.head(), self.at());
            }
            Effect::Resume(through) => {
                let resumed =
                    if through == self.head() { Resumed::CaughtUp } else { Resumed::ReadOn };
                page.live = through == self.head();
                page.session.on_resumed(&resumed, self.at());
            }
            Effect::Follow(_) | Effect::Unfollow(_) | Effect::Remember(_) => {}
        }
    }

    /// An entry reaches a page that is caught up.
    fn publish(&mut self, entry: &Arc<Entry>, page: &mut Page) {
        let mail = Mail { entry: entry.clone(), live: false };
        page.session.on_mail(vec![mail], false, self.at());
        self.settle(page);
    }

    fn start(&mut self, page: &mut Page) {
        self.now += 50;
        page.session.on_tick(self.at()).unwrap();
        self.settle(page);
    }

    fn open(&mut self, node: &str) -> Page {
        let mut page = self.connect(node, 0, NodeState::default());
        self.start(&mut page);
        page
    }

    fn send(&mut self, page: &mut Page, json: &str) -> ActionId {
        page.sequence += 1;
        let id = ActionId { node: page.node.clone(), ms: self.now, sequence: page.sequence };
        self.send_as(page, json, &id);
        id
    }

    fn send_as(&mut self, page: &mut Page, json: &str, id: &ActionId) {
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        let meta = Meta { id: id.clone(), time: self.now, subprotocol: None };
        let frame = page.client.sync(page.sequence, [(&action, &meta)], 0, self.now);
        page.session.on_frame(&frame, self.at()).unwrap();
        self.settle(page);
    }
}

impl Page {
    fn receive(&mut self, frame: &Frame, at: Moment) {
        match self.client.receive(frame, at.now).unwrap() {
            Received::Sync(sync) => {
                assert!(self.sent_number <= sync.number, "a number fell");
                (self.number, self.sent_number) = (sync.number, sync.number);
                self.frames.push("sync");
                for pair in sync.batch {
                    let answers = pair.action.body::<Answered>().ok().and_then(|body| body.id);
                    let kind = pair.action.kind().to_owned();
                    self.got.push(Got { kind, id: pair.meta.id, time: pair.meta.time, answers });
                }
                if self.acknowledges {
                    let frame = self.client.synced(sync.number, at.now);
                    self.session.on_frame(&frame, at).unwrap();
                }
            }
            Received::Synced(_) => self.frames.push("synced"),
            _ => self.frames.push("other"),
        }
    }

    fn kinds(&self) -> Vec<&str> {
        self.got.iter().map(|got| got.kind.as_str()).collect()
    }

    fn count(&self, kind: &str) -> usize {
        self.got.iter().filter(|got| got.kind == kind).count()
    }
}

#[derive(serde::Deserialize)]
struct Answered {
    id: Option<String>,
}

const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"posts"}"#;

#[test]
fn an_action_is_answered_before_its_sync_is_acknowledged() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let id = world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.frames, ["sync", "synced"]);
    assert_eq!(page.got[0].kind, builtin::PROCESSED);
    assert_eq!(page.got[0].answers.as_deref(), Some(id.to_string().as_str()));
    assert_eq!(page.got[0].id.to_string(), format!("{} server:{HERE}:1 0", world.now));
}

#[test]
fn a_fresh_page_gets_history_in_order_with_its_own_actions_and_then_lives() {
    let mut world = World::new();
    for n in 0..5 {
        world.add(if n == 2 { "10:a:old" } else { "10:b:t" }, r#"{"type":"note"}"#);
    }
    world.add("11:c:t", r#"{"type":"note"}"#);
    let mut page = world.open("10:a:t");
    let ms: Vec<_> = page.got.iter().map(|got| got.id.ms).collect();
    assert_eq!(ms, [1, 2, 3, 4, 5]);
    assert!(page.live);
    let entry = world.add("10:b:t", r#"{"type":"note"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.got.last().unwrap().id.ms, 7);
}

#[test]
fn a_page_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"note"}"#);
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got.iter().map(|got| got.id.ms).collect::<Vec<_>>(), [3]);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got, []);
}

#[test]
fn the_first_answer_tells_a_number_so_that_a_page_is_not_sent_its_own_action() {
    // A page that had nothing but its own action came back with 0, and got the action again.
    let mut world = World::new();
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.frames, ["sync", "synced"]);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got, []);
}

#[test]
fn the_first_frame_is_answered_before_history() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.kinds(), [builtin::PROCESSED, "note"]);
    assert_eq!(page.frames, ["sync", "sync", "synced"]);
}

#[test]
fn a_page_that_lost_its_first_answer_sends_the_action_again_and_does_not_get_it() {
    // The answer was cut off, so the page came back with 0 and got its own action from history.
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    let id = world.send(&mut page, r#"{"type":"note"}"#);
    page.number = 0;
    let mut page = world.reconnect(page);
    world.send_as(&mut page, r#"{"type":"note"}"#, &id);
    assert_eq!(page.kinds(), [builtin::PROCESSED, "note"]);
    assert_eq!(page.got[1].id.node.as_str(), "10:b:t");
}

#[test]
fn a_number_of_another_user_starts_from_the_beginning() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    world.add("11:b:t", r#"{"type":"note"}"#);
    let page = world.open("10:a:t");
    let mut other = world.connect("11:a:t", page.number, NodeState::default());
    world.start(&mut other);
    assert_eq!(other.count("note"), 1);
}

#[test]
fn the_next_chunk_waits_for_an_acknowledgement() {
    let mut world = World::new();
    for _ in 0..20 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    page.acknowledges = false;
    world.start(&mut page);
    assert_eq!(page.frames.len(), 3, "three frames of two are the window");
    let synced = page.client.synced(page.number, world.now);
    page.session.on_frame(&synced, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.frames.len(), 4);
}

#[test]
fn a_subscription_loads_and_is_answered_after_the_last_frame_of_the_load() {
    let mut world = World::new();
    for _ in 0..5 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let mut expected = vec!["posts/add"; 5];
    expected.push(builtin::PROCESSED);
    assert_eq!(page.kinds(), expected);
    assert_eq!(page.frames, ["sync", "sync", "sync", "sync", "synced"]);
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.count("posts/add"), 6);
}

#[test]
fn a_subscription_named_again_by_its_node_goes_on_where_it_was() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.kinds(), Vec::<&str>::new(), "nothing of it before it is named");
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.kinds(), ["posts/add", builtin::PROCESSED]);
    assert_eq!(page.got[0].id.ms, 2);
}

#[test]
fn what_was_received_and_not_acknowledged_does_not_come_again() {
    // The connection broke after the frame, and before its `synced`: the number in `connect` tells.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    page.acknowledges = false;
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.count("posts/add"), 1);
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 0);
}

#[test]
fn what_was_sent_and_not_received_comes_again() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let number = page.number;
    page.acknowledges = false;
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    page.number = number;
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 1);
}

#[test]
fn a_load_that_was_cut_starts_again() {
    let mut world = World::new();
    for _ in 0..12 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 6, "the window");
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 12);
}

#[test]
fn another_node_goes_on_from_the_id_of_an_answer_that_this_server_minted() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let answer = page.got.last().unwrap().id.clone();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let resubscribe = |id: &str| {
        format!(
            r#"{{"type":"logux/subscribe","channel":"posts","since":{{"id":"{id}","time":1}}}}"#
        )
    };
    for (id, expected) in [
        (answer.to_string(), 1),
        (answer.to_string().replace("server:", "serves:"), 2),
        (format!("{} {} 0", answer.ms, answer.node), 2),
    ] {
        let mut tab = world.open("10:a:u");
        world.send(&mut tab, &resubscribe(&id));
        assert_eq!(tab.count("posts/add"), expected, "{id}");
    }
}

#[test]
fn a_duplicate_is_acknowledged_here_and_answered_alike_on_another_connection() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let note = r#"{"type":"note"}"#;
    let id = world.send(&mut page, note);
    world.send_as(&mut page, note, &id);
    assert_eq!(page.frames, ["sync", "synced", "synced"]);
    let first = page.got[0].clone();
    let mut page = world.reconnect(page);
    world.send_as(&mut page, note, &id);
    assert_eq!(page.got, [first]);
    assert_eq!(world.entries.len(), 1);
}

#[test]
fn an_unsubscribe_is_answered_once_by_its_id() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"posts"}"#;
    let id = world.send(&mut page, unsubscribe);
    let mut page = world.reconnect(page);
    world.send_as(&mut page, unsubscribe, &id);
    assert_eq!(page.frames, ["synced"], "a second `processed` would cancel another subscription");
    world.send(&mut page, unsubscribe);
    assert_eq!(page.count(builtin::PROCESSED), 1);
}

#[test]
fn an_undo_is_never_earlier_than_its_action() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let action = Action::new(Bytes::from_static(br#"{"type":"unheard"}"#)).unwrap();
    let ahead = world.now + 60_000;
    let id = ActionId { node: page.node.clone(), ms: ahead, sequence: 0 };
    let meta = Meta { id, time: ahead, subprotocol: None };
    let frame = page.client.sync(1, [(&action, &meta)], 0, world.now);
    page.session.on_frame(&frame, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.got[0].kind, builtin::UNDO);
    assert!(page.got[0].time >= ahead);
}

#[test]
fn a_channel_that_may_not_be_read_or_does_not_exist_is_undone() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"secret"}"#);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"nowhere"}"#);
    assert_eq!(page.kinds(), [builtin::UNDO, builtin::UNDO]);
}

#[test]
fn a_list_brings_its_items_along_and_an_item_that_leaves_it_is_still_told_of() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"done":false,"n":1}}"#);
    world.add("11:b:t", r#"{"type":"tasks/create","id":"2","fields":{"done":true}}"#);
    let mut page = world.open("10:a:t");
    world
        .send(&mut page, r#"{"type":"logux/subscribe","channel":"tasks","filter":{"done":false}}"#);
    assert_eq!(page.kinds(), [builtin::SUBSCRIBED, "tasks/changed", builtin::PROCESSED]);
    let leaves = world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#);
    world.publish(&leaves, &mut page);
    assert_eq!(page.kinds().last(), Some(&"tasks/changed"));
    let comes = world.add("11:b:t", r#"{"type":"tasks/create","id":"3","fields":{"done":false}}"#);
    world.publish(&comes, &mut page);
    assert_eq!(page.kinds()[4..], [builtin::SUBSCRIBED, "tasks/created"]);
}

#[test]
fn what_comes_between_the_load_of_a_channel_and_a_page_of_history_is_not_skipped() {
    // The page of history was asked for while the channel was loading, so it left the channel out;
    // it moved the cursor past an entry of the channel, and nobody read that one.
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    for _ in 0..3 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.now += 50;
    page.session.on_tick(world.at()).unwrap();
    let action = Action::new(Bytes::from_static(SUBSCRIBE.as_bytes())).unwrap();
    let id = ActionId { node: page.node.clone(), ms: world.now, sequence: 1 };
    let meta = Meta { id, time: world.now, subprotocol: None };
    let frame = page.client.sync(1, [(&action, &meta)], 0, world.now);
    page.session.on_frame(&frame, world.at()).unwrap();
    let own = LogName::User(page.node.user().unwrap());
    let mut histories = 0;
    let mut waiting: VecDeque<_> = page.session.effects().into();
    while let Some(effect) = waiting.pop_front() {
        if matches!(&effect, Effect::Read(ReadOrder::Stretch { logs, .. }) if logs.contains(&own)) {
            histories += 1;
            if histories == 2 {
                world.add("11:b:t", r#"{"type":"posts/add"}"#);
            }
        }
        world.do_effect(effect, &mut page);
        waiting.extend(page.session.effects());
    }
    assert_eq!(page.count("note"), 3);
    assert_eq!(page.count("posts/add"), 2);
}

#[test]
fn an_inbox_that_overflowed_does_not_move_the_cursor_past_what_it_dropped() {
    // A live-only action was left in the inbox; its position was taken for the cursor.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let dropped: Vec<_> = (0..3).map(|_| world.add("10:b:t", r#"{"type":"note"}"#)).collect();
    let mut live = Entry::clone(dropped.last().unwrap());
    live.kept = false;
    live.id.sequence += 1;
    live.action = Action::from_parts(r#"{"type":"cursor"}"#.into(), "cursor");
    let mail = Mail { entry: Arc::new(live), live: true };
    page.session.on_mail(vec![mail], true, world.at());
    world.settle(&mut page);
    assert_eq!((page.count("note"), page.count("cursor")), (3, 1));
}

#[test]
fn a_page_read_for_a_subscription_that_ended_is_not_used_for_the_next_one() {
    let mut world = World::new();
    for _ in 0..4 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    let subscribe = |page: &mut Page, world: &World, json: &str| {
        page.sequence += 1;
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        let (node, sequence) = (page.node.clone(), page.sequence);
        let meta = Meta {
            id: ActionId { node, ms: world.now, sequence },
            time: world.now,
            subprotocol: None,
        };
        let frame = page.client.sync(sequence, [(&action, &meta)], 0, world.now);
        page.session.on_frame(&frame, world.at()).unwrap();
    };
    subscribe(&mut page, &world, SUBSCRIBE);
    let first = page.session.effects();
    subscribe(&mut page, &world, r#"{"type":"logux/unsubscribe","channel":"posts"}"#);
    subscribe(&mut page, &world, SUBSCRIBE);
    // Only now the first read is carried out, with a head that would skip the whole channel.
    let read = first.iter().any(|effect| matches!(effect, Effect::Read(_)));
    assert!(read, "the first load was being read");
    let late = crate::log::Page { entries: Vec::new(), through: world.head(), more: false };
    page.session.on_page(&late, world.at());
    world.settle(&mut page);
    assert_eq!(page.count("posts/add"), 4);
}

#[test]
fn what_is_remembered_of_another_history_is_forgotten() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    let state = page.session.end();
    let epoch = Epoch { first: Position::ZERO.plus(1), id: 100, started_ms: 0 };
    world.shared.epochs = Epochs::new(vec![epoch]);
    let mut page = world.connect("10:a:t", 0, state);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 1, "the whole channel");
}

#[test]
fn a_subscription_that_was_acknowledged_before_its_load_was_over_is_answered_on_the_next_connection()
 {
    // The client had its `synced`, so it never sent the subscription again, and waited for ever.
    let mut world = World::new();
    for _ in 0..12 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    let id = world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.frames, ["sync", "sync", "sync"], "the window");
    world.now += 51_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert!(page.frames.contains(&"synced"), "stock clients give up at 70 s");
    let state = NodeState::from_bytes(&page.session.end().to_bytes());
    let mut page = world.connect("10:a:t", page.number, state);
    world.start(&mut page);
    assert_eq!(page.count("posts/add"), 12);
    let answer = page.got.last().unwrap();
    assert_eq!(
        (answer.kind.as_str(), answer.answers.clone()),
        (builtin::PROCESSED, Some(id.to_string()))
    );
}
