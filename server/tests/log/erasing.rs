//! A user who is erased: gone for readers, gone from the files, also when the process is killed half-way;
//! and what others made stays.

mod killed;

use crate::support::{
    ALL, accept, append, at, channel_log, draft, draft_of, id, ids, open, read_all, small,
    user_log, wait,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::{NodeId, UserId};
use tidelog_server::log::{
    Addresses, Channel, Cleaned, Draft, Log, LogName, NodeRecord, Outcome, Piece, Removed, Report,
    Severity, bytes_of_json, check, rebuild,
};

const VICTIM: &str = "victim-8f3c";
const SECRET: &str = "secret-5b1e";

/// An action of `author` that goes to these users and channels.
fn addressed(author: &str, ms: u64, users: &[&str], channels: &[&str], text: &str) -> Draft {
    let json = format!(r#"{{"type":"add","text":"{text} {ms}"}}"#);
    let addresses = Addresses {
        users: users.iter().map(|user| UserId::new(user).unwrap()).collect(),
        channels: channels.iter().map(|channel| Channel::new(channel).unwrap()).collect(),
        ..Addresses::default()
    };
    Draft { addresses, ..draft_of(id(author, ms, 0), json) }
}

fn victim() -> UserId {
    UserId::new(VICTIM).unwrap()
}

fn erase(log: &Log) -> Removed {
    log.erase(&victim(), &mut |_| {}).unwrap()
}

fn save_node(log: &Log, node: &str) {
    let record = NodeRecord { seen_ms: 7, bytes: format!("state of {node}").into_bytes() };
    log.save_node(NodeId::new(node).unwrap(), record);
}

/// How often a text is anywhere in the files of a directory.
fn occurrences(dir: &Path, text: &str) -> usize {
    let mut count = 0;
    for file in fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            count += occurrences(&file, text);
        } else {
            let bytes = fs::read(&file).unwrap();
            count += bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
        }
    }
    count
}

fn checked(dir: &Path) -> Report {
    let report = check(dir, &mut |_| {}).unwrap();
    assert!(report.worst() <= Some(Severity::Note), "{report:#?}");
    report
}

fn ranges(positions: &Ranges) -> Vec<(u64, u64)> {
    positions.iter().map(|(first, last)| (first.get(), last.get())).collect()
}

/// A store in which the victim is everywhere.
fn fill(dir: &Path) -> Log {
    let (log, _) = open(&small(dir));
    append(&log, (0..100).map(|ms| draft(id("1", ms, 0))).collect());
    for ms in 0..50 {
        accept(&log, addressed(VICTIM, ms, &[VICTIM], &[], SECRET));
        accept(&log, addressed("1", 1_000 + ms, &["1"], &["tasks"], "kept"));
    }
    accept(&log, addressed(VICTIM, 100, &[], &["tasks", "other"], SECRET));
    accept(&log, addressed(VICTIM, 101, &["1"], &[], SECRET));
    accept(&log, addressed("2", 1, &["2", VICTIM], &["tasks"], "from 2 to both"));
    accept(&log, addressed("2", 2, &[VICTIM], &[], "from 2 alone"));
    accept(&log, addressed(VICTIM, 102, &[VICTIM], &[], SECRET));
    assert_eq!(wait(log.clean(victim(), id(VICTIM, 102, 0), 9)).unwrap(), Cleaned::Done);
    save_node(&log, &format!("{VICTIM}:c:t"));
    save_node(&log, &format!("{VICTIM}-not:c:t"));
    save_node(&log, "1:c:t");
    log
}

