//! The vocabulary of CRDT actions: plain JSON that any client can dispatch.
//!
//! ```json
//! {"type":"crdt/set/add","doc":"cart","path":["items"],"value":"apples"}
//! {"type":"crdt/batch","doc":"cart","changes":[
//!   {"op":"set/add","path":["items"],"value":"pears"},
//!   {"op":"counter/add","path":["count"],"by":2}]}
//! ```
//!
//! `doc` names the document, `path` the keys that lead to the place (none: the document itself), and
//! the rest of the type the operation with its fields: see [`Operation`]. A batch is one action that
//! does several things, all or none of them.

use crate::{Change, DocumentName, Malformed, Operation, Path};
use serde_json::{Map, Value};

/// What the types of all CRDT actions start with.
pub const ACTION_PREFIX: &str = "crdt/";

const BATCH: &str = "crdt/batch";
const STATE: &str = "crdt/state";

/// A CRDT action: which document, and what happens to it.
///
/// ```
/// use serde_json::json;
/// use tidelog_crdt::DocumentAction;
///
/// let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 2 });
/// let parsed = DocumentAction::parse(&action)?;
/// assert_eq!(parsed.document.as_str(), "likes");
///
/// let fault = DocumentAction::parse(&json!({ "type": "crdt/counter/add", "doc": "likes", "by": "2" }));
/// assert_eq!(fault.unwrap_err().to_string(), "by: a whole number from -2^53 to 2^53 is needed");
/// # Ok::<(), tidelog_crdt::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAction {
    /// The document.
    pub document: DocumentName,
    /// What happens to it, in order.
    pub changes: Vec<Change>,
}

impl DocumentAction {
    /// The most changes in one batch.
    pub const CHANGES_MAX: usize = 1000;

    /// Whether an action of this type is one that clients dispatch: [`DocumentAction::parse`] reads
    /// it or names its fault. `crdt/state` is not, it goes from server to client.
    pub fn is_one(action_type: &str) -> bool {
        action_type.starts_with(ACTION_PREFIX) && action_type != STATE
    }

    /// Reads an action whose type [`is_one`](Self::is_one).
    pub fn parse(action: &Value) -> Result<Self, Malformed> {
        let fields =
            action.as_object().ok_or_else(|| Malformed::new("action", "an object is needed"))?;
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        let document = fields.get("doc").and_then(Value::as_str);
        let document =
            document.ok_or_else(|| Malformed::new("doc", "the name of a document is needed"))?;
        let document = DocumentName::new(document)?;
        let changes = match kind.strip_prefix(ACTION_PREFIX) {
            _ if kind == BATCH => batch(fields)?,
            Some(name) => vec![change(name, fields).map_err(as_type)?],
            None => return Err(Malformed::new("type", "a CRDT action's type starts with `crdt/`")),
        };
        Ok(Self { document, changes })
    }

    /// The action as JSON.
    pub fn to_value(&self) -> Value {
        let (kind, mut fields) = match self.changes.as_slice() {
            [change] => (format!("{ACTION_PREFIX}{}", change.operation.name()), fields(change)),
            changes => {
                let changes = Self::changes_to_value(changes);
                (BATCH.to_owned(), Map::from_iter([("changes".to_owned(), changes)]))
            }
        };
        fields.insert("type".to_owned(), kind.into());
        fields.insert("doc".to_owned(), self.document.as_str().into());
        fields.into()
    }

    /// Changes as a batch has them.
    pub(crate) fn changes_to_value(changes: &[Change]) -> Value {
        let named = changes.iter().map(|change| {
            let mut fields = fields(change);
            fields.insert("op".to_owned(), change.operation.name().into());
            Value::from(fields)
        });
        named.collect()
    }

    /// Reads changes as a batch has them.
    pub(crate) fn parse_changes(changes: &Value) -> Result<Vec<Change>, Malformed> {
        let changes = changes.as_array();
        let changes =
            changes.ok_or_else(|| Malformed::new("changes", "an array of changes is needed"))?;
        let read = |(at, value): (usize, &Value)| {
            named_change(value).map_err(|fault| fault.inside(format_args!("changes[{at}]")))
        };
        changes.iter().enumerate().map(read).collect()
    }
}

fn fields(change: &Change) -> Map<String, Value> {
    let mut fields = change.operation.fields();
    if !change.path.keys().is_empty() {
        fields.insert("path".to_owned(), change.path.to_value());
    }
    fields
}

fn batch(fields: &Map<String, Value>) -> Result<Vec<Change>, Malformed> {
    let changes = DocumentAction::parse_changes(fields.get("changes").unwrap_or(&Value::Null))?;
    if changes.is_empty() || changes.len() > DocumentAction::CHANGES_MAX {
        return Err(Malformed::new("changes", "a batch has 1 to 1000 changes"));
    }
    Ok(changes)
}

fn named_change(value: &Value) -> Result<Change, Malformed> {
    let name = value.get("op").and_then(Value::as_str);
    match (name, value.as_object()) {
        (Some(name), Some(fields)) => change(name, fields),
        _ => Err(Malformed::new("op", "the name of an operation is needed")),
    }
}

fn change(name: &str, fields: &Map<String, Value>) -> Result<Change, Malformed> {
    let operation = Operation::parse(name, fields)?;
    Ok(Change { path: Path::parse(fields.get("path"))?, operation })
}

/// Outside a batch the operation's name is part of the type.
fn as_type(fault: Malformed) -> Malformed {
    if fault.place == "op" { Malformed::new("type", fault.reason) } else { fault }
}
