//! The committer under load: durable actions per second, 100 a commit, from 100,000 users in random
//! order; memory and rate as the store grows; and the newest 1,000 entries of one user right after
//! a restart.
//!
//! ```text
//! cargo bench -p tidelog-server --bench log               # a million actions
//! cargo bench -p tidelog-server --bench log -- 10000000   # the long run, about 20 GB of disk
//! TIDELOG_BENCH_DIR=/some/disk …                          # where; default: the target directory
//! ```
//!
//! A plain file that is written and synced in equal batches runs first, in the same place: the
//! ratio says more than the figures, which are those of a disk.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidelog_crdt::{Context, Incarnation, Position, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};
use tidelog_server::log::{Addresses, Draft, Log, LogName, Outcome, PageLimit, Settings};

const USERS: usize = 100_000;
const PER_COMMIT: u64 = 100;
/// Appends that wait at any time, so that the next commit is always full.
const WAITING: usize = 16;
/// One action in so many is of the user whose entries are read at the end.
const READER_EVERY: u64 = 1_000;
const REPORT_EVERY: u64 = 1_000_000;
const DAY: u64 = 1_795_000_000_000;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let count = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(REPORT_EVERY);
    let dir = std::env::var_os("TIDELOG_BENCH_DIR").map_or_else(default_dir, PathBuf::from);
    let dir = dir.join("tidelog-bench-log");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    plain_file(&dir.join("plain"));
    let store = dir.join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(fill(&store, count));
    restart(&store, "page cache warm");
    if fs::write("/proc/sys/vm/drop_caches", "3").is_ok() {
        restart(&store, "page cache dropped");
    }
    fs::remove_dir_all(&dir).unwrap();
}

fn default_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// What the disk does with the same bytes and nothing else.
fn plain_file(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut authors = Authors::new();
    let began = Instant::now();
    let mut actions = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let mut batch = Vec::new();
        for draft in authors.drafts(&mut actions) {
            batch.extend_from_slice(draft.id.node.as_str().as_bytes());
            batch.extend_from_slice(draft.action.json());
            batch.extend_from_slice(&[0; 40]);
        }
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
    }
    println!("plain file, write and fdatasync: {}", rate(actions, began.elapsed()));
    fs::remove_file(path).unwrap();
}

async fn fill(store: &Path, count: u64) {
    let settings = Settings { commit_actions_max: 100, ..Settings::new(store) };
    let (log, _) = Log::open(settings, DAY).unwrap();
    let mut authors = Authors::new();
    let mut waiting = VecDeque::new();
    let (mut made, mut done) = (0, 0);
    let (began, cpu_began) = (Instant::now(), cpu());
    let mut report = Report::new();
    while done < count {
        while waiting.len() < WAITING && made < count {
            let drafts = authors.drafts(&mut made);
            let log = log.clone();
            waiting.push_back(tokio::spawn(async move { log.append(drafts, DAY).await }));
        }
        let outcomes = waiting.pop_front().unwrap().await.unwrap().unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
        done += PER_COMMIT;
        if done.is_multiple_of(REPORT_EVERY) {
            report.line(done, &log);
        }
    }
    let took = began.elapsed();
    println!(
        "{count} durable actions: {}, {:.1} µs of CPU each, the benchmark's own included",
        rate(count, took),
        cpu().saturating_sub(cpu_began).as_secs_f64() * 1e6 / as_f64(count)
    );
    resend(&log).await;
    let began = Instant::now();
    log.close().await.unwrap();
    drop(log);
    println!("close: {} ms; on disk: {} MiB", began.elapsed().as_millis(), size(store) >> 20);
}

/// The first actions once more, as devices do whose acknowledgements were lost.
async fn resend(log: &Log) {
    let (mut authors, mut made) = (Authors::new(), 0);
    let began = Instant::now();
    while made < 20_000 {
        let outcomes = log.append(authors.drafts(&mut made), DAY).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Known(_))));
    }
    println!("the oldest {made} sent again: {}", rate(made, began.elapsed()));
}

