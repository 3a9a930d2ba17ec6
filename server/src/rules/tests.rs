//! What the tests of rules share: a user `10` on a phone, and rules from TOML.

mod again;
mod expressions;
mod faults;
mod fuzz;
mod merging;
mod placing;
mod random;

use super::*;
use crate::auth::Identity;
use crate::config::Source;
use bytes::Bytes;
use serde_json::json;
use std::path::Path;

fn compile(text: &str) -> Result<Rules, ConfigError> {
    Rules::compile(&Config::parse(Source::new(Path::new("t.toml"), text))?)
}

fn rules(text: &str) -> Rules {
    compile(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn subject_at(node: &str) -> Subject {
    let node = NodeId::new(node).unwrap();
    let user = node.user().unwrap();
    let claims = json!({ "role": "editor", "teams": ["a", "b"], "level": 3 });
    let serde_json::Value::Object(claims) = claims else { unreachable!() };
    let anonymous = user.as_str() == "anonymous";
    let identity = Identity { user, claims: claims.into(), expires_ms: None, anonymous };
    Subject::new(&identity, node, 7)
}

fn subject() -> Subject {
    let mut subject = subject_at("10:phone:tab");
    subject.set_headers(Bytes::from_static(br#"{"locale":"en"}"#));
    subject
}

fn action(json: impl Into<Bytes>) -> Action {
    Action::new(json.into()).unwrap()
}

fn meta() -> Meta {
    Meta {
        id: "1700000000000 10:phone:tab 0".parse().unwrap(),
        time: 1_700_000_000_001,
        subprotocol: None,
    }
}

fn place(rules: &Rules, json: &'static str) -> Result<Placement, UndoReason> {
    rules.place(&subject(), &action(json), &meta())
}

fn subscribe(rules: &Rules, channel: &str) -> Result<Access, UndoReason> {
    let json = json!({ "type": "logux/subscribe", "channel": channel }).to_string();
    rules.subscribe(&subject(), channel, &action(json), &meta())
}

fn channels(placement: &Placement) -> Vec<&str> {
    placement.channels.iter().map(Channel::as_str).collect()
}

fn names(ids: &[UserId]) -> Vec<&str> {
    ids.iter().map(UserId::as_str).collect()
}
