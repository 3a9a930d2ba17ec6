//! What an author has seen of its own in one append: positions are given here, so only here can an
//! action's context name those of the actions before it.

use super::super::{Draft, Failure, Outcome};
use tidelog_crdt::{Context, Dot};
use tidelog_protocol::NodeId;

/// What the client of the last draft was given in this append.
#[derive(Default)]
pub(super) struct Own {
    author: Option<NodeId>,
    /// The first of its dots, while it is the only one: most appends of many authors end there.
    first: Option<Dot>,
    /// All of its dots, once there are two.
    given: Context,
}

impl Own {
    /// Places `draft`, whose author has seen what it was given before.
    pub(super) fn place(
        &mut self,
        mut draft: Draft,
        place: impl FnOnce(Draft) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        let client = draft.id.node.client_str();
        if self.author.as_ref().is_some_and(|author| author.client_str() == client) {
            if let Some(first) = self.first.take() {
                add(&mut self.given, first);
            }
            for (incarnation, seen) in self.given.iter() {
                draft.context.add_own(incarnation, &seen.own);
            }
        } else {
            *self = Self { author: Some(draft.id.node.clone()), ..Self::default() };
        }
        let outcome = place(draft)?;
        if let Some(dot) = dot(&outcome) {
            if self.first.is_none() && self.given.iter().len() == 0 {
                self.first = Some(dot);
            } else {
                add(&mut self.given, dot);
            }
        }
        Ok(outcome)
    }
}

fn add(given: &mut Context, dot: Dot) {
    given.add_own(dot.incarnation, &[dot.position].into_iter().collect());
}

fn dot(outcome: &Outcome) -> Option<Dot> {
    match outcome {
        Outcome::Accepted(entry) | Outcome::Known(entry) => Some(entry.dot),
        Outcome::Passed(_)
        | Outcome::PassedBefore
        | Outcome::TooLarge
        | Outcome::OverQuota
        | Outcome::Cleaned(_) => None,
    }
}
