//! Everything of one user, read from the feed: what the user made, wherever it went, and what is in the
//! user's log.

use super::entry::{Entry, NodeRecord};
use super::error::ReadError;
use super::record::{Clean, Record, put_instead};
use super::{Log, LogName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

/// Bytes of rows that are read at once.
const BYTES_AT_ONCE: usize = 1 << 20;

/// One record of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// An action, cleaned or not.
    Entry(Arc<Entry>),
    /// A request of the user to clean an action.
    Clean {
        /// Where it is.
        position: Position,
        /// The action.
        id: ActionId,
        /// When its commit was made, in ms since the epoch.
        accepted_ms: u64,
    },
}

impl Log {
    /// What the feed has of `user` above a position, up to and including another, and up to where that
    /// is: more is read from there on. May wait for the disk.
    pub fn pieces_of(
        &self,
        user: &UserId,
        (above, until): (Position, Position),
    ) -> Result<(Vec<Piece>, Position), ReadError> {
        let feed = self.shared().feed();
        // Before the rows are read: after its body was taken out an entry is not listed any more.
        let hidden = self.shared().state().bodies_to_take.clone();
        let (mut pieces, mut bytes, mut through) = (Vec::new(), 0, until);
        for row in feed.rows_above(above)? {
            let row = row?;
            if row.first() > until {
                break;
            }
            for (position, record) in row.records().filter(|(at, _)| *at > above && *at <= until) {
                let piece = piece(user, position, &record, &hidden);
                pieces.extend(piece.map_err(|damage| feed.damaged(position, damage))?);
            }
            bytes += row.value().len();
            if bytes >= BYTES_AT_ONCE {
                through = until.min(Position::new(row.next().get() - 1).unwrap_or_default());
                break;
            }
        }
        Ok((pieces, through))
    }

    /// What is remembered of the nodes of `user`. May wait for the disk.
    pub fn nodes_of(&self, user: &UserId) -> Result<BTreeMap<NodeId, NodeRecord>, ReadError> {
        let shared = self.shared();
        shared.nodes.of_user(user.as_str(), &shared.index.store())
    }
}

fn piece(
    user: &UserId,
    position: Position,
    record: &Bytes,
    hidden: &BTreeMap<Position, Action>,
) -> Result<Option<Piece>, super::error::Damage> {
    let is_own = |node: &NodeId| node.user_str() == Some(user.as_str());
    // A copy, because the whole row would be kept for one record of it.
    Ok(match Record::decode(position, &Bytes::copy_from_slice(record))? {
        Record::Entry(entry) => {
            let own = entry.is_of(user.as_str())
                || entry.addresses.includes(&LogName::User(user.clone()));
            let entry = match hidden.get(&position) {
                Some(instead) => put_instead(entry, instead.clone()),
                None => entry,
            };
            own.then(|| Piece::Entry(Arc::new(entry)))
        }
        Record::Clean(Clean { id, accepted_ms, .. }) => {
            is_own(&id.node).then_some(Piece::Clean { position, id, accepted_ms })
        }
        Record::Erased(_) | Record::Alias(_) => None,
    })
}
