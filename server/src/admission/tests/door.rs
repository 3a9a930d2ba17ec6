//! The door with those who wait before it, and with a disk that becomes slow.

use super::super::*;
use crate::auth::Identity;
use crate::config::{Config, Source};
use crate::ingest::{Known, Submission};
use crate::rules::Subject;
use crate::ws::Owner;
use crate::{app::App, serve};
use futures_util::FutureExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tempfile::TempDir;
use tidelog_protocol::{Action, ActionId, ClientId, Meta, NodeId, Pair, UserId};
use tokio::sync::watch;
use tokio::task::JoinSet;

fn door(settings: &str) -> Admission {
    let text = format!("[admission]\n{settings}");
    let config = Config::parse(Source::new(Path::new("tidelog.toml"), text)).unwrap();
    Admission::new(&config.admission, Door::default())
}

fn who(name: &str) -> Who {
    let user = name.split(':').next().unwrap();
    let owner = Owner::User(UserId::new(user).unwrap());
    Who { owner, name: Some(Name::Socket(ClientId::new(name).unwrap())) }
}

fn request(name: &str) -> Who {
    Who { name: Some(Name::Request(ClientId::new(name).unwrap())), ..who(name) }
}

#[tokio::test]
async fn who_leaves_lets_the_next_one_in() {
    let door = door("light = 4\nlight_floor = 1");
    let inside = door.enter(who("a:a"), Class::Light).await.unwrap();
    let mut second = Box::pin(door.enter(who("b:a"), Class::Light));
    assert!(second.as_mut().now_or_never().is_none(), "it begins with few");
    assert_eq!(door.waiting(), 1);
    drop(inside);
    assert!(second.as_mut().now_or_never().unwrap().is_ok());
    assert_eq!(door.waiting(), 0);
}

