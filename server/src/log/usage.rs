//! How many bytes the log keeps of each user's.
//!
//! A number that many commits change is not written with each: the tail has what each user's grew or
//! shrank by, a checkpoint writes that as a run, and merging runs adds up. What a user has is the sum
//! over the runs and the tail, so it is as exact as they are, and a rebuild comes to the same.

use super::entry::Entry;
use super::error::{Failure, ReadError};
use super::merge::Merge;
use super::prefix::{Hash, Key, Prefix};
use super::queue::{Alone, Request};
use super::record::Record;
use super::run::{Item, Order, Scan};
use super::shared::{Shared, State};
use bytes::Bytes;
use std::collections::HashMap;
use std::iter::Peekable;
use std::sync::Arc;
use tidelog_crdt::Position;

/// What is counted beside the JSON of an action: its id, where it goes, what its author had seen.
pub const BYTES_BESIDE: u64 = 128;

/// By how much the bytes of each user changed.
#[derive(Debug, Default)]
pub(super) struct Changes(HashMap<Prefix, i64>);

impl Changes {
    /// Adds a change; whether it is the first of this user.
    pub(super) fn add(&mut self, user: Prefix, change: i64) -> bool {
        let known = self.0.len();
        let sum = self.0.entry(user).or_default();
        *sum = sum.saturating_add(change);
        self.0.len() > known
    }

    /// Whether this is what the items of runs say, one for each user: how many users are of another
    /// opinion.
    pub(super) fn differ_from(
        mut self,
        sums: impl Iterator<Item = Result<Item, ReadError>>,
    ) -> Result<usize, ReadError> {
        let mut differing = 0;
        for item in sums {
            let item = item?;
            let expected = self.0.remove(&item.key.prefix).unwrap_or_default();
            differing += usize::from(expected != change(&item));
        }
        Ok(differing + self.0.into_values().filter(|expected| *expected != 0).count())
    }

    pub(super) fn of(&self, user: Prefix) -> i64 {
        self.0.get(&user).copied().unwrap_or_default()
    }

    /// What a run has to say of it, in order. No two runs have one of these places, or the newer would
    /// hide the older: the last position of a tail, and 0 or the number of a rewriting.
    pub(super) fn items(&self, (last, rewriting): (Position, u64)) -> Vec<Item> {
        let key = |prefix: Prefix| Key { prefix, major: last.get(), minor: rewriting };
        let changed = self.0.iter().filter(|(_, change)| **change != 0);
        let mut items: Vec<_> = changed.map(|(user, change)| item(key(*user), *change)).collect();
        items.sort_unstable_by_key(|item| item.key);
        items
    }
}

fn item(key: Key, change: i64) -> Item {
    Item { key, value: Bytes::copy_from_slice(&change.to_be_bytes()) }
}

fn change(item: &Item) -> i64 {
    item.value.as_ref().try_into().map_or(0, i64::from_be_bytes)
}

/// What `entry` counts for.
pub(super) fn bytes_of(entry: &Entry) -> u64 {
    if entry.kept && !entry.cleaned { bytes_of_json(entry.action.json()) } else { 0 }
}

/// Whose bytes an entry counts among, and how many; none if it counts for nothing.
pub(super) fn author_and_bytes(entry: &Entry, hash: &Hash) -> Option<(Prefix, i64)> {
    let bytes = bytes_of(entry);
    let author = entry.id.node.user_str().filter(|_| bytes > 0)?;
    Some((hash.user(author), 0_i64.saturating_add_unsigned(bytes)))
}

/// What an action with this JSON counts for once it is kept.
pub fn bytes_of_json(json: &[u8]) -> u64 {
    BYTES_BESIDE + json.len() as u64
}

/// The items of several runs, those of one user added up.
pub(super) struct Sums(Peekable<Merge>);

impl Sums {
    pub(super) fn of(items: Merge) -> Self {
        Self(items.peekable())
    }
}

impl Iterator for Sums {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let item = match self.0.next()? {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            let mut sum = change(&item);
            let of_user = |next: &Result<Item, ReadError>| {
                next.as_ref().is_ok_and(|next| next.key.prefix == item.key.prefix)
            };
            let mut last = item.key;
            while let Some(Ok(next)) = self.0.next_if(of_user) {
                sum = sum.saturating_add(change(&next));
                last = next.key;
            }
            if sum != 0 {
                return Some(Ok(self::item(last, sum)));
            }
        }
    }
}

impl Shared {
    /// By how much the bytes of users have changed by the rewriting with this number. All that it took
    /// is in runs: a checkpoint was made before the rewritten feed took its place.
    pub(super) fn change_usage(&self, changes: &Changes, generation: u64) -> Result<(), Failure> {
        let checkpoint = self.state().checkpoint;
        let publish = |current: &_| self.publish_index(current);
        self.index.change_usage(changes, (checkpoint, generation), publish)?;
        // So that the committer counts anew what is kept of whom; once the log is closed nobody does.
        let _ = self.queue.push(Request::Alone(Alone::new(|| ())));
        Ok(())
    }

