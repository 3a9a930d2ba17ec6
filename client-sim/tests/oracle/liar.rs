//! A small server that keeps logs in memory and, once, does what no server may.

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tidelog_protocol::peer::{
    Accept, Accepted, Connection, HandshakeEvent, Received, ServerHandshake, Settings,
};
use tidelog_protocol::{Action, Frame, Meta, NodeId, Pair, Sync, builtin};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// What the server does that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// It acknowledges an action that it does not keep.
    Forget,
    /// A device does not get an action.
    Drop,
    /// A device gets an action twice.
    Repeat,
    /// A device gets two actions of one author the wrong way round.
    Reorder,
    /// A device gets two authors' actions the other way round than everybody else.
    Swap,
    /// A device gets an action with another body.
    Alter,
    /// A device gets an action that nobody made.
    Invent,
    /// An action is undone.
    Undo,
    /// Its number falls.
    Fall,
}

/// What all connections share.
struct Shared {
    lie: Lie,
    state: Mutex<State>,
    grown: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    logs: HashMap<String, Vec<Pair>>,
    told: bool,
}

/// Listens on a port of its own until the runtime ends.
pub(crate) async fn serve(lie: Lie) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared { lie, state: Mutex::default(), grown: watch::Sender::new(0) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A connection that ends is the end of it.
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { drop(Session::run(stream, shared).await) });
        }
    });
    Ok(address)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

struct Session {
    shared: Arc<Shared>,
    socket: WebSocketStream<TcpStream>,
    connection: Connection,
    node: NodeId,
    user: String,
    /// How much of its user's log it has had.
    had: usize,
    fresh: bool,
}

impl Session {
    async fn run(stream: TcpStream, shared: Arc<Shared>) -> anyhow::Result<()> {
        let mut grown = shared.grown.subscribe();
        let mut session = Self::sign_in(stream, shared).await?;
        loop {
            session.deliver().await?;
            tokio::select! {
                frame = session.socket.next() => {
                    let frame = frame.context("gone")??;
                    session.on_frame(frame).await?;
                }
                changed = grown.changed() => changed?,
            }
        }
    }

    async fn sign_in(stream: TcpStream, shared: Arc<Shared>) -> anyhow::Result<Self> {
        let mut socket = accept_async(stream).await?;
        let now = tidelog_client_sim::now_ms();
        let mut handshake = ServerHandshake::new(now, &Arc::new(Settings::server()));
        let sign_in = loop {
            let frame = read(socket.next().await.context("gone")??).context("no frame")?;
            if let HandshakeEvent::SignIn(sign_in) = handshake.on_frame(&frame, now)? {
                break sign_in;
            }
        };
        let accept =
            Accept { node: NodeId::new("server:liar")?, subprotocol: 0, headers: None, now };
        let Accepted { connection, frames, .. } = handshake.accept(&sign_in, accept);
        for frame in frames {
            socket.send(written(frame)).await?;
        }
        let (node, had) = (sign_in.node, usize::try_from(sign_in.synced)?);
        let user = node.user_str().context("no user")?.to_owned();
        Ok(Self { shared, socket, connection, node, user, had, fresh: had == 0 })
    }

    async fn on_frame(&mut self, message: Message) -> anyhow::Result<()> {
        let Some(frame) = read(message) else { return Ok(()) };
        let now = tidelog_client_sim::now_ms();
        let answer = match self.connection.receive(&frame, now)? {
            Received::Sync(sync) => return self.take(sync).await,
            Received::Ping(_) => self.connection.pong(self.had as u64, now),
            _ => return Ok(()),
        };
        Ok(self.socket.send(written(answer)).await?)
    }

