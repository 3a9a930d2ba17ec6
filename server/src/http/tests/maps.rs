//! A device pulls the channels of a `[[sync_map]]`.

use super::site::{Pulled, RULES, Site};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidelog_crdt::Stamp;
use tidelog_protocol::{ActionId, Meta};

fn create(id: &str, text: &str) -> Value {
    json!({"type": "tasks/create", "id": id, "fields": {"text": text, "done": false}})
}

fn change(id: &str, field: &str, value: &str) -> Value {
    json!({"type": "tasks/change", "id": id, "fields": { field: value }})
}

fn delete(id: &str) -> Value {
    json!({"type": "tasks/delete", "id": id})
}

/// The items of a device that applies what it pulls as it comes: of two writes of a field the later
/// one counts, and an item that is deleted goes with all that is known of it.
fn values(pulled: &[Pulled]) -> Value {
    let mut items: BTreeMap<String, BTreeMap<String, (Stamp, Value)>> = BTreeMap::new();
    for pair in pulled.iter().flat_map(|page| &page.actions) {
        let id: ActionId = pair[1]["id"].as_str().unwrap().parse().unwrap();
        let time = pair[1]["time"].as_u64().unwrap();
        let stamp = Meta { id, time, subprotocol: None }.stamp();
        let item = pair[0]["id"].as_str().unwrap().to_owned();
        if pair[0]["type"] == "tasks/deleted" {
            items.remove(&item);
            continue;
        }
        for (name, value) in pair[0]["fields"].as_object().unwrap() {
            let fields = items.entry(item.clone()).or_default();
            if fields.get(name).is_none_or(|(earlier, _)| *earlier < stamp) {
                fields.insert(name.clone(), (stamp.clone(), value.clone()));
            }
        }
    }
    let plain = |fields: BTreeMap<String, (Stamp, Value)>| -> BTreeMap<String, Value> {
        fields.into_iter().map(|(name, (_, value))| (name, value)).collect()
    };
    json!(items.into_iter().map(|(id, fields)| (id, plain(fields))).collect::<BTreeMap<_, _>>())
}

#[tokio::test]
async fn a_map_arrives_as_what_it_adds_up_to_and_then_change_by_change() {
    let site = Site::open(RULES);
    site.push("11:b", &[create("1", "a"), change("1", "text", "b"), create("2", "c"), delete("2")])
        .await;
    let load = site.pull("10:a", "channel=tasks").await;
    assert_eq!(load.kinds(), ["tasks/changed", "tasks/changed"], "one for each action that holds");
    assert_eq!(values(std::slice::from_ref(&load)), json!({"1": {"text": "b", "done": false}}));
    assert_eq!(load.actions[0][1]["channels"], json!(["tasks"]));
    site.push("11:b", &[change("1", "done", "yes"), create("3", "d")]).await;
    let live = site.pull("10:a", &format!("channel=tasks&since={}", load.cursor)).await;
    assert_eq!(live.kinds(), ["tasks/changed", "tasks/created"]);
    assert_eq!(live.actions[0][1]["added"], 5);
    let id = live.ids()[0];
    assert!(id.starts_with(char::is_numeric) && id.contains(" 11:b:"), "{id}");
    site.push("11:b", &[change("1", "done", "no"), delete("1")]).await;
    let gone = site.pull("10:a", &format!("channel=tasks&since={}", live.cursor)).await;
    assert_eq!(gone.kinds(), ["tasks/deleted"], "what does not hold any more is not shown");
}

