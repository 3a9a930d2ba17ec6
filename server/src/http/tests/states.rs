//! Documents instead of actions: at the beginning, after much was missed, and anew.

use super::super::cursor::Mark;
use super::super::source::Source;
use super::super::standpoint::{Standpoint, View, Visible};
use super::super::states::first;
use super::site::{Pulled, Site, get};
use crate::compaction::{Terms, compact};
use crate::config::{self, Config};
use crate::log::{LogName, PageLimit};
use axum::body::Body;
use serde_json::{Value, json};
use std::path::Path;
use tidelog_protocol::UserId;

const RULES: &str = r#"
    [user_log]
    state = ["cart/*", "crdt/*"]
    squash = 3
    [compaction]
    actions = ["cart/*", "shelf/*"]
    [[action]]
    type = "note"
    [[action]]
    type = "cart/*"
    [[merge]]
    type = "cart/*"
    document = "{action.doc}"
    operation = "counter/add"
    [[action]]
    type = "shelf/*"
    channels = ["{action.at}"]
    [[merge]]
    type = "shelf/*"
    document = "{action.doc}"
    operation = "counter/add"
    [[channel]]
    pattern = "shelf"
    load = "state"
    squash = 3
    [[channel]]
    pattern = "past"
    [[channel]]
    pattern = "tasks"
    squash = 3
    [[sync_map]]
    name = "tasks"
"#;
/// The same where every action of a user's own log comes as it was.
const PLAIN: &str = r#"
    [[action]]
    type = "cart/*"
    [[merge]]
    type = "cart/*"
    document = "{action.doc}"
    operation = "counter/add"
"#;

fn cart(doc: &str) -> Value {
    json!({ "type": "cart/add", "doc": doc })
}

fn note(text: &str) -> Value {
    json!({ "type": "note", "x": text })
}

fn shelf(at: &str, doc: &str) -> Value {
    json!({ "type": "shelf/add", "at": at, "doc": doc })
}

/// An action that was made long ago, and comes now.
async fn push_late(site: &Site, who: &str, n: u64, action: &Value) {
    let meta = json!({ "id": format!("1000 {who}:t {n}"), "time": 1000 });
    let answer = site.post(who, "/v1/log", &json!({ "actions": [[action, meta]] })).await;
    assert_eq!(answer.json()["results"][0]["status"], "processed");
}

/// Documents and their values, in the order in which they came.
fn states(pulled: &Pulled) -> Vec<(&str, i64)> {
    let states = pulled.actions.iter().map(|pair| &pair[0]).filter(|it| it["type"] == "crdt/state");
    let value = |it: &Value| it["state"]["value"].as_i64().unwrap_or_default();
    states.map(|it| (it["doc"].as_str().unwrap(), value(it))).collect()
}

fn compact_now(site: &Site) {
    let config = Config::parse(config::Source::new(Path::new("t.toml"), RULES)).unwrap();
    let terms = Terms::of(&config).older_than(Some(0));
    compact(&site.app.log, &site.app.rules, &terms, &mut |_| ()).unwrap();
    site.app.documents.forget_earlier();
}

#[tokio::test]
async fn a_first_pull_brings_the_rest_of_the_own_log_and_then_its_documents() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a"), note("1"), cart("b"), cart("a"), note("2")]).await;
    let first = site.pull("10:a", "").await;
    assert_eq!(first.kinds(), ["note", "note", "crdt/state", "crdt/state"]);
    assert_eq!(states(&first), [("b", 1), ("a", 2)]);
    assert_eq!(first.actions[2][1].get("channels"), None);
    let pages = site.pull_all("10:a", "limit=1", String::new()).await;
    assert_eq!(pages.ids(), first.ids(), "page by page the same");
    for cursor in [first.cursor, pages.cursor] {
        site.push("10:b", &[cart("a")]).await;
        let next = site.pull("10:a", &format!("since={cursor}")).await;
        assert_eq!(next.kinds().last(), Some(&"cart/add"), "what comes comes as it is");
        assert_eq!(states(&next), []);
        let none = site.pull("10:a", &format!("since={}", next.cursor)).await;
        assert_eq!((none.kinds(), &none.cursor), (vec![], &next.cursor));
    }
}

#[tokio::test]
async fn what_comes_between_pages_is_in_a_document_or_comes_by_itself() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a"), cart("b"), cart("c")]).await;
    let page = site.pull("10:a", "limit=1").await;
    assert_eq!((states(&page), page.more), (vec![("a", 1)], true));
    site.push("10:b", &[cart("a"), note("1")]).await;
    let rest = site.pull_all("10:a", "limit=1", page.cursor).await;
    assert_eq!(rest.kinds()[0], "note");
    assert_eq!(states(&rest), [("b", 1), ("c", 1), ("a", 2)]);
    let next = site.pull("10:a", &format!("since={}", rest.cursor)).await;
    assert_eq!(next.kinds(), Vec::<&str>::new());
}

