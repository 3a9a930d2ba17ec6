//! A sequence: elements in an order that every replica computes alike, for lists and texts.
//!
//! The order is that of a tree (`FugueMax`: Weidner and Kleppmann, "The Art of the Fugue", 2023): an
//! element inserted between two neighbours becomes a right child of the left one, or a left child of
//! the right one where that already lies under the left one. What two authors type at one place at
//! the same time therefore never interleaves. The tree follows from what the operations name, not
//! from when they arrive; what names an element that is not here waits for it.
//!
//! Elements that one action put in stand in *spans*, cut where something comes between. Deleted
//! elements stay as places without a value, because later operations may name them.
//!
//! A move (Kleppmann, "Moving elements in list CRDTs", 2020) is an insertion of a *place* for an
//! element that is there; of its places an element has the one with the greatest stamp.

mod hiding;
mod merge;
mod numbers;
mod order;
mod reading;
mod tree;

use crate::entry::Sight;
use crate::{Dot, Element, Gap, Stamp};
pub(crate) use numbers::Numbers;
use order::Order;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use tree::{Chain, Span};

/// The elements of a list (`T` is JSON) or a text (`T` is a character).
#[derive(Clone)]
pub(crate) struct Sequence<T> {
    /// What actions put in, in order of arrival here. The first two are the start and the end.
    insertions: Vec<Insertion>,
    /// The first insertion of each action.
    by_action: HashMap<ActionKey, u32>,
    /// The values; a span says where its own begin. Those of hidden elements are cleared.
    items: Vec<T>,
    spans: Vec<Span>,
    /// The spans that are not the first of their insertion, by where they begin in it.
    cuts: BTreeMap<Place, u32>,
    order: Order,
    /// Lists of children with more than one, see [`tree::Kids`].
    families: Vec<Vec<u32>>,
    chains: Vec<Chain>,
    /// The moves of each element that was ever moved.
    moves: BTreeMap<Place, Vec<u32>>,
    /// What waits, by the element that it waits for and its own name.
    waiting: BTreeMap<Element, BTreeMap<Element, Pending<T>>>,
    /// Deleted elements that are not here yet.
    deleted_ahead: BTreeMap<ActionKey, Numbers>,
}

/// What one operation put in.
#[derive(Clone, Debug)]
struct Insertion {
    stamp: Stamp,
    dot: Dot,
    /// The number of its first element among those of its action.
    number: u32,
    len: u32,
    /// The gap that it went into.
    after: Place,
    before: Place,
    /// Its first span.
    first: u32,
    /// The next insertion of the same action, if there is one.
    next_of_action: Option<u32>,
    /// The element that it moved; none if it brought elements of its own.
    moved: Option<Place>,
    /// The list was removed by someone who had seen this.
    is_erased: bool,
}

/// An element's place: its insertion here, and which of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    insertion: u32,
    at: u32,
}

const START: Place = Place { insertion: 0, at: 0 };
const END: Place = Place { insertion: 1, at: 0 };

/// An action id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ActionKey {
    created: u64,
    node: Arc<str>,
    sequence: u64,
}

/// An insertion on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Pending<T> {
    pub(crate) stamp: Stamp,
    pub(crate) dot: Dot,
    /// The number of its first element among those of its action.
    pub(crate) number: u32,
    pub(crate) gap: Gap,
    pub(crate) content: Content<T>,
    pub(crate) is_erased: bool,
}

impl<T> Pending<T> {
    /// What the operation of an entry puts in.
    pub(crate) fn new(sight: &Sight<'_>, number: u32, gap: &Gap, content: Content<T>) -> Self {
        let (stamp, dot) = (sight.stamp.clone(), sight.dot);
        Self { stamp, dot, number, gap: gap.clone(), content, is_erased: false }
    }

    /// The list was removed by someone who had seen it: it comes without values.
    fn erase(&mut self) {
        self.is_erased = true;
        if let Content::Items(items) = &mut self.content {
            items.values.clear();
        }
    }
}

/// What an insertion brings.
#[derive(Clone, Debug)]
pub(crate) enum Content<T> {
    /// Elements of its own.
    Items(Items<T>),
    /// A place for an element that is there.
    Moved(Element),
}

/// Elements with their values, as far as they still have one.
#[derive(Clone, Debug)]
pub(crate) struct Items<T> {
    /// How many elements there are.
    pub(crate) len: u32,
    /// Which of them were deleted, counted from 0.
    pub(crate) deleted: Numbers,
    /// The values of the others, in order; none of an insertion that is erased.
    pub(crate) values: Vec<T>,
}

impl<T> Items<T> {
    /// Elements that are new.
    pub(crate) fn new(values: Vec<T>) -> Self {
        // An action is far shorter than 2^32 bytes.
        let len = u32::try_from(values.len()).unwrap_or(u32::MAX);
        Self { len, deleted: Numbers::default(), values }
    }
}

impl<T> Content<T> {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Items(items) => items.len,
            Self::Moved(_) => 1,
        }
    }
}

impl ActionKey {
    fn of(element: &Element) -> Self {
        let Element { created, node, sequence, .. } = element;
        Self { created: *created, node: node.clone(), sequence: *sequence }
    }
}

