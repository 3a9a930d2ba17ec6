//! Reading: pages of one log from tail and runs, pages of the feed from its rows.

use super::entry::{Entry, LogName, Page, PageLimit};
use super::error::ReadError;
use super::manifest::Part;
use super::merge::{Merge, Source};
use super::prefix::{Key, Prefix};
use super::record::{Decoder, Record};
use super::run::{Item, Order, Scan};
use super::shared::{Shared, State};
use super::store::Feed;
use bytes::Bytes;
use std::sync::Arc;
use tidelog_crdt::Position;

/// A piece of one log, both ends included, in the order in which it is walked.
#[derive(Clone, Copy, Debug)]
struct Walk {
    prefix: Prefix,
    first: Position,
    last: Position,
    order: Order,
}

impl Walk {
    fn key(&self, position: u64) -> Key {
        Key { prefix: self.prefix, major: position, minor: 0 }
    }

    /// Whether a run may have something of it; does not read the run.
    fn meets(&self, part: &Part) -> bool {
        let (low, high) = part.run.majors();
        low <= self.last.get() && high >= self.first.get() && part.run.may_have(self.prefix)
    }

    /// The key before which a source whose positions are in `low..=high` has nothing.
    fn bound(&self, (low, high): (u64, u64)) -> Key {
        match self.order {
            Order::Ascending => self.key(low.max(self.first.get())),
            Order::Descending => self.key(high.min(self.last.get())),
        }
    }

    fn scan(&self, part: &Part) -> Scan {
        let (first, last) = (self.key(self.first.get()), self.key(self.last.get()));
        Scan::new(Arc::clone(&part.run), first, last, self.order)
    }
}

/// Collects entries until the limit is reached.
struct Filling {
    limit: PageLimit,
    bytes: usize,
    entries: Vec<Arc<Entry>>,
}

impl Filling {
    fn new(limit: PageLimit) -> Self {
        Self { limit, bytes: 0, entries: Vec::new() }
    }

    /// Takes an entry; false if it does not fit any more.
    fn take(&mut self, entry: Entry) -> bool {
        self.bytes += entry.action.json().len();
        let full = self.entries.len() >= self.limit.entries || self.bytes > self.limit.bytes;
        if full && !self.entries.is_empty() {
            return false;
        }
        self.entries.push(Arc::new(entry));
        true
    }

    /// The page, which covers everything up to `until` unless something did not fit.
    fn finish(self, until: Position, more: bool) -> Page {
        let last = self.entries.last().map(|entry| entry.position);
        let through = if more { last.unwrap_or(until) } else { until };
        Page { entries: self.entries, through, more }
    }
}

impl Shared {
    /// The page of `log` above `above` up to `until`.
    pub(super) fn page(
        &self,
        log: &LogName,
        (above, until): (Position, Position),
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        let (walk, until) = self.walk(log, above, until);
        let found = Found::new(&self.state(), walk, limit.entries);
        self.fill(log, found, limit, until)
    }

    /// The same page, if no run may have anything of it.
    pub(super) fn page_in_memory(
        &self,
        log: &LogName,
        (above, until): (Position, Position),
        limit: PageLimit,
    ) -> Option<Page> {
        let (walk, until) = self.walk(log, above, until);
        let found = {
            let state = self.state();
            if state.lists.entries.iter().any(|part| walk.meets(part)) {
                return None;
            }
            Found::new(&state, walk, limit.entries)
        };
        self.fill(log, found, limit, until).ok()
    }

    fn walk(&self, log: &LogName, above: Position, until: Position) -> (Walk, Position) {
        let until = until.min(self.head());
        let prefix = self.hash.log(log);
        (Walk { prefix, first: above.plus(1), last: until, order: Order::Ascending }, until)
    }

    /// The last entries of `log`, ascending.
    pub(super) fn newest(&self, log: &LogName, limit: PageLimit) -> Result<Page, ReadError> {
        let head = self.head();
        let walk = Walk {
            prefix: self.hash.log(log),
            first: Position::ZERO,
            last: head,
            order: Order::Descending,
        };
        let found = Found::new(&self.state(), walk, limit.entries);
        let mut page = self.fill(log, found, limit, head)?;
        page.entries.reverse();
        page.through = head;
        Ok(page)
    }

    fn fill(
        &self,
        log: &LogName,
        Found { merge, bases }: Found,
        limit: PageLimit,
        until: Position,
    ) -> Result<Page, ReadError> {
        let (mut filling, mut decoder) = (Filling::new(limit), Decoder::default());
        for item in merge {
            let item = item?;
            // Empty: it is gone. Of another name: two names have one prefix.
            let fits = match self.item(&item, &bases, &mut decoder)? {
                Some(entry) if entry.addresses.includes(log) => filling.take(entry),
                Some(_) | None => true,
            };
            if !fits {
                return Ok(filling.finish(until, true));
            }
        }
        Ok(filling.finish(until, false))
    }

    /// What is to be seen of an item: its entry, or what stands for those that went.
    fn item(
        &self,
        item: &Item,
        bases: &Feed,
        decoder: &mut Decoder,
    ) -> Result<Option<Entry>, ReadError> {
        if item.value.is_empty() {
            return Ok(None);
        }
        let position = Position::new(item.key.major).unwrap_or_default();
        match decoder.decode(position, &item.value) {
            Ok(Record::Entry(entry)) if !entry.cleaned => Ok(Some(self.naming.apply(entry))),
            Ok(Record::Entry(_) | Record::Erased(_)) => {
                self.shown_at(bases, (item.key.prefix, position))
            }
            Ok(Record::Clean(_) | Record::Alias(_)) => Ok(None),
            Err(damage) => Err(self.index.damaged(position, damage).into()),
        }
    }