#[tokio::test]
async fn without_the_rule_a_first_pull_brings_every_action() {
    let site = Site::open(PLAIN);
    site.push("10:b", &[cart("a"), cart("a")]).await;
    assert_eq!(site.pull("10:a", "").await.kinds(), ["cart/add", "cart/add"]);
}

#[tokio::test]
async fn a_first_pull_that_is_known_is_answered_with_304() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a"), note("1")]).await;
    let tag = site.get("10:a", "/v1/log").await.header("etag").to_owned();
    site.push("11:b", &[cart("a")]).await;
    let ask = || get("10:a", "/v1/log").header("if-none-match", &tag).body(Body::empty());
    assert_eq!(site.send(ask().unwrap()).await.status, 304, "of another user");
    site.push("10:b", &[cart("a")]).await;
    assert_eq!(site.send(ask().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_phone_that_missed_many_actions_of_its_own_log_gets_what_they_add_up_to() {
    for (missed, expected) in [(3, vec![]), (4, vec![("a", 5)])] {
        let site = Site::open(RULES);
        site.push("10:b", &[cart("a"), cart("b")]).await;
        let first = site.pull("10:a", "").await;
        site.push("10:b", &vec![cart("a"); missed]).await;
        let since = format!("since={}", first.cursor);
        let synced = json!({ "actions": [[note("mine"), {}]], "since": first.cursor });
        let next = site.pull("10:a", &since).await;
        assert_eq!(states(&next), expected);
        assert_eq!(next.actions.len(), if missed == 3 { 3 } else { 1 });
        let answer = site.post("10:a", "/v1/sync", &synced).await;
        let synced = Pulled::of(&answer.json());
        let all = i64::try_from(missed).unwrap() + 1;
        assert_eq!(states(&synced), [("a", all)], "with the phone's own it is more than three");
        let tail = site.pull("10:a", &format!("since={}", synced.cursor)).await;
        assert_eq!(tail.kinds(), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn a_phone_that_missed_many_actions_of_a_channel_gets_what_they_add_up_to() {
    for (missed, expected) in [(3, vec![]), (4, vec![("a", 5)])] {
        let site = Site::open(RULES);
        site.push("11:b", &[shelf("shelf", "a"), shelf("shelf", "b")]).await;
        let first = site.pull("10:a", "channel=shelf").await;
        assert_eq!(states(&first), [("a", 1), ("b", 1)]);
        site.push("11:b", &vec![shelf("shelf", "a"); missed]).await;
        let next = site.pull("10:a", &format!("channel=shelf&since={}", first.cursor)).await;
        assert_eq!(states(&next), expected);
        assert_eq!(next.actions.len(), if missed == 3 { 3 } else { 1 });
        site.push("11:b", &[shelf("shelf", "a")]).await;
        let tail = site.pull("10:a", &format!("channel=shelf&since={}", next.cursor)).await;
        assert_eq!(tail.kinds(), ["shelf/add"], "once");
    }
}

#[tokio::test]
async fn a_phone_that_missed_many_changes_of_a_map_gets_what_holds_of_each_item() {
    let site = Site::open(RULES);
    let task = |op: &str, id: u8, n: u8| json!({ "type": format!("tasks/{op}"), "id": id.to_string(), "fields": { "n": n } });
    site.push("11:b", &[task("create", 1, 0), task("create", 2, 0), task("create", 3, 0)]).await;
    let first = site.pull("10:a", "channel=tasks").await;
    let changes: Vec<_> = (1..=9).map(|n| task("change", 1, n)).collect();
    site.push("11:b", &changes).await;
    site.push("11:b", &[task("delete", 2, 0)]).await;
    let next = site.pull("10:a", &format!("channel=tasks&since={}", first.cursor)).await;
    assert_eq!(next.kinds(), ["tasks/changed", "tasks/deleted"]);
    assert_eq!(next.actions[0][0]["fields"], json!({ "n": 9 }));
    let tail = site.pull("10:a", &format!("channel=tasks&since={}", next.cursor)).await;
    assert_eq!(tail.kinds(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_document_is_sent_anew_when_an_action_is_older_than_its_state() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a"), cart("b")]).await;
    site.push("11:b", &[shelf("shelf", "c"), shelf("shelf", "d")]).await;
    let mut cursor = site.pull("10:a", "channel=shelf").await.cursor;
    let stories = [("10:b", cart("a"), [("a", 2)]), ("11:b", shelf("shelf", "c"), [("c", 2)])];
    for (n, (who, action, anew)) in stories.into_iter().enumerate() {
        push_late(&site, who, n as u64, &action).await;
        let late = site.pull("10:a", &format!("channel=shelf&since={cursor}")).await;
        assert_eq!((late.actions.len(), states(&late)), (2, anew.to_vec()), "with it");
        assert_eq!(late.kinds()[1], "crdt/state", "after it");
        let none = site.pull("10:a", &format!("channel=shelf&since={}", late.cursor)).await;
        assert_eq!(none.kinds(), Vec::<&str>::new());
        cursor = late.cursor;
    }
    site.push("11:b", &[shelf("shelf", "c")]).await;
    let live = site.pull("10:a", &format!("channel=shelf&since={cursor}")).await;
    assert_eq!(live.kinds(), ["shelf/add"], "what is new comes by itself");
}

#[tokio::test]
async fn what_is_sent_anew_waits_for_its_page() {
    let site = Site::open(RULES);
    site.push("11:b", &[shelf("shelf", "a"), shelf("shelf", "b")]).await;
    let first = site.pull("10:a", "channel=shelf").await;
    push_late(&site, "11:b", 0, &shelf("shelf", "a")).await;
    push_late(&site, "11:b", 1, &shelf("shelf", "b")).await;
    let late = site.pull_all("10:a", "channel=shelf&limit=1", first.cursor).await;
    assert_eq!(late.kinds(), ["shelf/add", "shelf/add", "crdt/state", "crdt/state"]);
    assert_eq!(states(&late), [("a", 2), ("b", 2)]);
}

/// What compaction has left of a log is a state, too.
#[tokio::test]
async fn a_compacted_document_is_sent_anew_when_an_action_is_older_than_it() {
    let site = Site::open(RULES);
    site.push("11:b", &[shelf("past", "a"), shelf("past", "a")]).await;
    compact_now(&site);
    site.push("11:b", &[shelf("past", "b")]).await;
    let first = site.pull("10:a", "channel=past").await;
    assert_eq!(first.kinds(), ["crdt/state", "shelf/add"]);
    push_late(&site, "11:b", 0, &shelf("past", "a")).await;
    push_late(&site, "11:b", 1, &shelf("past", "b")).await;
    let late = site.pull("10:a", &format!("channel=past&since={}", first.cursor)).await;
    assert_eq!(late.kinds(), ["shelf/add", "shelf/add", "crdt/state"]);
    assert_eq!(states(&late), [("a", 3)], "b comes as its actions");
}

#[tokio::test]
async fn a_compacted_own_log_is_loaded_as_its_documents_are_now() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a"), cart("a")]).await;
    compact_now(&site);
    site.push("10:b", &[cart("a")]).await;
    let first = site.pull("10:a", "").await;
    assert_eq!((first.kinds(), states(&first)), (vec!["crdt/state"], vec![("a", 3)]));
}

/// What a reader of a stream sees at a moment.
fn look(site: &Site, from: &mut Standpoint, now: u64) -> Vec<String> {
    let app = &site.app;
    let source = Source {
        log: &app.log,
        snapshots: &app.maps.snapshots,
        lives: &app.maps.lives,
        documents: &app.documents,
        rules: &app.rules,
        now,
        may_wait: true,
    };
    let limit = PageLimit { entries: 100, bytes: 1 << 20 };
    let Ok(View { shown, after, .. }) = from.look(&source, limit) else { panic!("unread") };
    *from = after;
    let kind = |visible: &Visible| match visible {
        Visible::Entry { entry, .. } => entry.action.kind().to_owned(),
        Visible::Item { action, .. } => action.kind().to_owned(),
    };
    shown.iter().map(kind).collect()
}

/// Whatever else wakes the stream meanwhile.
#[tokio::test]
async fn over_one_stream_documents_of_the_own_log_come_anew_once_a_second() {
    let site = Site::open(RULES);
    site.push("10:b", &[cart("a")]).await;
    let own = Some(LogName::User(UserId::new("10").unwrap()));
    let own_mark = first(Mark::default(), site.app.log.head(), false);
    let mut reader = Standpoint {
        own,
        own_mark,
        channels: Vec::new(),
        device: None,
        renewed_ms: 0,
        own_base: None,
    };
    let begun = 1_000_000;
    assert_eq!(look(&site, &mut reader, begun), ["crdt/state"]);
    push_late(&site, "10:b", 0, &cart("a")).await;
    assert_eq!(look(&site, &mut reader, begun), ["cart/add", "crdt/state"]);
    push_late(&site, "10:b", 1, &cart("a")).await;
    assert_eq!(look(&site, &mut reader, begun + 10), ["cart/add"]);
    site.push("10:b", &[note("1")]).await;
    assert_eq!(look(&site, &mut reader, begun + 20), ["note"]);
    assert_eq!(reader.renews_at(), Some(begun + 1_000));
    assert_eq!(look(&site, &mut reader, begun + 999), [""; 0]);
    assert_eq!(look(&site, &mut reader, begun + 1_000), ["crdt/state"]);
    assert_eq!(reader.renews_at(), None);
}
