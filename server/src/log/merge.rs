//! Several sorted sources as one, where what is newer hides what is older.

use super::error::ReadError;
use super::prefix::Key;
use super::run::{Item, Order, Scan};
use std::vec;

/// Where items come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A run.
    Run(Scan),
    /// A tail.
    Memory(vec::IntoIter<Item>),
}

impl Source {
    fn next(&mut self) -> Option<Result<Item, ReadError>> {
        match self {
            Self::Run(scan) => scan.next(),
            Self::Memory(items) => items.next().map(Ok),
        }
    }
}

/// What is known of a source's next item.
#[derive(Debug)]
enum Head {
    /// Not before this key; nothing was read yet.
    Bound(Key),
    /// This one.
    Item(Item),
    /// There is none.
    Ended,
}

impl Head {
    fn read(source: &mut Source) -> Result<Self, ReadError> {
        Ok(source.next().transpose()?.map_or(Self::Ended, Self::Item))
    }

    fn key(&self) -> Option<Key> {
        match self {
            Self::Bound(key) => Some(*key),
            Self::Item(item) => Some(item.key),
            Self::Ended => None,
        }
    }
}

/// The items of all sources in order, each key once, from its newest source.
///
/// A source is not read before the walk comes to its bound: runs mostly follow each other, so a
/// page is mostly read from one.
#[derive(Debug)]
pub(super) struct Merge {
    order: Order,
    /// From the oldest to the newest.
    sources: Vec<(Head, Source)>,
}

impl Merge {
    pub(super) fn new(order: Order) -> Self {
        Self { order, sources: Vec::new() }
    }

    /// Adds a source that is newer than those before it and has nothing before `bound`.
    pub(super) fn add(&mut self, bound: Key, source: Source) {
        self.sources.push((Head::Bound(bound), source));
    }

    fn step(&mut self) -> Result<Option<Item>, ReadError> {
        while let Some(key) = self.first_key() {
            // A source that may have this key is read first: if it has it, it may be the newest.
            if !self.read_bounds(key)? {
                return self.take(key);
            }
        }
        Ok(None)
    }

    /// Reads the sources that are bound to start with `key`; whether there were any.
    fn read_bounds(&mut self, key: Key) -> Result<bool, ReadError> {
        let mut any = false;
        for (head, source) in &mut self.sources {
            if matches!(head, Head::Bound(bound) if *bound == key) {
                *head = Head::read(source)?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Takes `key` from all sources that have it; the item of the newest.
    fn take(&mut self, key: Key) -> Result<Option<Item>, ReadError> {
        let mut newest = None;
        for (head, source) in &mut self.sources {
            if head.key() == Some(key) {
                let next = Head::read(source)?;
                if let Head::Item(item) = std::mem::replace(head, next) {
                    newest = Some(item);
                }
            }
        }
        Ok(newest)
    }

    fn first_key(&self) -> Option<Key> {
        let keys = self.sources.iter().filter_map(|(head, _)| head.key());
        match self.order {
            Order::Ascending => keys.min(),
            Order::Descending => keys.max(),
        }
    }
}

impl Iterator for Merge {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::prefix::Prefix;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(major: u64) -> Key {
        Key { prefix: Prefix(1, 1), major, minor: 0 }
    }

    proptest! {
        #[test]
        fn each_key_comes_once_in_order_from_its_newest_source(
            sources in proptest::collection::vec(
                (proptest::collection::btree_set(0..30_u64, 0..20), 0..5_u64),
                0..6,
            ),
            descending: bool,
        ) {
            let order = if descending { Order::Descending } else { Order::Ascending };
            let (mut merge, mut model) = (Merge::new(order), BTreeMap::new());
            for (nth, (majors, slack)) in sources.iter().enumerate() {
                let value = bytes::Bytes::from(vec![u8::try_from(nth).unwrap()]);
                let item = |major: &u64| Item { key: key(*major), value: value.clone() };
                let mut items: Vec<_> = majors.iter().map(item).collect();
                model.extend(items.iter().map(|item| (item.key, item.value.clone())));
                let bound = if descending {
                    items.reverse();
                    majors.last().map_or(*slack, |last| last + slack)
                } else {
                    majors.first().map_or(*slack, |first| first.saturating_sub(*slack))
                };
                merge.add(key(bound), Source::Memory(items.into_iter()));
            }
            let merged: Vec<_> =
                merge.map(Result::unwrap).map(|item| (item.key, item.value)).collect();
            let mut expected: Vec<_> = model.into_iter().collect();
            if descending {
                expected.reverse();
            }
            prop_assert_eq!(merged, expected);
        }
    }
}
