//! A crowd comes back to a slow disk with more than that takes in a minute: who was let in is acknowledged within one,
//! and the rest waits at the door.
//!
//! Whole servers over sockets. Time goes ten times as fast as by default, and a minute of the disk is counted in syncs,
//! so that a slow machine changes nothing.

use super::super::keep_pace;
use crate::app::App;
use crate::config::{Config, Source};
use crate::listen::Door;
use crate::serve;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A tenth of what it is by default, so that a minute is six seconds. Nothing else that is measured counts.
const SETTINGS: &str = "[admission]\nlight = 768\nlight_floor = 4\ndebt_target = \"2s\"\n\
    commit_target = \"1h\"\nlag_target = \"1h\"\npatience = \"1h\"\n";
const SYNC: Duration = Duration::from_millis(200);
const SYNCS_IN_A_MINUTE: usize = 30;

/// From a few the server learns how slow the disk is.
const FEW: usize = 20;
/// All others come at once. What five of them made offline fills a sync.
const CROWD: usize = 240;
const ACTIONS: usize = 10;
const ACTION_BYTES: usize = 40 << 10;

/// A server whose disk is slow.
struct Site {
    app: App,
    address: SocketAddr,
    syncs: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

async fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let mut config =
        Config::parse(Source::new(Path::new("tidelog.toml"), SETTINGS.to_owned())).unwrap();
    (config.dev, config.server.data) = (true, dir.path().join("data"));
    let (stop, stopping) = watch::channel(false);
    let app = serve::build(&config, stopping).unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    app.log.before_sync(Arc::new(move || {
        std::thread::sleep(SYNC);
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::new(&config, app.clone()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { door.open(&listener, &mut JoinSet::new()).await });
    let (pace, sources) = (app.door.clone(), serve::sources(&app));
    tasks.spawn(async move { match keep_pace(pace, sources).await {} });
    Site { app, address, syncs, stop, tasks, _dir: dir }
}

/// The next frame that is one of these.
async fn hear(socket: &mut WebSocketStream<TcpStream>, kind: &str) -> Value {
    loop {
        let message = socket.next().await.expect("the server closed").unwrap();
        let frame: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
        if frame[0] == kind {
            return frame;
        }
    }
}

/// A stock client: it signs in, sends all it has in one frame, and leaves when that is acknowledged. How many syncs
/// there were meanwhile.
async fn come_back(
    address: SocketAddr,
    (nth, backlog): (usize, Utf8Bytes),
    syncs: Arc<AtomicUsize>,
) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async("ws://localhost/", stream).await.unwrap();
    let connect = format!(r#"["connect",5,"u{nth}:c:t",0,{{"token":"x"}}]"#);
    socket.send(Message::text(connect)).await.unwrap();
    hear(&mut socket, "connected").await;
    let let_in = syncs.load(Ordering::Relaxed);
    socket.send(Message::Text(backlog)).await.unwrap();
    let synced = hear(&mut socket, "synced").await;
    assert_eq!(synced[1], ACTIONS);
    syncs.load(Ordering::Relaxed) - let_in
}

fn backlog() -> Utf8Bytes {
    let text = "x".repeat(ACTION_BYTES);
    let actions = (1..=ACTIONS)
        .map(|n| format!(r#",{{"type":"note","text":"{text}"}},{{"id":{n},"time":{n}}}"#));
    format!(r#"["sync",{ACTIONS}{}]"#, actions.collect::<String>()).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_is_acknowledged_within_a_minute_however_many_come() {
    let Site { app, address, syncs, stop, mut tasks, _dir } = site().await;
    let backlog = backlog();
    let crowd = |who: Range<usize>| -> JoinSet<usize> {
        let each = |nth| come_back(address, (nth, backlog.clone()), Arc::clone(&syncs));
        who.map(each).collect()
    };
    let (mut most, mut waited) = (0, 0);
    let coming = async {
        crowd(0..FEW).join_all().await;
        let mut all = crowd(FEW..FEW + CROWD);
        while let Some(took) = all.join_next().await {
            most = most.max(took.unwrap());
            waited = waited.max(app.door.waiting());
        }
    };
    tokio::time::timeout(Duration::from_secs(150), coming).await.expect("all come in");
    let all = syncs.load(Ordering::Relaxed);
    let told = format!("{all} syncs, {most} from being let in to an answer, {waited} waited");
    assert!(all > SYNCS_IN_A_MINUTE * 3 / 2, "that was hardly a minute of work: {told}");
    assert!(most <= SYNCS_IN_A_MINUTE, "somebody was let in too early: {told}");
    assert!(waited > CROWD / 4, "nobody waited at the door: {told}");
    println!("{told}");
    tasks.shutdown().await;
    stop.send(true).unwrap();
    app.log.close().await.unwrap();
}
