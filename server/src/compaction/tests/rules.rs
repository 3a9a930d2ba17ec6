//! What goes is what rules say that an action is: maps, and documents by `[[merge]]`.

use super::*;

/// An action of a map, where the map puts it.
fn of_map(map: &str, ms: u64, action: &str, value: u64) -> Draft {
    let json = json!({ "type": format!("{map}/{action}"), "id": "1", "fields": { "name": value } });
    let mut draft = draft("1", ms, None, &json);
    draft.addresses.users.clear();
    draft.addresses.channels =
        [map.to_owned(), format!("{map}/1")].map(|name| Channel::new(&name).unwrap()).into();
    draft
}

#[test]
fn of_a_map_goes_what_holds_nothing_and_does_nothing_else() {
    let store = Store::new();
    for map in ["tasks", "counted"] {
        let changes = (2..=10).map(|ms| of_map(map, ms, "change", ms));
        let all = std::iter::once(of_map(map, 1, "create", 1)).chain(changes).map(|mut draft| {
            draft.id.sequence = u64::from(map == "counted");
            draft
        });
        store.append(all.collect(), 1000);
    }
    let documents = [channel("tasks"), channel("tasks/1"), channel("counted")];
    let names = ["tasks", "tasks/1", "counted", "changes", "1"];
    let values = || -> Vec<_> {
        let each = documents.iter().flat_map(|log| names.map(|name| store.value(log, name)));
        each.collect()
    };
    let before = values();
    let receipt = store.compact(1000);
    assert_eq!(receipt.maps, [("tasks".to_owned(), 8)].into(), "each change of the other counts");
    assert_eq!((receipt.entries, receipt.documents), (8, 0));
    let left = |map: &str| -> Vec<_> {
        store.entries(&channel(map), 0).iter().map(|entry| entry.id.ms).collect()
    };
    assert_eq!(left("tasks"), [1, 10], "the creation may count once more");
    assert_eq!(left("tasks/1"), [1, 10]);
    assert_eq!(left("counted").len(), 10);
    assert_eq!(values(), before);
    assert!(before.iter().any(|(value, _)| *value == json!(10)), "{before:?}");
}

#[test]
fn what_rules_make_of_an_action_is_kept_when_it_goes() {
    let store = Store::new();
    let like = json!({ "type": "likes/inc", "post": "a" });
    store.append((1..=20).map(|ms| draft("1", ms, None, &like)).collect(), 1000);
    store.append(vec![draft("1", 30, None, &json!({ "type": "note" }))], 1000);
    assert_eq!(store.compact(1000).types, [("likes/inc".to_owned(), 20)].into());
    assert_eq!(store.value(&own("1"), "likes").0, json!({ "a": 20 }));
    let kinds: Vec<_> =
        store.entries(&own("1"), 0).iter().map(|it| it.action.kind().to_owned()).collect();
    assert_eq!(kinds, ["crdt/state", "note"]);
}
