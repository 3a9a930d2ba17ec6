//! What devices say: the same few bytes for thousands of them, so that a body costs nothing to keep and little to check.

use crate::plan::Group;
use bytes::Bytes;
use tidelog_protocol::Action;

/// What devices dispatch.
pub(crate) const EDIT: &str = "sim/add";
/// What they send to a channel.
pub(crate) const SHARE: &str = "sim/share";
/// What the server's rules refuse.
pub(crate) const REFUSED: &str = "sim/refused";
/// Comes after everything else in a user's log.
pub(crate) const LAST: &str = "sim/last";
/// Which field stands for a refused action.
pub(crate) const REFUSED_FIELD: u8 = 15;

/// The bodies of a group's actions, by field.
#[derive(Debug)]
pub(crate) struct Bodies {
    edits: Vec<Action>,
    refused: Action,
}

impl Bodies {
    pub(crate) fn new(group: &Group) -> anyhow::Result<Self> {
        let kind = if group.send_to.is_some() { SHARE } else { EDIT };
        let channel = group.send_to.as_deref();
        let edits = (0..group.fields)
            .map(|field| body(kind, field, channel, group.bytes))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { edits, refused: body(REFUSED, 0, None, group.bytes)? })
    }

    /// The body of an action that edits this field.
    pub(crate) fn of(&self, field: u8) -> &Action {
        match field {
            REFUSED_FIELD => &self.refused,
            field => self.edits.get(usize::from(field)).unwrap_or(&self.refused),
        }
    }
}

fn body(kind: &str, field: u32, channel: Option<&str>, bytes: u32) -> anyhow::Result<Action> {
    let channel = channel.map(|name| format!(r#""channel":"{name}","#)).unwrap_or_default();
    let bare = format!(r#"{{"type":"{kind}",{channel}"field":{field},"text":""}}"#);
    let text = usize::try_from(bytes)?.saturating_sub(bare.len());
    let json =
        format!(r#"{{"type":"{kind}",{channel}"field":{field},"text":"{}"}}"#, "x".repeat(text));
    Ok(Action::new(Bytes::from(json))?)
}