impl<T: Clone + Default> Default for Sequence<T> {
    fn default() -> Self {
        let mut sequence = Self {
            insertions: Vec::new(),
            by_action: HashMap::new(),
            items: Vec::new(),
            spans: Vec::new(),
            cuts: BTreeMap::new(),
            order: Order::default(),
            families: Vec::new(),
            chains: Vec::new(),
            moves: BTreeMap::new(),
            waiting: BTreeMap::new(),
            deleted_ahead: BTreeMap::new(),
        };
        sequence.plant();
        sequence
    }
}

impl<T: Clone + Default> Sequence<T> {
    /// Takes an insertion in, and what waited for it. One that is here already changes nothing.
    pub(crate) fn insert(&mut self, pending: Pending<T>) {
        let mut queue = vec![pending];
        while let Some(pending) = queue.pop() {
            let name = Element::of(&pending.stamp, pending.number);
            match self.gap_of(&pending) {
                Ok(_) if self.resolve(&name).is_some() || pending.content.len() == 0 => {}
                Ok(gap) => self.integrate(pending, gap, &mut queue),
                Err(missing) => {
                    self.waiting.entry(missing).or_default().entry(name).or_insert(pending);
                }
            }
        }
    }

    /// The places that an insertion names, or the first name of which there is none.
    fn gap_of(&self, pending: &Pending<T>) -> Result<Known, Element> {
        let place = |name: &Option<Element>, edge| match name {
            None => Ok(edge),
            Some(name) => self.resolve(name).ok_or_else(|| name.clone()),
        };
        let (after, before) = (place(&pending.gap.after, START)?, place(&pending.gap.before, END)?);
        let moved = match &pending.content {
            Content::Items(_) => None,
            Content::Moved(name) => {
                let place = self.resolve(name).ok_or_else(|| name.clone())?;
                Some(self.insertion(place).moved.unwrap_or(place))
            }
        };
        Ok(Known { after, before, moved })
    }

    fn integrate(&mut self, pending: Pending<T>, known: Known, queue: &mut Vec<Pending<T>>) {
        let Pending { stamp, dot, number, content, is_erased, .. } = pending;
        let Known { after, before, moved } = known;
        let len = content.len();
        let name = Element::of(&stamp, number);
        let new = self.next_insertion();
        let insertion = Insertion {
            stamp,
            dot,
            number,
            len,
            after,
            before,
            first: 0,
            next_of_action: None,
            moved,
            is_erased,
        };
        self.insertions.push(insertion);
        self.attach(new);
        self.remember(&name, new);
        match content {
            Content::Items(items) => self.fill(new, items),
            Content::Moved(_) => self.show_move(new),
        }
        self.delete_what_was_deleted_ahead(new, &name, len);
        self.wake(&name, len, queue);
    }

    /// Files the insertion under its action.
    fn remember(&mut self, name: &Element, new: u32) {
        let key = ActionKey::of(name);
        let Some(first) = self.by_action.get(&key).copied() else {
            self.by_action.insert(key, new);
            return;
        };
        let mut last = first;
        while let Some(next) = self.insertion_at(last).next_of_action {
            last = next;
        }
        self.insertion_at_mut(last).next_of_action = Some(new);
    }

    /// What waited for one of the elements that came in.
    fn wake(&mut self, name: &Element, len: u32, queue: &mut Vec<Pending<T>>) {
        if self.waiting.is_empty() {
            return;
        }
        let last = Element { number: name.number.saturating_add(len - 1), ..name.clone() };
        let awaited: Vec<Element> =
            self.waiting.range(name..=&last).map(|(awaited, _)| awaited.clone()).collect();
        for awaited in awaited {
            queue.extend(self.waiting.remove(&awaited).into_iter().flatten().map(|(_, p)| p));
        }
    }

    /// The place with this name, if it is here.
    fn resolve(&self, name: &Element) -> Option<Place> {
        self.insertions_of(&ActionKey::of(name)).find_map(|insertion| {
            let Insertion { number, len, .. } = self.insertion_at(insertion);
            let at = name.number.checked_sub(*number).filter(|at| at < len)?;
            Some(Place { insertion, at })
        })
    }

    fn insertions_of(&self, action: &ActionKey) -> impl Iterator<Item = u32> {
        std::iter::successors(self.by_action.get(action).copied(), |insertion| {
            self.insertion_at(*insertion).next_of_action
        })
    }

    /// The name of a place.
    fn name_of(&self, place: Place) -> Element {
        let insertion = self.insertion(place);
        Element::of(&insertion.stamp, insertion.number + place.at)
    }

    fn insertion(&self, place: Place) -> &Insertion {
        self.insertion_at(place.insertion)
    }

    fn insertion_at(&self, at: u32) -> &Insertion {
        self.insertions.get(at as usize).expect("an insertion of this sequence")
    }

    fn insertion_at_mut(&mut self, at: u32) -> &mut Insertion {
        self.insertions.get_mut(at as usize).expect("an insertion of this sequence")
    }

    fn next_insertion(&self) -> u32 {
        u32::try_from(self.insertions.len()).expect("fewer insertions than 2^32")
    }
}

/// The places that an insertion names.
#[derive(Clone, Copy)]
struct Known {
    after: Place,
    before: Place,
    moved: Option<Place>,
}

/// What was put in, by stamp, and what was deleted ahead; not how it is cut and balanced.
impl<T: Clone + Default + fmt::Debug> fmt::Debug for Sequence<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence")
            .field("all", &self.all())
            .field("ahead", &self.ahead())
            .finish_non_exhaustive()
    }
}
