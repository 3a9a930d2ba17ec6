//! Taking over what other servers have accepted.

use super::super::entry::{Draft, Entry, Foreign, Outcome, Rejected};
use super::super::error::Failure;
use super::super::marks::Mark;
use super::super::naming::Named;
use super::super::row::Row;
use super::super::undo;
use super::super::usage::bytes_of;
use super::Committer;
use super::commit::{Adopted, Commit, Sealed};
use std::sync::Arc;
use tidelog_crdt::{Dot, Position};

impl Committer {
    /// Takes an action over with its names, or adds its names to what is here.
    pub(super) fn adopt(
        &mut self,
        foreign: Foreign,
        commit: &mut Commit,
    ) -> Result<Outcome, Failure> {
        let Foreign { draft, dot, aliases, cleaned, loose } = foreign;
        let id = self.shared.hash.id(&draft.id);
        let mark = self.mark(id)?;
        let entry = Entry { dot, aliases, cleaned, ..self.entry(draft, commit.next()) };
        if mark.covers(id)
            && let Some(known) = self.known(id, &entry.id, commit)?
        {
            return self.meet(&known, (&entry, loose), commit);
        }
        let undone = entry.undoes();
        let quota = self.quota_of(&entry.id).filter(|_| !cleaned && undone.is_none());
        let bytes = bytes_of(&entry);
        let Some(entry) = commit.add(entry, id, &self.shared.hash) else {
            return Ok(Outcome::TooLarge);
        };
        commit.adopted(&entry, loose);
        if !entry.aliases.is_empty() {
            self.shared.naming.set(entry.position, Named::of(&entry));
        }
        if let Some((author, _)) = quota {
            // What was accepted elsewhere counts here, but is not refused any more.
            let kept = self.kept_of(author)?.saturating_add(bytes);
            self.kept.set(author, kept);
        }
        if !mark.covers(id) {
            self.marks.set(id.prefix, Mark::Greatest(id));
        }
        if let Some(undone) = undone
            && let Some(known) = self.known(self.shared.hash.id(&undone), &undone, commit)?
            && !known.cleaned
        {
            self.take_out(&known, entry.action.clone(), commit)?;
        }
        Ok(Outcome::Accepted(entry))
    }

    /// Keeps of an action no more than that it was undone, and tells of it. What is here of it already
    /// stays what it is.
    pub(super) fn reject(
        &mut self,
        rejected: Rejected,
        commit: &mut Commit,
    ) -> Result<Outcome, Failure> {
        let Rejected { foreign, undo, has_own_log } = rejected;
        let id = self.shared.hash.id(&foreign.draft.id);
        if self.mark(id)?.covers(id) && self.known(id, &foreign.draft.id, commit)?.is_some() {
            return self.adopt(foreign, commit);
        }
        let draft = Draft { action: undo, ..foreign.draft.clone() };
        let (dot, aliases, incarnation) =
            (foreign.dot, foreign.aliases.clone(), self.shared.identity.incarnation);
        let undone = self.entry(draft, commit.next());
        let undone = Entry { dot, aliases, cleaned: true, ..undone };
        let Some(telling) = undo::draft_of(&undone, incarnation, has_own_log) else {
            return Ok(Outcome::TooLarge);
        };
        let telling = self.entry(telling, commit.next().plus(1));
        if !commit.keep_together(&[&undone, &telling]) {
            return Ok(Outcome::TooLarge);
        }
        let foreign = Foreign {
            draft: Draft { action: undone.action, ..foreign.draft },
            cleaned: true,
            ..foreign
        };
        let outcome = self.adopt(foreign, commit)?;
        let key = self.shared.hash.id(&telling.id);
        self.marks.set(key.prefix, Mark::Greatest(key));
        commit.add(telling, key, &self.shared.hash);
        Ok(outcome)
    }

    /// What is here of an action that came from another server, too.
    fn meet(
        &mut self,
        known: &Entry,
        (other, loose): (&Entry, bool),
        commit: &mut Commit,
    ) -> Result<Outcome, Failure> {
        let known = Arc::new(self.shared.naming.apply(known.clone()));
        // Of what another server has compacted the body is not gone, and its place is all that it says.
        let is_taken_out = other.cleaned && other.addresses.logs().next().is_some();
        if is_taken_out && !known.cleaned {
            self.take_out(&known, other.action.clone(), commit)?;
        } else if !known.cleaned
            && let Some(named) = Named::of(&known).with(&Named::of(other))
        {
            self.shared.naming.set(known.position, named.clone());
            commit.rename(&known, named, self.accepted_ms);
        }
        // Of what was accepted here there is nothing to say.
        if other.dot.incarnation != self.shared.identity.incarnation && !loose {
            commit.met(other);
        }
        Ok(Outcome::Known(known))
    }

    /// Writes which entries of a commit are loose, before its rows: one without the other says nothing of
    /// what is held, and the other way round too much.
    pub(super) fn put_loose(&self, commit: &Sealed) -> Result<(), Failure> {
        let Some(head) = commit.staged.rows.last().map(Row::last) else { return Ok(()) };
        let mut loose = commit.foreign.loose.iter();
        loose.try_for_each(|(life, dots)| self.shared.feed().put_loose(head, *life, dots))
    }

    /// Writes what else a commit says of other servers, after its rows: what a crash cuts off comes again,
    /// and then it is said again.
    pub(super) fn put_adopted(&self, commit: &Sealed) -> Result<(), Failure> {
        let feed = self.shared.feed();
        let Some(head) = commit.staged.rows.last().map(Row::last) else { return Ok(()) };
        for (incarnation, position) in &commit.foreign.origins {
            let dot = Dot { incarnation: *incarnation, position: *position };
            if !self.shared.incarnations.origins.has(dot) {
                feed.put_origin(head, dot)?;
            }
        }
        commit.foreign.named.iter().try_for_each(|(at, named)| feed.put_named(*at, named))
    }

    /// Lets readers know what a durable commit says of other servers.
    pub(super) fn show_adopted(&self, adopted: &Adopted, head: Position) {
        for (incarnation, position) in &adopted.origins {
            let dot = Dot { incarnation: *incarnation, position: *position };
            self.shared.incarnations.origins.add(head, dot);
        }
        for (incarnation, dots) in &adopted.loose {
            self.shared.incarnations.origins.add_loose(head, *incarnation, dots);
        }
        if let Some(on_clean) = self.shared.on_clean.get() {
            // Whatever was folded with the names of before is folded again.
            adopted.renamed.iter().for_each(|addresses| on_clean(addresses));
        }
    }
}
