//! What must be true of what devices saw, whatever the server did meanwhile.
//!
//! `ledger` is what was made and acknowledged, `reader` what one device received, `violation` what must not be;
//! [`compare`] is the same for lists of ids.

pub(crate) mod bodies;
pub(crate) mod ledger;
pub(crate) mod reader;
mod violation;

pub use violation::{Found, Violation};

use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// How what a reader received differs from what was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Acknowledged, and not received.
    pub missing: usize,
    /// Received again, counted once for each time too many.
    pub repeated: usize,
    /// Received, and never sent.
    pub foreign: usize,
    /// Received after a later one of the same author.
    pub out_of_order: usize,
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::Add for Difference {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            repeated: self.repeated + other.repeated,
            foreign: self.foreign + other.foreign,
            out_of_order: self.out_of_order + other.out_of_order,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, repeated, foreign, out_of_order } = self;
        write!(
            f,
            "{missing} missing, {repeated} repeated, {foreign} foreign, {out_of_order} out of order"
        )
    }
}

/// Compares what a reader received, in order, with what was acknowledged. `sent` are all that may be
/// there, since what was not acknowledged may have been accepted all the same; within one author both
/// are in the order of sending, and `author` tells whose an id is.
pub fn compare<I: Eq + Hash, A: Eq + Hash>(
    sent: &[I],
    acknowledged: impl Fn(&I) -> bool,
    received: &[I],
    author: impl Fn(&I) -> A,
) -> Difference {
    let mut counts: HashMap<&I, (usize, usize)> =
        sent.iter().enumerate().map(|(rank, id)| (id, (rank, 0))).collect();
    let mut latest: HashMap<A, usize> = HashMap::new();
    let mut difference = Difference::default();
    for id in received {
        let Some((rank, count)) = counts.get_mut(id) else {
            difference.foreign += 1;
            continue;
        };
        *count += 1;
        if *count > 1 {
            difference.repeated += 1;
            continue;
        }
        let latest = latest.entry(author(id)).or_insert(*rank);
        if *rank < *latest {
            difference.out_of_order += 1;
        }
        *latest = (*latest).max(*rank);
    }
    difference.missing =
        counts.iter().filter(|(id, (_, count))| *count == 0 && acknowledged(id)).count();
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(received: &[(char, u32)]) -> Difference {
        let sent = [('a', 1), ('b', 1), ('a', 2), ('a', 3)];
        compare(&sent, |id| *id != ('a', 3), received, |id| id.0)
    }

    #[test]
    fn all_that_was_acknowledged_once_and_in_each_authors_order_is_right() {
        assert!(difference(&[('b', 1), ('a', 1), ('a', 2)]).is_none());
        assert!(difference(&[('a', 1), ('a', 2), ('a', 3), ('b', 1)]).is_none());
    }

    #[test]
    fn each_way_to_be_wrong_is_counted() {
        let wrong = difference(&[('a', 2), ('a', 1), ('a', 1), ('c', 1)]);
        assert_eq!(wrong, Difference { missing: 1, repeated: 1, foreign: 1, out_of_order: 1 });
    }
}
