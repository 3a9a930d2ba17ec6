use super::*;
use crate::config::Source;
use crate::documents::{Documents, parts_of};
use crate::log::{
    Addresses, Channel, Draft, Entry, LogName, Outcome, PageLimit, Settings, Severity,
    bytes_of_json, check, rebuild,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tidelog_crdt::{Context, Document, DocumentName, Position, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };
const DOCUMENTS: [&str; 2] = ["cart", "notes"];

/// A store with its documents.
struct Store {
    log: Log,
    documents: Documents,
    rules: Arc<Rules>,
    dir: TempDir,
}

fn settings(dir: &Path) -> Settings {
    Settings { tail_bytes: 4 << 10, cache_bytes: 1 << 20, ..Settings::new(dir.join("data")) }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn own(name: &str) -> LogName {
    LogName::User(user(name))
}

fn channel(name: &str) -> LogName {
    LogName::Channel(Channel::new(name).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// An action of `author` in its log, and in this channel.
fn draft(author: &str, ms: u64, to: Option<&str>, action: &Value) -> Draft {
    Draft {
        id: ActionId { node: NodeId::new(&format!("{author}:c:t")).unwrap(), ms, sequence: 0 },
        time: ms,
        subprotocol: 1,
        addresses: Addresses {
            users: vec![user(author)],
            channels: to.into_iter().map(|name| Channel::new(name).unwrap()).collect(),
            ..Addresses::default()
        },
        context: Context::default(),
        action: Action::new(action.to_string().into()).unwrap(),
        kept: true,
    }
}

impl Store {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(dir: TempDir) -> Self {
        let file = dir.path().join("tidelog.toml");
        let config = Config::parse(Source::new(&file, "[[sync_map]]\nname = \"tasks\"")).unwrap();
        let rules = Arc::new(Rules::compile(&config).unwrap());
        let (log, _) = Log::open(settings(dir.path()), 1000).unwrap();
        let saved = dir.path().join("data/index/documents");
        let documents = Documents::new(log.clone(), rules.clone(), saved).unwrap();
        Self { log, documents, rules, dir }
    }

    fn close(self) -> TempDir {
        wait(self.log.close()).unwrap();
        self.dir
    }

    fn append(&self, drafts: Vec<Draft>, now_ms: u64) -> Vec<Outcome> {
        wait(self.log.append(drafts, now_ms)).unwrap()
    }

    fn compact(&self, now_ms: u64) -> Receipt {
        let actions = vec![Glob::new("crdt/*"), Glob::new("tasks/*")];
        let terms = Terms { actions, older_than_ms: 0, every: None, one_of: None };
        let receipt = once(&self.log, &self.rules, (&terms, now_ms), &mut |_| {}).unwrap();
        self.documents.forget_earlier();
        receipt
    }

    fn entries(&self, log: &LogName, above: u64) -> Vec<Arc<Entry>> {
        let above = Position::new(above).unwrap();
        self.log.read(log, above, Position::MAX, ALL).unwrap().entries
    }

    fn value(&self, log: &LogName, name: &str) -> (Value, Position) {
        let read = self.documents.read(log, &DocumentName::new(name).unwrap()).unwrap();
        (read.value, read.changed)
    }
}

/// Everything of a document, up to a position, as `crdt/state` shows it.
fn state_of(whole: &Store, log: &LogName, (name, until): (&DocumentName, Position)) -> Value {
    let mut document = Document::default();
    for entry in whole.entries(log, 0).iter().filter(|entry| entry.position <= until) {
        for (of, part) in parts_of(entry, &whole.rules) {
            if of == *name {
                let _ = document.apply(&part);
            }
        }
    }
    document.to_action(name)
}

/// What a reader of the compacted store gets that has had everything up to `above`: of each document what
/// it adds up to at one of its entries, and all that comes after; of which it has missed nothing, all.
fn reader_misses_nothing(compacted: &Store, whole: &Store, (log, above): (&LogName, u64)) {
    let mut states: BTreeMap<DocumentName, Position> = BTreeMap::new();
    let (got, all) = (compacted.entries(log, above), whole.entries(log, above));
    for entry in got.iter().filter(|entry| entry.action.kind() == "crdt/state") {
        let action: Value = entry.action.body().unwrap();
        let name = DocumentName::new(action["doc"].as_str().unwrap()).unwrap();
        assert_eq!(action, state_of(whole, log, (&name, entry.position)), "{log:?} above {above}");
        assert!(entry.id.node.as_str().starts_with("server:"), "not for its author alone");
        assert!(states.insert(name, entry.position).is_none(), "one state of each");
    }
    let tail = |entries: &[Arc<Entry>]| -> Vec<_> {
        let after = |entry: &&Arc<Entry>| {
            let parts = parts_of(entry, &whole.rules);
            let state = parts.first().and_then(|(name, _)| states.get(name).copied());
            entry.action.kind() != "crdt/state" && state.is_none_or(|state| entry.position > state)
        };
        entries.iter().filter(after).map(|entry| (entry.position, entry.id.clone())).collect()
    };
    assert_eq!(tail(&got), tail(&all), "{log:?} above {above}");
}

fn same(compacted: &Store, whole: &Store) {
    for log in [own("1"), own("2"), channel("board")] {
        for name in DOCUMENTS {
            assert_eq!(compacted.value(&log, name), whole.value(&log, name), "{name} of {log:?}");
        }
    }
    // By the log that is the home of what is in it; a user's log shows no part of what a channel has.
    for above in 0..=whole.log.head().get() {
        reader_misses_nothing(compacted, whole, (&channel("board"), above));
    }
}

/// One action: by whom, where to, what, having seen how much.
#[derive(Clone, Debug)]
struct Act {
    author: usize,
    to: usize,
    document: usize,
    what: u64,
    value: u64,
    unseen: u64,
    time: u64,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..2_usize, 0..4_usize, 0..2_usize, 0..9_u64, 0..4_u64, 0..8_u64, 0..50_u64);
    let act = act.prop_map(|(author, to, document, what, value, unseen, time)| Act {
        author,
        to,
        document,
        what,
        value,
        unseen,
        time,
    });
    prop::collection::vec(act, 1..16)
}

impl Act {
    fn draft(&self, store: &Store, position: u64) -> Draft {
        let (doc, value) = (DOCUMENTS[self.document], self.value);
        let element = format!("{} {}:c:t 0", 1 + value * 3, 1 + value % 2);
        let action = match self.what {
            0 => json!({ "type": "crdt/counter/add", "doc": doc, "path": ["n"], "by": 1 + value }),
            1 => json!({ "type": "crdt/set/add", "doc": doc, "path": ["s"], "value": value }),
            2 => json!({ "type": "crdt/set/remove", "doc": doc, "path": ["s"], "value": value }),
            3 => json!({ "type": "crdt/register/set", "doc": doc, "path": ["r"], "value": value }),
            4 => json!({ "type": "crdt/map/remove", "doc": doc, "path": ["r"] }),
            5 => {
                json!({ "type": "crdt/list/insert", "doc": doc, "path": ["l"], "values": [value] })
            }
            6 => {
                json!({ "type": "crdt/list/delete", "doc": doc, "path": ["l"], "elements": [element] })
            }
            7 => json!({ "type": "crdt/text/insert", "doc": doc, "path": ["t"], "text": "ab" }),
            _ => json!({ "type": "other", "doc": doc }),
        };
        let author = ["1", "2"][self.author];
        let mut draft = draft(author, position, None, &action);
        draft.time = 1000 + self.time;
        let board = Channel::new("board").unwrap();
        match self.to {
            0 => {}
            1 => draft.addresses.users = vec![user("1"), user("2")],
            _ => draft.addresses.channels = vec![board],
        }
        let prefix = Position::new(position.saturating_sub(1 + self.unseen)).unwrap();
        let seen = Seen { prefix, ..Seen::default() };
        draft.context = Context::of(store.log.incarnation(), seen);
        draft
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_no_difference(phases in [acts(), acts(), acts()]) {
        let (compacted, whole) = (Store::new(), Store::new());
        let mut position = 0;
        for (phase, acts) in (1..).zip(&phases) {
            for act in acts {
                position += 1;
                for store in [&compacted, &whole] {
                    store.append(vec![act.draft(store, position)], phase * 1000);
                }
            }
            // What came in this phase stays until the next.
            compacted.compact((phase - 1) * 1000);
            same(&compacted, &whole);
        }
        compacted.compact(9000);
        same(&compacted, &whole);
        // What is sent again is known, whether or not it is still there.
        let mut position = 0;
        for act in phases.iter().flatten() {
            position += 1;
            let outcomes = compacted.append(vec![act.draft(&compacted, position)], 9000);
            prop_assert!(matches!(&outcomes[..], [Outcome::Known(_)]), "{position}");
        }
        let left = compacted.log.feed(Position::ZERO, ALL).unwrap().entries;
        for author in ["1", "2"].map(user) {
            let of_author = left.iter().filter(|entry| entry.id.node.user().as_ref() == Some(&author));
            let bytes: u64 = of_author.map(|entry| bytes_of_json(entry.action.json())).sum();
            prop_assert_eq!(compacted.log.kept_bytes(&author).unwrap(), bytes);
        }
        let dir = compacted.close();
        let report = check(&dir.path().join("data"), &mut |_| {}).unwrap();
        prop_assert!(report.worst() <= Some(Severity::Note), "{:#?}", report);
        rebuild(&settings(dir.path()), &mut |_| {}).unwrap();
        same(&Store::open(dir), &whole);
    }
}

fn count(doc: &str, by: u64) -> Value {
    json!({ "type": "crdt/counter/add", "doc": doc, "by": by })
}

#[test]
fn what_a_device_missed_comes_as_one_state_and_the_rest_as_it_was() {
    let store = Store::new();
    let many = (1..=100).map(|ms| draft("1", ms, None, &count("cart", ms))).collect();
    store.append(many, 1000);
    store.append(vec![draft("1", 200, None, &json!({ "type": "other" }))], 1000);
    store.append(vec![draft("1", 300, None, &count("cart", 1))], 2000);
    let receipt = store.compact(1000);
    assert_eq!((receipt.entries, receipt.through.get()), (100, 101));
    assert_eq!((receipt.documents, receipt.logs), (1, 1));
    assert_eq!(receipt.types, [("crdt/counter/add".to_owned(), 100)].into());
    let kinds = |above| -> Vec<_> {
        let entries = store.entries(&own("1"), above);
        entries.iter().map(|it| (it.position.get(), it.action.kind().to_owned())).collect()
    };
    let [state, other, tail] = [(100, "crdt/state"), (101, "other"), (102, "crdt/counter/add")]
        .map(|(at, kind)| (at, kind.to_owned()));
    assert_eq!(kinds(0), [state.clone(), other.clone(), tail.clone()]);
    assert_eq!(kinds(99), [state, other.clone(), tail.clone()]);
    assert_eq!(kinds(100), [other, tail], "nothing was missed");
    let shown = store.entries(&own("1"), 0)[0].action.body::<Value>().unwrap();
    assert_eq!(shown["state"], json!({ "kind": "counter", "value": 5050 }));
    assert_eq!(store.value(&own("1"), "cart"), (json!(5051), Position::new(102).unwrap()));
    let nothing = store.compact(1000);
    assert!(nothing.done.is_none(), "nothing more may go");
}

#[test]
fn what_is_in_several_logs_goes_only_where_one_of_them_has_its_document() {
    let store = Store::new();
    let mut both = draft("1", 1, None, &count("cart", 1));
    both.addresses.users.push(user("2"));
    let mut channels = draft("1", 2, Some("board"), &count("cart", 1));
    channels.addresses.channels.push(Channel::new("other").unwrap());
    store.append(vec![both, channels, draft("1", 3, Some("board"), &count("cart", 5))], 1000);
    assert_eq!(store.compact(1000).entries, 1);
    let kinds = |log: &LogName| -> Vec<_> {
        store.entries(log, 0).iter().map(|it| it.action.kind().to_owned()).collect()
    };
    assert_eq!(kinds(&own("2")), ["crdt/counter/add"]);
    assert_eq!(kinds(&channel("other")), ["crdt/counter/add"]);
    assert_eq!(kinds(&channel("board")), ["crdt/counter/add", "crdt/state"]);
    assert_eq!(kinds(&own("1")), ["crdt/counter/add", "crdt/counter/add"], "the channel has it");
    assert_eq!(store.value(&own("1"), "cart").0, json!(7));
    assert_eq!(store.value(&channel("board"), "cart").0, json!(6));
}

#[test]
fn a_large_document_is_kept_whole_and_the_space_of_its_history_given_back() {
    let store = Store::new();
    let text = "x".repeat(2000);
    for batch in 0..40 {
        let actions = (0..100).map(|nth| {
            let value = format!("{text} {batch} {nth}");
            // Each is written over ten times, but for the last.
            let key = format!("{}", (batch * 100 + nth) % 400);
            let action = json!({ "type": "crdt/register/set", "doc": "cart", "path": [key], "value": value });
            let mut draft = draft("1", batch * 100 + nth + 1, None, &action);
            let prefix = Position::new(batch * 100).unwrap();
            draft.context = Context::of(store.log.incarnation(), Seen { prefix, ..Seen::default() });
            draft
        });
        store.append(actions.collect(), 1000);
    }
    let before = store.value(&own("1"), "cart");
    let receipt = store.compact(1000);
    assert_eq!(receipt.entries, 4000);
    assert_eq!(store.value(&own("1"), "cart"), before);
    assert!(serde_json::to_string(&before.0).unwrap().len() > 400 << 10, "more than a row holds");
    let (was, is) = receipt.done.unwrap().feed_bytes;
    assert!(is < was / 3, "{is} of {was} bytes");
    let dir = store.close();
    let report = check(&dir.path().join("data"), &mut |_| {}).unwrap();
    assert!(report.worst() <= Some(Severity::Note), "{report:#?}");
    assert_eq!((report.counts.documents, report.generation), (1, 1));
}

#[test]
fn who_is_erased_after_a_compaction_is_gone_but_for_what_is_in_the_documents_of_others() {
    let store = Store::new();
    store.append(
        vec![
            draft("1", 1, None, &count("mine", 7)),
            draft("2", 1, Some("board"), &count("cart", 1)),
            draft("1", 2, Some("board"), &count("cart", 2)),
            draft("1", 3, Some("tea"), &count("cart", 3)),
        ],
        1000,
    );
    store.compact(1000);
    let removed = store.log.erase(&user("1"), &mut |_| {}).unwrap();
    store.documents.forget_earlier();
    assert!(removed.positions.contains(Position::new(3).unwrap()));
    assert_eq!(store.value(&own("1"), "mine").0, Value::Null);
    assert!(store.entries(&own("1"), 0).is_empty());
    let shown = store.entries(&channel("board"), 0);
    assert_eq!(shown.len(), 1, "the place of the last entry is there, without whose it was");
    assert_eq!(store.value(&channel("board"), "cart").0, json!(3));
    for id in [1, 2, 3] {
        let again = store.append(vec![draft("1", id, None, &count("mine", 7))], 2000);
        assert!(matches!(&again[..], [Outcome::Known(_)]), "{id}");
    }
    let dir = store.close();
    let report = check(&dir.path().join("data"), &mut |_| {}).unwrap();
    assert!(report.worst() <= Some(Severity::Note), "{report:#?}");
    rebuild(&settings(dir.path()), &mut |_| {}).unwrap();
    let store = Store::open(dir);
    assert_eq!(store.value(&channel("board"), "cart").0, json!(3));
    assert_eq!(store.entries(&channel("board"), 0).len(), 1);
}

#[test]
fn an_action_that_is_cleaned_while_it_goes_is_gone_from_the_document() {
    let store = Store::new();
    let ids: Vec<_> = (1..=5).map(|ms| draft("1", ms, None, &count("cart", ms))).collect();
    let third = ids[2].id.clone();
    store.append(ids, 1000);
    let terms =
        Terms { actions: vec![Glob::new("crdt/*")], older_than_ms: 0, every: None, one_of: None };
    let mut cleaned = false;
    let mut told = |step: CompactionStep| {
        if matches!(step, CompactionStep::Folding(..)) && !std::mem::replace(&mut cleaned, true) {
            wait(store.log.clean(user("1"), third.clone(), 1000)).unwrap();
        }
    };
    let overtaken = once(&store.log, &store.rules, (&terms, 1000), &mut told);
    assert!(matches!(overtaken, Err(RewriteError::Overtaken)));
    assert_eq!(store.entries(&own("1"), 0).len(), 4, "nothing has changed");
    store.compact(1000);
    assert_eq!(store.value(&own("1"), "cart").0, json!(12));
}

/// Reads page by page what everything adds up to, as a device would.
fn added_up(log: &Log, name: &LogName) -> u64 {
    let (mut sum, mut above) = (0, Position::ZERO);
    loop {
        let page = log.read(name, above, Position::MAX, PageLimit { entries: 7, ..ALL }).unwrap();
        for entry in &page.entries {
            let action: Value = entry.action.body().unwrap();
            match entry.action.kind() {
                "crdt/state" => sum = action["state"]["value"].as_u64().unwrap(),
                _ => sum += action["by"].as_u64().unwrap(),
            }
        }
        above = page.through;
        if !page.more {
            return sum;
        }
    }
}

#[test]
fn who_reads_or_folds_a_log_while_it_is_compacted_misses_nothing() {
    const MANY: u64 = 600;
    let store = Store::new();
    let (log, rules) = (store.log.clone(), store.rules.clone());
    let append = |round: u64| {
        let each = (1..=MANY).map(|n| draft("1", round * MANY + n, None, &count("cart", 1)));
        store.append(each.collect(), 1000);
    };
    append(0);
    let reading = std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (log, rules, dir) = (&log, &rules, store.dir.path());
        let reader = scope.spawn(move || {
            let mut rounds = 0;
            while matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                let least = log.head().get();
                assert!(added_up(log, &own("1")) >= least, "of {least}");
                // Folded anew each time.
                let saved = dir.join(format!("documents-{rounds}"));
                let documents = Documents::new(log.clone(), rules.clone(), saved).unwrap();
                let name = DocumentName::new("cart").unwrap();
                let value = documents.read(&own("1"), &name).unwrap().value;
                assert!(value.as_u64().unwrap() >= least, "{value} of {least}");
                rounds += 1;
            }
            rounds
        });
        for round in 1..=4 {
            let terms = Terms {
                actions: vec![Glob::new("crdt/*")],
                older_than_ms: 0,
                every: None,
                one_of: None,
            };
            let receipt = once(log, rules, (&terms, 1000), &mut |_| {}).unwrap();
            assert_eq!(receipt.entries, MANY, "round {round}");
            append(round);
        }
        drop(stop);
        reader.join().unwrap()
    });
    assert!(reading > 0);
    assert_eq!(added_up(&log, &own("1")), 5 * MANY);
}

/// What a process leaves that is killed when the feed is switched and the index is not.
#[test]
fn an_index_from_before_the_compaction_is_made_again() {
    let store = Store::new();
    let each = (1..=50).map(|n| draft("1", n, Some("board"), &count("cart", 1)));
    store.append(each.collect(), 1000);
    let dir = store.close();
    let (index, before) = (dir.path().join("data/index"), dir.path().join("before"));
    let copied = std::process::Command::new("cp").arg("-r").args([&index, &before]).status();
    assert!(copied.unwrap().success());
    let store = Store::open(dir);
    store.compact(1000);
    let dir = store.close();
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(before, index).unwrap();
    let store = Store::open(dir);
    assert_eq!(added_up(&store.log, &channel("board")), 50);
    assert_eq!(store.entries(&channel("board"), 0).len(), 1);
    assert_eq!(store.value(&channel("board"), "cart").0, json!(50));
}
