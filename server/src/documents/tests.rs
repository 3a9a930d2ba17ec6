use super::*;
use crate::config::{Config, Source};
use crate::log::{Addresses, Channel, Draft, Settings};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use tidelog_crdt::{Context, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

/// A log, and the documents of one user's actions in it.
struct Shelf {
    log: Log,
    documents: Documents,
    dir: TempDir,
    sent: u64,
    rules: &'static str,
}

impl Shelf {
    fn open(dir: TempDir) -> Self {
        Self::open_with(dir, "")
    }

    fn open_with(dir: TempDir, rules: &'static str) -> Self {
        let (log, _) = Log::open(Settings::new(dir.path().join("data")), 1000).unwrap();
        let config = Config::parse(Source::new(Path::new("t.toml"), rules)).unwrap();
        let compiled = Arc::new(Rules::compile(&config).unwrap());
        let documents = Documents::new(log.clone(), compiled, dir.path().join("documents"));
        let sent = log.head().get();
        Self { log, documents: documents.unwrap(), dir, sent, rules }
    }

    async fn reopen(self) -> Self {
        let rules = self.rules;
        self.reopen_with(rules).await
    }

    async fn reopen_with(self, rules: &'static str) -> Self {
        let Self { log, documents, dir, .. } = self;
        log.close().await.unwrap();
        drop((log, documents));
        Self::open_with(dir, rules)
    }

    /// The author takes back the action that it sent as the `nth`.
    async fn clean(&self, nth: u64) {
        self.log.clean(user(), id(nth), 1000).await.unwrap();
    }

    /// What the author had seen: everything up to `seen`.
    async fn send(&mut self, seen: u64, actions: &[Value]) {
        let drafts = actions.iter().map(|action| {
            self.sent += 1;
            let prefix = Position::new(seen).unwrap();
            let seen = Seen { prefix, ..Seen::default() };
            Draft {
                id: id(self.sent),
                time: 1000,
                subprotocol: 1,
                addresses: Addresses { users: vec![user()], ..Addresses::default() },
                context: Context::of(self.log.incarnation(), seen),
                action: Action::new(action.to_string().into()).unwrap(),
                kept: true,
            }
        });
        let drafts = drafts.collect();
        self.log.append(drafts, 1000).await.unwrap();
    }

    fn value(&self, name: &str) -> Value {
        self.read(name).value
    }

    fn read(&self, name: &str) -> Read {
        self.documents.read(&LogName::User(user()), &DocumentName::new(name).unwrap()).unwrap()
    }
}

fn id(nth: u64) -> ActionId {
    ActionId { node: NodeId::new("10:a:b").unwrap(), ms: nth, sequence: 0 }
}

fn user() -> UserId {
    UserId::new("10").unwrap()
}

fn add(doc: &str, value: u64) -> Value {
    json!({ "type": "crdt/set/add", "doc": doc, "value": value })
}

fn remove(doc: &str, value: u64) -> Value {
    json!({ "type": "crdt/set/remove", "doc": doc, "value": value })
}

#[tokio::test]
async fn a_document_is_what_the_actions_of_its_log_add_up_to() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    assert_eq!(shelf.value("cart"), Value::Null);
    shelf.send(0, &[add("cart", 1), add("cart", 2), add("other", 3), json!({"type": "x"})]).await;
    assert_eq!(shelf.value("cart"), json!([1, 2]));
    assert_eq!(shelf.value("other"), json!([3]));
    let other = LogName::Channel(Channel::new("10").unwrap());
    let name = DocumentName::new("cart").unwrap();
    assert_eq!(shelf.documents.read(&other, &name).unwrap().value, Value::Null);
}

#[tokio::test]
async fn a_removal_takes_away_what_its_author_had_seen() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    shelf.send(0, &[add("cart", 1), add("cart", 2)]).await;
    shelf.send(1, &[remove("cart", 1), remove("cart", 2)]).await;
    assert_eq!(shelf.value("cart"), json!([2]));
}

#[tokio::test]
async fn a_document_says_how_far_it_goes_and_when_it_changed() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    shelf.send(0, &[add("cart", 1), add("other", 1)]).await;
    let cart = shelf.read("cart");
    assert_eq!((cart.through.get(), cart.changed.get()), (2, 1));
}

