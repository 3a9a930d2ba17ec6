//! `loro`.

use crate::engine::Engine;
use crate::work::{Edit, Kind};
use loro::{ExportMode, LoroDoc, LoroValue, VersionVector};

pub struct Loro {
    doc: LoroDoc,
    sent: VersionVector,
}

impl Engine for Loro {
    const NAME: &'static str = "loro";

    fn knows(_: Kind) -> bool {
        true
    }

    fn new(replica: u64) -> anyhow::Result<Self> {
        let doc = LoroDoc::new();
        doc.set_peer_id(replica)?;
        Ok(Self { doc, sent: VersionVector::default() })
    }

    fn edit(&mut self, edit: &Edit) -> anyhow::Result<Vec<u8>> {
        match edit {
            Edit::Add(by) => self.doc.get_counter("counter").increment(*by as f64)?,
            Edit::Set { key, value } => self.doc.get_map("map").insert(key, *value)?,
            Edit::Insert { at, value } => self.doc.get_list("list").insert(*at, *value)?,
            Edit::Splice { at, deleted, inserted } => {
                let text = self.doc.get_text("text");
                text.delete(*at, *deleted)?;
                text.insert(*at, inserted)?;
            }
        }
        self.doc.commit();
        let update = self.doc.export(ExportMode::updates(&self.sent))?;
        self.sent = self.doc.oplog_vv();
        Ok(update)
    }

    fn receive(&mut self, update: &[u8]) -> anyhow::Result<()> {
        self.doc.import(update)?;
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.doc.export(ExportMode::Snapshot)?)
    }

    fn load(saved: &[u8]) -> anyhow::Result<Self> {
        let loaded = Self::new(3)?;
        loaded.doc.import(saved)?;
        Ok(loaded)
    }

    fn value(&self, kind: Kind) -> anyhow::Result<String> {
        let value = match kind {
            Kind::Counter => LoroValue::I64(self.doc.get_counter("counter").get_value() as i64),
            Kind::Map => self.doc.get_map("map").get_deep_value(),
            Kind::List => self.doc.get_list("list").get_deep_value(),
            Kind::Text => LoroValue::from(self.doc.get_text("text").to_string()),
        };
        Ok(serde_json::to_value(value)?.to_string())
    }
}
