//! Recorded editing, dispatched as actions by several clients of one server: it ends with the recorded text, at the
//! server and on each of them.
//!
//! One client is a page over a WebSocket, the others push and pull over HTTP. Each edits what it has been
//! told, and hears of others' edits when the recording says that its author had them. An author of a
//! sequential recording is several clients who take turns.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../crdt/tests/editing/trace.rs"]
#[expect(dead_code, reason = "the crate's own test reads other recordings, too")]
mod trace;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path as File, PathBuf};
use tidelog_client_sim::{Ids, node, now_ms};
use tidelog_crdt::{
    Applied, Change, Document, DocumentAction, DocumentName, Dot, Entry, Incarnation, Operation,
    Path, Position, Text, TextOp,
};
use tidelog_protocol::Meta;
use tidelog_tests::{Device, Server};
use trace::Trace;

const USER: &str = "ann";
/// Edits that clients of a sequential recording make in a turn, and how many take turns.
const TURN: usize = 500;
const TURNS: usize = 2;
/// What one push holds, and one pull.
const AT_ONCE: usize = 1_000;
const TEXT: &str = "text";
const BEARER: &str = "Authorization: Bearer ann";

/// Where the recording is that the crate `tidelog-crdt` has under this name.
fn recording(name: &str) -> PathBuf {
    let folder = "../crdt/tests/data/editing-traces";
    File::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.json.gz"))
}

/// How a client reaches the server.
enum Way {
    /// With how much of what it was told it has taken in.
    Page(Box<Device>, usize),
    Phone(Phone),
}

struct Phone {
    name: String,
    ids: Ids,
    cursor: Option<String>,
    /// Actions with their metas that wait to be pushed.
    queue: Vec<Value>,
}

/// A client, with the text as it folds it from what it did and was told.
struct Client {
    way: Way,
    document: Document,
    folded: u64,
    /// Transactions that it has.
    has: BTreeSet<usize>,
}

impl Way {
    fn new(server: &Server, number: usize) -> anyhow::Result<Self> {
        let name = format!("c{number}");
        if number > 0 {
            let ids = Ids::new(node(USER, &name)?);
            return Ok(Self::Phone(Phone { name, ids, cursor: None, queue: Vec::new() }));
        }
        let mut device = Device::new(server.target(), USER, &name)?;
        device.told = Some(Vec::new());
        Ok(Self::Page(Box::new(device), 0))
    }

    async fn dispatch(&mut self, action: &Value) -> anyhow::Result<Meta> {
        match self {
            Self::Page(device, _) => {
                device.dispatch(&action.to_string()).await?;
                let (_, meta) = device.told.iter().flatten().last().context("it was made")?;
                Ok(meta.clone())
            }
            Self::Phone(Phone { ids, queue, .. }) => {
                let id = ids.next(now_ms());
                queue.push(json!([action, { "id": id.to_string(), "time": id.ms }]));
                Ok(Meta { time: id.ms, id, subprotocol: None })
            }
        }
    }

    /// Everything that it made is on the server's disk.
    async fn send(&mut self, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::Page(device, _) => device.until_acknowledged().await,
            Self::Phone(phone) => phone.push(server).await,
        }
    }

    /// The next actions of others that the server tells it, so many.
    async fn hear(&mut self, server: &Server, count: usize) -> anyhow::Result<Vec<(Value, Meta)>> {
        let Self::Page(device, taken) = self else {
            let Self::Phone(phone) = self else { return Ok(Vec::new()) };
            return phone.pull(server, count).await;
        };
        let mut heard = Vec::new();
        while heard.len() < count {
            let has_more = |device: &Device| device.told.iter().flatten().count() > *taken;
            device.until("hearing an edit", has_more).await?;
            let own = device.node().clone();
            for (action, meta) in
                device.told.iter().flatten().skip(*taken).take(count - heard.len())
            {
                *taken += 1;
                if meta.id.node != own {
                    heard.push((serde_json::from_slice(action.json())?, meta.clone()));
                }
            }
        }
        Ok(heard)
    }
}

impl Phone {
    async fn push(&mut self, server: &Server) -> anyhow::Result<()> {
        while !self.queue.is_empty() {
            let most = self.queue.len().min(AT_ONCE);
            let mut body = json!({ "actions": self.queue.drain(..most).collect::<Vec<_>>() });
            if let Some(cursor) = &self.cursor {
                body["seen"] = cursor.as_str().into();
            }
            let answer = self.ask(server, "POST", "/v1/log", &body.to_string()).await?;
            let results = answer["results"].as_array().context("results")?;
            ensure!(results.iter().all(|result| result["status"] == "processed"), "{answer}");
        }
        Ok(())
    }

    async fn pull(&mut self, server: &Server, count: usize) -> anyhow::Result<Vec<(Value, Meta)>> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let limit = (count - heard.len()).min(AT_ONCE);
            let since = self.cursor.iter().map(|cursor| format!("&since={cursor}"));
            let path = format!("/v1/log?limit={limit}{}", since.collect::<String>());
            let mut page = self.ask(server, "GET", &path, "").await?;
            let actions = page["actions"].as_array_mut().context("actions")?;
            ensure!(!actions.is_empty(), "nothing more is there");
            for pair in actions {
                let id = pair[1]["id"].as_str().context("an id")?.parse()?;
                let time = pair[1]["time"].as_u64().context("a time")?;
                heard.push((pair[0].take(), Meta { id, time, subprotocol: None }));
            }
            self.cursor = page["cursor"].as_str().map(str::to_owned);
        }
        Ok(heard)
    }

    async fn ask(
        &self,
        server: &Server,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Value> {
        let client = format!("Tidelog-Client: {USER}:{}", self.name);
        let headers = [BEARER, "Content-Type: application/json", &client];
        let answer = server.request(method, path, &headers, body).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_str(&answer.body)?)
    }
}

