//! What was said of revocations, and when: of each name the last word counts, on every server that hears
//! it. So what was taken back is remembered, too.

use super::{Revoked, Target, Terms};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;
use tidelog_protocol::NodeId;

/// What was taken back is remembered so long, if nobody knows when its tokens have expired.
const LIFTED_MS_MAX: u64 = 365 * 86_400_000;

/// The last word on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Of what.
    pub(crate) target: Target,
    /// Which tokens.
    pub(crate) terms: Terms,
    /// When it was said, in ms since the epoch.
    pub(crate) changed_ms: u64,
    /// Whether they are shut out, or let in again.
    pub(crate) stands: bool,
    /// Where the log ended when it was heard here; nothing, where it was said.
    pub(crate) heard_at: Position,
}

impl Change {
    /// Whether this one counts of the two: at one moment the one that shuts out more.
    fn is_after(&self, other: &Self) -> bool {
        let rank = |it: &Self| (it.changed_ms, it.stands, it.terms.issued_until_ms);
        rank(self) > rank(other)
    }
}

#[derive(Default)]
pub(super) struct Changes(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Grows with each change.
    version: u64,
    all: HashMap<Target, (Change, u64)>,
}

impl Changes {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revoked {
    /// When a change counts that is made at `now_ms`: after all that was said of the target.
    pub(crate) fn change_ms(&self, target: &Target, now_ms: u64) -> u64 {
        let table = self.changes.table();
        let last = table.all.get(target).map(|(change, _)| change.changed_ms.saturating_add(1));
        last.map_or(now_ms, |last| last.max(now_ms))
    }

    /// Of how many something was said.
    pub(super) fn words(&self) -> usize {
        self.changes.table().all.len()
    }

    /// Whether a change is later than what is known.
    pub(crate) fn is_news(&self, change: &Change) -> bool {
        let table = self.changes.table();
        table.all.get(&change.target).is_none_or(|(known, _)| change.is_after(known))
    }

    /// It counts from now on; how many were here and have to go.
    pub(crate) fn change(&self, change: Change) -> usize {
        let (target, terms, stands) = (change.target.clone(), change.terms, change.stands);
        {
            let mut table = self.changes.table();
            table.version += 1;
            let version = table.version;
            table.all.insert(target.clone(), (change, version));
        }
        if stands {
            self.add(&super::Revocation { target, terms })
        } else {
            self.remove(&target);
            0
        }
    }

    /// What was said since `version`, and the version now.
    pub(crate) fn changes_since(&self, version: u64) -> (u64, Vec<Change>) {
        let table = self.changes.table();
        let since = table.all.values().filter(|(_, at)| *at > version);
        let mut since: Vec<_> = since.map(|(change, at)| (*at, change.clone())).collect();
        since.sort_unstable_by_key(|(at, _)| *at);
        (table.version, since.into_iter().map(|(_, change)| change).collect())
    }

    /// Whether its author had been shut out when an action was made, and this server had not heard of it when it
    /// accepted the action at `position`.
    pub(crate) fn came_too_late(&self, author: &NodeId, position: Position, made_ms: u64) -> bool {
        let table = self.changes.table();
        if table.all.is_empty() {
            return false;
        }
        let was_out = |target: Target| {
            table.all.get(&target).is_some_and(|(change, _)| {
                let is_after = made_ms > change.terms.issued_until_ms;
                change.stands && is_after && position <= change.heard_at
            })
        };
        author.user_str().is_some_and(|user| was_out(Target::User(user.to_owned())))
            || was_out(Target::Client(author.client_str().to_owned()))
    }

    /// Forgets what is over at `now_ms`, and tells what that was.
    pub(super) fn forget_changes(&self, now_ms: u64, over: &mut Vec<Target>) {
        let is_over = |change: &Change| match self.end(&change.terms) {
            Some(end) => end <= now_ms,
            None => !change.stands && change.changed_ms.saturating_add(LIFTED_MS_MAX) <= now_ms,
        };
        let mut table = self.changes.table();
        let gone = table.all.extract_if(|_, (change, _)| is_over(change));
        over.extend(gone.map(|(target, _)| target));
    }
}
