//! What the rules say of an action that another server has accepted.
//!
//! Of its author is known what is stored with the action: user, client and node. What only signing in tells
//! (claims and headers) the other server has seen and this one has not, so an `allow` that asks for it is
//! not asked again. Where the action went is said by the other's rules, within its scope.

use super::{Allow, Rules, Scope, Subject, UndoReason};
use tidelog_crdt::DocumentAction;
use tidelog_protocol::{Action, Meta};

impl Rules {
    /// Whether an action may stay that another server has accepted from `author`.
    pub(crate) fn admit(
        &self,
        author: &Subject,
        action: &Action,
        meta: &Meta,
    ) -> Result<(), UndoReason> {
        let kind = action.kind();
        if kind.starts_with("logux/") {
            return Err(UndoReason::Denied);
        }
        if DocumentAction::is_one(kind) {
            let body = action.body().map_err(UndoReason::malformed)?;
            DocumentAction::parse(&body).map_err(UndoReason::malformed)?;
        }
        let rule = self.actions.iter().find(|rule| rule.kind.matches(kind));
        let map = self.sync_maps.iter().find(|map| map.op(kind).is_some());
        match (rule, map) {
            (Some(rule), _) => rule.allow.admit(author, action, meta)?,
            (None, Some(map)) => {
                map.check_form(action)?;
                map.allow().admit(author, action, meta)?;
            }
            (None, None) => {
                let is_known = self.open || kind == "0" || DocumentAction::is_one(kind);
                is_known.then_some(()).ok_or(UndoReason::UnknownType)?;
            }
        }
        self.merges.check(action, meta)
    }

    /// Whether `user` has a log.
    pub(crate) fn has_log(&self, user: &str) -> bool {
        self.anonymous.iter().all(|known| known.as_str() != user)
    }
}

impl Allow {
    fn admit(&self, author: &Subject, action: &Action, meta: &Meta) -> Result<(), UndoReason> {
        if self.reads().sign_in() {
            return Ok(());
        }
        self.check(&Scope::new(author, action, meta, self.reads()))
    }
}
