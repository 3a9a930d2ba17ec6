//! Bodies that are taken out: gone for readers at once, gone from the feed before long, gone wherever
//! a run still has a copy; and the id stays known.

use crate::support::{ALL, append, at, draft, id, ids, open, read_all, small, user_log, wait};
use std::sync::{Arc, Barrier};
use tidelog_crdt::Position;
use tidelog_protocol::UserId;
use tidelog_server::log::{Cleaned, Log, Outcome, PageLimit, Settings};

#[test]
fn a_cleaned_body_is_gone_and_its_id_stays_known() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    let (mut log, _) = open(&settings);
    let (secret, other) = (draft(id("1", 1, 0)), draft(id("1", 2, 0)));
    append(&log, vec![secret.clone(), other.clone()]);
    let clean = |log: &Log, owner: &str, id| {
        wait(log.clean(UserId::new(owner).unwrap(), id, 2_000)).unwrap()
    };
    assert_eq!(clean(&log, "2", secret.id.clone()), Cleaned::NotOwner);
    assert_eq!(clean(&log, "1", id("1", 3, 0)), Cleaned::Unknown);
    // In the tail, in a run, rebuilt from the feed: gone everywhere.
    for how in ["cleaned", "closed", "dropped", "rebuilt"] {
        if how == "cleaned" {
            assert_eq!(clean(&log, "1", secret.id.clone()), Cleaned::Done);
        }
        assert_eq!(ids(&read_all(&log, &user_log("1"))), ["2 1:c:t 0"], "{how}");
        let entry = log.entry(at(1)).unwrap().unwrap();
        assert!(entry.cleaned && entry.action.kind() == "0/clean", "{how}");
        assert_eq!(ids(&log.feed(Position::ZERO, ALL).unwrap().entries), ["2 1:c:t 0"], "{how}");
        let [Outcome::Known(known)] = &append(&log, vec![secret.clone()])[..] else {
            panic!("{how}: it came back");
        };
        assert!(known.cleaned, "{how}");
        assert_eq!(clean(&log, "1", secret.id.clone()), Cleaned::Done, "{how}: again");
        assert_eq!(log.head(), at(3), "{how}: what is clean is not cleaned again");
        if how == "cleaned" {
            wait(log.close()).unwrap();
        }
        drop(log);
        if how == "dropped" {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        log = open(&settings).0;
    }
}

#[test]
fn an_entry_that_is_in_a_run_can_be_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(dir.path());
    let (log, _) = open(&settings);
    append(&log, (0..500).map(|ms| draft(id("1", ms, 0))).collect());
    wait(log.close()).unwrap();
    drop(log);
    let (log, _) = open(&settings);
    for ms in (0..500).step_by(2) {
        let owner = UserId::new("1").unwrap();
        assert_eq!(wait(log.clean(owner, id("1", ms, 0), 2_000)).unwrap(), Cleaned::Done);
    }
    let odd: Vec<_> = (1..500).step_by(2).map(|ms| id("1", ms, 0).to_string()).collect();
    assert_eq!(ids(&read_all(&log, &user_log("1"))), odd);
    let newest = log.newest(&user_log("1"), PageLimit { entries: 20, ..ALL }).unwrap();
    assert_eq!(ids(&newest.entries), odd[odd.len() - 20..]);
    wait(log.close()).unwrap();
    drop(log);
    let (log, _) = open(&settings);
    assert_eq!(ids(&read_all(&log, &user_log("1"))), odd);
}

/// Bodies leave the rows in the background; the committer is held while most are still there.
#[test]
fn a_cleaned_body_is_hidden_before_its_row_is_rewritten_and_gone_before_a_checkpoint_passes() {
    const ROWS: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path());
    let (log, _) = open(&settings);
    // Two entries a row; the first of each goes.
    for ms in (0..ROWS * 2).step_by(2) {
        append(&log, vec![draft(id("1", ms, 0)), draft(id("1", ms + 1, 0))]);
    }
    wait(log.close()).unwrap();
    drop(log);
    let (log, _) = open(&settings);
    let (held, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (holding, going) = (Arc::clone(&held), Arc::clone(&go));
    log.on_commit(Arc::new(move |_| {
        holding.wait();
        going.wait();
    }));
    let cleans = (0..ROWS * 2).step_by(2).map(|ms| {
        let log = log.clone();
        async move { log.clean(UserId::new("1").unwrap(), id("1", ms, 0), 2_000).await }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cleans: Vec<_> = runtime.block_on(async {
        let cleans = cleans.map(tokio::spawn).collect();
        let last = log.clone();
        let append = async move { last.append(vec![draft(id("1", 1_000, 0))], 0).await };
        // Nobody waits for it: it is there to hold the committer.
        drop(tokio::spawn(append));
        tokio::task::yield_now().await;
        cleans
    });
    held.wait();
    let while_held = seen(&log, ROWS);
    go.wait();
    for clean in cleans {
        assert_eq!(runtime.block_on(clean).unwrap().unwrap(), Cleaned::Done);
    }
    wait(log.close()).unwrap();
    // With it goes the append that nobody waited for, and its handle.
    drop(runtime);
    drop(log);
    let odd: Vec<_> = (1..ROWS * 2).step_by(2).map(|ms| id("1", ms, 0).to_string()).collect();
    for (cleaned, feed, own) in [while_held, seen(&open(&settings).0, ROWS)] {
        assert_eq!(u64::try_from(cleaned).unwrap(), ROWS);
        assert_eq!((&feed[..odd.len()], &own[..odd.len()]), (&odd[..], &odd[..]));
    }
}

/// How many of the first entries of the rows are seen as cleaned, and what is read.
fn seen(log: &Log, rows: u64) -> (usize, Vec<String>, Vec<String>) {
    let first = (1..rows * 2).step_by(2).map(|position| log.entry(at(position)).unwrap().unwrap());
    let cleaned = first.filter(|entry| entry.cleaned && entry.action.kind() == "0/clean").count();
    let feed = ids(&log.feed(Position::ZERO, ALL).unwrap().entries);
    (cleaned, feed, ids(&read_all(log, &user_log("1"))))
}