    /// The page of the feed above `above`.
    pub(super) fn feed_page(&self, above: Position, limit: PageLimit) -> Result<Page, ReadError> {
        let head = self.head();
        let mut filling = Filling::new(limit);
        let mut next = above.plus(1);
        while next <= head {
            for (position, entry) in self.entries_from(next, head)? {
                if entry.is_some_and(|entry| !filling.take(entry)) {
                    return Ok(filling.finish(head, true));
                }
                next = position.plus(1);
            }
        }
        Ok(filling.finish(head, false))
    }

    /// The next few positions from `first` on, at least one, each with its entry, if there is one
    /// to be seen.
    fn entries_from(
        &self,
        first: Position,
        head: Position,
    ) -> Result<Vec<(Position, Option<Entry>)>, ReadError> {
        // Before the row is read: after its body was taken out an entry is not listed any more.
        let hidden = self.state().bodies_to_take.clone();
        let records = match self.active_records(first, head) {
            Some(records) => records,
            None => self.row_records(first, head)?,
        };
        let mut decoder = Decoder::default();
        let visible =
            |(position, record): (Position, Bytes)| match decoder.decode(position, &record) {
                Ok(Record::Entry(entry)) if entry.cleaned || hidden.contains_key(&position) => {
                    Ok((position, None))
                }
                Ok(Record::Entry(entry)) => Ok((position, Some(self.naming.apply(entry)))),
                Ok(Record::Clean(_) | Record::Erased(_) | Record::Alias(_)) => Ok((position, None)),
                Err(damage) => Err(self.feed().damaged(position, damage).into()),
            };
        records.into_iter().map(visible).collect()
    }

    /// Records from `first` on, if it is in the active tail.
    fn active_records(&self, first: Position, head: Position) -> Option<Vec<(Position, Bytes)>> {
        const AT_ONCE: u64 = 256;
        let state = self.state();
        let last = head.min(first.plus(AT_ONCE));
        let positions = (first.get()..=last.get()).filter_map(Position::new);
        let record = |position| Some((position, state.active.record(position)?));
        (state.active.first() <= first).then(|| positions.map_while(record).collect())
    }

    /// Records from `first` on, of the row that it is in.
    fn row_records(
        &self,
        first: Position,
        head: Position,
    ) -> Result<Vec<(Position, Bytes)>, ReadError> {
        let feed = self.feed();
        let row = feed.row_at(first)?.ok_or_else(|| feed.gap(first))?;
        Ok(row.records().filter(|(position, _)| (first..=head).contains(position)).collect())
    }
}

/// What there is of a walk, and the bases that it shows: those of the same moment.
struct Found {
    merge: Merge,
    bases: Arc<Feed>,
}

impl Found {
    fn new(state: &State, walk: Walk, count: usize) -> Self {
        Self { merge: merge_of(state, walk, count), bases: Arc::clone(&state.bases) }
    }
}

/// All that `state` has of `walk`; of what is in memory, enough for `count` entries and one more.
fn merge_of(state: &State, walk: Walk, count: usize) -> Merge {
    let mut merge = Merge::new(walk.order);
    if walk.first > walk.last {
        return merge;
    }
    for part in state.lists.entries.iter().filter(|part| walk.meets(part)) {
        merge.add(walk.bound(part.run.majors()), Source::Run(walk.scan(part)));
    }
    let ends = (walk.first, walk.last);
    let enough = count.saturating_add(1);
    let active = state.active.entries(walk.prefix, ends, walk.order, enough);
    if let Some(frozen) = &state.frozen {
        // What the newer tail hides does not count.
        let hidden = active.iter().filter(|item| item.value.is_empty()).count();
        let enough = enough.saturating_add(hidden);
        let items = frozen.entries(walk.prefix, ends, walk.order, enough);
        merge.add(walk.bound((0, u64::MAX)), Source::Memory(items.into_iter()));
    }
    merge.add(walk.bound((0, u64::MAX)), Source::Memory(active.into_iter()));
    merge
}

#[cfg(test)]
mod tests {
    use super::super::row::RowBuilder;
    use super::super::tail::{Staged, Tail};
    use super::*;
    use std::collections::BTreeMap;

    const LOG: Prefix = Prefix(1, 2);

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn tail(first: u64, count: u64) -> Tail {
        let mut tail = Tail::new(at(first));
        let mut builder = RowBuilder::new(at(first));
        (0..count).for_each(|_| builder.push(b"entry"));
        let logs = (first..first + count).map(|position| (LOG, at(position))).collect();
        tail.extend(Staged { rows: vec![builder.finish()], logs, ..Staged::default() });
        tail
    }

    #[test]
    fn what_the_newer_tail_hides_does_not_make_a_page_shorter() {
        let frozen = tail(1, 20);
        let mut active = tail(21, 3);
        (1..=10).for_each(|position| active.hide(at(position), &[LOG], Bytes::new()));
        let dir = tempfile::tempdir().unwrap();
        let state = State {
            bases: Arc::new(Feed::open(dir.path(), 1 << 20).unwrap()),
            active,
            frozen: Some(Arc::new(frozen)),
            lists: Arc::default(),
            checkpoint: Position::ZERO,
            bodies_to_take: BTreeMap::new(),
        };
        for (order, expected) in
            [(Order::Ascending, [11, 12, 13]), (Order::Descending, [23, 22, 21])]
        {
            let walk = Walk { prefix: LOG, first: at(1), last: at(100), order };
            let merge = merge_of(&state, walk, 2).map(Result::unwrap);
            let shown = merge.filter(|item| !item.value.is_empty()).map(|item| item.key.major);
            assert_eq!(shown.take(3).collect::<Vec<_>>(), expected);
        }
    }
}
