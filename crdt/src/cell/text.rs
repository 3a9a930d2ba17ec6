//! Texts: characters in an order, with insert and delete.

use super::Sight;
use super::sequence::{Content, Items, Pending, Sequence};
use crate::{Dot, Element, TextOp};
use serde_json::Value;
use std::fmt;
use std::ops::Range;

/// A text, and the names by which operations call its characters. A character is a Unicode scalar
/// value.
///
/// Edits return the operation that a client dispatches; nothing changes until the entry with it is
/// applied to the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(pub(crate) Sequence<char>);

/// Characters that stand one after the other under names in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The name of the first.
    pub first: Element,
    /// The characters.
    pub text: String,
    /// The entry that put them in.
    pub dot: Dot,
}

impl Text {
    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text in passages.
    pub fn passages(&self) -> impl Iterator<Item = Passage> {
        self.0.named_runs().map(|run| Passage {
            first: run.place,
            text: run.values.iter().collect(),
            dot: run.dot,
        })
    }

    /// Where a character is.
    pub fn index_of(&self, name: &Element) -> Option<usize> {
        self.0.index_of(name)
    }

    /// Inserts `text` before the character at `index`; none if the text is shorter.
    pub fn insert(&self, index: usize, text: &str) -> Option<TextOp> {
        let at = self.0.gap(index)?;
        (!text.is_empty()).then(|| TextOp::Insert { at, text: text.into() })
    }

    /// Deletes the characters at these indices; none if there are not so many.
    pub fn delete(&self, range: Range<usize>) -> Option<TextOp> {
        self.0.names(range).filter(|names| !names.is_empty()).map(TextOp::Delete)
    }

    /// Takes an operation in. `number` is what the entry's earlier operations here have counted to.
    pub(crate) fn admit(&mut self, operation: &TextOp, number: u32, sight: &Sight<'_>) {
        match operation {
            TextOp::Insert { at, text } => {
                let content = Content::Items(Items::new(text.chars().collect()));
                self.0.insert(Pending::new(sight, number, at, content));
            }
            TextOp::Delete(elements) => self.0.delete(elements),
        }
    }

    pub(crate) fn value(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.to_string().into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.runs().flatten().try_for_each(|character| fmt::Write::write_char(f, *character))
    }
}
