//! The index by itself: tails in, merges, openings.

use super::super::row::RowBuilder;
use super::super::tail::Staged;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LOG: Prefix = Prefix(3, 4);

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

/// A tail of `count` entries of one log, of which `hidden` are then hidden, here or below.
fn tail(first: u64, count: u64, hidden: &[u64]) -> Tail {
    let mut tail = Tail::new(at(first));
    let mut builder = RowBuilder::new(at(first));
    let mut staged = Staged::default();
    for position in first..first + count {
        builder.push(&position.to_be_bytes());
        staged.logs.push((LOG, at(position)));
        staged.ids.push((Key { prefix: LOG, major: position, minor: 7 }, at(position)));
        staged.changes.push((LOG, 1));
    }
    staged.rows.push(builder.finish());
    tail.extend(staged);
    for position in hidden {
        tail.hide(at(*position), &[LOG], vec![3].into());
    }
    tail
}

/// What the runs say, and what they still keep of what is gone.
fn read(index: &Index, family: Family) -> (BTreeMap<u64, Vec<u8>>, usize) {
    let items: Vec<_> = merged(index.current().lists.of(family)).map(Result::unwrap).collect();
    let (gone, there): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.value.is_empty());
    let there = there.into_iter().map(|item| (item.key.major, item.value.to_vec()));
    (there.collect(), gone.len())
}

/// What the changes of the one user add up to.
fn usage(index: &Index) -> u64 {
    let mut sums = Sums::of(merged(index.current().lists.of(Family::Usage)));
    let sum = sums.next().unwrap().unwrap();
    assert!(sums.next().is_none());
    u64::from_be_bytes(sum.value.as_ref().try_into().unwrap())
}

fn merge_all(index: &Index) {
    while let Some(due) = index.due() {
        index.merge(&due, &AtomicBool::new(false), |_| {}).unwrap();
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join(RUNS)).unwrap().count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_hidden_stays_hidden_through_merges_and_openings(
        tails in proptest::collection::vec(
            (1..6_u64, proptest::collection::vec(1..300_u64, 0..3), any::<bool>()),
            1..60,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::draw().unwrap();
        let mut index = Index::open(dir.path(), &identity, true).unwrap();
        let (mut model, mut first) = (BTreeMap::new(), 1);
        for (count, hidden, reopen) in tails {
            let hidden: Vec<_> = hidden.into_iter().filter(|at| *at < first + count).collect();
            index.add(&tail(first, count, &hidden), |_| {}).unwrap();
            model.extend((first..first + count).map(|at| (at, at.to_be_bytes().to_vec())));
            model.retain(|at, _| !hidden.contains(at));
            first += count;
            if reopen {
                merge_all(&index);
                prop_assert!(index.waiting() < FAN_IN);
                drop(index);
                index = Index::open(dir.path(), &identity, false).unwrap();
            }
            prop_assert_eq!(&read(&index, Family::Entries).0, &model);
            prop_assert_eq!(index.current().checkpoint, at(first - 1));
            prop_assert_eq!(read(&index, Family::Ids).0.len() as u64, first - 1);
            prop_assert_eq!(usage(&index), first - 1);
        }
        let lists = index.current().lists;
        let named = Family::ALL.map(|family| lists.of(family).len());
        prop_assert_eq!(files(dir.path()), named.iter().sum::<usize>());
    }
}

#[test]
fn what_is_gone_is_forgotten_only_with_the_oldest_run() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), &Identity::draw().unwrap(), true).unwrap();
    let add = |nth: u64, hidden: &[u64]| {
        index.add(&tail(1 + nth * 10, 10, hidden), |_| {}).unwrap();
    };
    let fan_in = FAN_IN as u64;
    (0..fan_in).for_each(|nth| add(nth, &[]));
    merge_all(&index);
    (fan_in..2 * fan_in).for_each(|nth| add(nth, &[5]));
    merge_all(&index);
    assert_eq!(index.current().lists.entries.len(), 2, "one of each of the two halves");
    let (there, gone) = read(&index, Family::Entries);
    assert!(!there.contains_key(&5));
    assert_eq!(gone, 1, "the older run still has it");
    (2 * fan_in..fan_in * fan_in).for_each(|nth| {
        add(nth, &[]);
        merge_all(&index);
    });
    assert_eq!(index.current().lists.entries.len(), 1, "all in one");
    let (there, gone) = read(&index, Family::Entries);
    assert_eq!((there.len() as u64, gone), (fan_in * fan_in * 10 - 1, 0));
}

#[test]
fn a_merge_that_is_stopped_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), &Identity::draw().unwrap(), true).unwrap();
    (0..FAN_IN as u64).for_each(|nth| {
        index.add(&tail(1 + nth * 10, 10, &[]), |_| {}).unwrap();
    });
    let before = (read(&index, Family::Entries), files(dir.path()));
    let due = index.due().unwrap();
    index.merge(&due, &AtomicBool::new(true), |_| panic!("nothing to publish")).unwrap();
    assert_eq!((read(&index, Family::Entries), files(dir.path())), before);
}
