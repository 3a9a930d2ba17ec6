//! Lists and texts: what each operation put in, in the order of stamps.
//!
//! Order and tree follow from what the operations name, so they are not written. Typing makes long
//! rows of insertions of which each follows the one before; what an insertion shares with the one
//! before is a bit in its first byte.

use super::cells::Form;
use super::reader::position;
use super::{DecodeError, Reader, Writer};
use crate::cell::sequence::{Content, Items, Numbers, Pending, Sequence};
use crate::{Dot, Element, Elements, Gap, Json, Stamp};
use std::collections::BTreeMap;

use DecodeError::Damaged;

type Result<T> = std::result::Result<T, DecodeError>;

/// It moves an element.
const MOVES: u8 = 1;
/// It is erased.
const ERASED: u8 = 2;
/// It has more than one element, or its element is deleted.
const LONG: u8 = 4;
/// It follows the last element of the one before.
const FOLLOWS: u8 = 8;
/// It precedes the same element as the one before.
const SAME_BEFORE: u8 = 16;
/// Same node, sequence 0, number 0, same difference of time and creation.
const SAME_NODE: u8 = 32;
/// Same incarnation.
const SAME_SERVER: u8 = 64;

/// A value of a sequence.
pub(super) trait Unit: Clone + Default {
    fn put(&self, out: &mut Writer);
    fn take(from: &mut Reader<'_>) -> Result<Self>;
}

impl Unit for char {
    fn put(&self, out: &mut Writer) {
        out.character(*self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        from.character()
    }
}

impl Unit for Json {
    fn put(&self, out: &mut Writer) {
        out.json(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        from.json()
    }
}

/// An element that an insertion names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ref {
    /// None: the start or the end.
    Edge,
    /// Of the insertion with this number in the order of stamps the element with this number.
    At(u64, u32),
    /// One that is not here.
    Named(Element),
}

impl Ref {
    fn put(&self, at: u64, out: &mut Writer) {
        match self {
            Self::Edge => out.number(0),
            Self::Named(element) => {
                out.number(1);
                out.element(element);
            }
            Self::At(insertion, element) => {
                out.number(if *insertion <= at { 2 } else { 3 });
                out.number(at.abs_diff(*insertion));
                out.number((*element).into());
            }
        }
    }

    fn take(at: u64, from: &mut Reader<'_>) -> Result<Self> {
        let tag = from.number()?;
        let insertion = match tag {
            0 => return Ok(Self::Edge),
            1 => return Ok(Self::Named(from.element()?)),
            2 => at.checked_sub(from.number()?),
            3 => at.checked_add(from.number()?),
            _ => None,
        };
        let insertion = insertion.ok_or(Damaged("an element is named wrongly"))?;
        Ok(Self::At(insertion, from.small()?))
    }
}

/// An insertion, with what it names as references.
#[derive(Clone, Debug)]
struct Row<T> {
    stamp: Stamp,
    dot: Dot,
    number: u32,
    is_erased: bool,
    after: Ref,
    before: Ref,
    content: RowContent<T>,
}

#[derive(Clone, Debug)]
enum RowContent<T> {
    Items(Items<T>),
    Moved(Ref),
}

impl<T> Row<T> {
    fn len(&self) -> u32 {
        match &self.content {
            RowContent::Items(items) => items.len,
            RowContent::Moved(_) => 1,
        }
    }

    /// How the one after this says that it follows this.
    fn end(&self, at: u64) -> Ref {
        Ref::At(at, self.len() - 1)
    }

