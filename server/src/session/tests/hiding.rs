//! What a page was told of documents may hide what comes, and what is known of that outlives its connections, and the
//! process as far as it can.

use super::super::NodeState;
use super::page::Page;
use super::world::*;
use crate::hub::Delivery as Mail;
use crate::log::Page as Read;
use crate::session::{Effect, ReadOrder};
use crate::sync_map::Fates;

const SHELF: &str = r#"{"type":"logux/subscribe","channel":"shelf"}"#;
const ADD: &str = "crdt/counter/add";
const STATE: &str = "crdt/state";
const COUNT: &str = r#"{"type":"crdt/counter/add","doc":"a"}"#;
const FORGOTTEN_MS: u64 = 10_000;
const OWN: &str = r#"
    [user_log]
    state = ["crdt/*"]
    [[action]]
    type = "crdt/*"
    [[action]]
    type = "note"
"#;
const BOTH: &str = r#"
    [[action]]
    type = "crdt/*"
    channels = ["shelf"]
    [[action]]
    type = "note"
    [[channel]]
    pattern = "shelf"
"#;

/// The logs whose documents pages are told of: the channel that others write to, or the user's own.
#[derive(Clone, Copy)]
enum Of {
    Channel,
    User,
}

impl Of {
    fn world(self) -> World {
        match self {
            Self::Channel => World::new(),
            Self::User => World::with_rules(OWN),
        }
    }

    /// Somebody else, or another device of the page's user.
    fn author(self) -> &'static str {
        match self {
            Self::Channel => "11:b:t",
            Self::User => "10:b:t",
        }
    }

    /// Names what it follows, and has what comes of that.
    fn mount(self, world: &mut World, page: &mut Page) {
        if matches!(self, Self::Channel) {
            world.send(page, SHELF);
        }
        world.start(page);
    }

    fn count(self, world: &mut World, page: &mut Page) {
        let entry = world.add(self.author(), COUNT);
        world.publish(&entry, page);
    }
}

/// The server was killed, and knows what was stored of the page.
fn killed(world: &World, page: Page) -> Page {
    let (node, number) = (page.node.as_str().to_owned(), page.number);
    world.connect(&node, number, NodeState::from_bytes(&page.session.end().to_bytes()))
}

fn a_second_passes(world: &mut World, page: &mut Page) {
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(page);
}

/// A page that was told of a document, before the server was killed.
fn told(of: Of) -> (World, Page, u64) {
    let mut world = of.world();
    (0..3).for_each(|_| drop(world.add(of.author(), COUNT)));
    let mut page = world.open("10:a:t");
    of.mount(&mut world, &mut page);
    let state = page.got.iter().find(|got| got.kind == STATE).unwrap().time;
    let mut page = killed(&world, page);
    of.mount(&mut world, &mut page);
    (world, page, state)
}

#[test]
fn that_something_was_forgotten_is_known_until_something_comes() {
    for of in [Of::Channel, Of::User] {
        let (mut world, mut page, state) = told(of);
        for _ in 0..2 {
            assert_eq!(page.count(STATE), 0);
            page = world.reconnect(page);
            of.mount(&mut world, &mut page);
        }
        of.count(&mut world, &mut page);
        a_second_passes(&mut world, &mut page);
        assert_eq!(page.kinds().into_iter().filter(|kind| *kind == STATE).count(), 1);
        assert!(page.got.last().unwrap().time >= state + FORGOTTEN_MS, "it may lie under that");
        page = world.reconnect(page);
        of.mount(&mut world, &mut page);
        a_second_passes(&mut world, &mut page);
        assert_eq!(page.count(STATE), 0, "once");
    }
}

