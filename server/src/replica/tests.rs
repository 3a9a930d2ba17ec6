mod cuts;
mod restored;
mod revocations;
mod undone;
mod world;

use super::desk::{Desk, Trouble};
use super::link::{self, Link};
use super::registry::Replica;
use crate::log::{Addresses, Draft, Entry, Log, LogName, Outcome, PageLimit, Settings};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelog_crdt::{Context, Dot, Position, Ranges, Seen};
use tidelog_protocol::replica::{Behind, Held, Pull, Push, Reason, Record, Refusal, Taken};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};
use world::World;

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn id(client: &str, ms: u64) -> ActionId {
    ActionId { node: NodeId::new(&format!("{client}:tab")).unwrap(), ms, sequence: 0 }
}

fn draft(client: &str, ms: u64, json: &str) -> Draft {
    let id = id(client, ms);
    Draft {
        time: ms,
        subprotocol: 1,
        addresses: Addresses {
            users: id.node.user().into_iter().collect(),
            ..Addresses::default()
        },
        context: Context::default(),
        action: Action::new(json.to_owned().into()).unwrap(),
        kept: true,
        id,
    }
}

fn add(value: u64) -> String {
    format!(r#"{{"type":"crdt/set/add","doc":"cart","path":["items"],"value":{value}}}"#)
}

fn remove(value: u64) -> String {
    format!(r#"{{"type":"crdt/set/remove","doc":"cart","path":["items"],"value":{value}}}"#)
}

/// A replica with this scope.
fn replica(name: &str, users: &[&str], channels: &[&str]) -> Arc<Replica> {
    let globs = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
    Arc::new(Replica::make(name, (globs(users), globs(channels)), 1).unwrap().0)
}

/// How many seeds a test runs; more by `TIDELOG_SEEDS=5000 cargo test -p tidelog-server replicas_agree`
const SEEDS: u64 = 70;
/// A world waits for its disks most of the time, so several go on side by side.
const WORLDS: usize = 8;

/// A story in as many worlds, and what comes of it.
fn in_each_world((from, few): (u64, u64), edges: usize, prepare: impl Fn(&mut World) + Sync) {
    let count = std::env::var("TIDELOG_SEEDS").ok().and_then(|text| text.parse().ok());
    let (next, end) = (AtomicU64::new(from), from + count.unwrap_or(few));
    let tell = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let mut world = World::new(seed, edges);
            prepare(&mut world);
            for _ in 0..60 {
                world.step();
            }
            world.heal();
            world.judge();
        }
    };
    std::thread::scope(|scope| (0..WORLDS).for_each(|_| drop(scope.spawn(tell))));
}

#[test]
fn replicas_agree_after_partitions_crashes_and_lost_answers() {
    in_each_world((0, SEEDS), 2, |_| {});
}

#[test]
fn replicas_agree_whatever_was_restored() {
    in_each_world((1_000, SEEDS), 2, |world| world.restores = true);
}

#[test]
fn an_edge_of_an_edge_agrees_too() {
    // 0 is the cloud; 3 follows 2.
    in_each_world((200_000, SEEDS), 3, |world| world.follow(3, 2));
}

#[test]
fn one_action_accepted_on_both_sides_is_one_action_for_everybody() {
    let mut world = World::new(7, 2);
    // A client that never heard that the edge had it brings it to the cloud, too.
    world.append(1, draft("ann:phone", 10, &add(1)));
    world.append(0, draft("ann:phone", 10, &add(1)));
    let seen = Seen { prefix: world.log(1).head(), own: Ranges::default() };
    // Each side removes what it has seen, by the name that it has there.
    let context = world.log(1).incarnations().context(seen);
    world.append(1, Draft { context, ..draft("ann:tablet", 11, &remove(1)) });
    world.heal();
    world.judge();
    let entry = world.entries(2).into_iter().find(|it| it.id == id("ann:phone", 10)).unwrap();
    let mut dots = [world.log(0), world.log(1)]
        .map(|log| Dot { incarnation: log.incarnation(), position: at(1) });
    dots.sort_unstable();
    assert_eq!((entry.dot, &entry.aliases[..]), (dots[0], &dots[1..]));
    assert_eq!(world.cart(2, "ann"), serde_json::Value::Null, "who removed it had seen it");
    // And it stays so after a start.
    (0..3).for_each(|at| world.crash(at));
    world.judge();
}