#[test]
fn everything_of_a_user_is_gone_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path());
    let before = log.head();
    let others = ids(&read_all(&log, &user_log("1")));
    wait(log.close()).unwrap();
    drop(log);
    assert!(occurrences(dir.path(), SECRET) > 50, "what is to go is there");
    let (mut log, _) = open(&small(dir.path()));
    wait(log.keep_note("note".to_owned(), Some(b"kept".to_vec()))).unwrap();
    let epochs = log.epochs();
    let removed = erase(&log);
    for how in ["erased", "opened again", "rebuilt"] {
        if how != "erased" {
            wait(log.close()).unwrap();
            drop(log);
            if how == "rebuilt" {
                rebuild(&small(dir.path()), &mut |_| {}).unwrap();
            }
            log = open(&small(dir.path())).0;
        }
        assert!(read_all(&log, &user_log(VICTIM)).is_empty(), "{how}");
        assert!(log.nodes_of(&victim()).unwrap().is_empty(), "{how}");
        let pieces = log.pieces_of(&victim(), (Position::ZERO, log.head())).unwrap().0;
        assert_eq!(pieces, [], "{how}");
        assert_eq!(log.kept_bytes(&victim()).unwrap(), 0, "{how}");
        for other in ["1", "2"].map(|user| UserId::new(user).unwrap()) {
            let feed = log.feed(Position::ZERO, ALL).unwrap().entries;
            let own = feed.iter().filter(|entry| entry.id.node.user().as_ref() == Some(&other));
            let bytes: u64 = own.map(|entry| bytes_of_json(entry.action.json())).sum();
            assert_eq!(log.kept_bytes(&other).unwrap(), bytes, "{how}: {other}");
        }
        let tasks = read_all(&log, &channel_log("tasks"));
        assert_eq!(tasks.len(), 51, "{how}: of 1 and of 2");
        assert_eq!(ids(&read_all(&log, &user_log("2"))), ["1 2:c:t 0"], "{how}");
        let left: Vec<_> = others.iter().filter(|id| !id.contains(VICTIM)).cloned().collect();
        assert_eq!(ids(&read_all(&log, &user_log("1"))), left, "{how}");
        for other in ["1:c:t".to_owned(), format!("{VICTIM}-not:c:t")] {
            assert!(log.node(&NodeId::new(&other).unwrap()).unwrap().is_some(), "{how}: {other}");
        }
        assert_eq!(log.notes("").unwrap(), [("note".to_owned(), "kept".into())], "{how}");
        let number = epochs.number("1", at(9));
        assert_eq!(log.epochs().claim("1", number, log.head()), Some(at(9)), "{how}: epochs stay");
        // An action that comes again is known, and does not come back; nor do those of others.
        let again = addressed(VICTIM, 7, &[VICTIM], &[], SECRET);
        let [Outcome::Known(known)] = &append(&log, vec![again])[..] else { panic!("{how}") };
        assert!(known.cleaned && known.addresses == Addresses::default(), "{how}: {known:?}");
        let again = addressed("2", 2, &[VICTIM], &[], "from 2 alone");
        assert!(matches!(&append(&log, vec![again])[..], [Outcome::Known(_)]), "{how}");
        assert_eq!(log.head(), before, "{how}: positions stay");
        assert!(wait(log.clean(victim(), id(VICTIM, 7, 0), 9)).unwrap() == Cleaned::Done, "{how}");
    }
    wait(log.close()).unwrap();
    drop(log);
    assert_eq!(occurrences(dir.path(), SECRET), 0);
    assert_eq!(occurrences(dir.path(), &format!("{VICTIM}:")), 0);
    let report = checked(dir.path());
    assert_eq!((report.generation, report.counts.erased), (1, 54));
    receipt_fits(&removed, before);
}

/// The 54 records of the victim, and the two that others had addressed to it.
fn receipt_fits(removed: &Removed, head: Position) {
    let of = |name: LogName| ranges(&removed.made[&name]);
    let mut own: Vec<_> = (0..50).map(|nth| (101 + 2 * nth, 101 + 2 * nth)).collect();
    own.push((205, 205));
    assert_eq!(of(user_log(VICTIM)), own);
    assert_eq!(of(channel_log("tasks")), [(201, 201)]);
    assert_eq!(of(channel_log("other")), [(201, 201)]);
    assert_eq!(of(user_log("1")), [(202, 202)]);
    assert_eq!(removed.made.len(), 4);
    assert_eq!(ranges(&removed.received), [(203, 204)]);
    assert_eq!(ranges(&removed.cleans), [(206, 206)]);
    assert_eq!((removed.nodes, removed.head, removed.generation), (1, head, 1));
}

#[test]
fn what_a_user_has_is_exported_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path());
    let (mut pieces, mut above) = (Vec::new(), Position::ZERO);
    while above < log.head() {
        let (more, through) = log.pieces_of(&victim(), (above, log.head())).unwrap();
        pieces.extend(more);
        above = through;
    }
    let entries: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Entry(entry) => Some(entry.clone()),
            Piece::Clean { .. } => None,
        })
        .collect();
    assert_eq!(entries.len(), 55, "53 of its own, 2 that others sent");
    assert!(entries.iter().all(|entry| {
        entry.id.node.user_str() == Some(VICTIM) || entry.addresses.users.contains(&victim())
    }));
    let cleaned: Vec<_> = entries.iter().filter(|entry| entry.cleaned).collect();
    assert_eq!(cleaned.len(), 1, "that it was cleaned is data, too; its body is not here");
    let clean = Piece::Clean { position: at(206), id: id(VICTIM, 102, 0), accepted_ms: 1_000 };
    assert_eq!(pieces.last(), Some(&clean));
    let nodes = log.nodes_of(&victim()).unwrap();
    assert_eq!(nodes.keys().map(NodeId::as_str).collect::<Vec<_>>(), [format!("{VICTIM}:c:t")]);
}

