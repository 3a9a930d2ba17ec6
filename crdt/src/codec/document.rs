//! Documents: what was folded, what may still be retired, and the places.

use super::{DecodeError, Reader, Writer};
use crate::cell::Cell;
use crate::document::{Document, Slot};
use crate::{DocumentAction, Entry, Kind, Path};
use std::sync::Arc;

use DecodeError::Damaged;

type Result<T> = std::result::Result<T, DecodeError>;

impl Document {
    /// The document as bytes. Equal documents have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.context(&self.folded);
        out.count(self.aliases.iter().len());
        for (dot, aliases) in self.aliases.iter() {
            out.dot(dot);
            out.count(aliases.len());
            for alias in aliases {
                out.dot(*alias);
            }
        }
        out.count(self.late.entries().len());
        self.late.entries().for_each(|entry| put_entry(entry, &mut out));
        put_slot(&self.root, &mut out);
        out.finish()
    }

    /// Reads what [`Document::encode`] wrote.
    ///
    /// Bytes from anywhere may be tried: what is no document is an error, found in time and memory
    /// that the length of `bytes` bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut from = Reader::new(bytes)?;
        let mut document = Self { folded: from.context()?, ..Self::default() };
        for _ in 0..from.count(3)? {
            let dot = from.dot()?;
            let mut aliases = Vec::new();
            for _ in 0..from.count(2)? {
                aliases.push(from.dot()?);
            }
            document.aliases.insert(dot, &aliases);
        }
        for _ in 0..from.count(8)? {
            document.late.insert(take_entry(&mut from)?);
        }
        document.root = take_slot(&mut from, Path::DEPTH_MAX)?;
        from.finish()?;
        Ok(document)
    }
}

/// An entry that is remembered for what it had seen. Its changes are the JSON of the vocabulary.
fn put_entry(entry: &Entry, out: &mut Writer) {
    out.dot(entry.dot);
    out.count(entry.aliases.len());
    entry.aliases.iter().for_each(|alias| out.dot(*alias));
    out.context(&entry.context);
    out.stamp(&entry.stamp);
    out.text(&DocumentAction::changes_to_value(&entry.changes).to_string());
}

fn take_entry(from: &mut Reader<'_>) -> Result<Entry> {
    let dot = from.dot()?;
    let mut aliases = Vec::new();
    for _ in 0..from.count(2)? {
        aliases.push(from.dot()?);
    }
    let (context, stamp) = (from.context()?, from.stamp()?);
    let changes = serde_json::from_str(from.text()?).ok();
    let changes = changes.and_then(|value| DocumentAction::parse_changes(&value).ok());
    let changes = changes.ok_or(Damaged("an operation cannot be read"))?;
    Ok(Entry { dot, aliases, context, stamp, changes })
}

/// The values by kind, then what is under the keys.
fn put_slot(slot: &Slot, out: &mut Writer) {
    out.count(slot.cells.len());
    for (kind, cell) in &slot.cells {
        let code = Kind::ALL.iter().position(|other| other == kind);
        out.count(code.unwrap_or_default());
        cell.put(out);
    }
    out.count(slot.children.len());
    for (key, child) in &slot.children {
        out.text(key);
        put_slot(child, out);
    }
}

fn take_slot(from: &mut Reader<'_>, deeper: usize) -> Result<Slot> {
    let mut slot = Slot::default();
    for _ in 0..from.count(2)? {
        let code = from.count(0)?;
        let kind = *Kind::ALL.get(code).ok_or(Damaged("a value is of an unknown kind"))?;
        if slot.cells.last().is_some_and(|(last, _)| *last >= kind) {
            return Err(Damaged("kinds do not ascend"));
        }
        slot.cells.push((kind, Cell::take(kind, from)?));
    }
    let mut children: Vec<(Arc<str>, Slot)> = Vec::new();
    for _ in 0..from.count(3)? {
        let deeper = deeper.checked_sub(1).ok_or(Damaged("a path is too deep"))?;
        let key: Arc<str> = from.text()?.into();
        let child = take_slot(from, deeper)?;
        if child.is_empty() || children.last().is_some_and(|(last, _)| *last >= key) {
            return Err(Damaged("keys do not ascend, or hold nothing"));
        }
        children.push((key, child));
    }
    slot.children = children.into_iter().collect();
    Ok(slot)
}
