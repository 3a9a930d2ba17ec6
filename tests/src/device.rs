//! A device that behaves like the stock clients of protocol 5, and counts what it hears.
//!
//! Like them it keeps one number, whatever server or user that came from; it keeps its actions until
//! they are acknowledged, and sends them again in one frame after a reconnect; and it believes what it
//! is told. Unlike them it keeps no entry, so that one that comes twice is counted twice.

use crate::Server;
use crate::follows::Follows;
use crate::within;
use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use tidelog_client_sim::client::{Client, ClientError, Event, Target};
use tidelog_client_sim::{Ids, node, now_ms};
use tidelog_protocol::{Action, ActionId, Meta, NodeId, Sync, builtin};

/// What a device was told about one of its actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was accepted.
    Processed,
    /// It was undone, with this reason.
    Undone(String),
}

/// A device of a user, for as long as its page lives.
pub struct Device {
    target: Target,
    node: NodeId,
    ids: Ids,
    client: Option<Client>,
    /// The number that it connects with.
    pub number: u64,
    /// The last number on this connection.
    connection_number: u64,
    /// Its actions that are not acknowledged, oldest first.
    unacknowledged: VecDeque<(Action, Meta)>,
    /// Its actions, in the order in which it made them.
    pub dispatched: Vec<ActionId>,
    /// Those of them that are acknowledged.
    pub acknowledged: Vec<ActionId>,
    /// The verdicts on its actions, as often as they came.
    pub verdicts: HashMap<ActionId, Vec<Verdict>>,
    /// The ids of what others sent, and of its own that came back, in order of arrival.
    pub heard: Vec<ActionId>,
    /// What those were, and its own, in the order in which it had them, if it keeps that.
    pub told: Option<Vec<(Action, Meta)>>,
    follows: Follows,
    /// How far its clock is ahead. To act later by every clock than what it was sent, it has to be: a page mends
    /// its clock at each connection to within a round trip, which is long on a loaded machine.
    pub ahead_ms: u64,
    /// How often it connected with 0, asking for everything.
    pub fresh_starts: usize,
}

impl Device {
    /// A device of `user` that calls itself `client`; it is offline.
    pub fn new(target: Target, user: &str, client: &str) -> anyhow::Result<Self> {
        Ok(Self::with_node(target, node(user, client)?))
    }

    /// A device whose page has a name of its own; it is offline.
    pub fn with_node(target: Target, node: NodeId) -> Self {
        Self {
            target,
            ids: Ids::new(node.clone()),
            node,
            client: None,
            number: 0,
            connection_number: 0,
            unacknowledged: VecDeque::new(),
            dispatched: Vec::new(),
            acknowledged: Vec::new(),
            verdicts: HashMap::new(),
            heard: Vec::new(),
            told: None,
            follows: Follows::default(),
            ahead_ms: 0,
            fresh_starts: 0,
        }
    }

    /// Its node id.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// From now on it reaches the server like this.
    pub fn set_target(&mut self, target: Target) {
        self.target = target;
    }

    /// The page goes on as another user; the number stays, as it does in stock clients.
    pub fn change_user(&mut self, user: &str) -> anyhow::Result<()> {
        self.go_offline();
        self.node = node(user, "changed")?;
        self.ids = Ids::new(self.node.clone());
        Ok(())
    }

    /// Connects, and sends what is not acknowledged in one frame.
    pub async fn connect(&mut self) -> anyhow::Result<()> {
        let mut client = self.sign_in().await?;
        if !self.unacknowledged.is_empty() {
            let pairs = self.unacknowledged.iter().map(|(action, meta)| (action, meta));
            client.send_again(pairs, self.unacknowledged.len() as u64);
        }
        self.client = Some(client);
        self.connection_number = 0;
        self.follows.connect();
        self.name_again().await;
        Ok(())
    }

