//! What a value is made of, entry by entry.

use super::list::List;
use super::live::{Live, Ranked, Writes};
use super::record::Record;
use super::set::{Elements, RankedElements, is_in};
use super::text::Text;
use super::{Cell, Operation};
use crate::document::why::Fate;
use crate::{Dot, Element, Json, Kind, ListOp, SetOp, Stamp, Switch, TextOp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something that an entry put in and that is still in the state.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) dot: Dot,
    pub(crate) what: Value,
    pub(crate) fate: Fate,
}

fn makes(dot: Dot, what: Value) -> Standing {
    Standing { dot, what, fate: Fate::Makes }
}

impl Cell {
    /// What it is made of, and what is in it besides and loses.
    pub(crate) fn parts(&self, kind: Kind) -> Vec<Standing> {
        match self {
            Self::Record(record) => record.parts(),
            Self::List(list) => list.parts(),
            Self::Text(text) => text.parts(),
            Self::Elements(set) => set.parts(),
            Self::RankedElements(set) => set.parts(),
            Self::Writes(writes) if kind == Kind::Register => {
                ranked(writes, |value| json!({ "value": value.to_value() }))
            }
            Self::Writes(writes) => {
                let all = writes.iter();
                all.map(|(dot, write)| makes(dot, json!({ "value": write.value.to_value() })))
                    .collect()
            }
            Self::Switches(switches) => flag(switches),
            Self::Amounts(amounts) => {
                amounts.iter().map(|(dot, by)| makes(dot, json!({ "by": by }))).collect()
            }
        }
    }
}

/// The last write makes the value, the others lose to it.
fn ranked<T: Ord + Clone>(writes: &Writes<T>, what: impl Fn(&T) -> Value) -> Vec<Standing> {
    let Some((winner, last)) = writes.last() else { return Vec::new() };
    let part = |(dot, write): (Dot, &Ranked<T>)| {
        let wins = dot == winner && write == last;
        let fate = if wins { Fate::Makes } else { Fate::Lost { to: winner } };
        Standing { dot, what: what(&write.value), fate }
    };
    writes.iter().map(part).collect()
}

fn flag(switches: &Live<Switch>) -> Vec<Standing> {
    let off = switches.iter().find(|(_, switch)| **switch == Switch::Disable);
    let part = |(dot, switch): (Dot, &Switch)| {
        let what = json!({ "enable": *switch == Switch::Enable });
        let fate = match off {
            Some((to, _)) if *switch == Switch::Enable => Fate::Lost { to },
            _ => Fate::Makes,
        };
        Standing { dot, what, fate }
    };
    switches.iter().map(part).collect()
}

fn per_key<T>(
    values: &BTreeMap<Json, T>,
    parts: impl Fn(&Value, &T) -> Vec<Standing>,
) -> Vec<Standing> {
    values.iter().flat_map(|(value, holders)| parts(&value.to_value(), holders)).collect()
}

impl Elements {
    fn parts(&self) -> Vec<Standing> {
        per_key(&self.0, |value, holders| {
            let removal = holders.iter().find(|(_, is_add)| !**is_add).map(|(dot, _)| dot);
            let part = |(dot, is_add): (Dot, &bool)| {
                let verb = if *is_add { "add" } else { "remove" };
                let fate = match removal {
                    Some(to) if *is_add && !is_in(holders) => Fate::Lost { to },
                    _ => Fate::Makes,
                };
                Standing { dot, what: json!({ verb: value }), fate }
            };
            holders.iter().map(part).collect()
        })
    }
}

impl RankedElements {
    fn parts(&self) -> Vec<Standing> {
        per_key(&self.0, |value, writes| {
            ranked(writes, |is_add| {
                let verb = if *is_add { "add" } else { "remove" };
                json!({ verb: value })
            })
        })
    }
}

impl Record {
    fn parts(&self) -> Vec<Standing> {
        let last = self.last_deletion();
        let since = self.revival().or_else(|| last.map(|(_, stamp)| stamp));
        // What stands before a deletion that counts has lost to it.
        let fate = |stamp: &Stamp, fate: Fate| match last {
            Some((to, _)) if since.is_some_and(|since| stamp < since) => Fate::Lost { to },
            _ => fate,
        };
        let mut parts = Vec::new();
        for (dot, stamp) in self.created.iter() {
            let fate = fate(stamp, Fate::Makes);
            parts.push(Standing { dot, what: json!({ "create": true }), fate });
        }
        for (dot, stamp) in self.deleted.iter() {
            let fate = match last {
                Some((to, _)) if to != dot => Fate::Lost { to },
                _ if self.revival().is_some() => self.revived_by(stamp),
                _ => Fate::Makes,
            };
            parts.push(Standing { dot, what: json!({ "delete": true }), fate });
        }
        for (name, writes) in &self.fields {
            let stamps = writes.iter().map(|(_, write)| &write.stamp);
            let standing =
                ranked(writes, |value| json!({ "fields": { &**name: value.to_value() } }));
            parts.extend(stamps.zip(standing).map(|(stamp, part)| {
                let fate = fate(stamp, part.fate);
                Standing { fate, ..part }
            }));
        }
        parts
    }