#[test]
fn what_is_sent_once_is_not_sent_again() {
    let world = World::new(7, 1);
    for ms in 1..=30 {
        world.append(0, draft("ann:phone", ms, &add(ms)));
        world.append(1, draft("bob:phone", ms, &add(ms)));
    }
    assert_eq!(world.sync(1), (30, 30));
    assert_eq!(world.sync(1), (0, 0), "neither what it had, nor what it got");
    world.append(0, draft("ann:phone", 99, &add(1)));
    assert_eq!(world.sync(1), (0, 1));
}

#[test]
fn an_edge_that_begins_with_a_backup_is_sent_only_what_came_later() {
    let mut world = World::new(7, 2);
    for ms in 1..=30 {
        world.append(0, draft("ann:phone", ms, &add(ms)));
    }
    world.seed(1);
    assert_ne!(world.log(1).store_id(), world.log(0).store_id());
    world.append(1, draft("ann:tablet", 40, &remove(7)));
    world.append(0, draft("ann:phone", 41, &add(99)));
    assert_eq!(world.sync(1), (1, 1));
    for _ in 0..60 {
        world.step();
    }
    world.heal();
    world.judge();
}

#[test]
fn an_edge_has_only_what_is_in_its_scope_and_brings_nothing_else() {
    let mut world = World::new(7, 1);
    world.set_scope(1, &["ann", "bob"], &["tasks/*"]);
    let to = |channel: &str, draft: Draft| {
        let mut draft = draft;
        draft.addresses.channels.push(crate::log::Channel::new(channel).unwrap());
        draft
    };
    let made = [(7, "ann", "tasks/1"), (8, "eve", "secrets"), (9, "eve", "tasks/2")];
    for (ms, name, channel) in made {
        world.append(0, to(channel, draft(&format!("{name}:pc"), ms, &add(1))));
    }
    world.append(1, draft("bob:phone", 1, &add(2)));
    world.append(1, draft("eve:phone", 2, &add(3)));
    world.append(1, to("secrets", draft("bob:phone", 3, &add(4))));
    let refused = world.refusals(1);
    let reasons: Vec<_> = refused.iter().map(|it| (it.id.to_string(), it.reason)).collect();
    assert_eq!(
        reasons,
        [
            ("2 eve:phone:tab 0".to_owned(), Reason::OutOfScope),
            ("3 bob:phone:tab 0".to_owned(), Reason::OutOfScope)
        ]
    );
    world.sync(1);
    let ids = |at| world.entries(at).iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
    assert!(!ids(1).contains(&"8 eve:pc:tab 0".to_owned()), "{:?}", ids(1));
    assert!(ids(1).contains(&"7 ann:pc:tab 0".to_owned()), "{:?}", ids(1));
    assert!(ids(1).contains(&"9 eve:pc:tab 0".to_owned()), "{:?}", ids(1));
    assert!(ids(0).contains(&"1 bob:phone:tab 0".to_owned()), "{:?}", ids(0));
    assert_eq!(ids(0).len(), 4, "{:?}", ids(0));
}

/// A push of a hostile edge, with `change` made to its one entry.
fn forged(world: &World, change: impl FnOnce(&mut Push)) -> Result<Vec<Reason>, Trouble> {
    world.append(1, draft("ann:phone", 1, &add(1)));
    let link = world.link(1);
    let mut push = wait(link.push(None)).unwrap().unwrap();
    change(&mut push);
    let pushed = wait(world.desk(0).take(&world.replica(1), push))?;
    Ok(pushed.refused.into_iter().map(|refused| refused.reason).collect())
}

fn entry(push: &mut Push) -> &mut tidelog_protocol::replica::Entry {
    match &mut push.records[0] {
        Record::Entry(entry) => entry,
        Record::Cleaned(_) => panic!("no entry"),
    }
}

