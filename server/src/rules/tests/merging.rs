//! What `[[merge]]` makes of actions.

use super::*;
use serde_json::Value;
use tidelog_crdt::{Document, Dot, Entry, Incarnation, Position};

/// What the actions add up to by these rules, document by document.
fn merged(rules: &Rules, actions: &[Value]) -> Vec<(String, Value)> {
    let mut documents: Vec<(String, Document)> = Vec::new();
    for (at, json) in actions.iter().enumerate() {
        for (name, changes) in rules.operations(&action(json.to_string()), &meta(), &[]) {
            let known = documents.iter().position(|(known, _)| known == name.as_str());
            let place = known.unwrap_or_else(|| {
                documents.push((name.as_str().to_owned(), Document::default()));
                documents.len() - 1
            });
            let position = Position::new(at as u64 + 1).unwrap();
            let mut stamp = meta().stamp();
            stamp.sequence = position.get();
            let _ = documents[place].1.apply(&Entry {
                dot: Dot { incarnation: Incarnation(1), position },
                aliases: Vec::new(),
                context: tidelog_crdt::Context::default(),
                stamp,
                changes,
            });
        }
    }
    documents.into_iter().map(|(name, document)| (name, document.value())).collect()
}

fn reason(rules: &Rules, json: &str) -> Option<String> {
    let placed = rules.place(&subject(), &action(json.to_owned()), &meta());
    placed.err().map(|reason| reason.text().to_owned())
}

const CART: &str = r#"
    [[merge]]
    type = "cart/*"
    when = "action.type != 'cart/clear'"
    document = "cart-{meta.user}"
    path = ["items", "{action.sku}"]
    operation = "counter/add"
    by = "action.?count"

    [[merge]]
    type = "cart/add"
    document = "cart-{meta.user}"
    path = ["last"]
    operation = "register/set"
    value = "{'sku': action.sku, 'tags': has(action.tags) ? action.tags : []}"
"#;

#[test]
fn rules_pick_document_path_operation_and_value() {
    let rules = rules(CART);
    let cart = merged(
        &rules,
        &[
            json!({ "type": "cart/add", "sku": "pears", "count": 2, "tags": ["b", 1, null, 1.5] }),
            json!({ "type": "cart/inc", "sku": "figs" }),
            json!({ "type": "cart/inc", "sku": "pears", "count": 3.0 }),
            json!({ "type": "cart/clear" }),
            json!({ "type": "other", "sku": "pears" }),
        ],
    );
    let value = json!({
        "items": { "pears": 5, "figs": 1 },
        "last": { "sku": "pears", "tags": ["b", 1, null, 1.5] },
    });
    assert_eq!(cart, [("cart-10".to_owned(), value)]);
}

#[test]
fn an_operation_and_a_path_can_follow_from_the_action() {
    let rules = rules(
        r#"
        [[merge]]
        type = "todo/*"
        document = "{action.list}"
        path = ["{action.at}"]
        operation = "set/{action.done ? 'remove' : 'add'}"
        values = "action.items.map(item, item)"
        "#,
    );
    let act = |at: Value, items: Value, done: bool| json!({ "type": "todo/set", "list": "home", "at": at, "items": items, "done": done });
    let home = merged(&rules, &[act(json!(["a", "b"]), json!([2, 1]), false)]);
    assert_eq!(home, [("home".to_owned(), json!({ "a": { "b": [1, 2] } }))]);
    let root = merged(&rules, &[act(json!([]), json!({ "z": 0, "y": 0 }), false)]);
    assert_eq!(root, [("home".to_owned(), json!(["y", "z"]))]);
}

/// A map has no order of its own; where two folds came to another one, their lists would differ.
#[test]
fn loops_go_through_maps_in_the_order_of_their_keys() {
    let rules = rules(
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"list/insert\"\n\
         values = \"action.of.map(key, action.of[key])\"",
    );
    let of: serde_json::Map<_, _> = (0..50).map(|n| (format!("{n:02}"), json!(n))).collect();
    let all: Vec<_> = (0..50).map(Value::from).collect();
    let list = merged(&rules, &[json!({ "type": "a", "of": of })]);
    assert_eq!(list, [("a".to_owned(), Value::from(all))]);
}

