//! What readers see of a sequence, and how positions become names.

use super::{Content, Items, Pending, Place, Sequence, Span};
use crate::{Dot, Element, Elements, Gap};
use std::ops::Range;

impl<T: Clone + Default> Sequence<T> {
    /// How many elements show.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.order.visible()).unwrap_or(usize::MAX)
    }

    /// Whether nothing was ever done to it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.insertions.len() == 2 && self.waiting.is_empty() && self.deleted_ahead.is_empty()
    }

    /// The values that show, in order, in runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[T]> {
        self.order.iter().filter_map(|span| self.shown(span))
    }

    /// The places that show, in order, in runs: the name of the first, the values, the element's own
    /// name where that is another, and the entry that put it there.
    pub(crate) fn named_runs(&self) -> impl Iterator<Item = Run<'_, T>> {
        self.order.iter().filter_map(|span| {
            let values = self.shown(span)?;
            let place = self.place_at(span, 0);
            let insertion = self.insertion(place);
            Some(Run {
                place: self.name_of(place),
                element: self.name_of(insertion.moved.unwrap_or(place)),
                values,
                dot: insertion.dot,
            })
        })
    }

    /// The values of a span, if it shows.
    fn shown(&self, span: u32) -> Option<&[T]> {
        let own = self.order.own(span) as usize;
        let item = self.span(span).item? as usize;
        self.items.get(item..item + own).filter(|values| !values.is_empty())
    }

    /// The name of the place that shows the element at `index`.
    pub(crate) fn place_name(&self, index: usize) -> Option<Element> {
        let (span, offset) = self.order.find(u64::try_from(index).ok()?)?;
        Some(self.name_of(self.place_at(span, offset)))
    }

    /// Where the element with this name, or whose place has it, shows.
    pub(crate) fn index_of(&self, name: &Element) -> Option<usize> {
        let named = self.resolve(name)?;
        let place = self.place_of(self.insertion(named).moved.unwrap_or(named));
        let span = self.span_of(place);
        let offset = place.at - self.span(span).start;
        let shows = offset < self.order.own(span);
        let index = shows.then(|| self.order.visible_before(span) + u64::from(offset))?;
        usize::try_from(index).ok()
    }

    /// The gap before the element at `index`; for the length of the sequence the one at its end.
    ///
    /// On its right it names what comes next, shown or not: then nobody's insertion can get between.
    pub(crate) fn gap(&self, index: usize) -> Option<Gap> {
        let before = match index.checked_sub(1) {
            None => None,
            Some(before) => Some(self.order.find(u64::try_from(before).ok()?)?),
        };
        let next = match before {
            Some((span, offset)) if offset + 1 < self.span(span).len => {
                Some(self.place_at(span, offset + 1))
            }
            before => {
                let next = self.order.next(before.map_or(0, |(span, _)| span));
                next.filter(|span| *span != 1).map(|span| self.place_at(span, 0))
            }
        };
        let after = before.map(|(span, offset)| self.name_of(self.place_at(span, offset)));
        Some(Gap { after, before: next.map(|place| self.name_of(place)) })
    }

    /// The names of the elements at these indices, in runs; none if there are not so many.
    pub(crate) fn names(&self, range: Range<usize>) -> Option<Vec<Elements>> {
        let mut names = Vec::new();
        let mut index = range.start;
        while index < range.end {
            let (span, offset) = self.order.find(u64::try_from(index).ok()?)?;
            let left = usize::try_from(self.order.own(span) - offset).ok()?;
            let count = left.min(range.end - index);
            let first = self.name_of(self.place_at(span, offset));
            names.push(Elements { first, count: u32::try_from(count).ok()? });
            index += count;
        }
        (range.end <= self.len()).then_some(names)
    }

    fn place_at(&self, span: u32, offset: u32) -> Place {
        let Span { insertion, start, .. } = *self.span(span);
        Place { insertion, at: start + offset }
    }

    /// The entries that wait, and for what.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Dot, &Element)> {
        self.waiting.iter().flat_map(|(element, waiting)| {
            waiting.values().map(move |pending| (pending.dot, element))
        })
    }

    /// What insertion number `at` put in, as it would come from its operation.
    pub(super) fn export(&self, at: u32) -> Pending<T> {
        let insertion = self.insertion_at(at);
        let edge = |place: Place| (place.insertion > 1).then(|| self.name_of(place));
        let content = match insertion.moved {
            Some(element) => Content::Moved(self.name_of(element)),
            None => Content::Items(self.items_of(at)),
        };
        Pending {
            stamp: insertion.stamp.clone(),
            dot: insertion.dot,
            number: insertion.number,
            gap: Gap { after: edge(insertion.after), before: edge(insertion.before) },
            content,
            is_erased: insertion.is_erased,
        }
    }

    fn items_of(&self, insertion: u32) -> Items<T> {
        let mut items = Items::new(Vec::new());
        items.len = self.insertion_at(insertion).len;
        for span in self.spans_of(insertion).into_iter().map(|span| self.span(span)) {
            if span.is_deleted {
                items.deleted.insert(span.start, span.start + span.len - 1);
            }
            let values = span.item.map(|item| item as usize..(item + span.len) as usize);
            let values = values.and_then(|values| self.items.get(values));
            items.values.extend(values.into_iter().flatten().cloned());
        }
        items
    }
}

/// Elements that show one after the other under names in a row.
#[derive(Clone, Debug)]
pub(crate) struct Run<'a, T> {
    pub(crate) place: Element,
    pub(crate) element: Element,
    pub(crate) values: &'a [T],
    pub(crate) dot: Dot,
}
