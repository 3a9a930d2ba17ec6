//! A device that pushes and pulls over HTTP, and remembers what it did and was told.

use crate::Server;
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidelog_client_sim::{Ids, node, now_ms};
use tidelog_protocol::{ActionId, Meta, NodeId};

/// A device that wakes up, pushes what it has made, pulls what it missed, and sleeps again.
pub struct Phone {
    user: String,
    client: String,
    node: NodeId,
    ids: Ids,
    /// The channels that it follows.
    pub channels: Vec<String>,
    /// Where it stands.
    pub cursor: Option<String>,
    /// Actions with their metas that wait to be pushed.
    queue: Vec<Value>,
    /// What it did and was told, in the order in which it had them.
    pub told: Vec<(Value, Meta)>,
}

impl Phone {
    /// A device of `user` that calls itself `client`, follows these channels and has nothing.
    pub fn new(user: &str, client: &str, channels: &[&str]) -> anyhow::Result<Self> {
        let node = node(user, client)?;
        Ok(Self {
            user: user.to_owned(),
            client: client.to_owned(),
            ids: Ids::new(node.clone()),
            node,
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            cursor: None,
            queue: Vec::new(),
            told: Vec::new(),
        })
    }

    /// Its node id.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Makes an action now.
    pub fn dispatch(&mut self, action: Value) -> ActionId {
        let id = self.ids.next(now_ms());
        self.dispatch_as(action, id.clone());
        id
    }

    /// Makes an action that has this name, and the time in it.
    pub fn dispatch_as(&mut self, action: Value, id: ActionId) {
        self.queue.push(json!([action, { "id": id.to_string(), "time": id.ms }]));
        self.told.push((action, Meta { time: id.ms, id, subprotocol: None }));
    }

    /// Pushes something that is no action of its log, when it pushes next.
    pub fn ask(&mut self, action: &Value) {
        self.queue.push(json!([action, {}]));
    }

    /// The ids of what it did and was told.
    pub fn known(&self) -> impl Iterator<Item = &ActionId> {
        self.told.iter().map(|(_, meta)| &meta.id)
    }

    /// Pushes all that it has made, and pulls until there is nothing more.
    pub async fn sync(&mut self, server: &Server) -> anyhow::Result<()> {
        let bearer = format!("Authorization: Bearer {}", self.user);
        let client = format!("Tidelog-Client: {}:{}", self.user, self.client);
        let headers = [&bearer, "Content-Type: application/json", &client];
        loop {
            let asked = Asked {
                actions: &self.queue,
                channels: &self.channels,
                since: self.cursor.as_deref(),
                seen: self.cursor.as_deref(),
            };
            let body = serde_json::to_string(&asked)?;
            let answer = server.request("POST", "/v1/sync", &headers, &body).await?;
            ensure!(answer.status == 200, "{answer:?}");
            let page: Page = serde_json::from_str(&answer.body)?;
            let is_processed = |result: &Outcome| result.status == "processed";
            ensure!(page.results.iter().all(is_processed), "{answer:?}");
            for (action, Had { id, time }) in page.actions {
                self.told.push((action, Meta { id: id.parse()?, time, subprotocol: None }));
            }
            self.queue.clear();
            self.cursor = Some(page.cursor);
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// A push, and then a pull.
#[derive(Serialize)]
struct Asked<'a> {
    actions: &'a [Value],
    channels: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<&'a str>,
}

/// The answer to it.
#[derive(Deserialize)]
struct Page {
    results: Vec<Outcome>,
    actions: Vec<(Value, Had)>,
    cursor: String,
    more: bool,
}

/// What became of an action.
#[derive(Deserialize)]
struct Outcome {
    status: String,
}

/// The meta of an action that is pulled.
#[derive(Deserialize)]
struct Had {
    id: String,
    time: u64,
}
