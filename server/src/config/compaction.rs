//! `[compaction]`: which actions may go once a document or a map says what they add up to.

use super::quantity::{read_age, read_duration, show_age, show_duration};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// `[compaction]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Compaction {
    /// Globs over the types of actions that may go once a document or a map has all that they do; none:
    /// nothing ever goes.
    pub actions: Vec<String>,
    /// How long an action stays after it was accepted.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub older_than: Duration,
    /// How often the server compacts by itself, when a tenth of the entries may go; "never" leaves it
    /// to tidelog compact.
    #[serde(deserialize_with = "read_age", serialize_with = "show_age")]
    pub every: Option<Duration>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self { actions: Vec::new(), older_than: 30 * DAY, every: Some(DAY) }
    }
}
