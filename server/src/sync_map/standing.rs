//! One item of a map as it is, and what a subscriber is told of it.

use super::Body;
use crate::rules::{Fields, Filter};
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::{Action, Meta};

/// One item as it is.
#[derive(Debug)]
pub struct Standing {
    /// Its id.
    pub item: Box<str>,
    /// The position of the last entry that touched it, whether or not it changed anything.
    pub touched: Position,
    /// It is not there.
    pub gone: bool,
    /// Its last deletion.
    pub deleted: Option<Shown>,
    /// What holds, if it is there: at most one action for each entry.
    pub changed: Vec<Shown>,
    /// Fields that were written more than once.
    pub rewritten: Vec<Arc<str>>,
}

/// One action of an item.
#[derive(Clone, Debug)]
pub struct Shown {
    /// It tells that the item is gone.
    pub gone: bool,
    /// The position of the entry that it renders.
    pub position: Position,
    /// The action as a subscriber sees it.
    pub action: Action,
    /// Its meta.
    pub meta: Meta,
}

impl Standing {
    /// All that there is to tell of it: that it was deleted, if it ever was; then what holds.
    pub fn told(&self) -> impl Iterator<Item = &Shown> {
        self.deleted.iter().chain(&self.changed)
    }

    /// What a subscriber with `filter` is told of it.
    ///
    /// One that may show the item already is also told that it is gone, or that it has left the
    /// filter: by one action that contradicts the filter in a field that was written more than once,
    /// because what always had its value was never shown.
    pub fn wanted(&self, filter: &Filter, may_be_shown: bool) -> Vec<&Shown> {
        if self.gone {
            return self.deleted.iter().filter(|_| may_be_shown).collect();
        }
        if filter.is_empty() {
            return self.changed.iter().collect();
        }
        let bodies: Vec<_> = self.changed.iter().map(fields).collect();
        let values: Fields<'_> = bodies.iter().flatten().map(|(k, v)| (k.clone(), *v)).collect();
        let actions = self.changed.iter().zip(&bodies);
        if filter.matches_item(&values) {
            let mut wanted: Vec<_> = actions.collect();
            // A list takes an item up when it hears of a field that its filter names.
            wanted.sort_by_key(|(_, fields)| !fields.keys().any(|name| filter.names(name)));
            return wanted.into_iter().map(|(shown, _)| shown).collect();
        }
        if !may_be_shown {
            return Vec::new();
        }
        let mut leaving = actions.filter(|(_, fields)| {
            let mut differing = filter.differing(fields);
            differing.any(|name| self.rewritten.iter().any(|field| **field == *name))
        });
        let leaving = leaving.next().map(|(shown, _)| shown);
        // It came to be anew, without what had made it match.
        leaving.or(self.deleted.as_ref()).into_iter().collect()
    }
}

fn fields(shown: &Shown) -> Fields<'_> {
    let body = shown.action.body::<Body<'_>>().ok().and_then(|body| body.fields);
    body.unwrap_or_default().into_iter().map(|(name, value)| (name.into(), value)).collect()
}
