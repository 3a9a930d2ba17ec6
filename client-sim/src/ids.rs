//! What the simulated devices and their actions are called.

use tidelog_protocol::{ActionId, IdError, NodeId};

/// The node of a device of `user` that calls itself `client`.
pub fn node(user: &str, client: &str) -> Result<NodeId, IdError> {
    NodeId::new(&format!("{user}:{client}:tab"))
}

/// Mints the ids of one node's actions, as Logux clients do: they rise even where the clock does not.
#[derive(Clone, Debug)]
pub struct Ids {
    node: NodeId,
    ms: u64,
    sequence: u64,
}

impl Ids {
    /// The ids of `node`.
    pub fn new(node: NodeId) -> Self {
        Self { node, ms: 0, sequence: 0 }
    }

    /// The id of an action made at `now`.
    pub fn next(&mut self, now: u64) -> ActionId {
        if now > self.ms {
            (self.ms, self.sequence) = (now, 0);
        } else {
            self.sequence += 1;
        }
        ActionId { node: self.node.clone(), ms: self.ms, sequence: self.sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_where_the_clock_does_not() {
        let mut ids = Ids::new(node("1", "a").unwrap());
        let made = [5, 5, 4, 6].map(|now| ids.next(now).to_string());
        assert_eq!(made, ["5 1:a:tab 0", "5 1:a:tab 1", "5 1:a:tab 2", "6 1:a:tab 0"]);
    }
}