#[tokio::test]
async fn a_page_settles_what_waits_for_something_and_leaves_the_others_alone() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let seen = |shelf: &Shelf, name: &str| {
        let name = DocumentName::new(name).unwrap();
        let look = |fold: &Fold| {
            let document = fold.document(&name).unwrap();
            (document.folded().clone(), document.remembers())
        };
        shelf.documents.with(&LogName::User(user()), look).unwrap()
    };
    shelf.send(0, &[add("idle", 1)]).await;
    let idle = seen(&shelf, "idle");
    // Its author had seen more than there is.
    shelf.send(4, &[remove("late", 1)]).await;
    let late = seen(&shelf, "late");
    assert_eq!((idle.1, late.1), (false, true));
    shelf.send(0, &[add("other", 1)]).await;
    assert_eq!(seen(&shelf, "idle"), idle);
    let still = seen(&shelf, "late");
    assert!(still.1 && still.0 != late.0);
    shelf.send(0, &[add("other", 1)]).await;
    assert!(!seen(&shelf, "late").1, "nothing can come any more that it had seen");
}

#[tokio::test]
async fn a_snapshot_with_the_tail_equals_the_whole_log_folded() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let many: Vec<_> = (0..SAVE_AFTER as u64).map(|value| add("cart", value)).collect();
    shelf.send(0, &many).await;
    shelf.value("cart");
    let file = only_file(shelf.dir.path());
    let mut shelf = shelf.reopen().await;
    shelf.send(10, &[remove("cart", 3), remove("cart", 11), add("cart", 5)]).await;
    let folded = shelf.documents.with(&LogName::User(user()), Fold::unsaved).unwrap();
    assert_eq!(folded, 3, "the rest was saved");
    let value = shelf.value("cart");
    std::fs::remove_file(file).unwrap();
    let shelf = shelf.reopen().await;
    assert_eq!(shelf.value("cart"), value);
    assert_eq!(value.as_array().unwrap().len(), SAVE_AFTER - 1);
}

#[tokio::test]
async fn a_damaged_snapshot_is_as_good_as_none() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let many: Vec<_> = (0..SAVE_AFTER as u64).map(|value| add("cart", value)).collect();
    shelf.send(0, &many).await;
    let value = shelf.value("cart");
    let file = only_file(shelf.dir.path());
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], &[]] {
        std::fs::write(&file, damaged).unwrap();
        shelf = shelf.reopen().await;
        assert_eq!(shelf.value("cart"), value);
        assert_eq!(std::fs::read(&file).unwrap(), whole, "it is saved anew");
    }
}

#[tokio::test]
async fn what_a_rewritten_feed_has_no_more_is_in_no_document() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let many: Vec<_> = (0..SAVE_AFTER as u64).map(|value| add("cart", value)).collect();
    shelf.send(0, &many).await;
    assert_ne!(shelf.value("cart"), Value::Null);
    let file = only_file(shelf.dir.path());
    shelf.log.erase(&user(), &mut |_| {}).unwrap();
    assert_eq!(shelf.value("cart"), Value::Null, "in memory");
    shelf.documents.forget_earlier();
    assert!(!file.exists(), "on disk");
    shelf.send(0, &many).await;
    assert_ne!(shelf.value("cart"), Value::Null, "made anew");
    assert!(shelf.dir.path().join("documents/1").exists());
    // Of a fold that was begun before nothing is saved any more.
    let mut old = Fold::default();
    shelf.documents.shelves.saved().save(&LogName::User(user()), &mut old, || false);
    assert!(!file.exists() && !shelf.dir.path().join("documents/0").exists());
}

fn only_file(dir: &std::path::Path) -> PathBuf {
    let mut files = std::fs::read_dir(dir.join("documents/0")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[tokio::test]
async fn what_is_cleaned_leaves_its_document() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    shelf.send(0, &[add("cart", 1), add("cart", 2), remove("cart", 3)]).await;
    let before = shelf.read("cart");
    assert_eq!(before.value, json!([1, 2]));
    shelf.clean(1).await;
    let after = shelf.read("cart");
    assert_eq!(after.value, json!([2]), "though it was folded");
    assert_eq!(before.changed, after.changed);
    assert_ne!(before.version, after.version, "so that nobody takes it for the same");
}

#[tokio::test]
async fn what_is_cleaned_leaves_what_was_saved_too() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let many: Vec<_> = (1..=SAVE_AFTER as u64).map(|value| add("cart", value)).collect();
    shelf.send(0, &many).await;
    shelf.value("cart");
    let file = only_file(shelf.dir.path());
    // The fold is not in memory; what is on disk must not come back.
    shelf = shelf.reopen().await;
    shelf.clean(7).await;
    assert!(!file.exists());
    let cleaned = shelf.value("cart").as_array().unwrap().clone();
    assert!(cleaned.len() == SAVE_AFTER - 1 && !cleaned.contains(&json!(7)));
    assert_eq!(shelf.reopen().await.value("cart").as_array().unwrap().len(), SAVE_AFTER - 1);
}

