//! What the log promises, one story each.

use crate::support::{
    ALL, accept, append, at, channel_log, draft, draft_of, id, ids, open, read_all, small,
    user_log, wait,
};
use std::sync::{Arc, Mutex};
use tidelog_crdt::Position;
use tidelog_protocol::{NodeId, UserId};
use tidelog_server::log::{
    Channel, Log, LogName, NodeRecord, OpenError, Outcome, PageLimit, Settings, Stopped,
};

#[test]
fn an_action_has_one_position_in_every_log_it_is_placed_in() {
    let dir = tempfile::tempdir().unwrap();
    let (log, opened) = open(&Settings::new(dir.path()));
    assert!(opened.created);
    let mut to_many = draft(id("1", 5, 0));
    to_many.addresses.users.push(UserId::new("2").unwrap());
    to_many.addresses.channels.push(Channel::new("tasks").unwrap());
    accept(&log, draft(id("1", 4, 0)));
    let entry = accept(&log, to_many);
    assert_eq!(entry.position, at(2));
    assert_eq!((entry.dot.incarnation, entry.dot.position), (log.incarnation(), at(2)));
    for name in [user_log("2"), channel_log("tasks")] {
        assert_eq!(read_all(&log, &name), std::slice::from_ref(&entry));
    }
    assert_eq!(ids(&read_all(&log, &user_log("1"))), ["4 1:c:t 0", "5 1:c:t 0"]);
    assert_eq!(read_all(&log, &channel_log("2")), [], "a channel is not the user of its name");
}

#[test]
fn a_duplicate_is_known_wherever_the_original_is() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let first = draft(id("1", 5, 0));
    let outcomes = append(&log, vec![first.clone(), first.clone()]);
    let [Outcome::Accepted(original), Outcome::Known(twin)] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(original, twin, "in the same commit");
    for round in 0..200 {
        let [Outcome::Known(again)] = &append(&log, vec![first.clone()])[..] else {
            panic!("in round {round}, when runs are written and merged");
        };
        assert_eq!(again, original);
        accept(&log, draft(id("1", 100 + round, 0)));
    }
    assert!(log.stats().checkpoint > Position::ZERO);
    let late = accept(&log, draft(id("1", 50, 0)));
    assert_eq!(late.position, at(202), "an id below the mark is not for that a known one");
}

#[test]
fn what_is_not_kept_is_heard_and_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    log.on_commit(Arc::new(move |entries| hearing.lock().unwrap().extend_from_slice(entries)));
    let mut passing = draft(id("1", 5, 0));
    passing.kept = false;
    let outcomes = append(&log, vec![draft(id("1", 1, 0)), passing.clone(), draft(id("1", 6, 0))]);
    let [Outcome::Accepted(_), Outcome::Passed(passed), Outcome::Accepted(_)] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(passed.position, at(1), "the head at that moment");
    assert_eq!(ids(&heard.lock().unwrap()), ["1 1:c:t 0", "5 1:c:t 0", "6 1:c:t 0"]);
    assert_eq!(ids(&read_all(&log, &user_log("1"))), ["1 1:c:t 0", "6 1:c:t 0"]);
    assert_eq!(log.find(&passing.id).unwrap(), None);
    assert_eq!(log.head(), at(2));
}

#[test]
fn a_commit_is_durable_then_readable_then_heard_then_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    let (reader, heard) = (log.clone(), Arc::new(Mutex::new(Vec::new())));
    let hearing = Arc::clone(&heard);
    log.on_commit(Arc::new(move |entries| {
        let page = reader.read(&user_log("1"), Position::ZERO, Position::MAX, ALL).unwrap();
        assert_eq!(page.through, entries.last().unwrap().position);
        hearing.lock().unwrap().push(page.entries.len());
    }));
    for ms in 0..3 {
        accept(&log, draft(id("1", ms, 0)));
        assert_eq!(heard.lock().unwrap().len(), usize::try_from(ms).unwrap() + 1);
    }
    assert_eq!(*heard.lock().unwrap(), [1, 2, 3]);
    wait(log.close()).unwrap();
}

#[test]
fn pages_cover_a_log_without_gap_or_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let drafts = (0..300).map(|ms| draft(id(if ms % 3 == 0 { "1" } else { "2" }, ms, 0)));
    append(&log, drafts.collect());
    let (mut above, mut found) = (Position::ZERO, Vec::new());
    loop {
        let limit = PageLimit { entries: 100, bytes: 1_000 };
        let page = log.read(&user_log("1"), above, at(250), limit).unwrap();
        let bytes: usize = page.entries.iter().map(|entry| entry.action.json().len()).sum();
        assert!(bytes <= 1_000 && page.through > above);
        found.extend(page.entries);
        above = page.through;
        if !page.more {
            break;
        }
    }
    assert_eq!(above, at(250), "a page that has the rest covers all that was asked for");
    let expected: Vec<_> = (0..250).step_by(3).map(|ms| id("1", ms, 0).to_string()).collect();
    assert_eq!(ids(&found), expected);
    let one = PageLimit { entries: 1, bytes: 1 };
    assert_eq!(log.read(&user_log("1"), at(3), at(250), one).unwrap().entries.len(), 1);
}

