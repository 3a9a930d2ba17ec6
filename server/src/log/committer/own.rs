//! What an author has seen of its own in one append: positions are given here, so only here can an
//! action's context name those of the actions before it.

use super::super::{Draft, Failure, Outcome};
use tidelog_crdt::{Context, Dot};
use tidelog_protocol::ClientId;

/// What the client of the last draft was given in this append.
#[derive(Default)]
pub(super) struct Own {
    last: Option<(ClientId, Context)>,
}

impl Own {
    /// Places `draft`, whose author has seen what it was given before.
    pub(super) fn place(
        &mut self,
        mut draft: Draft,
        place: impl FnOnce(Draft) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        match &self.last {
            Some((client, given)) if client.as_str() == draft.id.node.client_str() => {
                given.iter().for_each(|(incarnation, seen)| {
                    draft.context.add_own(incarnation, &seen.own);
                });
            }
            _ => self.last = Some((draft.id.node.client(), Context::default())),
        }
        let outcome = place(draft)?;
        if let (Some((_, given)), Some(dot)) = (&mut self.last, dot(&outcome)) {
            given.add_own(dot.incarnation, &[dot.position].into_iter().collect());
        }
        Ok(outcome)
    }
}

fn dot(outcome: &Outcome) -> Option<Dot> {
    match outcome {
        Outcome::Accepted(entry) | Outcome::Known(entry) => Some(entry.dot),
        Outcome::Passed(_) | Outcome::TooLarge => None,
    }
}