fn restart(store: &Path, how: &str) {
    let (log, opened) = Log::open(Settings::new(store), DAY).unwrap();
    println!("{how}: {opened}");
    let name = LogName::User(UserId::new("reader").unwrap());
    let began = Instant::now();
    let limit = PageLimit { entries: 1_000, bytes: usize::MAX };
    let page = log.newest(&name, limit).unwrap();
    println!("{how}: newest {} in {:?}", page.entries.len(), began.elapsed());
    let began = Instant::now();
    let all = PageLimit { entries: usize::MAX, bytes: usize::MAX };
    let page = log.read(&name, Position::ZERO, Position::MAX, all).unwrap();
    println!("{how}: all {} in {:?}", page.entries.len(), began.elapsed());
}

/// Drafts of users in random order, each with ids that rise.
struct Authors {
    nodes: Vec<(NodeId, UserId)>,
    reader: (NodeId, UserId),
    random: u64,
}

impl Authors {
    fn new() -> Self {
        let author = |user: &str| {
            let node = NodeId::new(&format!("{user}:lvzqTSjK:SJpRmI9h")).unwrap();
            (node, UserId::new(user).unwrap())
        };
        let nodes = (0..USERS).map(|user| author(&format!("user{user:06}"))).collect();
        Self { nodes, reader: author("reader"), random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn drafts(&mut self, made: &mut u64) -> Vec<Draft> {
        (0..PER_COMMIT)
            .map(|_| {
                *made += 1;
                self.draft(*made)
            })
            .collect()
    }

    /// About 220 bytes of JSON, half of it random.
    fn draft(&mut self, nth: u64) -> Draft {
        let user = usize::try_from(self.random()).unwrap() % USERS;
        let reads = nth.is_multiple_of(READER_EVERY);
        let author = if reads { Some(&self.reader) } else { self.nodes.get(user) };
        let (node, user) = author.unwrap().clone();
        let mut json = String::with_capacity(224);
        write!(json, r#"{{"type":"tasks/change","id":"{nth:016}","fields":{{"title":""#).unwrap();
        while json.len() < 200 {
            write!(json, "{:016x}", self.random()).unwrap();
        }
        json.push_str(r#"","done":false}}"#);
        let seen = Seen { prefix: Position::new(nth).unwrap(), ..Seen::default() };
        Draft {
            id: ActionId { node, ms: DAY + nth, sequence: 0 },
            time: DAY + nth,
            subprotocol: 1,
            addresses: Addresses { users: vec![user], ..Addresses::default() },
            context: Context::of(Incarnation(1), seen),
            action: Action::from_parts(Bytes::from(json), "tasks/change"),
            kept: true,
        }
    }
}

/// A line for every million.
struct Report {
    began: Instant,
    cpu: Duration,
    written: u64,
}

impl Report {
    fn new() -> Self {
        Self { began: Instant::now(), cpu: cpu(), written: written() }
    }

    fn line(&mut self, done: u64, log: &Log) {
        let now = Self::new();
        let cpu = now.cpu.saturating_sub(self.cpu).as_secs_f64() * 1e6 / as_f64(REPORT_EVERY);
        println!(
            "{:>3} million: {}, {cpu:.1} µs CPU, {} MiB written; RSS {} MiB, peak {} MiB; {:?}",
            done / REPORT_EVERY,
            rate(REPORT_EVERY, now.began - self.began),
            (now.written - self.written) >> 20,
            status("VmRSS:") >> 10,
            status("VmHWM:") >> 10,
            log.stats()
        );
        *self = now;
    }
}

fn rate(count: u64, took: Duration) -> String {
    format!("{:.0} actions/s", as_f64(count) / took.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// A line of `/proc/self/status`, in KiB.
fn status(name: &str) -> u64 {
    proc_number("/proc/self/status", name)
}

/// Bytes that the process had written to the disk.
fn written() -> u64 {
    proc_number("/proc/self/io", "write_bytes:")
}

fn proc_number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor time of all threads.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn size(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    files
        .map(|file| match file.metadata().unwrap() {
            metadata if metadata.is_dir() => size(&file.path()),
            metadata => metadata.len(),
        })
        .sum()
}
