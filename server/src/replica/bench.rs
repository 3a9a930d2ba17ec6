//! What an edge brings is judged once more, by the rules of this server: what they do not admit is undone.
//!
//! Once, when it comes: what the log has stands. See `rules/again.rs` for what is known of its author.

use crate::auth::Identity;
use crate::log::{Foreign, Rejected, Step, is_server, undo};
use crate::rules::{Rules, Subject, UndoReason};
use std::collections::HashSet;
use std::sync::Arc;
use tidelog_protocol::{ActionId, Meta};

/// Judges by these rules. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bench {
    rules: Arc<Rules>,
}

impl Bench {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self { rules }
    }

    /// What the log is asked to do instead, and how much of it is undone; what came too `late` is. Takes as
    /// long as the rules do.
    pub(super) fn judge(&self, steps: Vec<Step>, late: &HashSet<ActionId>) -> (Vec<Step>, u64) {
        let mut undone = 0;
        let mut judge = |step| match step {
            Step::Adopt(foreign) => match self.verdict(&foreign, late) {
                Ok(()) => Step::Adopt(foreign),
                Err(reason) => {
                    undone += 1;
                    Step::Reject(Box::new(self.reject(*foreign, &reason)))
                }
            },
            other => other,
        };
        (steps.into_iter().map(&mut judge).collect(), undone)
    }

    fn verdict(&self, foreign: &Foreign, late: &HashSet<ActionId>) -> Result<(), UndoReason> {
        let draft = &foreign.draft;
        // Of what is gone there is nothing to say, and what another server undid is undone.
        if foreign.cleaned || is_server(&draft.id.node) {
            return Ok(());
        }
        let Some(user) = draft.id.node.user().filter(|_| !late.contains(&draft.id)) else {
            return Err(UndoReason::Denied);
        };
        let anonymous = !self.rules.has_log(user.as_str());
        let identity = Identity { user, claims: Arc::default(), expires_ms: None, anonymous };
        let author = Subject::new(&identity, draft.id.node.clone(), draft.subprotocol);
        self.rules.admit(&author, &draft.action, &meta_of(foreign))
    }

    fn reject(&self, foreign: Foreign, reason: &UndoReason) -> Rejected {
        let draft = &foreign.draft;
        let meta = meta_of(&foreign);
        let parts = self.rules.operations(&draft.action, &meta, &draft.addresses.channels);
        let docs: Vec<_> = parts.into_iter().map(|(name, _)| name).collect();
        let undo = undo(&draft.id, reason.text(), draft.action.kind(), &docs);
        let user = draft.id.node.user_str();
        let has_own_log = user.is_some_and(|user| self.rules.has_log(user));
        Rejected { foreign, undo, has_own_log }
    }
}

fn meta_of(foreign: &Foreign) -> Meta {
    let draft = &foreign.draft;
    Meta { id: draft.id.clone(), time: draft.time, subprotocol: Some(draft.subprotocol) }
}
