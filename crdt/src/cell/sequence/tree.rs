//! The tree that decides the order, and the spans that its elements stand in.

use super::order::Beside;
use super::{END, Insertion, Place, START, Sequence};
use crate::{Dot, Incarnation, Position, Stamp};
use std::cmp::Ordering;

/// Elements of one insertion that follow each other, with nothing between them, all visible or all
/// hidden. Its number is also its number in the [`Order`](super::Order).
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) insertion: u32,
    /// Which element of the insertion is its first.
    pub(super) start: u32,
    pub(super) len: u32,
    /// Where its values begin in `items`, if its elements have values.
    pub(super) item: Option<u32>,
    /// Whether its elements were deleted.
    pub(super) is_deleted: bool,
    /// The left children of its first element.
    left: Kids,
    /// The right children of its last element. A span that was cut off is one of them.
    right: Kids,
    /// Which chain it is part of, and how many elements of the chain are above it.
    chain: u32,
    depth: u64,
}

/// Children in their order: none, the only one, or where in `families` they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kids {
    #[default]
    None,
    One([u32; 1]),
    Many(u32),
}

/// A path of right children, such as typing makes. Chains hang on each other like elements, and each
/// knows one far above it, so that "is this under that?" takes few steps however deep the tree is
/// (Myers, "An applicative random-access stack", 1983).
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// The element that its head is a child of; the start and the end have none.
    parent: Option<(Place, Side)>,
    /// The chain of that element.
    up: u32,
    /// How many chains are above it.
    level: u32,
    /// A chain further up.
    jump: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl<T: Clone + Default> Sequence<T> {
    /// Makes the start and the end.
    pub(super) fn plant(&mut self) {
        for (edge, place) in (0..).zip([START, END]) {
            self.insertions.push(Insertion {
                stamp: Stamp { time: 0, node: "".into(), sequence: 0, created: 0 },
                dot: Dot { incarnation: Incarnation(0), position: Position::ZERO },
                number: 0,
                len: 1,
                after: place,
                before: place,
                first: edge,
                next_of_action: None,
                moved: None,
                is_erased: true,
            });
            self.chains.push(Chain { parent: None, up: edge, level: 0, jump: edge });
            self.spans.push(Span {
                insertion: edge,
                start: 0,
                len: 1,
                item: None,
                is_deleted: true,
                left: Kids::None,
                right: Kids::None,
                chain: edge,
                depth: 0,
            });
        }
        self.order.insert(None, 0);
        self.order.insert(Some((Beside::After, 0)), 0);
    }

    /// Puts the insertion `new` in its place in the tree and the order, as one hidden span.
    pub(super) fn attach(&mut self, new: u32) {
        let Insertion { after, before, len, .. } = *self.insertion_at(new);
        let is_left = (after, before) == (START, END) || self.is_right_of(before, after);
        let (side, anchor) = if is_left {
            (Side::Left, self.begin_at(before))
        } else {
            (Side::Right, self.end_at(after))
        };
        let parent = if is_left { before } else { after };
        let (chain, depth) = self.chain_for(anchor, parent, side);
        let kids = self.kids(anchor, side);
        let index = kids.partition_point(|kid| self.precedes(*kid, new, side));
        let beside = self.neighbour(anchor, side, index);
        let span = self.next_span();
        self.insertion_at_mut(new).first = span;
        self.spans.push(Span {
            insertion: new,
            start: 0,
            len,
            item: None,
            is_deleted: false,
            left: Kids::None,
            right: Kids::None,
            chain,
            depth,
        });
        self.adopt(anchor, side, index, span);
        self.order.insert(Some(beside), 0);
    }

    /// Where in the order the child comes that will be number `index` among its siblings.
    fn neighbour(&self, anchor: u32, side: Side, index: usize) -> (Beside, u32) {
        let kids = self.kids(anchor, side);
        match (kids.get(index), kids.last(), side) {
            (Some(next), _, _) if index > 0 || side == Side::Left => {
                (Beside::Before, self.outermost(*next, Side::Left))
            }
            (Some(_), _, Side::Right) | (None, None, Side::Right) => (Beside::After, anchor),
            (None, Some(last), Side::Right) => (Beside::After, self.outermost(*last, Side::Right)),
            (_, _, Side::Left) => (Beside::Before, anchor),
        }
    }

    /// The first span of the subtree under `span`, or the last.
    fn outermost(&self, span: u32, side: Side) -> u32 {
        let mut at = span;
        loop {
            let kids = self.kids(at, side);
            match if side == Side::Left { kids.first() } else { kids.last() } {
                Some(kid) => at = *kid,
                None => return at,
            }
        }
    }

    /// Whether the child `kid` comes before the insertion `new` among siblings.
    fn precedes(&self, kid: u32, new: u32, side: Side) -> bool {
        let (kid, new) = (self.span(kid), self.insertion_at(new));
        let sibling = self.insertion_at(kid.insertion);
        let by_stamp = (&sibling.stamp, sibling.number + kid.start).cmp(&(&new.stamp, new.number));
        let order = match side {
            Side::Left => by_stamp,
            Side::Right => self.compare(new.before, sibling.before).then(by_stamp.reverse()),
        };
        order == Ordering::Less
    }

    /// Which of two places comes first.
    pub(super) fn compare(&self, one: Place, other: Place) -> Ordering {
        if one.insertion == other.insertion {
            let (a, b) = (self.span_of(one), self.span_of(other));
            if a == b {
                return one.at.cmp(&other.at);
            }
        }
        self.order.rank(self.span_of(one)).cmp(&self.order.rank(self.span_of(other)))
    }

    /// Whether `low` is in the subtree of right children of `high`.
    fn is_right_of(&self, low: Place, high: Place) -> bool {
        let (goal, bottom) = self.in_chain(high);
        let (chain, depth) = self.in_chain(low);
        if chain == goal {
            return depth > bottom;
        }
        // The chain that hangs on the goal, if the way up leads there.
        let below = self.chain(goal).level + 1;
        let mut at = chain;
        while self.chain(at).level > below {
            let Chain { up, jump, .. } = *self.chain(at);
            at = if self.chain(jump).level >= below { jump } else { up };
        }
        match *self.chain(at) {
            Chain { parent: Some((parent, side)), up, level, .. }
                if up == goal && level == below =>
            {
                let (_, depth) = self.in_chain(parent);
                depth > bottom || (depth == bottom && side == Side::Right)
            }
            _ => false,
        }
    }

    fn in_chain(&self, place: Place) -> (u32, u64) {
        let span = self.span(self.span_of(place));
        (span.chain, span.depth + u64::from(place.at - span.start))
    }

    /// The chain and depth of a new child: an only right child goes on with its parent's chain.
    fn chain_for(&mut self, anchor: u32, parent: Place, side: Side) -> (u32, u64) {
        let span = self.span(anchor);
        if side == Side::Right && span.right == Kids::None {
            return (span.chain, span.depth + u64::from(span.len));
        }
        let chain = u32::try_from(self.chains.len()).expect("fewer insertions than 2^32");
        let up = span.chain;
        let Chain { level, jump, .. } = *self.chain(up);
        let far = self.chain(jump);
        let is_even = level - far.level == far.level - self.chain(far.jump).level;
        let jump = if is_even { far.jump } else { up };
        self.chains.push(Chain { parent: Some((parent, side)), up, level: level + 1, jump });
        (chain, 0)
    }

    /// The span that a place is in.
    pub(super) fn span_of(&self, place: Place) -> u32 {
        let cut = self.cuts.range(..=place).next_back();
        match cut.filter(|(start, _)| start.insertion == place.insertion) {
            Some((_, span)) => *span,
            None => self.insertion(place).first,
        }
    }

    /// The span that begins with `place`; cuts one if need be.
    pub(super) fn begin_at(&mut self, place: Place) -> u32 {
        let span = self.span_of(place);
        let Span { start, item, is_deleted, right, chain, depth, len, .. } = *self.span(span);
        let kept = place.at - start;
        if kept == 0 {
            return span;
        }
        let own = self.order.own(span);
        let new = self.next_span();
        let cut = self.span_mut(span);
        cut.len = kept;
        cut.right = Kids::One([new]);
        self.spans.push(Span {
            insertion: place.insertion,
            start: place.at,
            len: len - kept,
            item: item.map(|item| item + kept),
            is_deleted,
            left: Kids::None,
            right,
            chain,
            depth: depth + u64::from(kept),
        });
        self.cuts.insert(place, new);
        self.order.set_own(span, own.min(kept));
        self.order.insert(Some((Beside::After, span)), own.saturating_sub(kept));
        new
    }

    /// The span that ends with `place`; cuts one if need be.
    pub(super) fn end_at(&mut self, place: Place) -> u32 {
        let next = Place { at: place.at + 1, ..place };
        if next.at < self.insertion(place).len {
            self.begin_at(next);
        }
        self.span_of(place)
    }

    fn kids(&self, span: u32, side: Side) -> &[u32] {
        let span = self.span(span);
        match if side == Side::Left { &span.left } else { &span.right } {
            Kids::None => &[],
            Kids::One(kid) => kid,
            Kids::Many(family) => self.families.get(*family as usize).expect("a family"),
        }
    }

    fn adopt(&mut self, anchor: u32, side: Side, index: usize, kid: u32) {
        let span = self.spans.get_mut(anchor as usize).expect("a span of this sequence");
        let kids = if side == Side::Left { &mut span.left } else { &mut span.right };
        match *kids {
            Kids::None => *kids = Kids::One([kid]),
            Kids::One([only]) => {
                let family = u32::try_from(self.families.len()).expect("fewer than 2^32");
                *kids = Kids::Many(family);
                self.families.push(if index == 0 { vec![kid, only] } else { vec![only, kid] });
            }
            Kids::Many(family) => {
                self.families.get_mut(family as usize).expect("a family").insert(index, kid);
            }
        }
    }

    pub(super) fn span(&self, span: u32) -> &Span {
        self.spans.get(span as usize).expect("a span of this sequence")
    }

    pub(super) fn span_mut(&mut self, span: u32) -> &mut Span {
        self.spans.get_mut(span as usize).expect("a span of this sequence")
    }

    fn chain(&self, chain: u32) -> &Chain {
        self.chains.get(chain as usize).expect("a chain of this sequence")
    }

    pub(super) fn next_span(&self) -> u32 {
        u32::try_from(self.spans.len()).expect("fewer elements than 2^32")
    }

    /// The spans of an insertion, from its first element.
    pub(super) fn spans_of(&self, insertion: u32) -> Vec<u32> {
        let cuts = Place { insertion, at: 0 }..=Place { insertion, at: u32::MAX };
        let first = std::iter::once(self.insertion_at(insertion).first);
        first.chain(self.cuts.range(cuts).map(|(_, span)| *span)).collect()
    }

    /// Where in `items` the value of an element is, if it has one.
    pub(super) fn item_of(&self, place: Place) -> Option<u32> {
        let span = self.span(self.span_of(place));
        Some(span.item? + (place.at - span.start))
    }
}
