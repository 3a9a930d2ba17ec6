//! The order of lists and texts: the tree of `FugueMax` (Weidner and Kleppmann 2023, "The art of the
//! fugue"), built and read as its definition says.

use crate::meaning::Deed;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The id of the action that made a place, and its number among those that the action made there.
pub(crate) type PlaceName = (String, u64);

/// What a place hangs on: another place, or one of the two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parent {
    Start,
    End,
    Place(PlaceName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A place in a list, with the deed that made it.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) name: PlaceName,
    pub(crate) deed: &'a Deed<'a>,
    parent: Parent,
    side: Side,
    /// For right children: what stood to the right; none is the end.
    right: Option<PlaceName>,
}

/// All places, in the order in which readers see them.
pub(crate) fn places<'a>(here: &[&'a Deed<'a>]) -> Vec<Place<'a>> {
    let mut waiting: Vec<(PlaceName, Option<PlaceName>, &Deed<'_>)> = Vec::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut row: Option<(String, usize)> = None;
    for deed in here.iter().copied().filter(|deed| deed.verb != "delete") {
        let id = deed.event.id();
        let count = counts.entry(id.clone()).or_default();
        let name = (id.clone(), *count);
        // Each further element of one insertion follows the one before it.
        let follows = row == Some((id.clone(), deed.number));
        let before = follows.then(|| (id.clone(), *count - 1));
        *count += 1;
        row = Some((id, deed.number));
        waiting.push((name, before, deed));
    }
    let mut tree: Vec<Place<'_>> = Vec::new();
    loop {
        let before = tree.len();
        waiting.retain(|(name, follows, deed)| match settle(name, follows.as_ref(), deed, &tree) {
            Some(place) => {
                tree.push(place);
                false
            }
            None => true,
        });
        if tree.len() == before {
            break;
        }
    }
    let mut read = Vec::new();
    walk(&Parent::Start, Side::Right, &tree, &mut read);
    walk(&Parent::End, Side::Left, &tree, &mut read);
    read
}

/// The place that an insertion makes, once what its gap names is here.
fn settle<'a>(
    name: &PlaceName,
    follows: Option<&PlaceName>,
    deed: &'a Deed<'a>,
    tree: &[Place<'a>],
) -> Option<Place<'a>> {
    let place = |parent, side, right| Place { name: name.clone(), deed, parent, side, right };
    if let Some(before) = follows {
        let before = find(before, tree)?;
        // In a row the right origin is that of the first one.
        let right = match before.side {
            Side::Right => before.right.clone(),
            Side::Left => gap_end(deed, tree).ok()?,
        };
        return Some(place(Parent::Place(before.name.clone()), Side::Right, right));
    }
    // A move waits for its element, too.
    if let Some(element) = one(&deed.about).filter(|_| deed.verb == "move") {
        find(&element, tree)?;
    }
    let after = match deed.raw.get("after").and_then(one) {
        Some(after) => Some(find(&after, tree)?.name.clone()),
        None => None,
    };
    let before = gap_end(deed, tree).ok()?;
    let start = after.clone().map_or(Parent::Start, Parent::Place);
    Some(match (after, before) {
        (None, None) => place(Parent::End, Side::Left, None),
        (_, Some(before)) if is_right_of(&start, &before, tree) => {
            place(Parent::Place(before), Side::Left, None)
        }
        (_, before) => place(start, Side::Right, before),
    })
}

/// What the gap ends with.
fn gap_end(deed: &Deed<'_>, tree: &[Place<'_>]) -> Result<Option<PlaceName>, NotHere> {
    let Some(before) = deed.raw.get("before").and_then(one) else { return Ok(None) };
    find(&before, tree).map(|place| Some(place.name.clone())).ok_or(NotHere)
}

/// What a gap names is not here, so the insertion waits.
struct NotHere;

