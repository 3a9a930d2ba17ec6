//! A device over a WebSocket: it connects, says what it has, hears what comes, and asks whether the server is there.

use super::device::{Device, State};
use super::hearing::kind;
use super::{Client, ClientError};
use crate::line::Faults;
use crate::oracle::ledger::Author;
use crate::plan::{Behaviour, Chance};
use crate::world::Signal;
use std::time::Duration;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{ActionId, Meta, builtin};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

/// How long a stock client waits to be let in.
const HANDSHAKE: Duration = Duration::from_secs(70);
/// Actions in a frame where a client does not send all at once.
const FRAME_ACTIONS: usize = 100;
/// Frames that a better client has on the way.
const FRAMES: usize = 4;
/// Frames that are taken before anything goes out.
const AT_ONCE: usize = 64;
/// The sequence number of subscriptions, which actions made in the same ms do not reach.
const SUBSCRIPTION: u64 = 1999;

impl Device {
    /// One turn: something comes in, or is due, or the device connects.
    pub(super) async fn speak(&mut self, signal: &mut watch::Receiver<Signal>) {
        match self.client.take() {
            Some(client) => self.listen(client, signal).await,
            None if self.wants() && self.world.clock.micros() >= self.retry_at => {
                self.connect(signal).await;
            }
            None => self.rest(signal).await,
        }
    }

    async fn listen(&mut self, client: Box<Client>, signal: &mut watch::Receiver<Signal>) {
        let mut client = client.slim();
        self.say(&mut client);
        let ping = self.world.clock.at_wall(client.deadline());
        let due = self.due().map_or(ping, |due| due.min(ping));
        let event = tokio::select! {
            biased;
            event = client.next() => Some(event),
            () = sleep_until(due) => None,
            _ = signal.changed() => None,
        };
        self.client = Some(client);
        if let Some(event) = event {
            self.take_all(event).await;
        } else if self.client.as_mut().is_some_and(|client| !client.tick(crate::now_ms())) {
            self.ended("no answer within 70 s");
        }
    }

    /// Takes what came, and what else is there already.
    async fn take_all(&mut self, first: Result<super::Event, ClientError>) {
        let mut event = Some(first);
        for _ in 0..AT_ONCE {
            match event {
                None => break,
                Some(Ok(event)) => self.hear(event),
                Some(Err(error)) => {
                    self.ended(&kind(&error));
                    break;
                }
            }
            let Some(client) = &mut self.client else { break };
            event = client.next_ready().await.transpose();
        }
        self.look_whether_current();
    }

    /// The connection ended, and the device did not end it.
    fn ended(&mut self, why: &str) {
        self.world.stats.borrow_mut().error(self.group, why);
        self.lose(why);
    }

    async fn connect(&mut self, signal: &mut watch::Receiver<Signal>) {
        self.count(|stats| stats.attempts += 1);
        let back_at = signal.borrow().back_at;
        if self.world.clock.micros() < back_at {
            return self.failed("no network", None);
        }
        let (target, node, synced) = (self.target(), self.node.clone(), self.synced());
        let signing = Client::sign_in_through(self.faults(), &target, &node, synced);
        let signed = tokio::select! {
            signed = timeout(HANDSHAKE, Box::pin(signing)) => signed,
            () = self.broken(signal) => return,
        };
        match signed {
            Ok(Ok(client)) => self.signed_in(client),
            Ok(Err(error)) => {
                let refusal = if let ClientError::Open(open) = &error {
                    open.refusal()
                } else {
                    self.backoff.opened();
                    None
                };
                self.failed(&kind(&error), refusal.and_then(|(_, after)| after));
            }
            Err(_) => self.failed("not let in within 70 s", None),
        }
    }

    fn faults(&self) -> Option<Box<Faults>> {
        let group = self.spec()?;
        let stream = (self.number as u64) << 24 | (self.connections & 0xff_ffff);
        let chance = Chance::new(self.world.plan.spec.seed ^ 0xfa17, stream);
        Faults::new(group.network, group.read_bytes_per_second, chance)
    }

    fn signed_in(&mut self, mut client: Client) {
        client.record(self.tape.take().unwrap_or_default());
        self.connection_number = 0;
        let ledger = self.world.ledger.borrow();
        self.sent = ledger.of(self.own).map_or(0, Author::acknowledged);
        drop(ledger);
        self.let_in();
        self.say(&mut client);
        self.subscribe(&mut client);
        client.ready();
        self.client = Some(Box::new(client));
        self.look_whether_current();
    }

    fn subscribe(&mut self, client: &mut Client) {
        let Some(channel) = self.spec().and_then(|group| group.follow.clone()) else { return };
        let ms = crate::now_ms();
        let id = ActionId { node: self.node.clone(), ms, sequence: SUBSCRIPTION };
        self.subscribing = Some(id.to_string());
        let meta = Meta { id, time: ms, subprotocol: None };
        client.send_again([(&builtin::subscribe(&channel), &meta)], 0);
    }

    /// Sends what it has made and not sent, as far as its way of sending goes.
    fn say(&mut self, client: &mut Client) {
        if self.state != State::Online {
            return;
        }
        let behaviour = self.spec().map(|group| group.behaviour).unwrap_or_default();
        let version = self.protocol.wire().map_or(Version::V5, |(version, _)| version);
        let (actions, frames) = match (behaviour, version) {
            (Behaviour::Better, _) => (FRAME_ACTIONS, FRAMES),
            (Behaviour::Stock, Version::V7) => (FRAME_ACTIONS, usize::MAX),
            (Behaviour::Stock, _) => (usize::MAX, usize::MAX),
        };
        let ledger = self.world.ledger.borrow();
        let Some(own) = ledger.of(self.own) else { return };
        while self.sent < own.made() && client.outstanding() < frames {
            let end = own.made().min(self.sent.saturating_add(actions));
            let metas: Vec<Meta> = (self.sent..end).map(|at| own.meta(at)).collect();
            let bodies = (self.sent..end).map(|at| own.body(at));
            client.send_again(bodies.zip(&metas), metas.len() as u64);
            self.sent = end;
        }
    }
}