    /// Keeps actions, answers and acknowledges them.
    async fn take(&mut self, sync: Sync) -> anyhow::Result<()> {
        let now = tidelog_client_sim::now_ms();
        let mut answers = Vec::new();
        {
            let mut state = self.shared.state();
            for pair in sync.batch {
                let (id, late) = (pair.meta.id.clone(), state.is_late(&self.user));
                let lies = late && !state.told && pair.action.kind() == "sim/add";
                state.told |= lies && matches!(self.shared.lie, Lie::Forget | Lie::Undo);
                answers.push(match self.shared.lie {
                    Lie::Undo if lies => builtin::undo(&id, "denied", &pair.action),
                    _ => builtin::processed(&id),
                });
                if !(lies && matches!(self.shared.lie, Lie::Forget | Lie::Undo)) {
                    state.logs.entry(self.user.clone()).or_default().push(pair);
                }
            }
        }
        let metas: Vec<Meta> = (0..answers.len() as u64)
            .map(|n| Meta {
                id: format!("{now} server:liar {}", n + 1).parse().expect("an id"),
                time: now,
                subprotocol: None,
            })
            .collect();
        let frame = self.connection.sync(self.had as u64, answers.iter().zip(&metas), 0, now);
        self.socket.feed(written(frame)).await?;
        let synced = self.connection.synced(sync.number, now);
        self.socket.send(written(synced)).await?;
        self.shared.grown.send_modify(|grown| *grown += 1);
        Ok(())
    }

    /// Sends what others made since the last time.
    async fn deliver(&mut self) -> anyhow::Result<()> {
        let (batch, lied) = {
            let mut state = self.shared.state();
            let log = state.logs.get(&self.user).map_or(&[][..], |log| log);
            let others = |pair: &&Pair| self.fresh || pair.meta.id.node != self.node;
            let mut batch: Vec<Pair> =
                log.get(self.had..).unwrap_or_default().iter().filter(others).cloned().collect();
            self.had = log.len();
            let lied = !state.told
                && state.is_late(&self.user)
                && lie(self.shared.lie, &self.node, &mut batch);
            state.told |= lied;
            (batch, lied)
        };
        if !batch.is_empty() {
            let now = tidelog_client_sim::now_ms();
            let frame = written(self.frame(self.had, &batch, now));
            self.socket.send(frame).await?;
        }
        if lied && self.shared.lie == Lie::Fall {
            // By hand, because the protocol's peer would not.
            self.socket.send(Message::text(r#"["ping",1]"#)).await?;
        }
        Ok(())
    }

    fn frame(&mut self, number: usize, batch: &[Pair], now: u64) -> Frame {
        let pairs = batch.iter().map(|pair| (&pair.action, &pair.meta));
        self.connection.sync(number as u64, pairs, 0, now)
    }
}

impl State {
    /// It behaves at first, so that there is something to compare with.
    fn is_late(&self, user: &str) -> bool {
        self.logs.get(user).is_some_and(|log| log.len() > 30)
    }
}

/// Does to a batch what must not be; whether there was something to do it to.
fn lie(lie: Lie, reader: &NodeId, batch: &mut Vec<Pair>) -> bool {
    let of_run = |pair: &Pair| pair.action.kind() == "sim/add" && pair.meta.id.node != *reader;
    let Some(at) = batch.iter().position(of_run) else { return false };
    let Some(mut pair) = batch.get(at).cloned() else { return false };
    let node = |at: usize| batch.get(at).map(|pair| &pair.meta.id.node);
    let same = (at + 1..batch.len()).find(|other| node(*other) == node(at));
    let other = (at + 1..batch.len()).find(|next| {
        let (one, two) = (node(*next - 1), node(*next));
        one != two && one != Some(reader) && two != Some(reader)
    });
    match (lie, same, other) {
        (Lie::Drop, ..) => drop(batch.remove(at)),
        (Lie::Repeat, ..) => batch.push(pair),
        (Lie::Reorder, Some(same), _) => batch.swap(at, same),
        (Lie::Swap, _, Some(other)) => batch.swap(other - 1, other),
        (Lie::Alter, ..) => {
            let json = Bytes::from_static(br#"{"type":"sim/add","field":0,"text":"lies"}"#);
            pair.action = Action::new(json).expect("an action");
            batch.splice(at..=at, [pair]);
        }
        (Lie::Invent, ..) => {
            pair.meta.id.sequence += 500;
            batch.push(pair);
        }
        (Lie::Fall, ..) => {}
        _ => return false,
    }
    true
}

fn read(message: Message) -> Option<Frame> {
    match message {
        Message::Text(text) => Some(Frame::text(text)),
        Message::Binary(bytes) => Some(Frame::binary(bytes)),
        _ => None,
    }
}

fn written(frame: Frame) -> Message {
    let bytes = frame.into_bytes();
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}
