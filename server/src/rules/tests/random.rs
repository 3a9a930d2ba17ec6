//! Random actions and random expressions.

use super::*;
use proptest::prelude::*;

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("id|to|list|fields|n|.{0,4}", inner, 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a client sends, the rules answer; what they accept has valid addresses.
    #[test]
    fn no_action_makes_a_rule_panic(
        kind in "tasks/(create|change|delete)|lists/[a-z]|odd/.{0,3}|.{0,6}",
        body in prop::collection::btree_map("id|to|list|fields|n", json_value(), 0..6),
        channel in "tasks(/.{0,8})?|users/.{0,8}|.{0,300}",
    ) {
        let rules = rules(
            r#"[[action]]
            type = "lists/*"
            allow = "size(action.list) > 0 && (action.n > 1 || action.n < action.list[0])"
            channels = ["lists/{action.id}", "{action.list}"]
            users = ["{action.to}"]
            [[action]]
            type = "odd/*"
            allow = "action.list.exists(a, timestamp(a.n) - duration(a.id) > timestamp(a.to)) || double(action.n) / int(action.id) % 3 == -action.to || string(action.n).size() > uint(action.fields.n)"
            [[sync_map]]
            name = "tasks"
            allow = "action.fields.n != null"
            [[channel]]
            pattern = "users/:id"
            allow = "action.filter.n == params.id"
            "#,
        );
        let mut json = serde_json::Map::from_iter(body.clone());
        json.insert("type".to_owned(), kind.into());
        let action = action(serde_json::Value::Object(json).to_string());
        if let Ok(placement) = rules.place(&subject(), &action, &meta()) {
            for channel in &placement.channels {
                prop_assert!(address::channel(channel.as_str()).is_some());
            }
            prop_assert!(placement.users.len() + placement.channels.len() <= 257);
        }
        let filter = serde_json::Map::from_iter(body);
        let json = json!({ "type": "logux/subscribe", "channel": channel, "filter": filter });
        let subscribe = self::action(json.to_string());
        if let Ok(Some(filter)) = Filter::of(&subscribe) {
            filter.passes(&action, Some("tasks"));
            filter.passes(&action, None);
        }
        let _ = rules.subscribe(&subject(), &channel, &subscribe, &meta());
    }

    /// Whatever stands in a file, compiling answers.
    #[test]
    fn no_expression_makes_compiling_panic(
        text in "[a-z.()\\[\\]{}'\"\\\\&|?:!=<> 0-9,+-]{0,40}|(user\\.id|action\\.n|\\(|\\)|==|&&|'|[{}]| ){0,12}",
    ) {
        for key in ["allow = ", "channels = ["] {
            let end = if key.ends_with('[') { "]" } else { "" };
            let value = serde_json::Value::from(text.as_str());
            let _ = compile(&format!("[[action]]\ntype = \"a\"\n{key}{value}{end}"));
        }
    }
}