    /// How many bytes of the user's are kept, as far as the log is on disk.
    pub(super) fn kept_bytes(&self, user: Prefix) -> Result<u64, ReadError> {
        let (mut sum, lists) = {
            let state = self.state();
            let frozen = state.frozen.as_ref().map_or(0, |frozen| frozen.changes().of(user));
            (state.active.changes().of(user).saturating_add(frozen), Arc::clone(&state.lists))
        };
        let (first, last) = (Key::first_of(user), Key::last_of(user));
        for part in lists.usage.iter().filter(|part| part.run.may_have(user)) {
            for item in Scan::new(Arc::clone(&part.run), first, last, Order::Ascending) {
                sum = sum.saturating_add(change(&item?));
            }
        }
        Ok(u64::try_from(sum).unwrap_or_default())
    }

    /// What `entry` still counts for in what was folded so far, although its body may be gone from
    /// its row: a request to take it out comes up again.
    pub(super) fn counted(&self, entry: &Entry) -> Result<u64, ReadError> {
        if !entry.cleaned {
            return Ok(bytes_of(entry));
        }
        let Some(log) = entry.addresses.logs().next() else { return Ok(0) };
        let prefix = self.hash.log(&log);
        let lists = {
            let state = self.state();
            if in_memory(&state, prefix, entry.position) {
                return Ok(0);
            }
            Arc::clone(&state.lists)
        };
        let key = Key { prefix, major: entry.position.get(), minor: 0 };
        for part in lists.entries.iter().rev() {
            if let Some(value) = part.run.find(key)? {
                return Ok(match Record::decode(entry.position, &value) {
                    Ok(Record::Entry(whole)) => bytes_of(&whole),
                    // It was hidden before.
                    Ok(Record::Clean(_) | Record::Erased(_) | Record::Alias(_)) | Err(_) => 0,
                });
            }
        }
        Ok(0)
    }
}

/// Whether the entry is in a tail, where it counts for nothing without its body, or is hidden there.
fn in_memory(state: &State, log: Prefix, position: Position) -> bool {
    position > state.checkpoint || state.active.hides(log, position)
}

#[cfg(test)]
mod tests {
    use super::super::merge::Source;
    use super::super::settings::Settings;
    use super::super::{Addresses, Draft, Log, Outcome};
    use super::*;
    use tidelog_crdt::Context;
    use tidelog_protocol::{Action, ActionId, NodeId};

    #[test]
    fn changes_of_many_runs_add_up_and_what_comes_to_nothing_goes() {
        let (user, other, gone) = (Prefix(1, 0), Prefix(2, 0), Prefix(3, 0));
        let mut merge = Merge::new(Order::Ascending);
        for (last, changes) in [
            (10, vec![(user, 5), (gone, 7)]),
            (20, vec![(user, -3), (other, 1)]),
            (30, vec![(gone, -7)]),
        ] {
            let mut all = Changes::default();
            for (user, change) in changes {
                all.add(user, change);
            }
            let items = all.items((Position::new(last).unwrap(), 0));
            merge.add(Key::default(), Source::Memory(items.into_iter()));
        }
        let sums: Vec<_> = Sums::of(merge).map(Result::unwrap).collect();
        let sums: Vec<_> =
            sums.iter().map(|it| (it.key.prefix, it.key.major, change(it))).collect();
        assert_eq!(sums, [(user, 20, 2), (other, 20, 1)]);
    }

    /// Who wrote while an erasure or a compaction brought the index up to date stayed over the quota.
    #[tokio::test]
    async fn what_was_taken_out_is_counted_no_more_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { kept_bytes_max: Some(1_000), ..Settings::new(dir.path()) };
        let (log, _) = Log::open(settings, 0).unwrap();
        let node = NodeId::new("1:c:t").unwrap();
        let append = async |ms| {
            let draft = Draft {
                id: ActionId { node: node.clone(), ms, sequence: 0 },
                time: ms,
                subprotocol: 1,
                addresses: Addresses { users: vec![node.user().unwrap()], ..Addresses::default() },
                context: Context::default(),
                action: Action::new(r#"{"type":"add"}"#.into()).unwrap(),
                kept: true,
            };
            log.append(vec![draft], 0).await.unwrap().remove(0)
        };
        let mut ms = 0;
        while !matches!(append(ms).await, Outcome::OverQuota) {
            ms += 1;
        }
        let shared = log.shared();
        let mut changes = Changes::default();
        changes.add(shared.hash.user("1"), -900);
        shared.change_usage(&changes, 1).unwrap();
        assert!(matches!(append(ms).await, Outcome::Accepted(_)));
    }
}
