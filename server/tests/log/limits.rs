//! What happens when many want in, when one goes away, and when the log cannot go on.

use crate::support::{
    accept, append, draft, draft_of, id, ids, open, read_all, small, user_log, wait,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use tidelog_crdt::Position;
use tidelog_protocol::UserId;
use tidelog_server::log::{Cleaned, Log, Outcome, PageLimit, Settings, Stopped, bytes_of_json};

/// Holds the committer where it publishes, until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn shut(log: &Log) -> Self {
        let gate = Self::default();
        let passing = gate.clone();
        log.on_commit(Arc::new(move |_| {
            let (open, changed) = &*passing.0;
            drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        }));
        gate
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

#[test]
fn appends_wait_for_room_and_all_get_in_in_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings { queue_bytes_max: 20_000, ..Settings::new(dir.path()) });
    let gate = Gate::shut(&log);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let appends = runtime.block_on(async {
        let append = |ms| {
            let (log, text) = (log.clone(), "x".repeat(2_000));
            let draft = draft_of(id("1", ms, 0), format!(r#"{{"type":"a","x":"{text}"}}"#));
            tokio::spawn(async move { log.append(vec![draft], ms).await })
        };
        let appends: Vec<_> = (0..50).map(append).collect();
        // One larger than the whole queue gets in, too, when it is its turn.
        let text = "x".repeat(30_000);
        let large = draft_of(id("1", 50, 0), format!(r#"{{"type":"a","x":"{text}"}}"#));
        let huge = log.append(vec![large], 50);
        tokio::task::yield_now().await;
        assert!(log.stats().queue_bytes <= 20_000, "{:?}", log.stats());
        assert!(appends.iter().all(|append| !append.is_finished()));
        gate.open();
        assert!(matches!(&huge.await.unwrap()[..], [Outcome::Accepted(_)]));
        appends
    });
    runtime.block_on(async {
        for append in appends {
            assert!(matches!(&append.await.unwrap().unwrap()[..], [Outcome::Accepted(_)]));
        }
    });
    let expected: Vec<_> = (0..51).map(|ms| id("1", ms, 0).to_string()).collect();
    assert_eq!(ids(&read_all(&log, &user_log("1"))), expected);
    assert_eq!(log.stats().queue_bytes, 0, "all room was given back");
}

#[test]
fn what_was_queued_is_appended_although_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut gone = Box::pin(log.append(vec![draft(id("1", 1, 0))], 0));
        tokio::select! {
            biased;
            _ = &mut gone => panic!("it cannot be durable yet"),
            () = std::future::ready(()) => {}
        }
    });
    accept(&log, draft(id("1", 2, 0)));
    assert_eq!(ids(&read_all(&log, &user_log("1"))), ["1 1:c:t 0", "2 1:c:t 0"]);
}

#[test]
fn an_append_larger_than_a_commit_is_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Settings { commit_actions_max: 3, ..Settings::new(dir.path()) };
    let (log, _) = open(&limits);
    let commits = Arc::new(Mutex::new(Vec::new()));
    let counting = Arc::clone(&commits);
    log.on_commit(Arc::new(move |entries| counting.lock().unwrap().push(entries.len())));
    append(&log, (0..10).map(|ms| draft(id("1", ms, 0))).collect());
    assert_eq!(*commits.lock().unwrap(), [10]);
}

#[test]
fn a_log_whose_committer_panicked_says_so_and_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&Settings::new(dir.path()));
    log.on_commit(Arc::new(|_| panic!("on purpose")));
    assert!(matches!(wait(log.append(vec![draft(id("1", 1, 0))], 0)), Err(Stopped)));
    assert!(wait(log.failed()).to_string().contains("committer panicked"));
    assert!(matches!(wait(log.append(vec![draft(id("1", 2, 0))], 0)), Err(Stopped)));
    assert!(wait(log.close()).is_err());
    drop(log);
    assert_eq!(open(&Settings::new(dir.path())).1.head.get(), 1, "it was durable");
}

#[test]
fn a_duplicate_is_known_while_its_original_is_being_synced() {
    let dir = tempfile::tempdir().unwrap();
    // Commits of one action: the second of a pair is put together while the first is synced.
    let (log, _) = open(&Settings { commit_actions_max: 1, ..small(dir.path()) });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcomes: Vec<_> = runtime.block_on(async {
        let append = |nth: u64| {
            let log = log.clone();
            tokio::spawn(async move { log.append(vec![draft(id("1", nth / 2, 0))], 0).await })
        };
        let appends: Vec<_> = (0..200).map(append).collect();
        let mut outcomes = Vec::new();
        for append in appends {
            outcomes.extend(append.await.unwrap().unwrap());
        }
        outcomes
    });
    for pair in outcomes.chunks(2) {
        let [Outcome::Accepted(original), Outcome::Known(known)] = pair else { panic!("{pair:?}") };
        assert_eq!(original, known);
    }
    assert_eq!(log.head().get(), 100);
}

