//! The store's engine keeps what it was given in memory, whatever its cache is set to, unless it is treated as `log/store.rs`
//! has it. One test, because it looks at the whole process.
#![expect(clippy::unwrap_used, reason = "this is a test")]
#![cfg(target_os = "linux")]

use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use tidelog_crdt::Context;
use tidelog_protocol::{Action, ActionId, NodeId, UserId};
use tidelog_server::log::{Addresses, Draft, Log, Outcome, Settings};

/// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The first half is as much as may stay, 256 leaves of 8 to 17 rows of 48 KiB at most.
const ACTIONS: u64 = 40_000;
const ACTION_BYTES: usize = 8 << 10;
const PER_BATCH: u64 = 100;
/// Batches that wait at any time, so that commits are full.
const WAITING: usize = 4;
/// What the second half may add, of its 156 MiB.
const GROWTH_MIB: u64 = 20;

fn drafts(first: u64) -> Vec<Draft> {
    let node = NodeId::new("ann:phone:1").unwrap();
    let addresses = Addresses { users: vec![UserId::new("ann").unwrap()], ..Addresses::default() };
    let json = Bytes::from(format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(ACTION_BYTES)));
    let draft = |ms| Draft {
        id: ActionId { ms, node: node.clone(), sequence: 0 },
        time: ms,
        subprotocol: 0,
        addresses: addresses.clone(),
        context: Context::default(),
        action: Action::from_parts(json.clone(), "note"),
        kept: true,
    };
    (first..first + PER_BATCH).map(draft).collect()
}

async fn write(log: &Log, ids: Range<u64>) {
    let mut waiting = VecDeque::new();
    for first in ids.step_by(usize::try_from(PER_BATCH).unwrap()) {
        let (log, drafts) = (log.clone(), drafts(first));
        waiting.push_back(tokio::spawn(async move { log.append(drafts, 1).await }));
        if waiting.len() == WAITING {
            is_accepted(&waiting.pop_front().unwrap().await.unwrap().unwrap());
        }
    }
    for last in waiting {
        is_accepted(&last.await.unwrap().unwrap());
    }
}

fn is_accepted(outcomes: &[Outcome]) {
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
}

/// The most memory that the process ever had.
fn peak_mib() -> u64 {
    let status = procfs::process::Process::myself().unwrap().status().unwrap();
    status.vmhwm.unwrap() / 1024
}

#[tokio::test]
async fn what_was_written_leaves_memory_though_the_engine_would_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let (tail_bytes, cache_bytes) = (1 << 20, 4 << 20);
    let settings = Settings { tail_bytes, cache_bytes, ..Settings::new(dir.path()) };
    let (log, _) = Log::open(settings, 1).unwrap();
    write(&log, 1..ACTIONS / 2).await;
    let before = peak_mib();
    write(&log, ACTIONS / 2 + 1..ACTIONS).await;
    let grown = peak_mib() - before;
    println!("{before} MiB, and then {grown} more");
    assert!(grown <= GROWTH_MIB, "{before} MiB of memory, and with as much again {grown} more");
    log.close().await.unwrap();
}