#[test]
fn the_space_of_what_is_gone_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let text = "x".repeat(50_000);
    for ms in 0..1_000 {
        accept(&log, addressed(VICTIM, ms, &[VICTIM], &[], &text));
    }
    accept(&log, draft(id("1", 1, 0)));
    let blocks = |name: &str| fs::metadata(dir.path().join(name)).unwrap().blocks() * 512;
    let before = blocks("feed/db");
    assert!(before > 50_000_000, "{before}");
    let removed = erase(&log);
    let after = blocks("feed/db");
    assert!(after < before / 2, "{after} of {before}");
    assert_eq!(removed.feed_bytes.1, fs::metadata(dir.path().join("feed/db")).unwrap().len());
    assert!(!dir.path().join("feed.old").exists() && !dir.path().join("feed.next").exists());
    let runs: u64 = fs::read_dir(dir.path().join("index/runs"))
        .unwrap()
        .map(|run| run.unwrap().metadata().unwrap().len())
        .sum();
    assert!(runs < 1_000_000, "{runs} bytes of runs are left");
}

/// Commits, cleanings, checkpoints and merges go on while a user is erased, again and again.
#[test]
fn commits_go_on_while_a_user_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let done = Arc::new(AtomicBool::new(false));
    let (writing, writer_done) = (log.clone(), Arc::clone(&done));
    let writer = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for ms in 0.. {
            append(&writing, (0..10).map(|n| draft(id("1", ms, n))).collect());
            kept.extend((1..10).map(|n| id("1", ms, n).to_string()));
            let owner = UserId::new("1").unwrap();
            let cleaned = wait(writing.clean(owner, id("1", ms, 0), 0)).unwrap();
            assert_eq!(cleaned, Cleaned::Done);
            accept(&writing, addressed(VICTIM, ms, &[VICTIM], &["tasks"], SECRET));
            if writer_done.load(Ordering::Relaxed) {
                return kept;
            }
        }
        unreachable!()
    });
    for round in 1..=4 {
        // Until there is something to be removed.
        while read_all(&log, &channel_log("tasks")).len() < 20 {
            std::thread::yield_now();
        }
        let removed = erase(&log);
        assert_eq!(removed.generation, round);
        let left = log.read(&user_log(VICTIM), Position::ZERO, removed.head, ALL).unwrap();
        assert!(left.entries.is_empty(), "round {round}");
    }
    done.store(true, Ordering::Relaxed);
    let kept = writer.join().unwrap();
    erase(&log);
    assert_eq!(ids(&read_all(&log, &user_log("1"))), kept);
    wait(log.close()).unwrap();
    drop(log);
    checked(dir.path());
    assert_eq!(occurrences(dir.path(), SECRET), 0);
}

/// What a process leaves that is killed when the feed is switched and the index is not.
#[test]
fn an_index_from_before_the_erasing_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path());
    wait(log.close()).unwrap();
    drop(log);
    let before = dir.path().join("index-before");
    let copy = Command::new("cp").arg("-r").args([&dir.path().join("index"), &before]).status();
    assert!(copy.unwrap().success());
    let (log, _) = open(&small(dir.path()));
    erase(&log);
    wait(log.close()).unwrap();
    drop(log);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(before, dir.path().join("index")).unwrap();
    let report = check(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.worst(), Some(Severity::Derived), "{report:#?}");
    let (log, opened) = open(&small(dir.path()));
    assert_eq!(opened.folded, opened.head.get(), "all of it is read again");
    assert!(read_all(&log, &user_log(VICTIM)).is_empty());
    assert_eq!(read_all(&log, &channel_log("tasks")).len(), 51);
    drop(log);
    assert_eq!(occurrences(dir.path(), SECRET), 0);
    assert_eq!(occurrences(dir.path(), &format!("{VICTIM}:")), 0);
}

#[test]
fn what_is_cleaned_while_the_feed_is_copied_is_clean_in_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path());
    let (mut cleaned, mut appended) = (false, 0);
    log.erase(&victim(), &mut |_| {
        // All of it is copied by now.
        let clean = log.clean(UserId::new("1").unwrap(), id("1", 3, 0), 9);
        assert_eq!(wait(clean).unwrap(), Cleaned::Done);
        cleaned = true;
        appended += 1;
        accept(&log, draft(id("1", 5_000 + appended, 0)));
    })
    .unwrap();
    assert!(cleaned);
    drop(log);
    checked(dir.path());
    let (log, _) = open(&small(dir.path()));
    assert!(log.entry(at(4)).unwrap().unwrap().cleaned);
    let last = id("1", 5_000 + appended, 0);
    assert!(log.find(&last).unwrap().is_some(), "what came meanwhile was copied, too");
}
