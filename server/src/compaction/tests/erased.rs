//! Users whose actions are in documents.

use super::*;

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
