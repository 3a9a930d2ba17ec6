//! `yrs`.

use crate::engine::Engine;
use crate::work::{Edit, Kind};
use yrs::block::ClientID;
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayRef, Doc, GetString, Map, MapRef, OffsetKind, Options, ReadTxn, StateVector,
    Text, TextRef, Transact, Update,
};

pub struct Yrs {
    doc: Doc,
    map: MapRef,
    list: ArrayRef,
    text: TextRef,
}

impl Engine for Yrs {
    const NAME: &'static str = "yrs";

    fn knows(kind: Kind) -> bool {
        kind != Kind::Counter
    }

    fn new(replica: u64) -> anyhow::Result<Self> {
        let options = Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(ClientID::new(replica))
        };
        let doc = Doc::with_options(options);
        let map = doc.get_or_insert_map("map");
        let list = doc.get_or_insert_array("list");
        let text = doc.get_or_insert_text("text");
        Ok(Self { doc, map, list, text })
    }

    fn edit(&mut self, edit: &Edit) -> anyhow::Result<Vec<u8>> {
        let mut transaction = self.doc.transact_mut();
        match edit {
            Edit::Add(_) => anyhow::bail!("no counter"),
            Edit::Set { key, value } => {
                self.map.insert(&mut transaction, key.as_str(), Any::from(*value));
            }
            Edit::Insert { at, value } => {
                self.list.insert(&mut transaction, u32::try_from(*at)?, Any::from(*value));
            }
            Edit::Splice { at, deleted, inserted } => {
                let (at, deleted) = (u32::try_from(*at)?, u32::try_from(*deleted)?);
                self.text.remove_range(&mut transaction, at, deleted);
                self.text.insert(&mut transaction, at, inserted);
            }
        }
        Ok(transaction.encode_update_v1())
    }

    fn receive(&mut self, update: &[u8]) -> anyhow::Result<()> {
        self.doc.transact_mut().apply_update(Update::decode_v1(update)?)?;
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.doc.transact().encode_state_as_update_v1(&StateVector::default()))
    }

    fn load(saved: &[u8]) -> anyhow::Result<Self> {
        let mut loaded = Self::new(3)?;
        loaded.receive(saved)?;
        Ok(loaded)
    }

    fn value(&self, kind: Kind) -> anyhow::Result<String> {
        let transaction = self.doc.transact();
        let value = match kind {
            Kind::Counter => anyhow::bail!("no counter"),
            Kind::Map => self.map.to_json(&transaction),
            Kind::List => self.list.to_json(&transaction),
            Kind::Text => Any::from(self.text.get_string(&transaction)),
        };
        Ok(serde_json::to_value(value)?.to_string())
    }
}
