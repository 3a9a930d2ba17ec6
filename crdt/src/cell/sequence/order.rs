//! A sequence of numbered nodes, balanced, that knows how many visible elements stand before each.
//!
//! A weight-balanced tree (Adams; parameters 3 and 2 after Hirai and Yamamoto 2011) in one vector:
//! node numbers are given in order of insertion and never change, so that what lives elsewhere can
//! refer to them. Nothing random, so its depth is bounded whatever a client sends.

/// No node.
const NONE: u32 = u32::MAX;
/// How much heavier one side may be.
const DELTA: u64 = 3;
/// When one rotation is enough.
const GAMMA: u64 = 2;

/// The sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    nodes: Vec<Node>,
    root: Option<u32>,
    /// How many visible elements there are.
    visible: u64,
}

#[derive(Clone, Debug)]
struct Node {
    up: u32,
    below: [u32; 2],
    /// How many nodes this subtree has.
    size: u32,
    /// How many visible elements the node itself has.
    own: u32,
    /// How many visible elements stand before it in its subtree. Kept here and not with the child, so
    /// that a descent touches no node beside its way.
    before: u64,
}

/// Before or after, as an index into [`Node::below`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Before = 0,
    After = 1,
}

impl Beside {
    const fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

impl Order {
    /// Adds the next node beside `at`, with `own` visible elements. The first node has no neighbour.
    pub(super) fn insert(&mut self, at: Option<(Beside, u32)>, own: u32) {
        let new = u32::try_from(self.nodes.len()).expect("fewer elements than 2^32");
        self.nodes.push(Node { up: NONE, below: [NONE; 2], size: 1, own, before: 0 });
        self.visible += u64::from(own);
        let Some((beside, at)) = at else {
            self.root = Some(new);
            return;
        };
        // The free place beside a node is under it, or at the far end of what is there.
        let (mut parent, mut side) = (at, beside);
        let mut next = self.below(at, beside);
        while next != NONE {
            (parent, side) = (next, beside.other());
            next = self.below(next, side);
        }
        self.link(parent, side, new);
        self.node_mut(new).up = parent;
        self.mend(new);
    }

    /// How many visible elements there are.
    pub(super) fn visible(&self) -> u64 {
        self.visible
    }

    /// How many visible elements `at` itself has.
    pub(super) fn own(&self, at: u32) -> u32 {
        self.node(at).own
    }

    /// Sets how many visible elements `at` itself has.
    pub(super) fn set_own(&mut self, at: u32, own: u32) {
        let (before, after) = (u64::from(self.node(at).own), u64::from(own));
        if before == after {
            return;
        }
        self.node_mut(at).own = own;
        self.visible = self.visible - before + after;
        let (mut child, mut parent) = (at, self.node(at).up);
        while parent != NONE {
            if self.below(parent, Beside::Before) == child {
                let count = &mut self.node_mut(parent).before;
                *count = *count - before + after;
            }
            (child, parent) = (parent, self.node(parent).up);
        }
    }

    /// How many nodes stand before `at`.
    pub(super) fn rank(&self, at: u32) -> u32 {
        let before = |order: &Self, node: u32| order.size(order.below(node, Beside::Before));
        let mut rank = before(self, at);
        self.climb(at, |order, parent| rank += before(order, parent) + 1);
        rank
    }

    /// How many visible elements stand before `at`.
    pub(super) fn visible_before(&self, at: u32) -> u64 {
        let mut count = self.node(at).before;
        self.climb(at, |order, parent| {
            count += order.node(parent).before + u64::from(order.node(parent).own);
        });
        count
    }

    /// Calls `after` for each ancestor of `at` that stands before it.
    fn climb(&self, at: u32, mut after: impl FnMut(&Self, u32)) {
        let (mut child, mut parent) = (at, self.node(at).up);
        while parent != NONE {
            if self.below(parent, Beside::After) == child {
                after(self, parent);
            }
            (child, parent) = (parent, self.node(parent).up);
        }
    }

    /// The node with the visible element `index`, and which of its visible elements it is.
    pub(super) fn find(&self, index: u64) -> Option<(u32, u32)> {
        let (mut at, mut index) = (self.root?, index);
        loop {
            let Node { before, own, below: [lower, higher], .. } = *self.node(at);
            if index < before {
                at = lower;
            } else if index - before < u64::from(own) {
                return Some((at, u32::try_from(index - before).ok()?));
            } else {
                index -= before + u64::from(own);
                at = higher;
            }
            if at == NONE {
                return None;
            }
        }
    }

    /// The first node.
    pub(super) fn first(&self) -> Option<u32> {
        self.root.map(|root| self.outermost(root, Beside::Before))
    }

    /// The node after `at`.
    pub(super) fn next(&self, at: u32) -> Option<u32> {
        let after = self.below(at, Beside::After);
        if after != NONE {
            return Some(self.outermost(after, Beside::Before));
        }
        let (mut child, mut parent) = (at, self.node(at).up);
        while parent != NONE && self.below(parent, Beside::After) == child {
            (child, parent) = (parent, self.node(parent).up);
        }
        (parent != NONE).then_some(parent)
    }

    /// The nodes in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.first(), |at| self.next(*at))
    }

    fn outermost(&self, from: u32, side: Beside) -> u32 {
        let mut at = from;
        while self.below(at, side) != NONE {
            at = self.below(at, side);
        }
        at
    }