    /// The milliseconds that the author's clock was wrong by.
    fn clock_error(&self) -> u64 {
        self.stamp.created.wrapping_sub(self.stamp.time)
    }
}

impl<T: Unit> Form for Sequence<T> {
    fn put(&self, out: &mut Writer) {
        let all = self.all();
        let mut numbers = BTreeMap::new();
        for (at, pending) in (0..).zip(&all) {
            let name = Element::of(&pending.stamp, pending.number);
            numbers.insert(name, (at, pending.content.len()));
        }
        let refer = |name: &Element| {
            let (first, (at, len)) = numbers.range(..=name).next_back()?;
            let further = name.number.checked_sub(first.number).filter(|further| further < len)?;
            (first.plus(further) == *name).then_some(Ref::At(*at, further))
        };
        let refer = |name: &Element| refer(name).unwrap_or_else(|| Ref::Named(name.clone()));
        let edge = |name: &Option<Element>| name.as_ref().map_or(Ref::Edge, refer);
        out.count(all.len());
        let mut last = None;
        for (at, pending) in (0..).zip(all) {
            let row = Row {
                after: edge(&pending.gap.after),
                before: edge(&pending.gap.before),
                content: match pending.content {
                    Content::Items(items) => RowContent::Items(items),
                    Content::Moved(name) => RowContent::Moved(refer(&name)),
                },
                stamp: pending.stamp,
                dot: pending.dot,
                number: pending.number,
                is_erased: pending.is_erased,
            };
            put_row(&row, at, last.as_ref(), out);
            last = Some(row);
        }
        let ahead = self.ahead();
        out.count(ahead.len());
        for elements in ahead {
            out.element(&elements.first);
            out.number(elements.count.into());
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        let mut rows: Vec<Row<T>> = Vec::new();
        for at in 0..from.count(3)? {
            let row = take_row(at as u64, rows.last(), from)?;
            let name = |row: &Row<T>| (row.stamp.clone(), row.number);
            if rows.last().is_some_and(|last| name(last) >= name(&row)) {
                return Err(Damaged("insertions do not ascend"));
            }
            rows.push(row);
        }
        let names: Vec<(Element, u32)> =
            rows.iter().map(|row| (Element::of(&row.stamp, row.number), row.len())).collect();
        let mut sequence = Self::default();
        for row in rows {
            sequence.insert(row.resolve(&names)?);
        }
        for _ in 0..from.count(5)? {
            let (first, count) = (from.element()?, from.small()?);
            if count == 0 || first.number.checked_add(count).is_none() {
                return Err(Damaged("a deletion names too much or nothing"));
            }
            sequence.delete(&[Elements { first, count }]);
        }
        Ok(sequence)
    }
}

impl<T> Row<T> {
    fn resolve(self, names: &[(Element, u32)]) -> Result<Pending<T>> {
        let name = |to: Ref| match to {
            Ref::Edge => Ok(None),
            Ref::Named(element) => Ok(Some(element)),
            Ref::At(insertion, further) => {
                let row = usize::try_from(insertion).ok().and_then(|at| names.get(at));
                let row = row.filter(|(_, len)| further < *len);
                let (first, _) = row.ok_or(Damaged("an element is named that is not there"))?;
                Ok(Some(first.plus(further)))
            }
        };
        let content = match self.content {
            RowContent::Items(items) => Content::Items(items),
            RowContent::Moved(element) => {
                Content::Moved(name(element)?.ok_or(Damaged("a move moves nothing"))?)
            }
        };
        let gap = Gap { after: name(self.after)?, before: name(self.before)? };
        let Self { stamp, dot, number, is_erased, .. } = self;
        Ok(Pending { stamp, dot, number, gap, content, is_erased })
    }
}

fn put_row<T: Unit>(row: &Row<T>, at: u64, last: Option<&Row<T>>, out: &mut Writer) {
    let is = |bit: u8, holds: bool| if holds { bit } else { 0 };
    let same = |holds: fn(&Row<T>, &Row<T>) -> bool| last.is_some_and(|last| holds(row, last));
    let same_node = same(|row, last| {
        row.stamp.node == last.stamp.node
            && (row.stamp.sequence, row.number) == (0, 0)
            && row.clock_error() == last.clock_error()
    });
    let same_server = same(|row, last| row.dot.incarnation == last.dot.incarnation);
    let same_before = same(|row, last| row.before == last.before);
    let follows = last.is_some_and(|last| row.after == last.end(at - 1));
    let is_long = match &row.content {
        RowContent::Items(items) => items.len > 1 || !items.deleted.is_empty(),
        RowContent::Moved(_) => false,
    };
    out.byte(
        is(MOVES, matches!(row.content, RowContent::Moved(_)))
            | is(ERASED, row.is_erased)
            | is(LONG, is_long)
            | is(FOLLOWS, follows)
            | is(SAME_BEFORE, same_before)
            | is(SAME_NODE, same_node)
            | is(SAME_SERVER, same_server),
    );
    out.number(row.stamp.time - last.map_or(0, |last| last.stamp.time));
    if !same_node {
        out.distance(row.stamp.created, row.stamp.time);
        out.node(&row.stamp.node);
        out.number(row.stamp.sequence);
        out.number(row.number.into());
    }
    if !same_server {
        out.incarnation(row.dot.incarnation);
    }
    out.distance(row.dot.position.get(), last.map_or(0, |last| last.dot.position.get()));
    if !follows {
        row.after.put(at, out);
    }
    if !same_before {
        row.before.put(at, out);
    }
    match &row.content {
        RowContent::Moved(element) => element.put(at, out),
        RowContent::Items(items) => put_items(items, is_long, out),
    }
}

fn put_items<T: Unit>(items: &Items<T>, is_long: bool, out: &mut Writer) {
    if is_long {
        out.number(items.len.into());
        out.count(items.deleted.iter().len());
        let mut before = 0;
        for (first, last) in items.deleted.iter() {
            out.number((first - before).into());
            out.number((last - first).into());
            before = last;
        }
    }
    items.values.iter().for_each(|value| value.put(out));
}

fn take_row<T: Unit>(at: u64, last: Option<&Row<T>>, from: &mut Reader<'_>) -> Result<Row<T>> {
    let flags = from.byte()?;
    let is = |bit: u8| flags & bit != 0;
    let before = || last.ok_or(Damaged("the first insertion follows one"));
    if flags & 0x80 != 0 {
        return Err(Damaged("an insertion has a flag that means nothing"));
    }
    let time = last.map_or(0, |last| last.stamp.time).checked_add(from.number()?);
    let time = time.ok_or(Damaged("a time is too large"))?;
    let (stamp, number) = if is(SAME_NODE) {
        let last = before()?;
        let created = time.wrapping_add(last.clock_error());
        (Stamp { time, created, node: last.stamp.node.clone(), sequence: 0 }, 0)
    } else {
        let created = from.distance(time)?;
        let node = from.node()?;
        (Stamp { time, created, node, sequence: from.number()? }, from.small()?)
    };
    let incarnation = if is(SAME_SERVER) { before()?.dot.incarnation } else { from.incarnation()? };
    let earlier = last.map_or(0, |last| last.dot.position.get());
    let dot = Dot { incarnation, position: position(from.distance(earlier)?)? };
    let after = if is(FOLLOWS) { before()?.end(at - 1) } else { Ref::take(at, from)? };
    let before = if is(SAME_BEFORE) { before()?.before.clone() } else { Ref::take(at, from)? };
    let is_erased = is(ERASED);
    let content = if is(MOVES) {
        RowContent::Moved(Ref::take(at, from)?)
    } else {
        RowContent::Items(take_items(is(LONG), is_erased, from)?)
    };
    let row = Row { stamp, dot, number, is_erased, after, before, content };
    number.checked_add(row.len()).ok_or(Damaged("an insertion is too long"))?;
    Ok(row)
}

fn take_items<T: Unit>(is_long: bool, is_erased: bool, from: &mut Reader<'_>) -> Result<Items<T>> {
    let mut items = Items { len: 1, deleted: Numbers::default(), values: Vec::new() };
    let mut values = 1;
    if is_long {
        items.len = from.small()?;
        values = items.len;
        let mut before = 0_u32;
        for _ in 0..from.count(2)? {
            let first = before.checked_add(from.small()?);
            let last = first.and_then(|first| first.checked_add(from.small().ok()?));
            let range = first.zip(last).filter(|(_, last)| *last < items.len);
            let (first, last) = range.ok_or(Damaged("more is deleted than is there"))?;
            values = values
                .checked_sub(last - first + 1)
                .filter(|_| items.deleted.is_empty() || first > before)
                .ok_or(Damaged("deleted ranges do not ascend"))?;
            items.deleted.insert(first, last);
            before = last;
        }
    }
    if items.len == 0 {
        return Err(Damaged("an insertion puts nothing in"));
    }
    for _ in 0..if is_erased { 0 } else { values } {
        items.values.push(T::take(from)?);
    }
    Ok(items)
}

/// Two sequences are equal when they put in and show the same, however they are cut into spans.
impl<T: Unit> PartialEq for Sequence<T> {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |sequence: &Self| {
            let mut out = Writer::default();
            sequence.put(&mut out);
            out.finish()
        };
        bytes(self) == bytes(other)
    }
}
