//! `[user_log]`: what of a user's own log may be told by documents instead of one by one.

use super::quantity::{read_count_or_off, show_or_off};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

/// `[user_log]`
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct UserLog {
    /// Globs over the types of actions that a first connect gets as the documents that they add up to; none:
    /// every action, as it was.
    pub state: Vec<String>,
    /// Who comes back and missed more actions than this gets the documents, too.
    #[serde(deserialize_with = "read_count_or_off", serialize_with = "show_or_off")]
    pub squash: Option<usize>,
}

impl UserLog {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.state.iter().any(String::is_empty) {
            return Err(
                "[user_log] state: each is a glob over action types, such as \"cart/*\"".to_owned()
            );
        }
        if self.squash.is_some() && self.state.is_empty() {
            return Err(
                "[user_log] squash: name in state which actions documents may stand for".to_owned()
            );
        }
        Ok(())
    }
}
