//! What stays of a document: it is in none of what compaction made of the rest.

use super::*;

const BEFORE: &str =
    "[[merge]]\ntype = \"unused\"\ndocument = \"unused\"\noperation = \"counter/add\"\n";

/// The sum that a reader of everything has, of one document.
fn sum(entries: &[Arc<Entry>]) -> u64 {
    entries.iter().fold(0, |sum, entry| {
        let action: Value = entry.action.body().unwrap();
        match entry.action.kind() {
            "crdt/state" => action["state"]["value"].as_u64().unwrap(),
            _ => sum + action["by"].as_u64().unwrap(),
        }
    })
}

#[test]
fn what_rules_take_only_since_it_was_left_is_not_lost() {
    let like = |ms| draft("1", ms, None, &json!({ "type": "likes/inc", "post": "a" }));
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let store = Store::open_by(dir, settings.clone(), BEFORE);
    store.append(vec![like(1), like(2), draft("1", 3, None, &count("cart", 1))], 1000);
    assert_eq!(store.compact(1000).entries, 1);
    let store = Store::open_with(store.close(), settings.clone());
    assert_eq!(store.value(&own("1"), "likes").0, json!({ "a": 2 }), "of what is still there");
    store.append(vec![like(4)], 2000);
    for _ in 0..2 {
        store.compact(2000);
        assert_eq!(store.value(&own("1"), "likes").0, json!({ "a": 3 }));
        assert_eq!(store.value(&own("1"), "cart").0, json!(1));
    }
    let dir = store.close();
    rebuild(&settings, &mut |_| {}).unwrap();
    let store = Store::open_with(dir, settings);
    assert_eq!(store.value(&own("1"), "likes").0, json!({ "a": 3 }));
}

/// What a rule takes that came before the last of its document that went has no place in that.
#[test]
fn what_rules_take_below_what_went_stays() {
    let like = |ms| draft("1", ms, None, &json!({ "type": "likes/inc", "post": "a" }));
    let liked = json!({ "type": "crdt/counter/add", "doc": "likes", "path": ["a"], "by": 10 });
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let store = Store::open_by(dir, settings.clone(), BEFORE);
    store.append(vec![like(1), draft("1", 2, None, &liked)], 1000);
    assert_eq!(store.compact(1000).entries, 1);
    let store = Store::open_with(store.close(), settings);
    store.append(vec![like(3)], 2000);
    for round in 0..2 {
        assert_eq!(store.compact(2000).entries, [1, 0][round]);
        assert_eq!(store.value(&own("1"), "likes").0, json!({ "a": 11 }));
        let left: Vec<_> = store.entries(&own("1"), 0).iter().map(|it| it.position.get()).collect();
        assert_eq!(left, [1, 3], "the action is there, and what the others add up to");
    }
}

#[test]
fn readers_of_a_log_keep_what_only_they_get_however_often_it_is_compacted() {
    let (here, there) = (
        |ms, by| draft("1", ms, None, &count("cart", by)),
        |ms, by| draft("1", ms, Some("board"), &count("cart", by)),
    );
    for (drafts, goes, seen) in [
        // First by its own log: that is shown there, and what is in the channel too goes on from it.
        (vec![here(1, 1), here(2, 2), there(3, 4)], 3, 3),
        // What comes here when there is more in the channel has to stay, and what comes after that.
        (vec![there(1, 1), here(2, 2), there(3, 4)], 1, 6),
    ] {
        let (store, count) = (Store::new(), drafts.len());
        store.append(drafts, 1000);
        for round in 0..3 {
            let receipt = store.compact(1000);
            let expected = if round == 0 { goes } else { 0 };
            assert_eq!((receipt.entries, receipt.types.values().sum()), (expected, expected));
            assert_eq!(sum(&store.entries(&own("1"), 0)), seen, "of {count}");
            assert_eq!(store.value(&own("1"), "cart").0, json!(7));
        }
    }
}

#[test]
fn what_stayed_leaves_its_document_when_it_is_cleaned() {
    let store = Store::new();
    let set = |ms, value: u64| {
        let action =
            json!({ "type": "crdt/register/set", "doc": "cart", "path": ["r"], "value": value });
        draft("1", ms, None, &action)
    };
    let add = |ms| {
        let action = json!({ "type": "crdt/counter/add", "doc": "cart", "path": ["n"], "by": 1 });
        draft("1", ms, None, &action)
    };
    let stays = set(3, 5);
    let id = stays.id.clone();
    store.append(vec![add(1), add(2), stays, add(4)], 1000);
    for _ in 0..2 {
        store.compact_only(&["crdt/counter/*"], 1000);
        assert_eq!(store.value(&own("1"), "cart").0, json!({ "n": 3, "r": 5 }));
    }
    wait(store.log.clean(user("1"), id, 1000)).unwrap();
    assert_eq!(store.value(&own("1"), "cart").0, json!({ "n": 3 }));
    assert_eq!(store.compact_only(&["crdt/counter/*"], 1000).entries, 1, "nothing is in its way");
    assert_eq!(store.value(&own("1"), "cart").0, json!({ "n": 3 }));
}
