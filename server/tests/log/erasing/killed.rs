//! Erasing in a process that is killed: it has happened, or it has not.

use super::{SECRET, VICTIM, addressed, checked, erase, occurrences, save_node};
use crate::support::{ALL, append, channel_log, draft, id, open, read_all, small, user_log, wait};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidelog_crdt::Position;
use tidelog_server::log::{Draft, Entry, Severity, check};

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
        .args(["--exact", "erasing::killed::eraser", "--ignored", "--nocapture"])
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
        assert!(left.is_multiple_of(20), "round {round}: {left} of 20 are left");
        assert!(!finished || left == 0, "round {round}: erased, and {left} are left");
        assert_eq!(read_all(&log, &channel_log("tasks")).len(), left, "round {round}");
        let feed = log.feed(Position::ZERO, ALL).unwrap().entries;
        let of_victim = |entry: &&Arc<Entry>| entry.id.node.user_str() == Some(VICTIM);
        assert_eq!(feed.iter().filter(of_victim).count(), left, "round {round}: in the feed");
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
