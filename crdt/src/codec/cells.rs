//! Values of one place.

use super::reader::position;
use super::{DecodeError, Reader, Writer};
use crate::cell::Cell;
use crate::cell::counter::Amounts;
use crate::cell::list::List;
use crate::cell::live::{Live, Ranked};
use crate::cell::record::Record;
use crate::cell::set::{Elements, RankedElements};
use crate::cell::text::Text;
use crate::{Dot, Json, Kind, Stamp, Switch};
use std::collections::BTreeMap;
use std::sync::Arc;

use DecodeError::Damaged;

type Result<T> = std::result::Result<T, DecodeError>;

/// Something with one form in bytes.
pub(super) trait Form: Sized {
    fn put(&self, out: &mut Writer);
    fn take(from: &mut Reader<'_>) -> Result<Self>;
}

impl Cell {
    pub(super) fn put(&self, out: &mut Writer) {
        match self {
            Self::Record(record) => record.put(out),
            Self::List(list) => list.0.put(out),
            Self::Text(text) => text.0.put(out),
            Self::Elements(set) => set.0.put(out),
            Self::RankedElements(set) => set.0.put(out),
            Self::Writes(writes) => writes.put(out),
            Self::Switches(switches) => switches.put(out),
            Self::Amounts(amounts) => amounts.put(out),
        }
    }

    pub(super) fn take(kind: Kind, from: &mut Reader<'_>) -> Result<Self> {
        let cell = match kind {
            Kind::Map => return Err(Damaged("a map is no single value")),
            Kind::Record => Self::Record(Record::take(from)?),
            Kind::List => Self::List(Box::new(List(Form::take(from)?))),
            Kind::Text => Self::Text(Box::new(Text(Form::take(from)?))),
            Kind::Set | Kind::TwoPhaseSet | Kind::GrowSet => {
                Self::Elements(Elements(Form::take(from)?))
            }
            Kind::LwwSet => Self::RankedElements(RankedElements(Form::take(from)?)),
            Kind::MultiRegister | Kind::Register => Self::Writes(Form::take(from)?),
            Kind::EnableWinsFlag | Kind::DisableWinsFlag => Self::Switches(Form::take(from)?),
            Kind::Counter | Kind::GrowCounter => Self::Amounts(Amounts::take(from)?),
        };
        if cell.is_empty() { Err(Damaged("a value has nothing in it")) } else { Ok(cell) }
    }
}

impl<T: Form + Ord + Clone> Form for Live<T> {
    fn put(&self, out: &mut Writer) {
        out.count(self.iter().len());
        for (dot, part) in self.iter() {
            out.dot(dot);
            part.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        let mut live = Self::default();
        for _ in 0..from.count(2)? {
            let (dot, part) = (from.dot()?, T::take(from)?);
            if !live.push((dot, part)) {
                return Err(Damaged("dots do not ascend"));
            }
        }
        Ok(live)
    }
}

impl<K: Form + Ord, T: Form + Ord + Clone> Form for BTreeMap<K, Live<T>> {
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        for (key, live) in self {
            key.put(out);
            live.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        let mut values = Vec::new();
        for _ in 0..from.count(2)? {
            let (key, live): (K, Live<T>) = (K::take(from)?, Live::take(from)?);
            if live.is_empty() || values.last().is_some_and(|(last, _)| *last >= key) {
                return Err(Damaged("keys do not ascend, or hold nothing"));
            }
            values.push((key, live));
        }
        Ok(values.into_iter().collect())
    }
}

impl Form for Amounts {
    fn put(&self, out: &mut Writer) {
        out.count(self.by_server().len());
        for (incarnation, amounts) in self.by_server() {
            out.incarnation(*incarnation);
            out.count(amounts.len());
            let mut before = 0;
            for (position, amount) in amounts {
                out.number(position.get() - before);
                out.signed(*amount);
                before = position.get();
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        let mut all = Self::default();
        let mut last = None;
        for _ in 0..from.count(2)? {
            let incarnation = from.incarnation()?;
            if last.replace(incarnation).is_some_and(|last| last >= incarnation) {
                return Err(Damaged("incarnations do not ascend"));
            }
            let mut before = 0_u64;
            for at in 0..from.count(2)? {
                let step = from.number()?;
                let next = before.checked_add(step).filter(|_| at == 0 || step > 0);
                let position = next.ok_or(Damaged("dots do not ascend")).and_then(position)?;
                all.add(Dot { incarnation, position }, from.signed()?);
                before = position.get();
            }
        }
        Ok(all)
    }
}

impl Form for Record {
    fn put(&self, out: &mut Writer) {
        self.created.put(out);
        self.deleted.put(out);
        self.fields.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        let (created, deleted) = (Form::take(from)?, Form::take(from)?);
        Ok(Self { created, deleted, fields: Form::take(from)? })
    }
}

impl<T: Form> Form for Ranked<T> {
    fn put(&self, out: &mut Writer) {
        out.stamp(&self.stamp);
        self.value.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { stamp: from.stamp()?, value: T::take(from)? })
    }
}

impl Form for Stamp {
    fn put(&self, out: &mut Writer) {
        out.stamp(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        from.stamp()
    }
}

impl Form for Json {
    fn put(&self, out: &mut Writer) {
        out.json(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        from.json()
    }
}

impl Form for Arc<str> {
    fn put(&self, out: &mut Writer) {
        out.text(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        from.text().map(Into::into)
    }
}

impl Form for bool {
    fn put(&self, out: &mut Writer) {
        out.byte(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged("a truth value is neither 0 nor 1")),
        }
    }
}

impl Form for Switch {
    fn put(&self, out: &mut Writer) {
        (*self == Self::Enable).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self> {
        Ok(if bool::take(from)? { Self::Enable } else { Self::Disable })
    }
}