#[test]
fn memory_answers_alone_when_no_run_can_have_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    append(&log, (0..10).map(|ms| draft(id("1", ms, 0))).collect());
    let cached =
        |log: &Log, name: &str, above| log.read_cached(&user_log(name), above, Position::MAX, ALL);
    assert_eq!(cached(&log, "1", Position::ZERO).unwrap().entries.len(), 10);
    wait(log.close()).unwrap();
    drop(log);
    let (log, _) = open(&Settings::new(dir.path()));
    accept(&log, draft(id("1", 10, 0)));
    assert_eq!(cached(&log, "1", at(9)), None, "the tenth is in a run");
    assert_eq!(cached(&log, "1", at(10)).unwrap().entries.len(), 1);
    assert_eq!(cached(&log, "2", Position::ZERO).unwrap().entries.len(), 0, "known to be nowhere");
}

#[test]
fn a_node_that_is_forgotten_for_a_moment_is_not_taken_for_new() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings { marks_max: 1, ..Settings::new(dir.path()) });
    let drafts = ["1", "2", "3", "4", "5", "1", "2"].map(|user| draft(id(user, 9, 0)));
    let outcomes = append(&log, drafts.to_vec());
    let known = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Known(_)));
    assert_eq!(known.collect::<Vec<_>>(), [false, false, false, false, false, true, true]);
}

#[test]
fn the_index_is_made_again_when_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    append(&log, (0..700).map(|ms| draft(id("1", ms % 350, ms / 350))).collect());
    let before = read_all(&log, &user_log("1"));
    wait(log.close()).unwrap();
    drop(log);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (log, opened) = open(&small(dir.path()));
    assert_eq!((opened.checkpoint, opened.folded), (Position::ZERO, 700));
    assert_eq!(read_all(&log, &user_log("1")), before);
    assert!(log.stats().checkpoint > Position::ZERO, "a full tail is written while folding");
    let again = append(&log, vec![draft(id("1", 0, 1))]);
    assert!(matches!(&again[..], [Outcome::Known(_)]), "{again:?}");
}

#[test]
fn an_epoch_is_a_run_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    let (log, _) = open(&settings);
    let first = *log.epochs().of(at(1)).unwrap();
    accept(&log, draft(id("1", 1, 0)));
    drop(log);
    // A run that gave no position leaves none behind.
    drop(open(&settings));
    let (log, opened) = open(&settings);
    assert!(!opened.created);
    let epochs = log.epochs();
    assert_eq!(epochs.of(at(1)), Some(&first));
    let second = *epochs.of(at(2)).unwrap();
    assert!(second.first == at(2) && second.id != first.id);
    assert_eq!(epochs.of(at(0)), None);
}

#[test]
fn a_store_that_is_read_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { read_only: true, ..Settings::new(dir.path().join("none")) };
    let error = Log::open(settings.clone(), 0).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(!settings.dir.exists());
    let (log, _) = open(&Settings::new(&settings.dir));
    accept(&log, draft(id("1", 1, 0)));
    let last = *log.epochs().of(at(2)).unwrap();
    drop(log);
    let (log, _) = open(&settings);
    assert_eq!(read_all(&log, &user_log("1")).len(), 1);
    assert_eq!(log.epochs().of(at(2)), Some(&last), "no epoch starts");
    assert!(matches!(wait(log.append(vec![draft(id("1", 2, 0))], 0)), Err(Stopped)));
    wait(log.close()).unwrap();
}

#[test]
fn a_store_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    let error = Log::open(Settings::new(dir.path()), 0).map(drop).unwrap_err();
    let file = dir.path().join("lock");
    assert!(matches!(error, OpenError::Locked { file: ref f } if *f == file), "{error}");
    assert!(error.to_string().contains("stop that process"), "{error}");
    drop(log);
    open(&Settings::new(dir.path()));
}

#[test]
fn a_closed_log_takes_nothing_more_and_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    accept(&log, draft(id("1", 1, 0)));
    wait(log.close()).unwrap();
    assert!(matches!(wait(log.append(vec![draft(id("1", 2, 0))], 0)), Err(Stopped)));
    let owner = UserId::new("1").unwrap();
    assert!(matches!(wait(log.clean(owner, id("1", 1, 0), 0)), Err(Stopped)));
    assert_eq!(read_all(&log, &user_log("1")).len(), 1);
    wait(log.close()).unwrap();
}