#[test]
fn a_hostile_edge_gets_a_clear_refusal_and_changes_nothing() {
    type Change = Box<dyn FnOnce(&mut Push)>;
    let far = Position::MAX;
    let cases: Vec<(&str, Reason, Change)> = vec![
        ("absurd position", Reason::ForgedDot, Box::new(move |it| entry(it).dot.position = far)),
        ("no position", Reason::ForgedDot, Box::new(|it| entry(it).dot.position = Position::ZERO)),
        ("no action", Reason::Malformed, Box::new(|it| entry(it).action = Some("{}".into()))),
        ("no JSON", Reason::Malformed, Box::new(|it| entry(it).action = Some("{".into()))),
        (
            "too long",
            Reason::TooLarge,
            Box::new(|it| {
                let text = "x".repeat(300 << 10);
                entry(it).action = Some(format!(r#"{{"type":"a","text":"{text}"}}"#));
            }),
        ),
        ("no channel", Reason::Malformed, Box::new(|it| entry(it).channels = vec![String::new()])),
        ("no user", Reason::Malformed, Box::new(|it| entry(it).users = vec!["a b".into()])),
        (
            "of somebody else",
            Reason::OutOfScope,
            Box::new(|it| entry(it).id = "1 eve:phone:tab 0".parse().unwrap()),
        ),
        (
            "cleaning for somebody else",
            Reason::OutOfScope,
            Box::new(|it| it.records = vec![Record::Cleaned("1 eve:pc:tab 0".parse().unwrap())]),
        ),
    ];
    for (name, reason, change) in cases {
        let mut world = World::new(7, 2);
        world.set_scope(1, &["ann"], &["*"]);
        world.append(0, draft("eve:pc", 1, &add(9)));
        let before = world.entries(0);
        assert_eq!(forged(&world, change).unwrap(), [reason], "{name}");
        assert_eq!(world.entries(0), before, "{name}");
    }
}

#[test]
fn nobody_names_what_another_server_has_accepted() {
    // A dot of the cloud's own, which it has not given.
    let world = World::new(7, 2);
    let here = world.log(0).incarnation();
    let named = |it: &mut Push| entry(it).dot = Dot { incarnation: here, position: at(1) };
    assert_eq!(forged(&world, named).unwrap(), [Reason::ForgedDot]);
    // As an alias, too.
    let world = World::new(7, 2);
    let here = world.log(0).incarnation();
    let named =
        |it: &mut Push| entry(it).aliases = vec![Dot { incarnation: here, position: at(1) }];
    assert_eq!(forged(&world, named).unwrap(), [Reason::ForgedDot]);
    // Dots of another edge.
    let world = World::new(7, 2);
    world.append(2, draft("bob:phone", 1, &add(2)));
    world.sync(2);
    let other = world.log(2).incarnation();
    let named = |it: &mut Push| entry(it).dot = Dot { incarnation: other, position: at(900) };
    assert_eq!(forged(&world, named).unwrap(), [Reason::ForgedDot]);
    let world = World::new(7, 2);
    world.append(2, draft("bob:phone", 1, &add(2)));
    world.sync(2);
    world.register(2);
    let other = world.log(2).incarnation();
    let refused = forged(&world, |it| it.taken.incarnation = other);
    assert!(matches!(refused, Err(Trouble::Refused(Refusal::Nonsense))));
}

#[test]
fn copies_circles_and_data_taken_back_are_told() {
    let mut world = World::new(7, 2);
    world.append(1, draft("ann:phone", 1, &add(1)));
    world.append(0, draft("eve:phone", 1, &add(1)));
    world.sync(1);
    let hello = link::hello(world.log(1));
    let welcome = |hello| match world.desk(0).welcome(&world.replica(1), &hello) {
        Err(Trouble::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let with = |change: &dyn Fn(&mut tidelog_protocol::replica::Hello)| {
        let mut hello = hello.clone();
        change(&mut hello);
        welcome(hello)
    };
    let (store, here) = (world.log(0).store_id().to_string(), world.log(0).incarnation());
    assert_eq!(with(&|it| it.version = 2), Refusal::Version);
    assert_eq!(with(&|it| it.store = store.clone()), Refusal::SameStore);
    assert_eq!(with(&|it| it.incarnation = here), Refusal::SameStore);
    assert_eq!(with(&|it| it.head = Position::ZERO), Refusal::EdgeTakenBack);
    let taken = Some(Taken { incarnation: here, through: at(900) });
    let pull = Pull {
        taken,
        held: Held::default(),
        wait_ms: 0,
        owes: Behind::default(),
        rate: None,
        heard: 0,
        revocations: Vec::new(),
    };
    let given = wait(world.desk(0).give(&world.replica(1), &pull));
    assert!(matches!(given, Err(Trouble::Refused(Refusal::CloudTakenBack))));
    // 1 follows 0, and 0 is to follow 1.
    world.follow(0, 1);
    let up = world.try_link(0).map(drop);
    assert!(matches!(up, Err(Trouble::Refused(Refusal::Loop))), "{up:?}");
}
