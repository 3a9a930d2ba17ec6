//! A process that appends and is killed: nothing acknowledged is lost, nothing is there twice.
//!
//! The process is this test binary again, which runs [`writer`] and prints what was acknowledged.
//! The page cache survives the killing, so this says nothing about syncing; losing power is tested
//! elsewhere.

use crate::support::{ALL, append, draft, draft_of, id, ids, open, read_all, small, user_log};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use tidelog_crdt::Position;
use tidelog_server::log::{Channel, Log, Outcome};

const DIR: &str = "TIDELOG_TEST_WRITER_DIR";
const USERS: u64 = 5;

/// In how many channels each entry is, besides its author's log.
const CHANNELS: &str = "TIDELOG_TEST_WRITER_CHANNELS";

/// Appends until it is killed, or until the log fails; every tenth action is sent again.
#[test]
#[ignore = "the other tests here start it, in a process of its own"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (log, opened) = open(&small(Path::new(&dir)));
    let channels: u32 = std::env::var(CHANNELS).map_or(0, |count| count.parse().unwrap());
    let channels: Vec<_> =
        (0..channels).map(|nth| Channel::new(&nth.to_string()).unwrap()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nopened {}", opened.head).unwrap();
    for ms in opened.head.get().. {
        let user = (ms % USERS).to_string();
        let json = format!(r#"{{"type":"add","text":"{}"}}"#, "x".repeat(2_000));
        let drafts = [ms, ms, ms.saturating_sub(10)].map(|ms| {
            let mut draft = draft_of(id(&user, ms, 0), json.clone());
            draft.addresses.channels.clone_from(&channels);
            draft
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Ok(outcomes) = runtime.block_on(log.append(drafts.into(), ms)) else {
            let failure = runtime.block_on(log.failed());
            writeln!(out, "failed {failure}").unwrap();
            return;
        };
        for outcome in outcomes {
            if let Outcome::Accepted(entry) = outcome {
                writeln!(out, "acked {} {}", entry.position, entry.id).unwrap();
            }
        }
        out.flush().unwrap();
    }
}

/// What the writer said.
#[derive(Default)]
struct Said {
    acked: Vec<(u64, String)>,
    failed: Option<String>,
}

fn start(dir: &Path, shell: &str) -> (Child, BufReader<ChildStdout>) {
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact crash::writer --ignored --nocapture")])
        .arg(test)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

impl Said {
    /// Reads what the writer says until it said enough or ends. A last line may be cut off.
    fn listen(&mut self, out: &mut impl BufRead, enough: impl Fn(&Self) -> bool) {
        let mut line = String::new();
        while !enough(self) && out.read_line(&mut line).unwrap() > 0 {
            if let Some(said) = line.strip_suffix('\n') {
                if let Some((position, id)) =
                    said.strip_prefix("acked ").and_then(|acked| acked.split_once(' '))
                {
                    self.acked.push((position.parse().unwrap(), id.to_string()));
                }
                if let Some(failure) = said.strip_prefix("failed ") {
                    self.failed = Some(failure.to_string());
                }
            }
            line.clear();
        }
    }
}

/// Everything acknowledged is where it was acknowledged, and no id is there twice.
fn check(log: &Log, acked: &[(u64, String)]) {
    let entries = log.feed(Position::ZERO, ALL).unwrap().entries;
    let once: HashSet<_> = entries.iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(once.len(), entries.len(), "an id is there twice");
    let found: HashSet<_> =
        entries.iter().map(|entry| (entry.position.get(), entry.id.to_string())).collect();
    for entry in acked {
        assert!(found.contains(entry), "{entry:?} was acknowledged and is lost");
    }
    for user in 0..USERS {
        let user = user.to_string();
        let own = entries.iter().filter(|entry| entry.id.node.user_str() == Some(&user));
        let own: Vec<_> = own.cloned().collect();
        assert_eq!(ids(&read_all(log, &user_log(&user))), ids(&own), "the log of user {user}");
    }
    for entry in &entries {
        assert_eq!(log.find(&entry.id).unwrap(), Some(entry.position));
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..6_usize {
        let (mut child, mut out) = start(dir.path(), "");
        let enough = said.acked.len() + 40 * (round + 1);
        said.listen(&mut out, |said| said.acked.len() >= enough);
        child.kill().unwrap();
        child.wait().unwrap();
        said.listen(&mut out, |_| false);
        let (log, opened) = open(&small(dir.path()));
        assert!(opened.head.get() >= said.acked.len() as u64, "{opened}");
        check(&log, &said.acked);
    }
    assert!(said.acked.len() > 500, "the writer wrote {}", said.acked.len());
}

#[test]
fn a_process_that_is_killed_while_it_opens_leaves_a_store_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened_once = false;
    for round in 0..8_u64 {
        let (mut child, mut out) = start(dir.path(), "");
        // At another point of the opening each time; the test holds wherever that is.
        std::thread::sleep(std::time::Duration::from_millis(3 + round * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = Said::default();
        said.listen(&mut out, |_| false);
        let (log, opened) = open(&small(dir.path()));
        opened_once |= !opened.created;
        check(&log, &said.acked);
        append(&log, vec![draft(id("0", 1_000_000 + round * USERS, 0))]);
    }
    assert!(opened_once);
}

#[test]
fn a_disk_that_takes_no_more_ends_the_log_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // No file may grow beyond 20 or 40 MiB, as the shell counts; the engine's file wants to.
    let (mut child, mut out) = start(dir.path(), "trap '' XFSZ; ulimit -f 40960;");
    let mut said = Said::default();
    said.listen(&mut out, |said| said.failed.is_some());
    assert!(child.wait().is_ok());
    let failure = said.failed.expect("the log fails when it cannot write");
    assert!(failure.contains("nothing more is acknowledged"), "{failure}");
    assert!(failure.contains("free space"), "{failure}");
    let (log, _) = open(&small(dir.path()));
    check(&log, &said.acked);
}

#[test]
fn a_disk_that_takes_no_checkpoint_ends_the_log_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Each entry is in many logs, so that a run outgrows the limit long before the feed does.
    let (mut child, mut out) = start(
        dir.path(),
        "trap '' XFSZ; ulimit -f 40960; export TIDELOG_TEST_WRITER_CHANNELS=400;",
    );
    let mut said = Said::default();
    said.listen(&mut out, |said| said.failed.is_some());
    assert!(child.wait().is_ok());
    let failure = said.failed.expect("the log fails when it cannot write");
    assert!(failure.contains("index/runs/") && failure.contains("free space"), "{failure}");
    assert!(said.acked.len() > 5, "the writer wrote {}", said.acked.len());
    let (log, _) = open(&small(dir.path()));
    check(&log, &said.acked);
}