    /// Follows a channel as long as the page lives, if it does not yet.
    pub async fn follow(&mut self, channel: &str) -> anyhow::Result<()> {
        if !self.follows.has(channel) {
            let id = self.dispatch(&subscription(channel)).await?;
            self.follows.ask(id, channel);
        }
        Ok(())
    }

    /// Names what it follows, once on a connection, when that has brought everything else.
    async fn name_again(&mut self) {
        let Some(client) = self.client.as_mut().filter(|_| self.unacknowledged.is_empty()) else {
            return;
        };
        for json in self.follows.take_due() {
            let now = now_ms() + self.ahead_ms;
            let meta = Meta { id: self.ids.next(now), time: now, subprotocol: None };
            let action = Action::from_parts(Bytes::from(json), builtin::SUBSCRIBE);
            client.send_again([(&action, &meta)], 0);
            // A connection that broke shows when something is read from it.
            drop(client.wire().flush().await);
        }
    }

    async fn sign_in(&mut self) -> anyhow::Result<Client> {
        self.client = None;
        self.fresh_starts += usize::from(self.number == 0);
        let sign_in = Client::sign_in(&self.target, &self.node, self.number);
        Ok(within("sign-in", sign_in).await??)
    }

    /// Drops the connection without a word.
    pub fn go_offline(&mut self) {
        self.client = None;
    }

    /// Whether it has a connection, as far as it knows.
    pub fn is_online(&self) -> bool {
        self.client.is_some()
    }

    /// Makes an action, and sends it if it is online.
    pub async fn dispatch(&mut self, json: &str) -> anyhow::Result<ActionId> {
        let action = Action::new(Bytes::copy_from_slice(json.as_bytes()))?;
        let now = now_ms() + self.ahead_ms;
        let meta = Meta { id: self.ids.next(now), time: now, subprotocol: None };
        if let Some(told) = &mut self.told {
            told.push((action.clone(), meta.clone()));
        }
        let id = meta.id.clone();
        if let Some(client) = &mut self.client {
            client.send_again([(&action, &meta)], 1);
            // A connection that broke shows when something is read from it.
            drop(client.wire().flush().await);
        }
        self.unacknowledged.push_back((action, meta));
        self.dispatched.push(id.clone());
        Ok(id)
    }

