//! Why a place in a document shows what it shows: which entries made it, which lost, and to what.

use super::{Documents, PAGE, parts_of};
use crate::log::{Entry, LogName, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tidelog_crdt::{Document, DocumentName, Dot, Fate, Operation, Path, Position, Why};

/// What stands behind the value at a path.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The keys that lead there.
    pub(crate) path: Value,
    /// The kind of value that readers see; none if they see nothing.
    pub(crate) shown: Option<String>,
    /// What is there.
    pub(crate) value: Value,
    /// The keys under it.
    pub(crate) keys: Vec<String>,
    /// What was done there.
    pub(crate) parts: Vec<Part>,
}

/// Something that an entry did at the path.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The kind of value that it worked on.
    pub(crate) kind: String,
    /// What it did, in the words of the vocabulary.
    pub(crate) what: Value,
    /// What became of it.
    pub(crate) fate: FateName,
    /// Who did it.
    pub(crate) entry: Source,
    /// The entry that it lost to, or that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<Source>,
    /// The element of a list or text that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) element: Option<Value>,
}

/// What became of something that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FateName {
    /// It makes the value.
    Makes,
    /// It is of a kind that does not fit what is there, and without effect as long as that is so.
    Hidden,
    /// It is there still, but another wins.
    Lost,
    /// An entry that had seen it took its place, or removed it.
    Replaced,
    /// What it builds on is not there: without effect.
    Waits,
    /// It only took away what it had seen.
    TookAway,
    /// It is no part of the value any more, because of an entry that is not kept.
    Gone,
}

/// An entry, as far as it is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    /// The name that the accepting server gave it.
    pub(crate) dot: String,
    /// The action's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// When it was made, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<u64>,
    /// Its body is not kept any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

impl Documents {
    /// Why the document shows what it shows at `path`. Waits for the disk.
    pub(crate) fn why(
        &self,
        log: &LogName,
        name: &DocumentName,
        path: &Path,
    ) -> Result<Account, ReadError> {
        self.with(log, |fold| {
            let Some(document) = fold.document(name) else { return Ok(Account::nothing(path)) };
            let kept = self.kept(log, (name, path), fold.through())?;
            let why = document.why(path, kept.iter());
            let times = kept.iter().map(|entry| (entry.dot, entry.stamp.time)).collect();
            Namer { documents: self, times }.account(document, path, why)
        })?
    }

    /// The entries of a document that are kept and did something at a path, or removed it.
    fn kept(
        &self,
        log: &LogName,
        (name, path): (&DocumentName, &Path),
        until: Position,
    ) -> Result<Vec<tidelog_crdt::Entry>, ReadError> {
        let (mut kept, mut above) = (Vec::new(), Position::ZERO);
        while above < until {
            let page = self.log.read(log, above, until, PAGE)?;
            let parts = page.entries.iter().flat_map(|entry| parts_of(entry, &self.rules));
            let here = parts.filter(|(of, part)| of == name && concerns(part, path));
            kept.extend(here.map(|(_, part)| part));
            above = page.through;
        }
        Ok(kept)
    }
}

fn concerns(part: &tidelog_crdt::Entry, path: &Path) -> bool {
    part.changes.iter().any(|change| {
        change.path == *path
            || (change.operation == Operation::Remove && change.path.includes(path))
    })
}

/// Says who the entries are that an account speaks of.
struct Namer<'a> {
    documents: &'a Documents,
    times: BTreeMap<Dot, u64>,
}

impl Namer<'_> {
    fn account(&self, document: &Document, path: &Path, why: Why) -> Result<Account, ReadError> {
        let shown = why.shown;
        let parts = why.parts.into_iter().map(|part| {
            let hidden = shown.is_some_and(|shown| shown != part.kind);
            let (fate, other, element) = match part.fate {
                Fate::Makes if hidden => (FateName::Hidden, None, None),
                Fate::Makes => (FateName::Makes, None, None),
                Fate::Lost { to } => (FateName::Lost, Some(to), None),
                Fate::Replaced { by } => (FateName::Replaced, Some(by), None),
                Fate::Waits { for_element } => {
                    (FateName::Waits, None, Some(for_element.to_value()))
                }
                Fate::TookAway => (FateName::TookAway, None, None),
                Fate::Gone => (FateName::Gone, None, None),
            };
            Ok(Part {
                kind: part.kind.name().to_owned(),
                what: part.what,
                fate,
                entry: self.source(part.dot)?,
                other: other.map(|dot| self.source(dot)).transpose()?,
                element,
            })
        });
        Ok(Account {
            path: path.to_value(),
            shown: shown.map(|kind| kind.name().to_owned()),
            value: document.value_at(path).unwrap_or_default(),
            keys: why.keys.iter().map(ToString::to_string).collect(),
            parts: parts.collect::<Result<_, ReadError>>()?,
        })
    }

    fn source(&self, dot: Dot) -> Result<Source, ReadError> {
        let log = &self.documents.log;
        let here = dot.incarnation == log.incarnation();
        let entry = if here { log.entry(dot.position)? } else { None };
        let gone = entry.as_ref().is_none_or(|entry: &std::sync::Arc<Entry>| entry.cleaned);
        Ok(Source {
            dot: dot.to_string(),
            id: entry.as_ref().map(|entry| entry.id.to_string()),
            time: self.times.get(&dot).copied().or(entry.map(|entry| entry.time)),
            gone,
        })
    }
}

impl Account {
    fn nothing(path: &Path) -> Self {
        Self { path: path.to_value(), ..Self::default() }
    }
}
