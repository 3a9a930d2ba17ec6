//! A device pulls the channels of a `[[sync_map]]`.

use super::site::{Pulled, RULES, Site};
use serde_json::{Value, json};

fn create(id: &str, text: &str) -> Value {
    json!({"type": "tasks/create", "id": id, "fields": {"text": text, "done": false}})
}

fn change(id: &str, field: &str, value: &str) -> Value {
    json!({"type": "tasks/change", "id": id, "fields": { field: value }})
}

fn delete(id: &str) -> Value {
    json!({"type": "tasks/delete", "id": id})
}

/// The values of a device that applies what it pulls: the last write of a field wins, by time and id.
fn values(pulled: &[Pulled]) -> Value {
    let mut writes: Vec<_> = pulled.iter().flat_map(|page| &page.actions).collect();
    let stamp = |pair: &Value| {
        let id = pair[1]["id"].as_str().unwrap().to_owned();
        let (rest, sequence) = id.rsplit_once(' ').unwrap();
        let node = rest.split_once(' ').unwrap().1.to_owned();
        (pair[1]["time"].as_u64().unwrap(), node, sequence.parse::<u64>().unwrap())
    };
    writes.sort_by_key(|pair| stamp(pair));
    let mut items = serde_json::Map::new();
    for pair in writes {
        let id = pair[0]["id"].as_str().unwrap().to_owned();
        if pair[0]["type"] == "tasks/deleted" {
            items.remove(&id);
            continue;
        }
        let item = items.entry(id).or_insert_with(|| json!({}));
        for (name, value) in pair[0]["fields"].as_object().unwrap() {
            item[name] = value.clone();
        }
    }
    Value::Object(items)
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
    site.push("11:b", &[change("1", "done", "yes"), delete("1"), create("3", "d")]).await;
    let live = site.pull("10:a", &format!("channel=tasks&since={}", load.cursor)).await;
    assert_eq!(live.kinds(), ["tasks/changed", "tasks/deleted", "tasks/created"]);
    assert_eq!(live.actions[0][1]["added"], 5);
    let id = live.ids()[0];
    assert!(id.starts_with(char::is_numeric) && id.contains(" 11:b:"), "{id}");
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
