//! What a page follows, as stock clients keep it: what was answered is named again by each later connection, with the
//! `since` of its answer, once all that was made offline is acknowledged; and is not kept until it is acknowledged.

use std::collections::{BTreeMap, HashMap};
use tidelog_protocol::{ActionId, Meta};

/// The channels that a page follows.
#[derive(Default)]
pub(crate) struct Follows {
    /// By the subscription that waits for its answer.
    asked: HashMap<ActionId, String>,
    /// With the name and the time of the answer.
    answered: BTreeMap<String, (ActionId, u64)>,
    /// They are to be named on this connection.
    due: bool,
}

impl Follows {
    /// Whether the page has asked for it.
    pub(crate) fn has(&self, channel: &str) -> bool {
        self.answered.contains_key(channel) || self.asked.values().any(|asked| asked == channel)
    }

    pub(crate) fn ask(&mut self, id: ActionId, channel: &str) {
        self.asked.insert(id, channel.to_owned());
    }

    /// A subscription was answered; none with an answer of this name and time when it was undone.
    pub(crate) fn answer(&mut self, asked: &ActionId, answer: Option<&Meta>) {
        let Some(channel) = self.asked.remove(asked) else { return };
        if let Some(Meta { id, time, .. }) = answer {
            self.answered.insert(channel, (id.clone(), *time));
        }
    }

    /// A connection begins.
    pub(crate) fn connect(&mut self) {
        self.due = !self.answered.is_empty();
    }

    /// What is to be named now that everything is acknowledged, each once on a connection.
    pub(crate) fn take_due(&mut self) -> Vec<String> {
        if !std::mem::take(&mut self.due) {
            return Vec::new();
        }
        let named = |(channel, (id, time)): (&String, &(ActionId, u64))| {
            let since = serde_json::json!({ "id": id.to_string(), "time": time });
            let action = serde_json::json!({ "type": "logux/subscribe", "channel": channel, "since": since });
            action.to_string()
        };
        self.answered.iter().map(named).collect()
    }
}