impl Client {
    /// Takes an action in. What texts mean needs no more of it than its name and time.
    fn fold(&mut self, action: &Value, meta: &Meta) -> anyhow::Result<()> {
        self.folded += 1;
        let entry = Entry {
            dot: Dot { incarnation: Incarnation(1), position: Position::ZERO.plus(self.folded) },
            aliases: Vec::new(),
            context: tidelog_crdt::Context::default(),
            stamp: meta.stamp(),
            changes: DocumentAction::parse(action)?.changes,
        };
        ensure!(self.document.apply(&entry) == Applied::Folded, "{meta:?}");
        Ok(())
    }

    async fn act(&mut self, edit: impl FnOnce(&Text) -> Option<TextOp>) -> anyhow::Result<usize> {
        let nothing = Text::default();
        let text = self.document.text(&Path::default()).unwrap_or(&nothing);
        let Some(operation) = edit(text) else { return Ok(0) };
        let change = Change { path: Path::default(), operation: Operation::Text(operation) };
        let document = DocumentName::new(TEXT)?;
        let action = DocumentAction { document, changes: vec![change] }.to_value();
        let meta = self.way.dispatch(&action).await?;
        self.fold(&action, &meta)?;
        Ok(1)
    }
}

struct World {
    server: Server,
    clients: Vec<Client>,
    /// How many actions each transaction was.
    actions: Vec<usize>,
}

impl World {
    async fn new(trace: &Trace) -> anyhow::Result<Self> {
        let server = Server::start().await?;
        let count = if trace.authors == 1 { TURNS } else { trace.authors };
        let mut clients = Vec::new();
        for number in 0..count {
            let mut way = Way::new(&server, number)?;
            if let Way::Page(device, _) = &mut way {
                device.connect().await?;
            }
            let (document, has) = (Document::default(), BTreeSet::new());
            clients.push(Client { way, document, folded: 0, has });
        }
        Ok(Self { server, clients, actions: Vec::new() })
    }

    async fn play(&mut self, trace: &Trace) -> anyhow::Result<()> {
        for (number, transaction) in trace.transactions.iter().enumerate() {
            let author =
                if trace.authors == 1 { number / TURN % TURNS } else { transaction.author };
            self.tell(author, &trace.missing(&transaction.parents, &self.clients[author].has))
                .await?;
            let client = &mut self.clients[author];
            let mut actions = 0;
            for patch in &transaction.patches {
                let end = patch.position + patch.deleted;
                actions += client.act(|text| text.delete(patch.position..end)).await?;
                actions += client.act(|text| text.insert(patch.position, &patch.inserted)).await?;
            }
            client.has.insert(number);
            self.actions.push(actions);
        }
        Ok(())
    }

    /// A client hears of transactions of others, and of no more.
    async fn tell(&mut self, to: usize, transactions: &[usize]) -> anyhow::Result<()> {
        let count = transactions.iter().map(|number| self.actions[*number]).sum();
        if count > 0 {
            for client in &mut self.clients {
                client.way.send(&self.server).await?;
            }
        }
        let client = &mut self.clients[to];
        for (action, meta) in client.way.hear(&self.server, count).await? {
            client.fold(&action, &meta)?;
        }
        client.has.extend(transactions);
        Ok(())
    }

    async fn ends_as_recorded(&mut self, trace: &Trace) -> anyhow::Result<()> {
        self.play(trace).await?;
        let all: Vec<_> = (0..trace.transactions.len()).collect();
        for to in 0..self.clients.len() {
            let has = &self.clients[to].has;
            let missing: Vec<_> = all.iter().copied().filter(|it| !has.contains(it)).collect();
            self.tell(to, &missing).await?;
            ensure!(self.clients[to].document.value() == trace.end, "client {to} has another text");
        }
        for client in &mut self.clients {
            client.way.send(&self.server).await?;
        }
        let answer = self.server.get(&format!("/v1/docs/{TEXT}"), &[BEARER]).await?;
        let document: Value = serde_json::from_str(&answer.body)?;
        ensure!(document["value"] == trace.end, "the server has another text");
        Ok(())
    }
}

async fn ends_as_recorded(name: &str) -> anyhow::Result<()> {
    let trace = Trace::read(&recording(name));
    World::new(&trace).await?.ends_as_recorded(&trace).await
}

#[tokio::test]
async fn two_clowns_write_to_each_other() -> anyhow::Result<()> {
    ends_as_recorded("clownschool-400").await
}

#[tokio::test]
async fn two_clients_write_a_program_in_turns() -> anyhow::Result<()> {
    ends_as_recorded("sveltecomponent").await
}

/// All of it, of tens of thousands of transactions.
#[tokio::test]
async fn two_friends_write_a_whole_text_to_each_other() -> anyhow::Result<()> {
    ends_as_recorded("friendsforever").await
}

#[tokio::test]
#[ignore = "EDITING_TRACES is to name a folder with all recordings: see crdt/tests/data/editing-traces/README.md"]
async fn all_recordings_end_as_recorded() -> anyhow::Result<()> {
    let folder = std::env::var_os("EDITING_TRACES").context("EDITING_TRACES names a folder")?;
    for name in ["friendsforever", "clownschool", "sveltecomponent", "automerge-paper"] {
        let trace = Trace::read(&File::new(&folder).join(format!("{name}.json.gz")));
        let began_ms = now_ms();
        World::new(&trace).await?.ends_as_recorded(&trace).await.context(name)?;
        println!("{name}: {} transactions in {} ms", trace.transactions.len(), now_ms() - began_ms);
    }
    Ok(())
}