    /// Counts the node `new` in and balances, from there to the root.
    fn mend(&mut self, new: u32) {
        let own = u64::from(self.node(new).own);
        let (mut child, mut parent) = (new, self.node(new).up);
        while parent != NONE {
            let grown = self.weight(child);
            let node = self.node_mut(parent);
            let [before, _] = node.below;
            node.size += 1;
            if before == child {
                node.before += own;
            }
            let other = u64::from(node.size) + 1 - grown;
            child = if grown > DELTA * other { self.balance(parent) } else { parent };
            parent = self.node(child).up;
        }
    }

    /// Rotates if one side of `at` has become too heavy. Returns what stands in its place then.
    fn balance(&mut self, at: u32) -> u32 {
        for heavy in [Beside::Before, Beside::After] {
            let (child, light) = (self.below(at, heavy), self.below(at, heavy.other()));
            if self.weight(child) <= DELTA * self.weight(light) {
                continue;
            }
            let (inner, outer) = (self.below(child, heavy.other()), self.below(child, heavy));
            if self.weight(inner) >= GAMMA * self.weight(outer) {
                self.rotate(child, heavy.other());
            }
            return self.rotate(at, heavy);
        }
        at
    }

    /// Lifts what is on `side` of `at` into its place. Returns it.
    fn rotate(&mut self, at: u32, side: Beside) -> u32 {
        let (lifted, parent) = (self.below(at, side), self.node(at).up);
        let inner = self.below(lifted, side.other());
        self.link(at, side, inner);
        if inner != NONE {
            self.node_mut(inner).up = at;
        }
        self.link(lifted, side.other(), at);
        self.node_mut(at).up = lifted;
        self.node_mut(lifted).up = parent;
        if parent == NONE {
            self.root = Some(lifted);
        } else {
            let of = [Beside::Before, Beside::After];
            let side = of.into_iter().find(|side| self.below(parent, *side) == at);
            self.link(parent, side.unwrap_or(Beside::After), lifted);
        }
        self.recount(at, lifted, side);
        lifted
    }

    /// The counts of a node that went down and of the one that was lifted from its `side`.
    fn recount(&mut self, lowered: u32, lifted: u32, side: Beside) {
        let [before, after] = self.node(lowered).below;
        let left = self.size(before) + self.size(after) + 1;
        let whole = self.node(lowered).size;
        let through = |node: &Node| node.before + u64::from(node.own);
        match side {
            Beside::Before => {
                let moved = through(self.node(lifted));
                self.node_mut(lowered).before -= moved;
            }
            Beside::After => {
                let moved = through(self.node(lowered));
                self.node_mut(lifted).before += moved;
            }
        }
        self.node_mut(lowered).size = left;
        self.node_mut(lifted).size = whole;
    }

    fn below(&self, at: u32, side: Beside) -> u32 {
        let [before, after] = self.node(at).below;
        if side == Beside::Before { before } else { after }
    }

    fn link(&mut self, at: u32, side: Beside, child: u32) {
        let [before, after] = &mut self.node_mut(at).below;
        *(if side == Beside::Before { before } else { after }) = child;
    }

    fn weight(&self, at: u32) -> u64 {
        u64::from(self.size(at)) + 1
    }

    fn size(&self, at: u32) -> u32 {
        if at == NONE { 0 } else { self.node(at).size }
    }

    fn node(&self, at: u32) -> &Node {
        self.nodes.get(at as usize).expect("a node of this order")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        self.nodes.get_mut(at as usize).expect("a node of this order")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn depth(order: &Order, at: u32) -> u32 {
        if at == NONE {
            return 0;
        }
        let [before, after] = order.node(at).below;
        1 + depth(order, before).max(depth(order, after))
    }

    proptest! {
        #[test]
        fn it_is_a_vector_that_finds_its_elements_both_ways(
            inserts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0_u32..4), 1..200),
            hidden in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..4), 0..20),
        ) {
            let mut order = Order::default();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (number, (at, after, own)) in (0..).zip(&inserts) {
                if model.is_empty() {
                    order.insert(None, *own);
                    model.push((number, *own));
                } else {
                    let at = at.index(model.len());
                    let beside = if *after { Beside::After } else { Beside::Before };
                    order.insert(Some((beside, model[at].0)), *own);
                    model.insert(at + usize::from(*after), (number, *own));
                }
            }
            for (at, own) in hidden {
                let at = at.index(model.len());
                order.set_own(model[at].0, own);
                model[at].1 = own;
            }
            prop_assert_eq!(order.iter().collect::<Vec<_>>(), model.iter().map(|(n, _)| *n).collect::<Vec<_>>());
            let flat: Vec<(u32, u32)> = model.iter().flat_map(|(n, own)| (0..*own).map(move |k| (*n, k))).collect();
            prop_assert_eq!(order.visible(), flat.len() as u64);
            for (index, found) in (0..).zip(&flat) {
                prop_assert_eq!(order.find(index), Some(*found));
                prop_assert_eq!(order.visible_before(found.0) + u64::from(found.1), index);
            }
            prop_assert_eq!(order.find(flat.len() as u64), None);
            for (rank, (number, own)) in (0..).zip(&model) {
                prop_assert_eq!(order.rank(*number), rank);
                prop_assert_eq!(order.own(*number), *own);
            }
        }
    }

    #[test]
    fn it_stays_shallow_however_it_grows() {
        for beside in [Beside::Before, Beside::After] {
            let mut order = Order::default();
            order.insert(None, 1);
            for last in 0..10_000 {
                order.insert(Some((beside, last)), 1);
            }
            assert_eq!(order.iter().count(), 10_001);
            assert!(depth(&order, order.root.unwrap()) <= 32);
        }
    }
}