/// Whether `name` is in the subtree of right children of `of`.
fn is_right_of(of: &Parent, name: &PlaceName, tree: &[Place<'_>]) -> bool {
    let place = find(name, tree).expect("it is here");
    if place.parent == *of {
        return place.side == Side::Right;
    }
    match &place.parent {
        Parent::Place(parent) => is_right_of(of, parent, tree),
        Parent::Start | Parent::End => false,
    }
}

fn walk<'a>(parent: &Parent, side: Side, tree: &[Place<'a>], read: &mut Vec<Place<'a>>) {
    let mut siblings: Vec<&Place<'_>> =
        tree.iter().filter(|place| place.parent == *parent && place.side == side).collect();
    siblings.sort_by(|one, other| beside(one, other, tree));
    for place in siblings {
        let own = Parent::Place(place.name.clone());
        walk(&own, Side::Left, tree, read);
        read.push(place.clone());
        walk(&own, Side::Right, tree, read);
    }
}

/// Siblings on one side.
fn beside(one: &Place<'_>, other: &Place<'_>, tree: &[Place<'_>]) -> Ordering {
    let by_stamp = stamp(one).cmp(&stamp(other));
    match one.side {
        Side::Left => by_stamp,
        Side::Right => {
            let (one, other) = (one.right.as_ref(), other.right.as_ref());
            compare(other, one, tree).then(by_stamp.reverse())
        }
    }
}

fn stamp<'a>(place: &'a Place<'_>) -> (&'a crate::meaning::Stamp, u64) {
    (&place.deed.event.stamp, place.name.1)
}

/// Which of two places, none being the end, comes first.
fn compare(one: Option<&PlaceName>, other: Option<&PlaceName>, tree: &[Place<'_>]) -> Ordering {
    let (Some(first), Some(second)) = (one, other) else {
        return one.is_none().cmp(&other.is_none());
    };
    if first == second {
        return Ordering::Equal;
    }
    let (ours, theirs) = (line(first, tree), line(second, tree));
    let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a.name == b.name).count();
    match (ours.get(shared), theirs.get(shared)) {
        // One of them hangs on the other.
        (None, Some(below)) => match below.side {
            Side::Left => Ordering::Greater,
            Side::Right => Ordering::Less,
        },
        (Some(below), None) => match below.side {
            Side::Left => Ordering::Less,
            Side::Right => Ordering::Greater,
        },
        (Some(a), Some(b)) if a.parent == b.parent && a.side == b.side => beside(a, b, tree),
        (Some(a), Some(b)) if a.parent == b.parent => match a.side {
            Side::Left => Ordering::Less,
            Side::Right => Ordering::Greater,
        },
        // One under the start, the other under the end.
        (Some(a), Some(_)) if a.parent == Parent::Start => Ordering::Less,
        (Some(_), Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// A place and all that it hangs on, from the end of the list down to it.
fn line<'t, 'a>(name: &PlaceName, tree: &'t [Place<'a>]) -> Vec<&'t Place<'a>> {
    let place = find(name, tree).expect("it is here");
    let mut line = match &place.parent {
        Parent::Place(parent) => self::line(parent, tree),
        Parent::Start | Parent::End => Vec::new(),
    };
    line.push(place);
    line
}

fn find<'t, 'a>(name: &PlaceName, tree: &'t [Place<'a>]) -> Option<&'t Place<'a>> {
    tree.iter().find(|place| place.name == *name)
}

/// The name of the place at which the element of `place` came in; none if that is not here.
pub(crate) fn origin(place: &Place<'_>, places: &[Place<'_>]) -> Option<PlaceName> {
    if place.deed.verb == "insert" {
        return Some(place.name.clone());
    }
    origin(find(&one(&place.deed.about)?, places)?, places)
}

/// One element as an action names it.
fn one(value: &Value) -> Option<PlaceName> {
    named(value).into_iter().next()
}

/// The elements that an action names: `"id"`, `["id", number]` or `["id", first, count]`.
pub(crate) fn named(value: &Value) -> Vec<PlaceName> {
    let (id, first, count) = match value {
        Value::String(id) => (id, 0, 1),
        Value::Array(parts) => (
            match &parts[0] {
                Value::String(id) => id,
                other => unreachable!("{other}"),
            },
            parts[1].as_u64().unwrap(),
            parts.get(2).map_or(1, |count| count.as_u64().unwrap()),
        ),
        _ => return Vec::new(),
    };
    (first..first + count).map(|number| (id.clone(), number)).collect()
}
