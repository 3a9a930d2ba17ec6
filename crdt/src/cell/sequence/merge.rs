//! Two states of a sequence become one.

use super::{ActionKey, Pending, Place, Sequence};
use crate::{Element, Elements};

impl<T: Clone + Default> Sequence<T> {
    /// Takes in what another replica has. Places are never forgotten, so this is a union.
    pub(crate) fn merge(&mut self, other: &Self) {
        for insertion in 2..other.next_insertion() {
            let pending = other.export(insertion);
            let name = Element::of(&pending.stamp, pending.number);
            let is_erased = pending.is_erased;
            self.insert(pending);
            self.mark(&name, is_erased);
        }
        for waiting in other.waiting.values().flat_map(|waiting| waiting.values()) {
            let name = Element::of(&waiting.stamp, waiting.number);
            self.insert(waiting.clone());
            self.mark(&name, waiting.is_erased);
        }
        self.delete(&other.deletions());
    }

    /// Erases an insertion that is here, or waits here, if it is erased on the other side.
    fn mark(&mut self, name: &Element, is_erased: bool) {
        if !is_erased {
            return;
        }
        match self.resolve(name) {
            Some(place) if self.insertion(place).is_erased => {}
            Some(place) => self.erase_one(place.insertion),
            None => {
                let waiting = self.waiting.values_mut().filter_map(|waiting| waiting.get_mut(name));
                waiting.for_each(Pending::erase);
            }
        }
    }

    /// Everything that was deleted.
    pub(super) fn deletions(&self) -> Vec<Elements> {
        let mut deletions = Vec::new();
        for insertion in 2..self.next_insertion() {
            if self.insertion_at(insertion).moved.is_none() {
                let spans = self.spans_of(insertion).into_iter().map(|span| self.span(span));
                deletions.extend(spans.filter(|span| span.is_deleted).map(|span| {
                    let place = Place { insertion, at: span.start };
                    Elements { first: self.name_of(place), count: span.len }
                }));
            }
        }
        deletions.extend(self.ahead());
        deletions
    }

    /// What was deleted and is not here yet.
    pub(crate) fn ahead(&self) -> Vec<Elements> {
        let ranges = self.deleted_ahead.iter().flat_map(|(action, numbers)| {
            numbers.iter().map(|(first, last)| action.elements(first, last))
        });
        ranges.collect()
    }

    /// Everything that was put in or waits, by stamp.
    pub(crate) fn all(&self) -> Vec<Pending<T>> {
        let here = (2..self.next_insertion()).map(|insertion| self.export(insertion));
        let waiting = self.waiting.values().flat_map(|waiting| waiting.values().cloned());
        let mut all: Vec<_> = here.chain(waiting).collect();
        all.sort_unstable_by(|a, b| (&a.stamp, a.number).cmp(&(&b.stamp, b.number)));
        all
    }
}

impl ActionKey {
    /// The elements of this action from number `first` to `last`.
    pub(super) fn elements(&self, first: u32, last: u32) -> Elements {
        let Self { created, node, sequence } = self.clone();
        Elements {
            first: Element { created, node, sequence, number: first },
            count: last - first + 1,
        }
    }
}