#[test]
fn what_has_no_meaning_is_undone_by_its_fault_and_does_nothing_if_it_is_there_already() {
    let rules = rules(CART);
    for (json, fault) in [
        (r#"{"type":"cart/inc"}"#, "error: path: a field is missing"),
        (r#"{"type":"cart/inc","sku":7}"#, "error: path: it is no text"),
        (
            r#"{"type":"cart/inc","sku":"a","count":"2"}"#,
            "error: by: a whole number from -2^53 to 2^53 is needed",
        ),
        (r#"{"type":"cart/inc","sku":"a","count":0.5}"#, "error: by: a whole number from"),
    ] {
        let reason = reason(&rules, json).expect(json);
        assert!(reason.starts_with(fault), "{json}: {reason}");
        assert_eq!(merged(&rules, &[serde_json::from_str(json).unwrap()]), [], "{json}");
    }
    assert_eq!(reason(&rules, r#"{"type":"cart/clear"}"#), None);
}

#[test]
fn an_action_that_is_not_kept_is_in_no_document_and_may_mean_nothing() {
    let rules = rules(&format!("[[action]]\ntype = \"cart/*\"\nkeep = false\n{CART}"));
    assert_eq!(reason(&rules, r#"{"type":"cart/inc"}"#), None);
}

#[test]
fn a_malformed_operation_of_the_vocabulary_is_undone_by_its_fault() {
    for (json, fault) in [
        (r#"{"type":"crdt/set/blow","doc":"a"}"#, "error: type: there is no operation `set/blow`"),
        (r#"{"type":"crdt/set/add","value":1}"#, "error: doc: the name of a document is needed"),
        (
            r#"{"type":"crdt/batch","doc":"a","changes":[{"op":"counter/add","by":[]}]}"#,
            "error: changes[0].by: a whole number from -2^53 to 2^53 is needed",
        ),
    ] {
        assert_eq!(reason(&rules(""), json).as_deref(), Some(fault));
    }
}

#[test]
fn a_mapping_says_nothing_of_where_actions_go() {
    let placed = place(&rules(CART), r#"{"type":"cart/inc","sku":"a"}"#).unwrap();
    assert_eq!(names(&placed.users), ["10"]);
    let types = place(&rules(CART), r#"{"type":"anything"}"#).unwrap();
    assert_eq!(names(&types.users), ["10"], "there are still no rules");
}

/// A loop in a loop over what a client chose.
#[test]
fn a_mapping_costs_no_more_than_any_rule() {
    let rules = rules(
        "[[merge]]\ntype = \"a\"\ndocument = \"a\"\noperation = \"grow-set/add\"\n\
         values = \"action.l.map(x, action.l.map(y, y))\"",
    );
    let long = json!({ "type": "a", "l": vec![1; 4_000] }).to_string();
    assert!(rules.is_slow(&action(long.clone())));
    assert_eq!(reason(&rules, &long).as_deref(), Some("tooCostly"));
    assert_eq!(merged(&rules, &[serde_json::from_str(&long).unwrap()]), []);
}

#[test]
fn other_rules_make_another_fingerprint_and_comments_do_not() {
    let of = |text: &str| rules(text).merging();
    assert_eq!(of(CART), of(&format!("# a comment\n[[action]]\ntype = \"x\"\n{CART}")));
    let others = [
        "",
        &CART.replace("'cart/clear'", "'cart/empty'"),
        &CART.replace("action.?count", "1"),
        &CART.replace("\"last\"", "\"latest\""),
        &CART.replace("cart-{", "basket-{"),
        &CART.replace("counter/add", "grow-counter/add"),
        &format!("{CART}\n[[sync_map]]\nname = \"tasks\""),
    ];
    let mut all: Vec<_> = others.into_iter().chain([CART]).map(of).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), others.len() + 1);
}
