//! The link is cut at every byte of a small exchange, one after the other, both ways, as a WebSocket and as
//! requests: the end is always the same.

use super::draft;
use crate::app::App;
use crate::config::{Config, Source, Upstream};
use crate::documents::Documents;
use crate::listen::Door;
use crate::log::{LogName, PageLimit};
use crate::replica::caller::Caller;
use crate::replica::client::{Tries, attempt};
use crate::replica::registry::Replica;
use crate::serve;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tidelog_crdt::{DocumentName, Position};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };
const LIKE: &str = r#"{"type":"crdt/counter/add","doc":"likes","by":1}"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

struct Server {
    app: App,
    config: Config,
    dir: TempDir,
    stop: watch::Sender<bool>,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::parse(Source::new(dir.path(), String::new())).unwrap();
        config.dev = true;
        config.server.data = dir.path().join("data");
        let (stop, stopping) = watch::channel(false);
        let app = serve::build(&config, stopping).unwrap();
        Self { app, config, dir, stop }
    }

    async fn like(&self, user: &str, ms: u64) {
        let draft = draft(&format!("{user}:phone"), ms, LIKE);
        self.app.log.append(vec![draft], ms).await.unwrap();
    }

    /// Its actions by id, with their names.
    fn actions(&self) -> BTreeMap<String, String> {
        let entries = self.app.log.feed(Position::ZERO, ALL).unwrap().entries;
        entries.iter().map(|it| (it.id.to_string(), format!("{:?}", it.dot))).collect()
    }

    fn likes(&self, user: &str) -> serde_json::Value {
        let (log, rules) = (self.app.log.clone(), self.app.rules.clone());
        let documents = Documents::new(log, rules, self.dir.path().join("read")).unwrap();
        let name = LogName::User(super::user(user));
        documents.read(&name, &DocumentName::new("likes").unwrap()).unwrap().value
    }
}

/// Lets so many bytes pass one way, all connections together, and then cuts them all.
struct Line {
    left: AtomicUsize,
    way: Way,
    was_cut: AtomicBool,
    cut: Notify,
}

impl Line {
    /// How many of `count` bytes may pass.
    fn take(&self, way: Way, count: usize) -> usize {
        if way != self.way {
            return count;
        }
        let left = self.left.load(Ordering::SeqCst);
        let passes = count.min(left);
        self.left.store(left - passes, Ordering::SeqCst);
        passes
    }

    async fn forward(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let passes = self.take(way, read);
            if to.write_all(&bytes[..passes]).await.is_err() {
                return;
            }
            if passes < read {
                self.was_cut.store(true, Ordering::SeqCst);
                self.cut.notify_waiters();
                return;
            }
        }
    }

    async fn serve(self: Arc<Self>, near: TcpStream, cloud: SocketAddr) {
        let cut = self.cut.notified();
        let Ok(far) = TcpStream::connect(cloud).await else { return };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = self.forward(near_in, far_out, Way::Up) => {}
            () = self.forward(far_in, near_out, Way::Down) => {}
            () = cut => {}
        }
    }
}

struct Story {
    cloud: Server,
    edge: Server,
    address: SocketAddr,
    upstream: Upstream,
    made: u64,
    /// Who serves the cloud.
    tasks: JoinSet<()>,
}

impl Story {
    async fn begin() -> Self {
        let (cloud, edge) = (Server::new(), Server::new());
        let all = || vec!["*".to_owned()];
        let (replica, token) = Replica::make("ship-7", (all(), all()), 1).unwrap();
        cloud.app.replicas.desk.registry.set("ship-7", Some(replica));
        let token_file = edge.dir.path().join("token");
        std::fs::write(&token_file, token).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(&cloud.config, cloud.app.clone()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { door.open(&listener, &mut JoinSet::new()).await });
        // One that nobody asks: to read those of the system takes longer than the exchange.
        let ca_file = edge.dir.path().join("ca.pem");
        let certified = rcgen::generate_simple_self_signed(["cloud".to_owned()]).unwrap();
        std::fs::write(&ca_file, certified.cert.pem()).unwrap();
        let upstream = Upstream { token_file, ca_file, ..Upstream::default() };
        Self { cloud, edge, address, upstream, made: 0, tasks }
    }