#[test]
fn what_lies_above_the_forgotten_does_so_by_the_next_connection_too() {
    // What comes by the user's log brings its document anew at once.
    for (of, cut_while_sent) in [(Of::Channel, false), (Of::Channel, true), (Of::User, true)] {
        let (mut world, mut page, state) = told(of);
        page.acknowledges = !cut_while_sent;
        of.count(&mut world, &mut page);
        if cut_while_sent {
            a_second_passes(&mut world, &mut page);
        }
        page = world.reconnect(page);
        of.mount(&mut world, &mut page);
        a_second_passes(&mut world, &mut page);
        let anew = page.got.iter().rfind(|got| got.kind == STATE).unwrap();
        assert!(anew.time >= state + FORGOTTEN_MS, "{cut_while_sent}: {}", anew.time);
    }
}

/// By `squash` there is no action that could tell that something was forgotten.
#[test]
fn what_comes_instead_of_many_actions_lies_above_the_forgotten() {
    let mut world = Of::Channel.world();
    (0..3).for_each(|_| drop(world.add("11:b:t", COUNT)));
    let mut page = world.open("10:a:t");
    Of::Channel.mount(&mut world, &mut page);
    let state = page.got.iter().find(|got| got.kind == STATE).unwrap().time;
    (0..4).for_each(|_| drop(world.add_made("11:b:t", COUNT, 1_000)));
    let mut page = killed(&world, page);
    Of::Channel.mount(&mut world, &mut page);
    assert_eq!((page.count(ADD), page.count(STATE)), (0, 1));
    assert!(page.got[0].time >= state + FORGOTTEN_MS);
}

/// Made long ago, but there is nothing of it in a document that could lie over it.
#[test]
fn what_is_of_no_document_brings_none_anew() {
    let mut world = World::with_rules(OWN);
    (0..3).for_each(|_| drop(world.add("10:b:t", COUNT)));
    let mut page = world.open("10:a:t");
    assert_eq!(page.kinds(), [STATE]);
    let note = world.add_made("10:b:t", r#"{"type":"note"}"#, 1_000);
    world.publish(&note, &mut page);
    (0..2).for_each(|_| drop(world.add_made("10:b:t", COUNT, 600_000)));
    page = world.reconnect(page);
    world.start(&mut page);
    a_second_passes(&mut world, &mut page);
    assert_eq!(page.kinds(), [ADD, ADD]);
}

/// The base is read, and waits for the page to take what is before it; meanwhile its user's log brings what is above.
#[test]
fn what_the_users_log_brings_before_a_base_that_waits_is_not_hidden_under_it() {
    let mut world = World::with_rules(BOTH);
    world.shared.limits.chunk_actions = 1;
    let first = world.add("11:b:t", COUNT);
    let base = r#"{"type":"crdt/state","doc":"a","state":{"kind":"counter","value":2}}"#;
    let mut base = crate::log::Entry::clone(&world.add("11:b:t", base));
    base.id.node = tidelog_protocol::NodeId::new("server:7:2").unwrap();
    let base = std::sync::Arc::new(base);
    *world.entries.last_mut().unwrap() = base.clone();
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    for _ in 0..2 {
        let note = world.add("10:b:t", r#"{"type":"note"}"#);
        world.publish(&note, &mut page);
    }
    let own = world.add("10:b:t", COUNT);
    world.say(&mut page, SHELF);
    let effects = page.session.effects();
    assert!(effects.iter().any(|it| matches!(it, Effect::Read(ReadOrder::Stretch { .. }))));
    // The session is behind, so that it reads its user's log in turn.
    let nothing: Vec<Mail> = Vec::new();
    page.session.on_mail(nothing, true, &Fates::default(), world.at());
    let read = Read { entries: vec![first, base, own.clone()], through: own.position, more: false };
    page.session.on_page(&read, &Fates::default(), world.at());
    world.settle(&mut page);
    assert_eq!(page.kinds()[2..], [ADD, ADD], "of the channel, and of the user's log");
    world.acknowledge(&mut page);
    assert_eq!(page.got[4].kind, STATE);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    let anew = |it: &Effect| matches!(it, Effect::Read(ReadOrder::Own(_)));
    assert!(page.session.effects().iter().any(anew), "the document is to come anew");
}
