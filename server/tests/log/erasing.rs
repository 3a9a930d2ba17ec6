//! A user who is erased: gone for readers, gone from the files, also when the process is killed half-way;
//! and what others made stays.

use crate::support::{
    ALL, accept, append, at, channel_log, draft, draft_of, id, ids, open, read_all, small,
    user_log, wait,
};
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
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

const DIR: &str = "TIDELOG_TEST_ERASER_DIR";
const KEPT_PER_ROUND: u64 = 20;

/// Appends and erases until it is killed, and says what it does.
#[test]
#[ignore = "the other tests here start it, in a process of its own"]
fn eraser() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (log, opened) = open(&small(Path::new(&dir)));
    let mut out = std::io::stdout().lock();
    writeln!(out).unwrap();
    for ms in (opened.head.get()..).step_by(100) {
        writeln!(out, "begun {ms}").unwrap();
        out.flush().unwrap();
        append(
            &log,
            (0..20).map(|n| addressed(VICTIM, ms, &[VICTIM], &["tasks"], SECRET).at(n)).collect(),
        );
        append(&log, (0..KEPT_PER_ROUND).map(|n| draft(id("1", ms, n))).collect());
        save_node(&log, &format!("{VICTIM}:c:t"));
        writeln!(out, "kept {ms}").unwrap();
        out.flush().unwrap();
        erase(&log);
        writeln!(out, "erased {ms}").unwrap();
        out.flush().unwrap();
    }
}

trait At {
    /// The same with another sequence number.
    fn at(self, sequence: u64) -> Self;
}

impl At for Draft {
    fn at(mut self, sequence: u64) -> Self {
        self.id.sequence = sequence;
        self
    }
}

fn start(dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "erasing::eraser", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

#[test]
fn an_erasing_that_is_killed_has_happened_or_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, mut interrupted, mut undone) = (HashSet::new(), 0, 0);
    for round in 0..24_u64 {
        let (mut child, out) = start(dir.path());
        let mut lines = out.lines().map(Result::unwrap);
        let said = lines.find(|line| line.starts_with("kept ")).unwrap();
        kept.insert(said);
        // At another point of it each time; the test holds wherever that is.
        std::thread::sleep(Duration::from_millis(round * 9 % 160));
        child.kill().unwrap();
        child.wait().unwrap();
        let rest: Vec<_> = lines.collect();
        kept.extend(rest.iter().filter(|line| line.starts_with("kept ")).cloned());
        let finished = rest.last().is_some_and(|line| line.starts_with("erased "));
        let report = check(dir.path(), &mut |_| {}).unwrap();
        assert!(report.worst() < Some(Severity::Feed), "round {round}: {report:#?}");
        let (log, _) = open(&small(dir.path()));
        let left = read_all(&log, &user_log(VICTIM)).len();
        assert!(left % 20 == 0, "round {round}: {left} of 20 are left");
        assert!(!finished || left == 0, "round {round}: erased, and {left} are left");
        assert_eq!(read_all(&log, &channel_log("tasks")).len(), left, "round {round}");
        interrupted += u32::from(!finished);
        undone += u32::from(left > 0);
        let own = read_all(&log, &user_log("1")).len() as u64;
        assert!(own >= kept.len() as u64 * KEPT_PER_ROUND, "round {round}: {own} of 1");
        if left == 0 {
            wait(log.close()).unwrap();
            drop(log);
            assert_eq!(occurrences(dir.path(), SECRET), 0, "round {round}");
            checked(dir.path());
        }
    }
    assert!(interrupted > 5 && undone > 0, "{interrupted} were interrupted, {undone} undone");
}