#[tokio::test]
async fn the_pages_of_a_load_add_up_though_the_map_changes_between_them() {
    let site = Site::open(RULES);
    for n in 0..6 {
        site.push("11:b", &[create(&n.to_string(), "a")]).await;
    }
    let first = site.pull("10:a", "channel=tasks&limit=2").await;
    assert_eq!((first.actions.len(), first.more), (2, true));
    // One that was shown changes, one that was shown goes, one that was not goes, one comes.
    site.push("11:b", &[change("0", "text", "b"), delete("1"), delete("4"), create("7", "a")])
        .await;
    let mut pages = vec![first];
    while pages.last().unwrap().more {
        let since = &pages.last().unwrap().cursor;
        pages.push(site.pull("10:a", &format!("channel=tasks&limit=2&since={since}")).await);
    }
    let fresh = site.pull("10:c", "channel=tasks").await;
    assert_eq!(values(&pages), values(std::slice::from_ref(&fresh)));
    let expected = ["0", "2", "3", "5", "7"];
    assert_eq!(values(&pages).as_object().unwrap().keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_load_goes_on_after_a_restart_which_forgets_what_was_kept() {
    let site = Site::open(RULES);
    for n in 0..4 {
        site.push("11:b", &[create(&n.to_string(), "a")]).await;
    }
    let first = site.pull("10:a", "channel=tasks&limit=1").await;
    site.push("11:b", &[delete("0"), change("3", "text", "b")]).await;
    let site = site.restart().await;
    let rest = site.pull_all("10:a", "channel=tasks&limit=1", first.cursor.clone()).await;
    let fresh = site.pull("10:c", "channel=tasks").await;
    assert_eq!(values(&[first, rest]), values(&[fresh]));
}

#[tokio::test]
async fn a_late_change_of_an_item_that_is_gone_is_not_shown_and_one_that_is_created_again_is() {
    let site = Site::open(RULES);
    site.push("11:b", &[create("1", "a"), delete("1"), create("2", "a")]).await;
    let load = site.pull("10:a", "channel=tasks").await;
    site.push("11:c", &[change("1", "text", "made offline"), change("2", "text", "b")]).await;
    let live = site.pull("10:a", &format!("channel=tasks&since={}", load.cursor)).await;
    assert_eq!(live.actions.len(), 1, "{live:?}");
    let fresh = site.pull("10:x", "channel=tasks").await;
    assert_eq!(values(&[load.clone(), live.clone()]), values(&[fresh]));
    site.push("11:c", &[create("1", "again"), change("1", "text", "c")]).await;
    let again = site.pull("10:a", &format!("channel=tasks&since={}", live.cursor)).await;
    assert_eq!(again.kinds(), ["tasks/deleted", "tasks/changed", "tasks/changed", "tasks/changed"]);
    let fresh = site.pull("10:y", "channel=tasks").await;
    assert_eq!(values(&[load, live, again]), values(&[fresh]));
}

/// What happens to a map, at some time by the clock of whoever does it.
fn map_event() -> impl Strategy<Value = (Value, u64)> {
    let item = (0..4_u8).prop_map(|n| n.to_string());
    let action = (item, 0..4_u8, "[a-c]").prop_map(|(id, kind, value)| match kind {
        0 => create(&id, &value),
        1 => delete(&id),
        2 => change(&id, "text", &value),
        _ => change(&id, "other", &value),
    });
    (action, 1..30_u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A page is pulled after each batch; a limit of 1 makes the load last.
    #[test]
    fn a_load_in_pages_adds_up_to_what_a_fresh_device_loads(
        batches in prop::collection::vec(prop::collection::vec(map_event(), 1..6), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let site = Site::open(RULES);
            let (mut pages, mut from) = (Vec::new(), String::new());
            for batch in batches {
                let pairs: Vec<_> =
                    batch.iter().map(|(action, time)| json!([action, {"time": time}])).collect();
                site.post("11:b", "/v1/log", &json!({ "actions": pairs })).await;
                let page = site.pull("10:a", &format!("channel=tasks&limit=1{from}")).await;
                from = format!("&since={}", page.cursor);
                pages.push(page);
            }
            let since = pages.last().unwrap().cursor.clone();
            pages.push(site.pull_all("10:a", "channel=tasks&limit=3", since).await);
            let fresh = site.pull("10:c", "channel=tasks").await;
            assert_eq!(values(&pages), values(&[fresh]));
        });
    }
}

#[tokio::test]
async fn an_item_is_not_split_between_pages() {
    let site = Site::open(RULES);
    site.push("11:b", &[create("1", "a"), change("1", "x", "b"), change("1", "y", "c")]).await;
    site.push("11:b", &[create("2", "a")]).await;
    let first = site.pull("10:a", "channel=tasks&limit=1").await;
    assert_eq!((first.actions.len(), first.more), (3, true));
    let second = site.pull("10:a", &format!("channel=tasks&limit=1&since={}", first.cursor)).await;
    assert_eq!((second.actions.len(), second.more), (1, false));
}

#[tokio::test]
async fn one_item_can_be_pulled_alone() {
    let site = Site::open(RULES);
    site.push("11:b", &[create("1", "a"), create("2", "b")]).await;
    let load = site.pull("10:a", "channel=tasks%2F2").await;
    assert_eq!(values(std::slice::from_ref(&load)), json!({"2": {"text": "b", "done": false}}));
    site.push("11:b", &[change("1", "text", "c"), change("2", "text", "d")]).await;
    let live = site.pull("10:a", &format!("channel=tasks%2F2&since={}", load.cursor)).await;
    assert_eq!(live.actions[0][0]["fields"], json!({"text": "d"}));
    assert_eq!(live.actions.len(), 1);
}