/// A reader follows a log page by page while it is appended to, cleaned, checkpointed and merged.
#[test]
fn a_reader_beside_the_committer_has_every_entry_once_and_in_order() {
    const COUNT: u64 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&small(dir.path()));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2).map(|nth| follow(log.clone(), Arc::clone(&done), nth)).collect();
    for from in (0..COUNT).step_by(20) {
        append(&log, (from..from + 20).map(|ms| draft(id("1", ms, 0))).collect());
        if from % 100 == 0 {
            // Another user's, so that bodies are taken out while the reader reads.
            accept(&log, draft(id("2", from, 0)));
            let owner = UserId::new("2").unwrap();
            assert_eq!(wait(log.clean(owner, id("2", from, 0), 0)).unwrap(), Cleaned::Done);
        }
    }
    done.store(true, Ordering::Release);
    let expected: Vec<_> = (0..COUNT).map(|ms| id("1", ms, 0).to_string()).collect();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), expected);
    }
    assert!(read_all(&log, &user_log("2")).is_empty());
}

fn follow(log: Log, done: Arc<AtomicBool>, nth: usize) -> thread::JoinHandle<Vec<String>> {
    let limit = PageLimit { entries: 7 + nth * 90, bytes: usize::MAX };
    thread::spawn(move || {
        let (mut above, mut found) = (Position::ZERO, Vec::new());
        loop {
            let last = done.load(Ordering::Acquire);
            let cached = log.read_cached(&user_log("1"), above, Position::MAX, limit);
            let page = cached
                .unwrap_or_else(|| log.read(&user_log("1"), above, Position::MAX, limit).unwrap());
            found.extend(ids(&page.entries));
            above = page.through;
            if last && !page.more && above == log.head() {
                return found;
            }
        }
    })
}

/// Positions are given before they are on disk: what is staged counts, too.
#[test]
fn bytes_that_are_kept_of_a_user_have_an_exact_limit_whoever_waits_for_what() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = bytes_of_json(draft(id("1", 1_000, 0)).action.json());
    let settings = Settings {
        commit_actions_max: 1,
        kept_bytes_max: Some(100 * bytes),
        marks_max: 1,
        ..small(dir.path())
    };
    let (log, _) = open(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let accepted = runtime.block_on(async {
        let append = |nth: u64| {
            let (log, user) = (log.clone(), if nth.is_multiple_of(2) { "1" } else { "2" });
            let append = async move { log.append(vec![draft(id(user, 1_000 + nth, 0))], 0).await };
            (user, tokio::spawn(append))
        };
        let appends: Vec<_> = (0..300).map(append).collect();
        let mut accepted = Vec::new();
        for (user, append) in appends {
            match &append.await.unwrap().unwrap()[..] {
                [Outcome::Accepted(_)] => accepted.push(user),
                [Outcome::OverQuota] => {}
                other => panic!("{other:?}"),
            }
        }
        accepted
    });
    for user in ["1", "2"] {
        assert_eq!(accepted.iter().filter(|of| **of == user).count(), 100);
        assert_eq!(log.kept_bytes(&UserId::new(user).unwrap()).unwrap(), 100 * bytes);
    }
}

/// The body is gone from its row, and the checkpoint that still counts it is older than the request.
#[test]
fn bytes_of_a_body_that_was_taken_out_before_a_crash_are_not_counted_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let settings = small(dir.path());
    let (log, _) = open(&settings);
    let bytes = bytes_of_json(draft(id("1", 1_000, 0)).action.json());
    append(&log, (0..200).map(|ms| draft(id("1", 1_000 + ms, 0))).collect());
    wait(log.close()).unwrap();
    drop(log);
    // A tail that is never full, so that no checkpoint is made.
    let settings = Settings { tail_bytes: 32 << 20, ..settings };
    let (log, _) = open(&settings);
    let user = UserId::new("1").unwrap();
    for ms in 0..50 {
        let cleaned = wait(log.clean(user.clone(), id("1", 1_000 + ms, 0), 0)).unwrap();
        assert_eq!(cleaned, Cleaned::Done);
    }
    // Rows are rewritten between commits.
    (0..50).for_each(|ms| drop(accept(&log, draft(id("2", 1_000 + ms, 0)))));
    assert_eq!(log.kept_bytes(&user).unwrap(), 150 * bytes);
    drop(log);
    let (log, opened) = open(&settings);
    assert_eq!(opened.folded, 100);
    assert_eq!(log.kept_bytes(&user).unwrap(), 150 * bytes);
}