    /// A deletion after which the record was created again has lost to that creation.
    fn revived_by(&self, deletion: &Stamp) -> Fate {
        let later = self.created.iter().filter(|(_, stamp)| *stamp > deletion);
        later.min_by_key(|(_, stamp)| *stamp).map_or(Fate::Makes, |(to, _)| Fate::Lost { to })
    }
}

impl List {
    fn parts(&self) -> Vec<Standing> {
        let shown = self.items().map(|item| {
            let Element { number, .. } = &item.place;
            makes(item.dot, json!({ "value": item.value.to_value(), "number": number }))
        });
        let mut parts: Vec<_> = shown.collect();
        for (from, moves, now) in self.0.moved() {
            let lost = moves.into_iter().filter(|dot| *dot != now).map(|dot| {
                let fate = Fate::Lost { to: now };
                Standing { dot, what: json!({ "move": true }), fate }
            });
            parts.extend(lost);
            if from != now {
                parts.push(makes(from, json!({ "insert": true })));
            }
        }
        parts.extend(self.0.waiting().map(|(dot, element)| waits(dot, element)));
        parts
    }
}

impl Text {
    fn parts(&self) -> Vec<Standing> {
        let shown = self.passages().map(|passage| {
            makes(passage.dot, json!({ "text": passage.text, "number": passage.first.number }))
        });
        let waiting = self.0.waiting().map(|(dot, element)| waits(dot, element));
        shown.chain(waiting).collect()
    }
}

fn waits(dot: Dot, element: &Element) -> Standing {
    Standing { dot, what: json!({}), fate: Fate::Waits { for_element: element.clone() } }
}

impl Operation {
    /// Whether it takes the place of `seen`, done at the same path by an entry that it had seen;
    /// `is_later`: in the total order. What the table in the crate's documentation says.
    pub(crate) fn takes_the_place_of(&self, seen: &Self, is_later: bool) -> bool {
        let shares = |one: &[Json], other: &[Json]| one.iter().any(|value| other.contains(value));
        match (self, seen) {
            (Self::Set(one), Self::Set(other)) => shares(one.parts().0, other.parts().0),
            (Self::GrowSet(one), Self::GrowSet(other)) => shares(one, other),
            (Self::TwoPhaseSet(one), Self::TwoPhaseSet(other)) => {
                one.parts().1 == other.parts().1 && shares(one.parts().0, other.parts().0)
            }
            (Self::LwwSet(one), Self::LwwSet(other)) => {
                is_later && shares(one.parts().0, other.parts().0)
            }
            (Self::Register(_), Self::Register(_)) => is_later,
            (Self::Record(one), Self::Record(other)) => is_later && one.overwrites(other),
            (Self::Remove, _)
            | (Self::MultiRegister(_), Self::MultiRegister(_))
            | (Self::EnableWinsFlag(_), Self::EnableWinsFlag(_))
            | (Self::DisableWinsFlag(_), Self::DisableWinsFlag(_)) => true,
            _ => false,
        }
    }

    /// Whether it deletes something under a name that one of these actions gave.
    pub(crate) fn deletes_of(&self, actions: &[Element]) -> bool {
        let (Self::List(ListOp::Delete(elements)) | Self::Text(TextOp::Delete(elements))) = self
        else {
            return false;
        };
        elements
            .iter()
            .any(|elements| actions.contains(&Element { number: 0, ..elements.first.clone() }))
    }

    /// Whether nothing of it stays but that something is gone.
    pub(crate) fn only_takes_away(&self) -> bool {
        matches!(
            self,
            Self::Remove
                | Self::Set(SetOp::Remove(_))
                | Self::EnableWinsFlag(Switch::Disable)
                | Self::List(ListOp::Delete(_))
                | Self::Text(TextOp::Delete(_))
        )
    }
}

impl crate::RecordOp {
    fn overwrites(&self, seen: &Self) -> bool {
        let names = |operation: &Self| match operation {
            Self::Create(fields) | Self::Change(fields) => {
                fields.keys().cloned().collect::<Vec<_>>()
            }
            Self::Delete => Vec::new(),
        };
        match self {
            Self::Delete => true,
            Self::Create(_) | Self::Change(_) => {
                let written = names(self);
                names(seen).iter().any(|name| written.contains(name))
            }
        }
    }
}