#[tokio::test]
async fn who_is_let_in_and_has_gone_leaves_its_permit_to_the_next() {
    let door = door("light = 4\nlight_floor = 1");
    let inside = door.enter(who("a:a"), Class::Light).await.unwrap();
    let mut gone = Box::pin(door.enter(who("b:a"), Class::Light));
    let mut next = Box::pin(door.enter(who("c:a"), Class::Light));
    assert!(gone.as_mut().now_or_never().is_none());
    assert!(next.as_mut().now_or_never().is_none());
    drop(inside);
    drop(gone);
    assert!(next.as_mut().now_or_never().unwrap().is_ok());
    assert_eq!(door.look().classes.map(|it| it.inside), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_more_patience_keeps_its_place() {
    let door = door("heavy = 4\nheavy_floor = 1\npatience = \"55s\"");
    let inside = door.enter(who("a:a"), Class::Heavy).await.unwrap();
    assert_eq!(door.enter(who("b:a"), Class::Heavy).await.err(), Some(Turned::Late));
    let mut other = Box::pin(door.enter(who("c:a"), Class::Heavy));
    assert!(other.as_mut().now_or_never().is_none());
    let mut back = Box::pin(door.enter(who("b:a"), Class::Heavy));
    assert!(back.as_mut().now_or_never().is_none());
    drop(inside);
    assert!(other.as_mut().now_or_never().is_none(), "it came after the other");
    assert!(back.as_mut().now_or_never().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_told_when_to_come_again_and_has_its_place_then() {
    let door = door("light = 4\nlight_floor = 1\nrequest = \"1s\"");
    let inside = door.enter(who("a:a"), Class::Light).await.unwrap();
    let Err(Away(seconds)) = door.request(request("b:a"), Class::Light).await else {
        panic!("it was let in");
    };
    assert!((1..=2).contains(&seconds), "one a second is a guess: {seconds}");
    let mut other = Box::pin(door.enter(who("c:a"), Class::Light));
    assert!(other.as_mut().now_or_never().is_none());
    let mut back = Box::pin(door.request(request("b:a"), Class::Light));
    assert!(back.as_mut().now_or_never().is_none());
    drop(inside);
    assert!(other.as_mut().now_or_never().is_none(), "it came after the other");
    assert!(back.as_mut().now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn each_stage_has_its_limit() {
    let door = door("unsigned = 2\nsessions = 4\nwaiting = 3\nlight = 4\nlight_floor = 1");
    let unsigned = [door.knock().ok().unwrap(), door.knock().ok().unwrap()];
    assert!(door.knock().is_err(), "not signed in");
    drop(unsigned);
    let sessions: Vec<_> = (0..4).map(|_| door.session()).collect();
    assert!(door.knock().is_err(), "sessions");
    drop(sessions);
    let _inside = door.enter(who("in:a"), Class::Light).await.unwrap();
    let mut waiting: Vec<_> =
        (0..3).map(|n| Box::pin(door.enter(who(&format!("w{n}:a")), Class::Light))).collect();
    assert!(waiting.iter_mut().all(|it| it.as_mut().now_or_never().is_none()));
    assert!(door.knock().is_err(), "waiting");
    let full = door.enter(who("x:a"), Class::Light).now_or_never().unwrap();
    assert_eq!(full.err(), Some(Turned::Full));
    drop(waiting);
    assert!(door.knock().is_ok());
}

#[tokio::test]
async fn nobody_is_let_in_while_there_is_far_too_much_to_do() {
    let door = door("");
    let well = Measured::default();
    door.tick(&Measured { debt_ms: 40_001, ..well }, 0);
    let mut waiting = Box::pin(door.enter(who("a:a"), Class::Light));
    assert!(waiting.as_mut().now_or_never().is_none());
    door.tick(&well, 250);
    assert!(waiting.as_mut().now_or_never().unwrap().is_ok());
    door.stop();
    assert!(door.enter(who("b:a"), Class::Light).now_or_never().is_none(), "the server stops");
}

/// Clients that come, make a hundred actions each, and go, again and again.
const CLIENTS: usize = 64;
const ACTIONS: u64 = 100;

struct Site {
    app: App,
    slow: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    _dir: TempDir,
}

/// A server whose disk can be made to take much longer than it should.
fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "[admission]\nheavy = 64\nheavy_floor = 2\ncommit_target = \"2s\"\nlag_target = \"60s\"";
    let mut config = Config::parse(Source::new(Path::new("tidelog.toml"), text)).unwrap();
    (config.dev, config.server.data) = (true, dir.path().join("data"));
    let (stop, stopping) = watch::channel(false);
    let app = serve::build(&config, stopping).unwrap();
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    // What a slow disk does to whoever waits for it.
    app.log.before_sync(Arc::new(move || {
        if is_slow.load(Relaxed) {
            std::thread::sleep(Duration::from_secs(3));
        }
    }));
    Site { app, slow, stop, _dir: dir }
}

async fn come_and_go(app: App, nth: usize, rounds: Arc<AtomicU64>) {
    let node = NodeId::new(&format!("u{nth}:c:t")).unwrap();
    let user = node.user().unwrap();
    let identity = Identity { user, claims: Arc::default(), expires_ms: None, anonymous: false };
    let subject = Arc::new(Subject::new(&identity, node.clone(), 0));
    let mut sequence = 0;
    loop {
        let permit = app.door.enter(who(&format!("u{nth}:c")), Class::Heavy).await.unwrap();
        let actions = (0..ACTIONS).map(|_| {
            sequence += 1;
            let action = Action::new(bytes::Bytes::from_static(br#"{"type":"note"}"#)).unwrap();
            let id = ActionId { ms: 1, node: node.clone(), sequence };
            let meta = Meta { id, time: 1, subprotocol: None };
            Submission { pair: Pair { action, meta, extra_keys: false }, known: Known::default() }
        });
        app.ingest.take(&subject, actions.collect(), 1).await.unwrap();
        rounds.fetch_add(1, Relaxed);
        drop(permit);
    }
}

fn permits(app: &App) -> usize {
    app.door.look().classes[1].permits
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect(what);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pace_follows_a_disk_that_becomes_slow_and_comes_back_with_it() {
    let Site { app, slow, stop, _dir } = site();
    let mut tasks = JoinSet::new();
    let sources = serve::sources(&app);
    let pace = app.door.clone();
    tasks.spawn(async move { match keep_pace(pace, sources).await {} });
    let rounds = Arc::new(AtomicU64::new(0));
    for nth in 0..CLIENTS {
        tasks.spawn(come_and_go(app.clone(), nth, Arc::clone(&rounds)));
    }
    let ceiling = 64;
    until("all are let in while the disk is fast", || permits(&app) == ceiling).await;
    slow.store(true, Relaxed);
    until("few are let in while it is slow", || permits(&app) <= ceiling / 4).await;
    let before = rounds.load(Relaxed);
    until("and those are served all the same", || rounds.load(Relaxed) > before).await;
    slow.store(false, Relaxed);
    until("all are let in when it is fast again", || permits(&app) == ceiling).await;
    tasks.shutdown().await;
    stop.send(true).unwrap();
    app.log.close().await.unwrap();
}
