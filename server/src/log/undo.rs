//! Actions that were accepted and are undone later, because another server does not take them.
//!
//! What is left of such an action in its place is what is left of a cleaned one, with an *undo* instead of the
//! body: its id stays known, and so does the verdict. The undo is an entry of its own as well, in the same
//! logs and the author's, for who has had the action. It is made once, by the server that said no, and comes
//! to others like any entry; where it comes, it takes the body of its action out.

use super::Log;
use super::entry::{Addresses, Draft, Entry};
use super::error::{ReadError, Stopped};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidelog_crdt::{Context, DocumentName, Incarnation, Position};
use tidelog_protocol::{Action, ActionId, NodeId, builtin};

/// The note that says up to where nothing is undone any more.
const SETTLED_NOTE: &str = "upstream-settled";

/// The sequence of the id of an undo: that of the answer to the action, if it is sent again.
const SEQUENCE: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    action: Kind<'a>,
    /// The documents that the action was of: whoever shows one is to have it without the action.
    #[serde(default)]
    docs: Vec<String>,
}

/// Of the action no more than its type: what it said is gone.
#[derive(Serialize, Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// The undo of the action named `id`, of the type `kind` and in these documents.
pub(crate) fn undo(id: &ActionId, reason: &str, kind: &str, docs: &[DocumentName]) -> Action {
    let body = Body {
        r#type: builtin::UNDO.into(),
        id: id.to_string().into(),
        reason: reason.into(),
        action: Kind { r#type: kind.into() },
        docs: docs.iter().map(|name| name.as_str().to_owned()).collect(),
    };
    // Plain data always serializes.
    let json = serde_json::to_vec(&body).unwrap_or_default();
    Action::from_parts(Bytes::from(json), builtin::UNDO)
}

/// What `action` undoes, if it can be an undo.
pub(crate) fn target(action: &Action) -> Option<ActionId> {
    body(action)?.id.parse().ok()
}

fn body(action: &Action) -> Option<Body<'_>> {
    (action.kind() == builtin::UNDO).then(|| action.body().ok()).flatten()
}

/// Whether `node` is a server, whose name no client can have.
pub(crate) fn is_server(node: &NodeId) -> bool {
    node.user_str() == Some("server")
}

impl Entry {
    /// Whether it tells that another entry was undone.
    pub fn is_undo(&self) -> bool {
        !self.cleaned && self.action.kind() == builtin::UNDO && is_server(&self.id.node)
    }

    /// The action that it undoes.
    pub(crate) fn undoes(&self) -> Option<ActionId> {
        if self.is_undo() { target(&self.action) } else { None }
    }

    /// The documents that it takes something out of, if it is an undo.
    pub(crate) fn undoes_in(&self) -> Vec<DocumentName> {
        let body = if self.is_undo() { body(&self.action) } else { None };
        let docs = body.map(|body| body.docs).unwrap_or_default();
        docs.iter().filter_map(|name| DocumentName::new(name).ok()).collect()
    }

    /// Why it was undone, if it was.
    pub(crate) fn undone_because(&self) -> Option<String> {
        let body = if self.cleaned { body(&self.action) } else { None };
        body.map(|body| body.reason.into_owned())
    }

    /// The user whom it is of: its author, or that of the action that it undoes.
    pub(crate) fn is_of(&self, user: &str) -> bool {
        match self.undoes() {
            Some(undone) => undone.node.user_str() == Some(user),
            None => self.id.node.user_str() == Some(user),
        }
    }
}

impl Log {
    /// Up to where no server that this one follows will undo anything any more, as far as they have said
    /// so. May wait for the disk.
    pub(crate) fn settled(&self) -> Result<Position, ReadError> {
        let note = self.note(SETTLED_NOTE)?;
        // One that cannot be read costs time: it is said anew.
        let number = note.and_then(|note| Some(u64::from_be_bytes(note.as_ref().try_into().ok()?)));
        Ok(number.and_then(Position::new).unwrap_or_default().min(self.head()))
    }

    /// They have said so; on disk on return.
    pub(crate) async fn keep_settled(&self, through: Position) -> Result<(), Stopped> {
        self.keep_note(SETTLED_NOTE.to_owned(), Some(through.get().to_be_bytes().to_vec())).await
    }
}

/// The undo as an entry, of an `entry` that was undone when it was stored. The author's own log has it,
/// too, unless the author has none.
pub(super) fn draft_of(entry: &Entry, incarnation: Incarnation, in_own_log: bool) -> Option<Draft> {
    let node = NodeId::new(&format!("server:{incarnation}:{}", entry.position)).ok()?;
    let id = ActionId { node, ms: entry.accepted_ms, sequence: SEQUENCE };
    let mut users = entry.addresses.users.clone();
    let author = entry.id.node.user().filter(|_| in_own_log);
    users.extend(author.filter(|author| !entry.addresses.users.contains(author)));
    // At equal times the node ids would decide in stores that go by time.
    let after = entry.time.saturating_add(1).min(ActionId::NUMBER_MAX);
    Some(Draft {
        id,
        time: entry.accepted_ms.max(after),
        subprotocol: entry.subprotocol,
        addresses: Addresses { users, ..entry.addresses.clone() },
        context: Context::default(),
        action: entry.action.clone(),
        kept: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undo_says_what_and_why_and_not_what_it_said() {
        let id: ActionId = "1 ann:phone:tab 0".parse().unwrap();
        let cart = DocumentName::new("cart").unwrap();
        let action = undo(&id, "denied", "posts/add", &[cart]);
        assert_eq!(
            std::str::from_utf8(action.json()).unwrap(),
            r#"{"type":"logux/undo","id":"1 ann:phone:tab 0","reason":"denied","action":{"type":"posts/add"},"docs":["cart"]}"#
        );
        assert_eq!(target(&action), Some(id));
    }
}
