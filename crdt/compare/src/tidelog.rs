//! Actions as a client dispatches them, folded as the server does.

use crate::engine::Engine;
use crate::work::{Edit, Kind};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::sync::Arc;
use tidelog_crdt::{
    Applied, Change, Context, Document, DocumentAction, DocumentName, Dot, Entry, Incarnation,
    Operation, Path, Position, Seen, Stamp,
};

const SERVER: Incarnation = Incarnation(1);

pub struct Tidelog {
    document: Document,
    name: DocumentName,
    node: Arc<str>,
    position: u64,
}

fn path(kind: Kind, key: Option<&str>) -> anyhow::Result<Path> {
    let name = match kind {
        Kind::Counter => "counter",
        Kind::Map => "map",
        Kind::List => "list",
        Kind::Text => "text",
    };
    Path::new([name].into_iter().chain(key)).context("a path")
}

impl Tidelog {
    fn with(document: Document) -> anyhow::Result<Self> {
        let name = DocumentName::new("compared").context("a name")?;
        Ok(Self { document, name, node: "10:client:tab".into(), position: 0 })
    }

    fn operations(&self, edit: &Edit) -> anyhow::Result<Vec<Change>> {
        let change = |path, operation| Change { path, operation };
        Ok(match edit {
            Edit::Add(by) => vec![change(path(Kind::Counter, None)?, Operation::Counter(*by))],
            Edit::Set { key, value } => {
                let value = Value::from(*value).into();
                vec![change(path(Kind::Map, Some(key))?, Operation::Register(value))]
            }
            Edit::Insert { at, value } => {
                let place = path(Kind::List, None)?;
                let values = vec![Value::from(*value).into()];
                let insert = match self.document.list(&place) {
                    Some(list) => list.insert(*at, values),
                    None => tidelog_crdt::List::default().insert(*at, values),
                };
                vec![change(place, Operation::List(insert.context("no such place")?))]
            }
            Edit::Splice { at, deleted, inserted } => {
                let (place, empty) = (path(Kind::Text, None)?, tidelog_crdt::Text::default());
                let text = self.document.text(&place).unwrap_or(&empty);
                let operations = [text.delete(*at..at + deleted), text.insert(*at, inserted)];
                let operations = operations.into_iter().flatten();
                operations.map(|it| change(place.clone(), Operation::Text(it))).collect()
            }
        })
    }

    /// Folds an action as a server gives it its place, its author having seen all before it.
    fn fold(&mut self, action: DocumentAction) -> anyhow::Result<()> {
        let prefix = Position::new(self.position).context("a position")?;
        self.position += 1;
        let time = 1_795_222_838_404 + self.position * 37;
        let entry = Entry {
            dot: Dot { incarnation: SERVER, position: prefix.plus(1) },
            aliases: Vec::new(),
            context: Context::of(SERVER, Seen { prefix, ..Seen::default() }),
            stamp: Stamp { time, node: self.node.clone(), sequence: 0, created: time - 3 },
            changes: action.changes,
        };
        ensure!(self.document.apply(&entry) == Applied::Folded, "not folded");
        Ok(())
    }
}

impl Engine for Tidelog {
    const NAME: &'static str = "tidelog-crdt";

    fn knows(_: Kind) -> bool {
        true
    }

    fn new(_: u64) -> anyhow::Result<Self> {
        Self::with(Document::default())
    }

    fn edit(&mut self, edit: &Edit) -> anyhow::Result<Vec<u8>> {
        let changes = self.operations(edit)?;
        let action = DocumentAction { document: self.name.clone(), changes };
        let update = serde_json::to_vec(&action.to_value())?;
        self.fold(action)?;
        Ok(update)
    }

    fn receive(&mut self, update: &[u8]) -> anyhow::Result<()> {
        let action = DocumentAction::parse(&serde_json::from_slice(update)?)?;
        self.fold(action)
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        Ok(self.document.encode().to_vec())
    }

    fn load(saved: &[u8]) -> anyhow::Result<Self> {
        Self::with(Document::decode(saved)?)
    }

    fn value(&self, kind: Kind) -> anyhow::Result<String> {
        let value = self.document.value_at(&path(kind, None)?).context("nothing")?;
        Ok(value.to_string())
    }
}
