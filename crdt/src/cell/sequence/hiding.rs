//! Which places show something: deletion, removal of the whole, and moves.

use super::numbers::Numbers;
use super::{ActionKey, Insertion, Items, Place, Sequence, Span};
use crate::entry::Sight;
use crate::{Dot, Element, Elements, Stamp};

impl<T: Clone + Default> Sequence<T> {
    /// Deletes elements for good, also those that are not here yet.
    pub(crate) fn delete(&mut self, elements: &[Elements]) {
        for elements in elements {
            self.delete_row(elements);
        }
    }

    fn delete_row(&mut self, elements: &Elements) {
        let Elements { first, count } = elements;
        let last = first.number.saturating_add(count.saturating_sub(1));
        let action = ActionKey::of(first);
        let mut ahead = Numbers::default();
        ahead.insert(first.number, last);
        let insertions: Vec<u32> = self.insertions_of(&action).collect();
        for insertion in insertions {
            let Insertion { number, len, .. } = *self.insertion_at(insertion);
            for (first, last) in ahead.take(number, number.saturating_add(len - 1)) {
                self.delete_here(insertion, first - number, last - number);
            }
        }
        for (first, last) in ahead.iter() {
            self.deleted_ahead.entry(action.clone()).or_default().insert(first, last);
        }
    }

    fn delete_here(&mut self, insertion: u32, first: u32, last: u32) {
        if let Some(moved) = self.insertion_at(insertion).moved {
            return self.delete_here(moved.insertion, moved.at, moved.at);
        }
        self.begin_at(Place { insertion, at: first });
        self.end_at(Place { insertion, at: last });
        let cuts = Place { insertion, at: first }..=Place { insertion, at: last };
        let starts = (first == 0).then(|| self.insertion_at(insertion).first);
        let spans: Vec<u32> =
            starts.into_iter().chain(self.cuts.range(cuts).map(|(_, span)| *span)).collect();
        for span in spans {
            self.span_mut(span).is_deleted = true;
            self.hide(span);
        }
    }

    /// Hides what was put in by those whom the remover had seen.
    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        for insertion in 2..self.next_insertion() {
            let Insertion { dot, is_erased, .. } = *self.insertion_at(insertion);
            if !is_erased && sight.saw(dot) {
                self.erase_one(insertion);
            }
        }
        for pending in self.waiting.values_mut().flat_map(|waiting| waiting.values_mut()) {
            if sight.saw(pending.dot) {
                pending.erase();
            }
        }
    }

    pub(super) fn erase_one(&mut self, insertion: u32) {
        self.insertion_at_mut(insertion).is_erased = true;
        match self.insertion_at(insertion).moved {
            Some(element) => self.show_moved(element),
            None => self.spans_of(insertion).into_iter().for_each(|span| self.hide(span)),
        }
    }

    /// Hides the elements of a span, which will never show again, and forgets their values.
    fn hide(&mut self, span: u32) {
        let Span { insertion, start, len, item, .. } = *self.span(span);
        if let Some(item) = item {
            let values = self.items.iter_mut().skip(item as usize).take(len as usize);
            values.for_each(|value| *value = T::default());
            self.span_mut(span).item = None;
        }
        self.order.set_own(span, 0);
        let element = Place { insertion, at: start };
        if self.moves.contains_key(&element) {
            self.show_moved(element);
        }
    }

    /// Gives the elements of an insertion their values and shows them, but for the deleted ones.
    pub(super) fn fill(&mut self, new: u32, items: Items<T>) {
        let Items { len, deleted, values } = items;
        let is_erased = self.insertion_at(new).is_erased;
        let mut item = u32::try_from(self.items.len()).expect("fewer elements than 2^32");
        if !is_erased {
            self.items.extend(values);
        }
        for (first, last) in deleted.iter() {
            self.delete_here(new, first, last);
        }
        for (first, last) in deleted.gaps(len) {
            if !is_erased {
                let span = self.span_of(Place { insertion: new, at: first });
                self.span_mut(span).item = Some(item);
                self.order.set_own(span, last - first + 1);
                item += last - first + 1;
            }
        }
    }

    /// Shows an element where the move that has just come in puts it, if that is the last.
    pub(super) fn show_move(&mut self, new: u32) {
        let Some(element) = self.insertion_at(new).moved else { return };
        self.begin_at(element);
        self.end_at(element);
        let place = self.insertion_at(new).first;
        self.span_mut(place).item = self.item_of(element);
        self.moves.entry(element).or_default().push(new);
        self.show_moved(element);
    }

    /// Deletes of what has just come in what was deleted before it came.
    pub(super) fn delete_what_was_deleted_ahead(&mut self, new: u32, name: &Element, len: u32) {
        let action = ActionKey::of(name);
        let Some(ahead) = self.deleted_ahead.get_mut(&action) else { return };
        let deleted = ahead.take(name.number, name.number.saturating_add(len - 1));
        if ahead.is_empty() {
            self.deleted_ahead.remove(&action);
        }
        for (first, last) in deleted {
            self.delete_here(new, first - name.number, last - name.number);
        }
    }

    /// Shows an element that was moved in the place that it has now, and nowhere else.
    fn show_moved(&mut self, element: Place) {
        let home = self.span_of(element);
        let is_there = !self.span(home).is_deleted && !self.insertion(element).is_erased;
        let moves = self.moves.get(&element).cloned().unwrap_or_default();
        let place = self.place_of_moved(element, &moves).filter(|_| is_there);
        let others = moves.into_iter().map(|insertion| Place { insertion, at: 0 });
        for candidate in std::iter::once(element).chain(others) {
            let span = self.span_of(candidate);
            self.order.set_own(span, u32::from(place == Some(candidate)));
        }
    }

    /// Of the places of an element the one with the greatest stamp that was not erased.
    fn place_of_moved(&self, element: Place, moves: &[u32]) -> Option<Place> {
        let moves = moves.iter().map(|insertion| Place { insertion: *insertion, at: 0 });
        let live = moves.filter(|place| !self.insertion(*place).is_erased);
        live.chain([element]).max_by_key(|place| {
            let insertion = self.insertion(*place);
            (&insertion.stamp, insertion.number + place.at)
        })
    }

    /// The entries with places of elements that were moved and are there: who put the element in, who
    /// moved it, and whose place it has now.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (Dot, Vec<Dot>, Dot)> {
        self.moves.iter().filter_map(|(element, moves)| {
            let is_there = self.order.own(self.span_of(self.place_of(*element))) > 0;
            let dots = moves.iter().map(|insertion| self.insertion_at(*insertion).dot).collect();
            let now = self.insertion(self.place_of(*element)).dot;
            is_there.then(|| (self.insertion(*element).dot, dots, now))
        })
    }

    /// Actions that made further places for elements of the action with this stamp, or for the element
    /// that it moved: a deletion may call an element by any of its places.
    pub(crate) fn further_names(&self, stamp: &Stamp) -> Vec<Element> {
        let name = Element::of(stamp, 0);
        let mut names = Vec::new();
        for (element, moves) in &self.moves {
            let places = moves.iter().chain([&element.insertion]);
            let actions: Vec<Element> = places
                .map(|insertion| Element::of(&self.insertion_at(*insertion).stamp, 0))
                .collect();
            if actions.contains(&name) {
                names.extend(actions);
            }
        }
        names
    }

    /// The place that an element has now, whether or not it shows.
    pub(super) fn place_of(&self, element: Place) -> Place {
        let moves = self.moves.get(&element).map(Vec::as_slice).unwrap_or_default();
        self.place_of_moved(element, moves).unwrap_or(element)
    }
}
