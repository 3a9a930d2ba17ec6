//! `[[merge]]`: what actions of an application do to documents, so that they merge as they are.
//!
//! Every replica, and every fold after a restart, comes to the same operations: expressions see the
//! action and its meta as they are stored, and nothing else. An action that comes in is undone when
//! they fail on it, or what they give is no operation; one that is in the log already, from before
//! the rules were as they are, does nothing then. A `[[sync_map]]` is such a mapping, too, without
//! expressions: its convention is what a record is.

use super::expression::{Expression, Failure};
use super::pattern::Glob;
use super::reads::Reads;
use super::scope::Scope;
use super::sync_map::SyncMap;
use super::template::Template;
use super::{Rules, SyncMapOp, UndoReason};
use crate::log::{Channel, Entry};
use serde_json::{Map, Value};
use tidelog_crdt::{Change, DocumentAction, DocumentName, Malformed, Operation, Path};
use tidelog_protocol::{Action, Meta, builtin};

/// What an action does to one document.
pub(crate) type Changes = (DocumentName, Vec<Change>);

/// All `[[merge]]`, in order.
#[derive(Debug, Default)]
pub(super) struct Merges {
    pub(super) rules: Vec<Merge>,
    /// Another number means other operations of the same actions.
    pub(super) fingerprint: u128,
    /// Another number means other folds: what is noted beside the operations is another, too.
    pub(super) folding: u128,
}

/// A compiled `[[merge]]`.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) kind: Glob,
    /// What its expressions read of an action.
    pub(super) reads: Reads,
    pub(super) when: Option<Expression>,
    pub(super) document: Template,
    pub(super) path: Vec<Template>,
    pub(super) operation: Template,
    pub(super) fields: Vec<(&'static str, Expression)>,
}

impl Merges {
    /// Those for actions of the type `kind`.
    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &Merge> {
        let merges = !has_own_meaning(kind);
        self.rules.iter().filter(move |merge| merges && merge.kind.matches(kind))
    }

    /// Whether all that they make of `action` has a meaning.
    pub(super) fn check(&self, action: &Action, meta: &Meta) -> Result<(), UndoReason> {
        self.of(action.kind()).try_for_each(|merge| merge.changes(action, meta).map(drop))
    }
}

/// Types that no `[[merge]]` takes: what they mean is fixed.
pub(super) fn has_own_meaning(kind: &str) -> bool {
    kind == "0" || ["0/", "crdt/", "logux/"].iter().any(|prefix| kind.starts_with(prefix))
}

impl Merge {
    /// What it makes of an action of its type, if it applies.
    fn changes(
        &self,
        action: &Action,
        meta: &Meta,
    ) -> Result<Option<(DocumentName, Change)>, UndoReason> {
        let scope = Scope::of_stored(action, meta, &self.reads);
        if let Some(when) = &self.when
            && !when.truth(&scope).map_err(failed("when"))?
        {
            return Ok(None);
        }
        let document = one(&self.document, &scope).map_err(failed("document"))?;
        let document = DocumentName::new(&document).map_err(UndoReason::malformed)?;
        let mut keys = Vec::new();
        for template in &self.path {
            let taken = template.render(&scope, |key| keys.push(key.to_owned()));
            taken.map_err(failed("path"))?;
        }
        let path = Path::new(keys).map_err(UndoReason::malformed)?;
        let operation = one(&self.operation, &scope).map_err(failed("operation"))?;
        let mut fields = Map::new();
        for (name, expression) in &self.fields {
            let value = expression.json(&scope).map_err(failed(name))?;
            fields.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        let operation = Operation::parse(&operation, &fields).map_err(as_operation);
        let operation = operation.map_err(UndoReason::malformed)?;
        Ok(Some((document, Change { path, operation })))
    }
}

/// The one text that `template` stands for.
fn one(template: &Template, scope: &Scope<'_>) -> Result<String, Failure> {
    let mut all = Vec::new();
    template.render(scope, |text| all.push(text.to_owned()))?;
    match all.len() {
        1 => Ok(all.pop().unwrap_or_default()),
        _ => Err(Failure { line: 0, reason: "one text is needed", costly: false }),
    }
}

/// What the rule calls by that name.
pub(super) fn as_operation(fault: Malformed) -> Malformed {
    if fault.place == "op" { Malformed { place: "operation".to_owned(), ..fault } } else { fault }
}

fn failed(key: &str) -> impl Fn(Failure) -> UndoReason {
    move |failure| {
        if failure.costly {
            return UndoReason::TooCostly;
        }
        UndoReason::malformed(format_args!("{key}: {}", failure.reason))
    }
}

impl Rules {
    /// Whether `entry` may change documents.
    pub(crate) fn is_of_documents(&self, entry: &Entry) -> bool {
        let kind = entry.action.kind();
        entry.is_undo() || kind == builtin::CLEAN || self.changes_documents(kind)
    }

    /// Whether actions of this type may change documents.
    pub(crate) fn changes_documents(&self, kind: &str) -> bool {
        DocumentAction::is_one(kind)
            || self.sync_maps.iter().any(|map| map.op(kind).is_some())
            || self.merges.of(kind).next().is_some()
    }

    /// What `action` does to which documents of the logs that it is in, `channels` among them. What
    /// has no meaning does nothing.
    pub(crate) fn operations(
        &self,
        action: &Action,
        meta: &Meta,
        channels: &[Channel],
    ) -> Vec<Changes> {
        let kind = action.kind();
        if DocumentAction::is_one(kind) {
            return vocabulary(action).into_iter().collect();
        }
        let mut all: Vec<Changes> = Vec::new();
        let map = self.sync_maps.iter().find_map(|map| Some((map, map.op(kind)?)));
        all.extend(map.and_then(|(map, op)| of_sync_map(map, op, action, channels)));
        // In the order of the rules, so that it is the same everywhere.
        for merge in self.merges.of(kind) {
            let Ok(Some((document, change))) = merge.changes(action, meta) else { continue };
            match all.iter_mut().find(|(known, _)| *known == document) {
                Some((_, changes)) => changes.push(change),
                None => all.push((document, vec![change])),
            }
        }
        all
    }

    /// A number that is another one when actions do other things to documents than before.
    pub(crate) fn merging(&self) -> u128 {
        self.merges.fingerprint
    }

    /// A number that is another one when what is kept of folds would be another.
    pub(crate) fn folding(&self) -> u128 {
        self.merges.folding
    }
}

fn vocabulary(action: &Action) -> Option<Changes> {
    let DocumentAction { document, changes } = DocumentAction::parse(&action.body().ok()?).ok()?;
    Some((document, changes))
}

/// An action of a map is an operation on the record of its item, in the document called like the map;
/// unless an `[[action]]` has placed it elsewhere.
fn of_sync_map(
    map: &SyncMap,
    op: SyncMapOp,
    action: &Action,
    channels: &[Channel],
) -> Option<Changes> {
    let fields: Map<String, Value> = action.body().ok()?;
    let item = fields.get("id")?.as_str()?;
    let channel = format!("{}/{item}", map.name());
    if !channels.iter().any(|known| known.as_str() == channel) {
        return None;
    }
    let operation = Operation::parse(op.on_record(), &fields).ok()?;
    let change = Change { path: Path::new([item]).ok()?, operation };
    Some((DocumentName::new(map.name()).ok()?, vec![change]))
}