#[test]
fn what_is_remembered_of_a_node_survives() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { nodes_max: 2, ..Settings::new(dir.path()) };
    let (log, _) = open(&settings);
    let node = |n: usize| NodeId::new(&format!("{n}:c:t")).unwrap();
    let record = |n: u8| NodeRecord { seen_ms: u64::from(n), bytes: vec![n; 3] };
    assert_eq!(log.node(&node(1)).unwrap(), None);
    log.save_node(node(1), record(1));
    log.save_node(node(1), record(2));
    assert_eq!(log.node(&node(1)).unwrap(), Some(record(2)));
    wait(log.close()).unwrap();
    assert_eq!(log.node(&node(1)).unwrap(), Some(record(2)));
    drop(log);
    let (log, _) = open(&settings);
    assert_eq!(log.node(&node(1)).unwrap(), Some(record(2)));
    (0..100).for_each(|n| log.save_node(node(n), record(7)));
    assert!(log.stats().nodes_dropped > 0, "what does not fit is counted");
}

#[test]
fn commit_times_never_fall() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    let (log, _) = open(&settings);
    let accepted = |log: &Log, ms, now| {
        let outcomes = wait(log.append(vec![draft(id("1", ms, 0))], now)).unwrap();
        let [Outcome::Accepted(entry)] = &outcomes[..] else { panic!("{outcomes:?}") };
        entry.accepted_ms
    };
    assert_eq!([accepted(&log, 1, 500), accepted(&log, 2, 400)], [500, 500]);
    drop(log);
    let (log, _) = open(&settings);
    assert_eq!([accepted(&log, 3, 300), accepted(&log, 4, 600)], [500, 600]);
}

#[test]
fn an_action_of_the_greatest_size_is_stored_and_a_larger_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    let (log, _) = open(&settings);
    let body = |bytes: usize| format!(r#"{{"type":"a","x":"{}"}}"#, "x".repeat(bytes));
    let large = |ms| draft_of(id("1", ms, 0), body(200 << 10));
    let outcomes = append(
        &log,
        vec![large(1), draft_of(id("1", 2, 0), body(240 << 10)), draft(id("1", 3, 0)), large(4)],
    );
    let [Outcome::Accepted(_), Outcome::TooLarge, Outcome::Accepted(_), Outcome::Accepted(_)] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    for ms in 5..80 {
        accept(&log, large(ms));
    }
    let before = read_all(&log, &user_log("1"));
    wait(log.close()).unwrap();
    drop(log);
    for engine in ["feed", "index/records"] {
        let blobs = std::fs::read_dir(dir.path().join(engine).join("blobs")).unwrap().count();
        assert_eq!(blobs, 0, "{engine} has files that the engine never syncs");
    }
    assert_eq!(read_all(&open(&settings).0, &user_log("1")), before);
}

#[test]
fn a_name_that_is_addressed_twice_is_placed_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let mut twice = draft(id("1", 1, 0));
    twice.addresses.users.push(UserId::new("1").unwrap());
    let entry = accept(&log, twice);
    let name = LogName::User(UserId::new("1").unwrap());
    assert_eq!(read_all(&log, &name), std::slice::from_ref(&entry));
    wait(log.close()).unwrap();
    assert_eq!(read_all(&log, &name), [entry]);
}

#[test]
fn notes_outlive_the_process_until_they_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(dir.path());
    {
        let (log, _) = open(&settings);
        wait(log.keep_note("a/1".to_owned(), Some(b"one".to_vec()))).unwrap();
        wait(log.keep_note("a/2".to_owned(), Some(b"two".to_vec()))).unwrap();
        wait(log.keep_note("b/1".to_owned(), Some(b"other".to_vec()))).unwrap();
        wait(log.keep_note("a/1".to_owned(), Some(b"first".to_vec()))).unwrap();
        accept(&log, draft(id("10", 1, 0)));
    }
    let names = |log: &Log| {
        let notes = log.notes("a/").unwrap().into_iter();
        notes.map(|(name, note)| format!("{name} {}", String::from_utf8_lossy(&note))).collect()
    };
    {
        let (log, opened) = open(&settings);
        assert_eq!((opened.head.get(), opened.folded), (1, 1), "a note has no position");
        let kept: Vec<String> = names(&log);
        assert_eq!(kept, ["a/1 first", "a/2 two"]);
        wait(log.keep_note("a/1".to_owned(), None)).unwrap();
    }
    let (log, _) = open(&settings);
    let kept: Vec<String> = names(&log);
    assert_eq!(kept, ["a/2 two"]);
    wait(log.close()).unwrap();
    assert!(wait(log.keep_note("a/3".to_owned(), None)).is_err(), "it takes nothing more");
}
