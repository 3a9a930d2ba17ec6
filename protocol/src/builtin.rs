//! The actions that the protocol itself defines (Logux, "Built-in actions").

use crate::{Action, ActionId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `logux/subscribe`: asks for a channel's entries.
pub const SUBSCRIBE: &str = "logux/subscribe";
/// `logux/unsubscribe`: ends a subscription.
pub const UNSUBSCRIBE: &str = "logux/unsubscribe";
/// `logux/subscribed`: the server has subscribed the client by itself.
pub const SUBSCRIBED: &str = "logux/subscribed";
/// `logux/processed`: an action was accepted.
pub const PROCESSED: &str = "logux/processed";
/// `logux/undo`: an action was rejected.
pub const UNDO: &str = "logux/undo";
/// `0/clean`: takes an action out of its owner's log.
pub const CLEAN: &str = "0/clean";
/// `0`: what only the devices of its user can read.
pub const ENCRYPTED: &str = "0";

/// The body of `logux/subscribe` and `logux/unsubscribe`; other keys are the application's.
#[derive(Debug, Deserialize)]
pub struct Subscribe<'a> {
    /// The channel's name.
    pub channel: String,
    /// Fields that an action must have, with their values.
    #[serde(borrow, default)]
    pub filter: Option<&'a RawValue>,
    /// What the client last had of this channel.
    #[serde(default)]
    pub since: Option<Since>,
    /// The client is about to create what the channel is of: it needs no data.
    #[serde(default)]
    pub creating: bool,
}

/// The `since` of a subscription: the id and time of an earlier answer.
#[derive(Debug, Deserialize)]
pub struct Since {
    /// The text of an action id.
    #[serde(default)]
    pub id: String,
}

/// The body of `0/clean`: one action to take out, or many.
#[derive(Debug, Deserialize)]
pub struct Clean {
    /// The text of the id of the action.
    #[serde(default)]
    pub id: Option<String>,
    /// Those of the actions.
    #[serde(default)]
    pub ids: Option<Vec<String>>,
}

impl Clean {
    /// The ids of the actions to take out; none when it names none, or one that is no id.
    pub fn targets(self) -> Option<Vec<ActionId>> {
        let texts = match (self.id, self.ids) {
            (Some(id), None) => vec![id],
            (None, Some(ids)) => ids,
            (Some(_), Some(_)) | (None, None) => return None,
        };
        texts.into_iter().map(|text| text.parse().ok()).collect()
    }
}

/// `logux/processed` for the action named `id`.
pub fn processed(id: &ActionId) -> Action {
    #[derive(Serialize)]
    struct Body<'a> {
        id: &'a str,
        r#type: &'a str,
    }
    built(PROCESSED, &Body { id: &id.text(), r#type: PROCESSED })
}

/// `logux/undo` of `action`, named `id`, because of `reason`.
pub fn undo(id: &ActionId, reason: &str, action: &Action) -> Action {
    #[derive(Serialize)]
    struct Body<'a> {
        action: &'a RawValue,
        id: &'a str,
        reason: &'a str,
        r#type: &'a str,
    }
    let original: Result<&RawValue, _> = action.body();
    // An action is JSON by construction, so the fallback is never seen.
    let original = original.unwrap_or(RawValue::NULL);
    built(UNDO, &Body { action: original, id: &id.text(), reason, r#type: UNDO })
}

/// `logux/subscribed` to `channel`.
pub fn subscribed(channel: &str) -> Action {
    built(SUBSCRIBED, &OfChannel { channel, r#type: SUBSCRIBED })
}

/// `logux/subscribe` to what has the fields of `filter`, which is JSON; empty for no filter.
pub fn subscribe_filtered(channel: &str, filter: &str) -> Action {
    #[derive(Serialize)]
    struct Body<'a> {
        channel: &'a str,
        filter: &'a RawValue,
        r#type: &'a str,
    }
    match serde_json::from_str(filter) {
        Ok(filter) => built(SUBSCRIBE, &Body { channel, filter, r#type: SUBSCRIBE }),
        Err(_) => subscribe(channel),
    }
}

#[derive(Serialize)]
struct OfChannel<'a> {
    channel: &'a str,
    r#type: &'a str,
}

/// `logux/subscribe` to `channel`, as a client without further wishes sends it.
pub fn subscribe(channel: &str) -> Action {
    built(SUBSCRIBE, &OfChannel { channel, r#type: SUBSCRIBE })
}

fn built(kind: &str, body: &impl Serialize) -> Action {
    // Strings and JSON that was read before always serialize.
    let json = serde_json::to_vec(body).unwrap_or_default();
    Action::from_parts(Bytes::from(json), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_actions_that_name_what_they_answer() {
        let id: ActionId = r#"1 a"b:c:d 0"#.parse().unwrap();
        let asked = Action::new(Bytes::from_static(br#"{"type":"x" ,"n":1.0}"#)).unwrap();
        for (answer, json) in [
            (processed(&id), r#"{"id":"1 a\"b:c:d 0","type":"logux/processed"}"#),
            (
                undo(&id, "denied", &asked),
                r#"{"action":{"type":"x" ,"n":1.0},"id":"1 a\"b:c:d 0","reason":"denied","type":"logux/undo"}"#,
            ),
            (subscribed("tasks/1"), r#"{"channel":"tasks/1","type":"logux/subscribed"}"#),
        ] {
            assert_eq!(answer.json(), json);
            assert_eq!(Action::new(answer.json().clone()).unwrap(), answer);
        }
    }
}
