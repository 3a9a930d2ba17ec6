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
}

#[derive(Clone, Debug)]
struct Node {
    up: u32,
    below: [u32; 2],
    /// How many nodes this subtree has.
    size: u32,
    /// How many visible elements the node itself has.
    own: u32,
    /// How many visible elements this subtree has.
    visible: u64,
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
        let node = Node { up: NONE, below: [NONE; 2], size: 1, own, visible: u64::from(own) };
        self.nodes.push(node);
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
        self.mend(parent);
    }

    /// How many visible elements there are.
    pub(super) fn visible(&self) -> u64 {
        self.root.map_or(0, |root| self.node(root).visible)
    }

    /// How many visible elements `at` itself has.
    pub(super) fn own(&self, at: u32) -> u32 {
        self.node(at).own
    }

    /// Sets how many visible elements `at` itself has.
    pub(super) fn set_own(&mut self, at: u32, own: u32) {
        if self.node(at).own == own {
            return;
        }
        self.node_mut(at).own = own;
        let mut next = at;
        while next != NONE {
            self.count(next);
            next = self.node(next).up;
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
        let before = |order: &Self, node: u32| order.seen(order.below(node, Beside::Before));
        let mut count = before(self, at);
        self.climb(at, |order, parent| {
            count += before(order, parent) + u64::from(order.node(parent).own);
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
            let before = self.below(at, Beside::Before);
            let (left, own) = (self.seen(before), u64::from(self.node(at).own));
            if index < left {
                at = before;
            } else if index - left < own {
                return Some((at, u32::try_from(index - left).ok()?));
            } else {
                index -= left + own;
                at = self.below(at, Beside::After);
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

    /// Counts anew and balances, from `from` to the root.
    fn mend(&mut self, from: u32) {
        let mut at = from;
        while at != NONE {
            self.count(at);
            let top = self.balance(at);
            at = self.node(top).up;
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
        self.count(at);
        self.count(lifted);
        lifted
    }

    fn count(&mut self, at: u32) {
        let [before, after] = self.node(at).below;
        let size = self.size(before) + self.size(after) + 1;
        let visible = self.seen(before) + self.seen(after);
        let node = self.node_mut(at);
        node.size = size;
        node.visible = visible + u64::from(node.own);
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

    fn seen(&self, at: u32) -> u64 {
        if at == NONE { 0 } else { self.node(at).visible }
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
