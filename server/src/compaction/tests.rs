mod erased;
mod left;
mod meanwhile;
mod random;
mod rules;

use super::*;
use crate::config::Source;
use crate::documents::{Documents, parts_of};
use crate::log::{
    Addresses, Channel, Draft, Entry, LogName, Outcome, PageLimit, Settings, Severity,
    bytes_of_json, check, rebuild,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tidelog_crdt::{Context, DocumentName, Position, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

const RULES: &str = r#"
[[sync_map]]
name = "tasks"

[[sync_map]]
name = "counted"

[[merge]]
type      = "counted/*"
document  = "changes"
operation = "counter/add"
by        = "1"

[[merge]]
type      = "likes/inc"
document  = "likes"
path      = ["{action.post}"]
operation = "counter/add"
by        = "1"
"#;

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

/// Actions of these types may go, however new they are.
fn terms(types: &[&str]) -> Terms {
    let actions = types.iter().map(|glob| Glob::new(glob)).collect();
    Terms { actions, older_than_ms: 0, every: None, one_of: None, has_upstream: false }
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
        let settings = settings(dir.path());
        Self::open_with(dir, settings)
    }

    fn open_with(dir: TempDir, settings: Settings) -> Self {
        Self::open_by(dir, settings, RULES)
    }

    fn open_by(dir: TempDir, settings: Settings, rules: &str) -> Self {
        let file = dir.path().join("tidelog.toml");
        let config = Config::parse(Source::new(&file, rules)).unwrap();
        let rules = Arc::new(Rules::compile(&config).unwrap());
        let (log, _) = Log::open(settings, 1000).unwrap();
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
        self.compact_only(&["*"], now_ms)
    }

    fn compact_only(&self, types: &[&str], now_ms: u64) -> Receipt {
        let terms = terms(types);
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
    let [one, two] = [0, 99].map(|above| store.entries(&own("1"), above));
    let json = |entries: &[Arc<Entry>]| entries[0].action.json().as_ptr();
    assert_eq!(json(&one), json(&two), "it is made once for all who read it");
    let nothing = store.compact(1000);
    assert!(nothing.done.is_none(), "nothing more may go");
}

/// A store that goes by time counts what lies above a state once more.
#[test]
fn a_state_lies_above_an_action_of_a_clock_that_is_ahead_unless_it_is_absurd() {
    let hour = 3_600_000;
    let now = 1_000 * hour;
    let cases = [
        (now + 5 * hour, now + 5 * hour),
        (now + 48 * hour, now + 48 * hour),
        // Or everything would be older than the state, for years.
        (now + 100_000 * hour, now + 48 * hour),
        (now - hour, now),
    ];
    for (made, latest) in cases {
        let store = Store::new();
        let on_time = draft("1", now, Some("board"), &count("likes", 1));
        let ahead = draft("1", made, Some("board"), &count("likes", 2));
        store.append(vec![on_time, ahead], now);
        let board = Channel::new("board").unwrap();
        let states = store.documents.states(&board, true).unwrap();
        let loaded = states.items()[0].told().next().unwrap().meta.time;
        store.compact(now + hour);
        let compacted = store.entries(&channel("board"), 0)[0].time;
        assert_eq!((loaded, compacted), (latest + 1, latest + 1), "{made}");
        store.append(vec![draft("1", now + 60 * hour, Some("board"), &count("likes", 4))], now);
        let states = store.documents.states(&board, true).unwrap();
        let later = states.items()[0].told().next().unwrap().meta.time;
        assert_eq!(later, latest.max(now + 48 * hour) + 1, "{made}");
    }
}

#[test]
fn what_is_in_several_logs_goes_only_where_one_of_them_has_its_document() {
    let store = Store::new();
    let mut both = draft("1", 1, None, &count("cart", 1));
    both.addresses.users.push(user("2"));
    let mut channels = draft("1", 2, Some("board"), &count("cart", 1));
    channels.addresses.channels.push(Channel::new("other").unwrap());
    let one = |ms| draft("1", ms, Some("board"), &count("cart", 5));
    store.append(vec![one(3), both, channels, one(4)], 1000);
    assert_eq!(store.compact(1000).entries, 1, "what comes after what stays does, too");
    let kinds = |log: &LogName| -> Vec<_> {
        store.entries(log, 0).iter().map(|it| it.action.kind().to_owned()).collect()
    };
    let [add, state] = ["crdt/counter/add", "crdt/state"];
    assert_eq!(kinds(&own("2")), [add]);
    assert_eq!(kinds(&channel("other")), [add]);
    assert_eq!(kinds(&channel("board")), [state, add, add]);
    assert_eq!(kinds(&own("1")), [add, add, add], "the channel has the first");
    assert_eq!(store.value(&own("1"), "cart").0, json!(12));
    assert_eq!(store.value(&channel("board"), "cart").0, json!(11));
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
fn what_goes_counts_for_its_author_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { kept_bytes_max: Some(2000), ..settings(dir.path()) };
    let store = Store::open_with(dir, settings);
    let more = |ms| store.append(vec![draft("1", ms, None, &count("cart", 1))], 1000).remove(0);
    let room = (1..100).take_while(|ms| matches!(more(*ms), Outcome::Accepted(_))).count() as u64;
    assert!((5..20).contains(&room), "{room}");
    assert_eq!(store.compact(1000).entries, room);
    let again =
        (100..200).take_while(|ms| matches!(more(*ms), Outcome::Accepted(_))).count() as u64;
    assert_eq!(again, room, "as many as before find room");
}
