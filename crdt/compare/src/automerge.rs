//! `automerge`.

use crate::engine::Engine;
use crate::work::{Edit, Kind};
use anyhow::Context as _;
use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, Change, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};

pub struct Automerge {
    doc: AutoCommit,
}

/// The values that every replica begins with, so that all edit the same ones.
fn begin() -> anyhow::Result<Vec<u8>> {
    let mut doc = AutoCommit::new().with_actor(ActorId::from([0]));
    doc.put(ROOT, "counter", ScalarValue::counter(0))?;
    doc.put_object(ROOT, "map", ObjType::Map)?;
    doc.put_object(ROOT, "list", ObjType::List)?;
    doc.put_object(ROOT, "text", ObjType::Text)?;
    Ok(doc.save())
}

impl Automerge {
    fn object(&self, name: &str) -> anyhow::Result<ObjId> {
        Ok(self.doc.get(ROOT, name)?.context("no such object")?.1)
    }
}

fn number((value, _): (Value<'_>, ObjId)) -> anyhow::Result<i64> {
    value.as_i64().context("no number")
}

impl Engine for Automerge {
    const NAME: &'static str = "automerge";

    fn knows(_: Kind) -> bool {
        true
    }

    fn new(replica: u64) -> anyhow::Result<Self> {
        let doc = AutoCommit::load(&begin()?)?;
        Ok(Self { doc: doc.with_actor(ActorId::from(replica.to_be_bytes())) })
    }

    fn edit(&mut self, edit: &Edit) -> anyhow::Result<Vec<u8>> {
        match edit {
            Edit::Add(by) => self.doc.increment(ROOT, "counter", *by)?,
            Edit::Set { key, value } => {
                let map = self.object("map")?;
                self.doc.put(map, key.as_str(), *value)?;
            }
            Edit::Insert { at, value } => {
                let list = self.object("list")?;
                self.doc.insert(list, *at, *value)?;
            }
            Edit::Splice { at, deleted, inserted } => {
                let text = self.object("text")?;
                self.doc.splice_text(text, *at, isize::try_from(*deleted)?, inserted)?;
            }
        }
        self.doc.commit();
        let change = self.doc.get_last_local_change().context("nothing was changed")?;
        Ok(change.raw_bytes().to_vec())
    }

    fn receive(&mut self, update: &[u8]) -> anyhow::Result<()> {
        let change = Change::from_bytes(update.to_vec())?;
        Ok(self.doc.apply_changes([change])?)
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.doc.save())
    }

    fn load(saved: &[u8]) -> anyhow::Result<Self> {
        Ok(Self { doc: AutoCommit::load(saved)? })
    }

    fn value(&self, kind: Kind) -> anyhow::Result<String> {
        let value = match kind {
            Kind::Counter => number(self.doc.get(ROOT, "counter")?.context("none")?)?.into(),
            Kind::Map => {
                let map = self.object("map")?;
                let fields = self.doc.keys(&map).map(|key| {
                    let value = number(self.doc.get(&map, &key)?.context("none")?)?;
                    Ok((key, value.into()))
                });
                serde_json::Value::Object(fields.collect::<anyhow::Result<_>>()?)
            }
            Kind::List => {
                let list = self.object("list")?;
                let values = (0..self.doc.length(&list))
                    .map(|at| Ok(number(self.doc.get(&list, at)?.context("none")?)?.into()));
                serde_json::Value::Array(values.collect::<anyhow::Result<_>>()?)
            }
            Kind::Text => self.doc.text(self.object("text")?)?.into(),
        };
        Ok(value.to_string())
    }
}
