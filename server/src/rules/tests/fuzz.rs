//! What an operator writes, and what clients send to be judged by it.

use super::*;
use std::sync::LazyLock;
use tidelog_crdt::{Document, Dot, Entry, Incarnation, Position};
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

const ALL_KINDS: &str = r#"
    [[action]]
    type = "lists/*"
    allow = "size(action.list) > 0 && (action.n > 1 || action.list.exists(a, a.id == action.to))"
    channels = ["lists/{action.id}", "{action.list.map(a, a.id)}"]
    users = ["{action.to}"]
    clients = ["{user.id}:{action.client}"]
    nodes = ["{meta.id}"]
    keep = false
    [[action]]
    type = "odd/*"
    allow = "timestamp(action.n) - duration(action.id) > timestamp(action.to) || string(action.n).matches('^[a-z]+$')"
    [[sync_map]]
    name = "tasks"
    allow = "action.fields.n != null"
    [[channel]]
    pattern = "users/:id"
    allow = "action.filter.n == params.id"
    [[merge]]
    type = "lists/*"
    when = "!has(action.skip)"
    document = "list-{action.id}"
    path = ["items", "{action.to}"]
    operation = "{action.op}"
    value = "action.?value"
    values = "action.?values"
    by = "action.?by"
    fields = "action.?fields"
    text = "action.?text"
"#;

static RULES: LazyLock<Rules> = LazyLock::new(|| rules(ALL_KINDS));

/// What judging an action takes in memory, in lengths of it: most for small values that an expression
/// reads, and for what loops copy of them.
const TIMES: usize = 512;
const BESIDE: usize = 256 << 10;

#[test]
fn actions() {
    let feed = Feed::of([
        r#"{"type":"lists/add","id":"1","list":[{"id":"a"},{"id":"b"}],"n":2,"to":"11","client":"c"}"#,
        r#"{"type":"lists/set","id":"1","to":"a","op":"set/add","values":[1,"b",{"c":[1.5]}],"list":[1],"n":2}"#,
        r#"{"type":"lists/count","id":"1","to":"a","op":"counter/add","by":-3,"list":[1],"n":2}"#,
        r#"{"type":"lists/text","id":"1","to":"a","op":"text/insert","text":"é","list":[1],"n":2}"#,
        r#"{"type":"odd/1","id":"1s","n":"2024-01-01T00:00:00Z","to":"2023-01-01T00:00:00Z"}"#,
        r#"{"type":"tasks/create","id":"1","fields":{"n":1}}"#,
        r#"{"type":"crdt/batch","doc":"d","changes":[{"op":"set/add","path":["a"],"value":1}]}"#,
        r#"{"type":"logux/subscribe","channel":"users/10","filter":{"n":"10","x":[1]}}"#,
    ]);
    let meta = meta();
    run(check!(), &feed, |bytes| {
        let Ok(action) = Action::new(Bytes::copy_from_slice(bytes)) else { return };
        if tidelog_protocol::Limits::default().check_action(action.json()).is_err() {
            return;
        }
        let subject = subject();
        // Compiled on first use.
        let rules: &Rules = &RULES;
        let memory = bytes.len() * TIMES + BESIDE;
        let placed = within(memory, || rules.place(&subject, &action, &meta));
        for channel in placed.iter().flat_map(|placement| &placement.channels) {
            assert!(address::channel(channel.as_str()).is_some(), "{channel}");
        }
        let channels = [Channel::new("tasks/1").unwrap()];
        for (_, changes) in within(memory, || rules.operations(&action, &meta, &channels)) {
            let mut document = Document::default();
            let _ = document.apply(&Entry {
                dot: Dot { incarnation: Incarnation(1), position: Position::ZERO.plus(1) },
                aliases: Vec::new(),
                context: tidelog_crdt::Context::default(),
                stamp: meta.stamp(),
                changes,
            });
            assert_eq!(Document::decode(&document.encode()), Ok(document));
        }
        drop(within(memory, || rules.subscribe(&subject, "users/10", &action, &meta)));
        let filter = within(memory, || Filter::of(&action));
        if let Ok(Some(filter)) = filter {
            filter.passes(&action, Some("tasks"));
            let json = json!({"type": "a", "filter": serde_json::from_str::<serde_json::Value>(&filter.text()).unwrap()});
            let again = Filter::of(&self::action(json.to_string())).unwrap();
            assert_eq!(again, Some(filter));
        }
    });
}

/// Reads and compiles a file. What panics on the thread that compiles is told with no line.
fn compiled(text: &str) -> Option<Rules> {
    match compile(text) {
        Ok(rules) => Some(rules),
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains("the rules cannot be compiled"), "it panicked: {error}");
            assert!(error.starts_with("t.toml"), "an error names its file: {error}");
            None
        }
    }
}

#[test]
fn files() {
    let all = include_str!("../../../../server/packaging/tidelog.toml");
    let feed = Feed::of([ALL_KINDS, all, "[limits]\nping = \"5s\"\nframe_bytes = \"1 MiB\"\n"]);
    run(check!(), &feed.inputs(300), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let action = action(r#"{"type":"lists/add","id":"1","list":[1]}"#);
        if let Some(rules) = compiled(text) {
            let _ = rules.place(&subject(), &action, &meta());
            let _ = rules.subscribe(&subject(), "users/10", &action, &meta());
        }
    });
}

#[test]
fn expressions_and_templates() {
    let feed = Feed::of([
        "user.id == action.owner",
        "action.list.all(a, a.n > 1 ? true : has(a.id) && a.id in ['x', r'y'])",
        "tasks/{action.id}/{{x}}",
        "{action.list.filter(a, a != '}').map(a, a + \"{\")}",
        "size(action.a[0]['b']) + int('1') * -2 % 3 >= 0.5 || !(b'x' == b\"y\")",
    ]);
    let body =
        action(r#"{"type":"a","id":"1","owner":"10","list":[{"n":2,"id":"x"}],"a":[{"b":""}]}"#);
    run(check!(), &feed.inputs(300), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let text = serde_json::Value::from(text);
        let (allow, to) = (format!("allow = {text}"), format!("channels = [{text}]"));
        for line in [allow, to] {
            if let Some(rules) = compiled(&format!("[[action]]\ntype = \"a\"\n{line}")) {
                let _ = rules.place(&subject(), &body, &meta());
            }
        }
    });
}

#[test]
fn patterns() {
    let feed = Feed::of(["lists/:list/tasks/:id", "tasks", "a/:b//"]).inputs(5_000);
    run(check!(), &feed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let memory = bytes.len() * 64 + 1024;
        assert!(within(memory, || Glob::new(text)).matches(text), "a star takes itself");
        let Ok(pattern) = within(memory, || ChannelPattern::new(text)) else { return };
        let params = within(memory, || pattern.matches(text)).expect("a name takes itself");
        let names: Vec<_> = pattern.names().collect();
        assert_eq!(params.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        assert!(params.iter().all(|(name, value)| value.strip_prefix(':') == Some(name)));
    });
}

#[test]
fn quantities() {
    run(check!(), &Feed::of(["20s", "500ms", "16MiB", "4 096", "366d"]).inputs(10_000), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(duration) = crate::config::duration(text) {
            let again = crate::config::duration(&format!("{}ms", duration.as_millis()));
            assert_eq!(again, Ok(duration));
        }
        if let Ok(size) = crate::config::bytes(text) {
            assert_eq!(crate::config::bytes(&size.to_string()), Ok(size));
        }
    });
}