    async fn until_agreed(&self) {
        let is_whole = |server: &Server| server.app.log.head().get() == self.made;
        while !is_whole(&self.cloud) || !is_whole(&self.edge) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A small exchange over a line that carries so many bytes one way; whether it was cut.
    async fn exchange(&mut self, socket: bool, way: Way, bytes: usize) -> bool {
        self.cloud.like("ann", 1_000 + self.made).await;
        self.edge.like("ann", 2_000_000 + self.made).await;
        self.made += 2;
        let line = Arc::new(Line {
            left: AtomicUsize::new(bytes),
            way,
            was_cut: AtomicBool::new(false),
            cut: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let caller =
            Caller::new(&Upstream { url, ..self.upstream.clone() }, Arc::default()).unwrap();
        let mut tries = Tries { mute: !socket, ..Tries::default() };
        let cloud = self.address;
        let mut connections = JoinSet::new();
        let carrying = async {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                // What is cut stays cut: the requests that a socket falls back to, too.
                if !line.was_cut.load(Ordering::SeqCst) {
                    connections.spawn(Arc::clone(&line).serve(near, cloud));
                }
            }
        };
        tokio::select! {
            down = attempt(&self.edge.app, &caller, &mut tries) => {
                assert!(line.was_cut.load(Ordering::SeqCst), "{way:?} {bytes}: {}", down.is_ok());
            }
            () = self.until_agreed() => {}
            never = carrying => never,
        }
        line.was_cut.load(Ordering::SeqCst)
    }
}

/// Every `step`th byte, until the exchange fits.
async fn every_byte(socket: bool, way: Way, step: usize) {
    let mut story = Story::begin().await;
    let mut bytes = 0;
    while story.exchange(socket, way, bytes).await {
        bytes += step;
    }
    assert!(bytes > 300, "only {bytes} bytes {way:?}: that was no exchange");
    assert!(!story.exchange(socket, way, usize::MAX).await);
    let (there, here) = (story.cloud.actions(), story.edge.actions());
    assert_eq!(there.len() as u64, story.made, "nothing lost or doubled");
    assert_eq!(there, here);
    for server in [&story.cloud, &story.edge] {
        assert_eq!(server.likes("ann"), story.made);
    }
    story.tasks.shutdown().await;
    drop((story.cloud.stop, story.edge.stop));
}

#[tokio::test]
async fn a_socket_that_is_cut_at_any_byte_on_the_way_up_loses_and_doubles_nothing() {
    every_byte(true, Way::Up, 1).await;
}

#[tokio::test]
async fn a_socket_that_is_cut_at_any_byte_on_the_way_down_loses_and_doubles_nothing() {
    every_byte(true, Way::Down, 1).await;
}

#[tokio::test]
async fn requests_that_are_cut_on_the_way_up_lose_and_double_nothing() {
    every_byte(false, Way::Up, 3).await;
}

#[tokio::test]
async fn requests_that_are_cut_on_the_way_down_lose_and_double_nothing() {
    every_byte(false, Way::Down, 3).await;
}

/// Between the two: lets a WebSocket be opened, and nothing through it.
async fn swallow(mut near: TcpStream, cloud: SocketAddr) {
    let Ok(mut far) = TcpStream::connect(cloud).await else { return };
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    let mut is_socket = false;
    loop {
        tokio::select! {
            read = near.read(&mut up) => {
                let Ok(read @ 1..) = read else { return };
                if !is_socket && far.write_all(&up[..read]).await.is_err() {
                    return;
                }
            }
            read = far.read(&mut down), if !is_socket => {
                let Ok(read @ 1..) = read else { return };
                is_socket = down[..read].starts_with(b"HTTP/1.1 101");
                if near.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn where_a_socket_carries_nothing_the_link_is_requests() {
    let mut story = Story::begin().await;
    story.cloud.like("ann", 1).await;
    story.edge.like("ann", 2).await;
    story.made = 2;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cloud = story.address;
    story.tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            connections.spawn(swallow(near, cloud));
        }
    });
    let caller =
        || Caller::new(&Upstream { url: url.clone(), ..story.upstream.clone() }, Arc::default());
    let mut tries = Tries::default();
    // It is given up in time, and the next life of the link does without.
    drop(attempt(&story.edge.app, &caller().unwrap(), &mut tries).await);
    assert!(tries.mute);
    let caller = caller().unwrap();
    tokio::select! {
        _ = attempt(&story.edge.app, &caller, &mut tries) => panic!("the requests were cut"),
        () = story.until_agreed() => {}
    }
    story.tasks.shutdown().await;
}