    /// Dispatches actions with a text of `bytes` each, some ahead of their acknowledgements, until
    /// the server is gone.
    pub async fn dispatch_until_offline(&mut self, bytes: usize) -> anyhow::Result<()> {
        let text = "x".repeat(bytes);
        while self.is_online() {
            if self.unacknowledged_count() < 50 {
                let n = self.dispatched.len();
                self.dispatch(&format!(r#"{{"type":"work","n":{n},"text":"{text}"}}"#)).await?;
            } else {
                self.next().await?;
            }
        }
        Ok(())
    }

    /// The socket, for frames that no client sends.
    pub fn client(&mut self) -> anyhow::Result<&mut Client> {
        self.client.as_mut().context("the device is offline")
    }

    /// Takes the next thing that comes in. A connection that ended leaves the device offline.
    pub async fn next(&mut self) -> anyhow::Result<()> {
        let event = self.client()?.next().await;
        self.on_event(event)?;
        self.name_again().await;
        Ok(())
    }

    /// Takes what has come in already, if there is something.
    pub async fn next_if_any(&mut self) -> anyhow::Result<()> {
        match self.client()?.next_ready().await.transpose() {
            Some(event) => self.on_event(event)?,
            None => return Ok(()),
        }
        self.name_again().await;
        Ok(())
    }

    /// Takes at most so many things that have come in already, as long as it is online.
    pub async fn take_some(&mut self, most: usize) -> anyhow::Result<()> {
        for _ in 0..most {
            if self.is_online() {
                self.next_if_any().await?;
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: Result<Event, ClientError>) -> anyhow::Result<()> {
        match event {
            Ok(Event::Sync(sync)) => self.on_sync(sync),
            Ok(Event::Synced(sent)) => self.on_synced(sent.token),
            Ok(Event::Number(number)) => self.on_number(number),
            Ok(Event::Other) => Ok(()),
            Err(ClientError::Closed) => {
                self.client = None;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on until `done`. A connection that ends meanwhile is a failure.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let going_on = async {
            while !done(self) {
                self.next().await?;
                ensure!(self.is_online() || done(self), "the connection ended");
            }
            Ok(())
        };
        let waited = within(what, going_on).await.and_then(|done| done);
        waited.with_context(|| format!("{what}: {self:?}"))
    }

    /// Goes on until everything that was sent is acknowledged.
    pub async fn until_acknowledged(&mut self) -> anyhow::Result<()> {
        self.until("the acknowledgement of everything", |device| device.unacknowledged.is_empty())
            .await
    }

    /// Goes on until it has heard `id`.
    pub async fn until_heard(&mut self, id: &ActionId) -> anyhow::Result<()> {
        self.until("hearing an action", |device| device.heard.contains(id)).await
    }

    /// Whether it has nothing left to be acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// How many of its actions are not acknowledged.
    pub fn unacknowledged_count(&self) -> usize {
        self.unacknowledged.len()
    }

    /// How often it heard `id`.
    pub fn times_heard(&self, id: &ActionId) -> usize {
        self.heard.iter().filter(|heard| *heard == id).count()
    }

    fn on_sync(&mut self, sync: Sync) -> anyhow::Result<()> {
        for pair in sync.batch {
            let verdict = match pair.action.kind() {
                builtin::PROCESSED => Verdict::Processed,
                builtin::UNDO => Verdict::Undone(pair.action.body::<Answer>()?.reason),
                _ => {
                    self.heard.push(pair.meta.id.clone());
                    if let Some(told) = &mut self.told {
                        told.push((pair.action, pair.meta));
                    }
                    continue;
                }
            };
            let id = pair.action.body::<Answer>()?.id.parse()?;
            let processed = matches!(verdict, Verdict::Processed);
            self.follows.answer(&id, processed.then_some(&pair.meta));
            self.verdicts.entry(id).or_default().push(verdict);
        }
        self.on_number(sync.number)
    }

    /// Stock clients keep the greatest number they saw; on one connection it never falls.
    fn on_number(&mut self, number: u64) -> anyhow::Result<()> {
        let before = std::mem::replace(&mut self.connection_number, number);
        ensure!(before <= number, "the number fell from {before} to {number}");
        self.number = self.number.max(number);
        Ok(())
    }

    fn on_synced(&mut self, actions: u64) -> anyhow::Result<()> {
        for _ in 0..actions {
            let (_, meta) = self.unacknowledged.pop_front().context("too much is acknowledged")?;
            let answered = self.verdicts.contains_key(&meta.id);
            ensure!(answered, "{} is acknowledged before it is answered", meta.id);
            self.acknowledged.push(meta.id);
        }
        Ok(())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("node", &self.node)
            .field("online", &self.is_online())
            .field("number", &self.number)
            .field("unacknowledged", &self.unacknowledged.len())
            .field("acknowledged", &self.acknowledged)
            .field("verdicts", &self.verdicts)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

fn subscription(channel: &str) -> String {
    serde_json::json!({ "type": builtin::SUBSCRIBE, "channel": channel }).to_string()
}

/// The body of an answer.
#[derive(Deserialize)]
struct Answer {
    id: String,
    #[serde(default)]
    reason: String,
}

/// A device of `user` that writes so many actions with texts of so many bytes, and has them acknowledged.
pub async fn write(
    server: &Server,
    user: &str,
    count: usize,
    bytes: usize,
) -> anyhow::Result<Device> {
    let mut device = Device::new(server.target(), user, "writer")?;
    device.connect().await?;
    let text = "x".repeat(bytes);
    for n in 0..count {
        device.dispatch(&format!(r#"{{"type":"work","n":{n},"text":"{text}"}}"#)).await?;
        device.until("room", |device| device.unacknowledged_count() < 50).await?;
    }
    device.until_acknowledged().await?;
    Ok(device)
}
