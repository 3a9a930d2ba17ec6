//! The laws that every type obeys, on random histories.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and its numbers are small"
)]

mod history;

use history::{VERBS, fold, history};
use proptest::prelude::*;
use proptest::sample::Index;
use tidelog_crdt::{Applied, Document, Entry, Fate};

/// Each kind of operation on its own, with removal, and all of them together.
fn histories() -> impl Strategy<Value = Vec<Entry>> {
    prop_oneof![
        3 => history(0..VERBS, 24),
        1 => history(0..3, 16),
        1 => history(3..5, 12),
        2 => history(5..12, 16),
        1 => history(12..16, 12),
        2 => history(16..19, 12),
        3 => history(19..23, 16),
        2 => history(23..VERBS, 16),
    ]
}

fn shuffled(entries: &[Entry]) -> impl Strategy<Value = Vec<Entry>> + use<> {
    Just(entries.to_vec()).prop_shuffle()
}

/// A history, two orders of it, and further indices.
fn orders() -> impl Strategy<Value = (Vec<Entry>, Vec<Entry>, Vec<Entry>, Vec<Index>)> {
    histories().prop_flat_map(|entries| {
        let (one, other) = (shuffled(&entries), shuffled(&entries));
        (Just(entries), one, other, proptest::collection::vec(any::<Index>(), 8))
    })
}

fn same(one: &Document, other: &Document) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.value(), other.value());
    prop_assert_eq!(one, other);
    prop_assert_eq!(one.encode(), other.encode());
    Ok(())
}

fn merged(one: &Document, other: &Document) -> Document {
    let mut merged = one.clone();
    assert_ne!(merged.merge(other), Applied::FoldAgain);
    merged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_repetition_give_one_state((entries, one, other, again) in orders()) {
        let whole = fold(&entries);
        same(&fold(&one), &whole)?;
        let repeated = again.iter().map(|at| &entries[at.index(entries.len())]);
        same(&fold(other.iter().chain(repeated)), &whole)?;
    }

    #[test]
    fn states_merge_to_what_their_entries_add_up_to((entries, one, other, cuts) in orders()) {
        let cut = |at: usize| cuts[at].index(entries.len() + 1);
        let (a, b) = (fold(&one[..cut(0)]), fold(&other[..cut(1)]));
        let rest = fold(one[cut(0)..].iter().chain(&other[cut(2)..]));
        let both: Vec<Entry> = one[..cut(0)].iter().chain(&other[..cut(1)]).cloned().collect();
        same(&merged(&a, &b), &fold(&both))?;
        same(&merged(&a, &b), &merged(&b, &a))?;
        same(&merged(&a, &a), &a)?;
        same(&merged(&merged(&a, &b), &rest), &merged(&a, &merged(&b, &rest)))?;
        same(&merged(&merged(&a, &b), &rest), &fold(&entries))?;
    }

    #[test]
    fn a_snapshot_and_a_tail_that_overlaps_it_are_the_whole_history((entries, one, other, cuts) in orders()) {
        let cut = cuts[0].index(entries.len() + 1);
        let before = fold(&one[..cut]);
        let mut document = Document::decode(&before.encode()).unwrap();
        same(&document, &before)?;
        for entry in &other {
            prop_assert_ne!(document.apply(entry), Applied::FoldAgain);
        }
        same(&document, &fold(&entries))?;
    }

    #[test]
    fn what_is_forgotten_when_a_feed_was_followed_is_never_missed((entries, one, other, cuts) in orders()) {
        // Two replicas: one settles as it may, one never does; then they merge, too.
        let mut settled = Document::default();
        for (at, entry) in one.iter().enumerate() {
            let _ = settled.apply(entry);
            settle_what_is_complete(&mut settled, &one[at + 1..], &entries);
        }
        prop_assert_eq!(settled.value(), fold(&entries).value());
        let part = fold(&other[..cuts[0].index(entries.len() + 1)]);
        let mut all = fold(&entries);
        settle_what_is_complete(&mut all, &[], &entries);
        same(&settled, &all)?;
        same(&merged(&settled, &part), &all)?;
        same(&merged(&part, &settled), &all)?;
    }
}

proptest! {
    #[test]
    fn why_accounts_for_everything_that_was_done_while_all_entries_are_kept(entries in histories()) {
        let document = fold(&entries);
        for (entry, change) in entries.iter().flat_map(|e| e.changes.iter().map(move |c| (e, c))) {
            let why = document.why(&change.path, &entries);
            let kind = change.operation.kind();
            let mut fates = why.parts.iter().filter(|part| (part.dot, part.kind) == (entry.dot, kind));
            prop_assert!(fates.clone().next().is_some(), "{:?} of {:?}", change, entry.dot);
            prop_assert!(fates.all(|part| part.fate != Fate::Gone), "{:?} of {:?}: {:?}", change, entry.dot, why);
            prop_assert_eq!(why.shown.is_some(), document.value_at(&change.path).is_some());
        }
    }
}

/// Settles both servers up to just below the first dot or alias that is still to come.
fn settle_what_is_complete(document: &mut Document, to_come: &[Entry], entries: &[Entry]) {
    for server in [1, 2] {
        let of = |entries: &[Entry]| {
            let names = entries.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.dot]));
            let of = names.filter(|dot| dot.incarnation.0 == server).map(|dot| dot.position.get());
            of.collect::<Vec<_>>()
        };
        let highest = of(entries).into_iter().max().unwrap_or(0) + 5;
        let through = of(to_come).into_iter().min().map_or(highest, |first| first - 1);
        let through = tidelog_crdt::Position::new(through).unwrap();
        document.settle(tidelog_crdt::Incarnation(server), through);
    }
}