#[tokio::test]
async fn a_fold_of_which_an_entry_was_cleaned_meanwhile_is_not_saved() {
    let mut shelf = Shelf::open(tempfile::tempdir().unwrap());
    let log = LogName::User(user());
    shelf.send(0, &[add("cart", 1)]).await;
    shelf.value("cart");
    let shelves = &shelf.documents.shelves;
    let cleaned = shelves.cleaned();
    let asked = std::cell::Cell::new(0);
    let stands = || {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            shelves.spoil(&log);
        }
        shelves.cleaned() == cleaned
    };
    let shared = shelves.of(&log);
    shelves.saved().save(&log, &mut lock(&shared.fold), stands);
    assert_eq!(asked.get(), 2);
    let mut files = std::fs::read_dir(shelf.dir.path().join("documents/0")).unwrap();
    assert!(files.next().is_none(), "it was written, and taken away");
}

const LIKES: &str = r#"
    [[merge]]
    type = "likes/*"
    document = "likes"
    path = ["{action.post}"]
    operation = "counter/add"
"#;
const LIKERS: &str = r#"
    [[merge]]
    type = "likes/*"
    document = "likes"
    path = ["{action.post}"]
    operation = "set/add"
    value = "meta.user"
"#;

#[tokio::test]
async fn what_was_saved_under_other_rules_is_folded_again() {
    let mut shelf = Shelf::open_with(tempfile::tempdir().unwrap(), LIKES);
    let like = |_| json!({ "type": "likes/inc", "post": "1" });
    shelf.send(0, &(0..SAVE_AFTER).map(like).collect::<Vec<_>>()).await;
    assert_eq!(shelf.value("likes"), json!({ "1": SAVE_AFTER }));
    let shelf = shelf.reopen().await;
    let folded = shelf.documents.with(&LogName::User(user()), Fold::unsaved).unwrap();
    assert_eq!(folded, 0, "it was saved");
    let shelf = shelf.reopen_with(LIKERS).await;
    assert_eq!(shelf.value("likes"), json!({ "1": ["10"] }));
    assert_eq!(shelf.reopen_with("").await.value("likes"), Value::Null);
}

/// A history of one map in its channel: what its documents are, and what who loads it is told.
fn both(history: &[(u8, u8, u8, u64)]) -> (Value, Value) {
    let config = "[[sync_map]]\nname = \"tasks\"";
    let config = Config::parse(Source::new(Path::new("t.toml"), config)).unwrap();
    let rules = Rules::compile(&config).unwrap();
    let incarnation = tidelog_crdt::Incarnation(1);
    let entries = history.iter().zip(1..).map(|(&(op, item, field, time), at)| {
        let op = ["create", "change", "delete"][usize::from(op)];
        let fields = json!({ format!("f{field}"): at });
        let json =
            json!({ "type": format!("tasks/{op}"), "id": item.to_string(), "fields": fields });
        let position = Position::new(at).unwrap();
        let channels = ["tasks".to_owned(), format!("tasks/{item}")];
        Arc::new(crate::log::Entry {
            position,
            id: id(at),
            time,
            accepted_ms: 1000,
            subprotocol: 0,
            addresses: Addresses {
                channels: channels.map(|name| Channel::new(&name).unwrap()).to_vec(),
                ..Addresses::default()
            },
            dot: tidelog_crdt::Dot { incarnation, position },
            aliases: Vec::new(),
            causes: Context::of(
                incarnation,
                Seen { prefix: Position::new(at / 2).unwrap(), ..Seen::default() },
            )
            .into(),
            action: Action::new(json.to_string().into()).unwrap(),
            kept: true,
            cleaned: false,
        })
    });
    let entries: Vec<_> = entries.collect();
    let mut map = crate::sync_map::Fold::new("tasks");
    for entry in &entries {
        map.add(entry);
    }
    let mut told = serde_json::Map::new();
    for item in map.standing().iter().filter(|item| !item.gone) {
        for shown in &item.changed {
            let body: Value = shown.action.body().unwrap();
            let fields = told.entry(item.item.to_string()).or_insert_with(|| json!({}));
            let written = body["fields"].as_object().unwrap().clone();
            fields.as_object_mut().unwrap().extend(written);
        }
    }
    let mut fold = Fold::default();
    let through = Position::new(history.len() as u64).unwrap();
    fold.take(
        &crate::log::Page { entries, through, more: false },
        &crate::log::Incarnations::one(incarnation),
        &rules,
    );
    let document = fold.document(&DocumentName::new("tasks").unwrap());
    let value = document.map(Document::value).filter(|value| !value.is_null());
    (value.unwrap_or_else(|| json!({})), told.into())
}

proptest::proptest! {
    /// A map is a mapping onto records, and loads as it did before it was one.
    #[test]
    fn a_map_is_as_a_document_what_it_loads_as(
        history in proptest::collection::vec((0..3_u8, 0..2_u8, 0..2_u8, 1..6_u64), 0..14),
    ) {
        let (document, told) = both(&history);
        proptest::prop_assert_eq!(document, told);
    }
}
