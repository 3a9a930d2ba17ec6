use super::*;
use crate::log::{Addresses, Channel, Draft, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidelog_crdt::{Context, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

/// A log, and the documents of one user's actions in it.
struct Shelf {
    log: Log,
    documents: Documents,
    dir: TempDir,
    sent: u64,
}

impl Shelf {
    fn open(dir: TempDir) -> Self {
        let (log, _) = Log::open(Settings::new(dir.path().join("data")), 1000).unwrap();
        let documents = Documents::new(log.clone(), dir.path().join("documents"));
        let sent = log.head().get();
        Self { log, documents, dir, sent }
    }

    async fn reopen(self) -> Self {
        let Self { log, documents, dir, .. } = self;
        log.close().await.unwrap();
        drop((log, documents));
        Self::open(dir)
    }

    /// What the author had seen: everything up to `seen`.
    async fn send(&mut self, seen: u64, actions: &[Value]) {
        let drafts = actions.iter().map(|action| {
            self.sent += 1;
            let prefix = Position::new(seen).unwrap();
            let seen = Seen { prefix, ..Seen::default() };
            Draft {
                id: ActionId { node: NodeId::new("10:a:b").unwrap(), ms: self.sent, sequence: 0 },
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
    shelf.documents.saved.save(&LogName::User(user()), &mut old, || 1);
    assert!(!file.exists() && !shelf.dir.path().join("documents/0").exists());
}

fn only_file(dir: &std::path::Path) -> PathBuf {
    let mut files = std::fs::read_dir(dir.join("documents/0")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}
