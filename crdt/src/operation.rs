//! The closed vocabulary of what an action can do at a path of a document.

mod parse;
mod render;

use crate::{Element, Elements, Json, Kind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an action does at its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `map/remove`: takes away what its author saw at the path and under it.
    Remove,
    /// `record/…`
    Record(RecordOp),
    /// `list/…`
    List(ListOp),
    /// `text/…`
    Text(TextOp),
    /// `set/…`
    Set(SetOp),
    /// `two-phase-set/…`
    TwoPhaseSet(SetOp),
    /// `lww-set/…`
    LwwSet(SetOp),
    /// `grow-set/add`
    GrowSet(Vec<Json>),
    /// `multi-register/set`
    MultiRegister(Json),
    /// `register/set`
    Register(Json),
    /// `enable-wins-flag/…`
    EnableWinsFlag(Switch),
    /// `disable-wins-flag/…`
    DisableWinsFlag(Switch),
    /// `counter/add`: by this much, at most 2^53 either way.
    Counter(i64),
    /// `grow-counter/add`: by this much, at most 2^53.
    GrowCounter(u64),
}

/// What happens to elements of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetOp {
    /// They are in.
    Add(Vec<Json>),
    /// They are out.
    Remove(Vec<Json>),
}

/// What happens to a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// It goes off.
    Disable,
    /// It goes on.
    Enable,
}

/// What happens to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOp {
    /// It is there, with these fields.
    Create(Fields),
    /// These fields are written; that alone does not bring a deleted record back.
    Change(Fields),
    /// It is gone, with what was written before.
    Delete,
}

/// Fields of a record by name.
pub type Fields = BTreeMap<Arc<str>, Json>;

/// Where elements go: between two that are neighbours for the author. None is the start or the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gap {
    /// The element that they follow.
    pub after: Option<Element>,
    /// The element that they precede.
    pub before: Option<Element>,
}

/// What happens to elements of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOp {
    /// Values come in, in a row.
    Insert {
        /// Where.
        at: Gap,
        /// At least one.
        values: Vec<Json>,
    },
    /// Elements go, for good.
    Delete(Vec<Elements>),
    /// One element goes elsewhere. What is moved has a new name: the id of the move.
    Move {
        /// Which: the name that it came in under, or one that a later move gave it.
        element: Element,
        /// Where to.
        to: Gap,
    },
}

/// What happens to characters of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOp {
    /// Characters come in, in a row. Each Unicode scalar value is an element.
    Insert {
        /// Where.
        at: Gap,
        /// At least one character.
        text: Arc<str>,
    },
    /// Characters go, for good.
    Delete(Vec<Elements>),
}

impl Operation {
    /// The kind of value that it works on; for a removal the kind of what holds the key.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Remove => Kind::Map,
            Self::Record(_) => Kind::Record,
            Self::List(_) => Kind::List,
            Self::Text(_) => Kind::Text,
            Self::Set(_) => Kind::Set,
            Self::TwoPhaseSet(_) => Kind::TwoPhaseSet,
            Self::LwwSet(_) => Kind::LwwSet,
            Self::GrowSet(_) => Kind::GrowSet,
            Self::MultiRegister(_) => Kind::MultiRegister,
            Self::Register(_) => Kind::Register,
            Self::EnableWinsFlag(_) => Kind::EnableWinsFlag,
            Self::DisableWinsFlag(_) => Kind::DisableWinsFlag,
            Self::Counter(_) => Kind::Counter,
            Self::GrowCounter(_) => Kind::GrowCounter,
        }
    }
}
