//! What travels beside an action: its id, its time, its subprotocol.

use crate::ActionId;
use tidelog_crdt::Stamp;

/// The meta of an action, as every protocol version carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The action's name.
    pub id: ActionId,
    /// Creation time in ms since the epoch, with the sender's clock error taken out.
    pub time: u64,
    /// The version of the application that created the action; none when it is that of `connect`.
    pub subprotocol: Option<u32>,
}

impl Meta {
    /// Where the action stands in the total order of Logux clients.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            time: self.time,
            node: self.id.node.as_str().into(),
            sequence: self.id.sequence,
            created: self.id.ms,
        }
    }
}
