//! Lists: values in an order, with insert, delete and move.

use super::Sight;
use super::sequence::{Content, Items, Pending, Sequence};
use crate::{Dot, Element, Json, ListOp};
use serde_json::Value;
use std::ops::Range;

/// A list, and the names by which operations call its elements.
///
/// Edits return the operation that a client dispatches; nothing changes until the entry with it is
/// applied to the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List(pub(crate) Sequence<Json>);

/// An element of a list, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The name of the element: what put it in.
    pub element: Element,
    /// The name of its place: what put it there, the last move if it was moved.
    pub place: Element,
    /// Its value.
    pub value: &'a Json,
    /// The entry that put it there.
    pub dot: Dot,
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        self.0.runs().flatten()
    }

    /// The elements in order.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.0.named_runs().flat_map(|run| {
            (0..).zip(run.values).map(move |(number, value)| Item {
                element: run.element.plus(number),
                place: run.place.plus(number),
                value,
                dot: run.dot,
            })
        })
    }

    /// Where an element is, by its name or that of any place it ever had.
    pub fn index_of(&self, name: &Element) -> Option<usize> {
        self.0.index_of(name)
    }

    /// Inserts `values` before the element at `index`; none if the list is shorter.
    pub fn insert(&self, index: usize, values: Vec<Json>) -> Option<ListOp> {
        let at = self.0.gap(index)?;
        (!values.is_empty()).then_some(ListOp::Insert { at, values })
    }

    /// Deletes the elements at these indices; none if there are not so many.
    pub fn delete(&self, range: Range<usize>) -> Option<ListOp> {
        self.0.names(range).filter(|names| !names.is_empty()).map(ListOp::Delete)
    }

    /// Moves the element at `from` to before the one at `to`; none if there is no such element.
    pub fn move_to(&self, from: usize, to: usize) -> Option<ListOp> {
        Some(ListOp::Move { element: self.0.place_name(from)?, to: self.0.gap(to)? })
    }

    /// Takes an operation in. `number` is what the entry's earlier operations here have counted to.
    pub(crate) fn admit(&mut self, operation: &ListOp, number: u32, sight: &Sight<'_>) {
        let (gap, content) = match operation {
            ListOp::Insert { at, values } => (at, Content::Items(Items::new(values.clone()))),
            ListOp::Move { element, to } => (to, Content::Moved(element.clone())),
            ListOp::Delete(elements) => return self.0.delete(elements),
        };
        self.0.insert(Pending::new(sight, number, gap, content));
    }

    pub(crate) fn value(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.values().map(Json::to_value).collect())
    }
}
