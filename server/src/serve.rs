//! `tidelog serve`: opens the log, listens, and stops in order.

use crate::admission::{self, Admission};
use crate::app::{self, App, Parts};
use crate::auth::Authenticator;
use crate::cli::ServeArgs;
use crate::compaction;
use crate::config::Config;
use crate::documents::Documents;
use crate::hub::Hub;
use crate::ingest::{Ingest, Quotas};
use crate::leaving::Leaving;
use crate::listen::Door;
use crate::log::{Log, PageLimit, Settings};
use crate::metrics::{self, Metrics, Site};
use crate::nodes::{self, Recent};
use crate::outgoing::OutgoingMemory;
use crate::replica::Replicas;
use crate::rules::Rules;
use crate::sync_map::{Lives, Snapshots};
use crate::wake::Wakes;
use crate::ws::Budget;
use crate::{clock, http, replica, service, session, users, wake};
use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{Headers, NodeId, peer};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Actions in one frame that the server sends.
const CHUNK_ACTIONS: usize = 100;
/// Bytes of actions in one frame that the server sends.
const CHUNK_BYTES: usize = 64 << 10;
/// Actions of one client that wait for their verdicts; with more, nothing further is read from it.
const PENDING_ACTIONS: usize = 4096;
/// Frames of one client that wait, beside those of its subscriptions; the same happens.
const PENDING_FRAMES: usize = 4096;
/// Threads that wait for the disk on behalf of readers; more readers take turns.
const READERS: usize = 32;
/// Runs the server until a signal or a failure of the log.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    crate::trace::start(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(READERS)
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    crate::admin::check(&config.server.data)?;
    let (stop, stopping) = watch::channel(false);
    let app = build(&config, stopping)?;
    let door = Door::new(&config, app.clone())?;
    let mut connections = JoinSet::new();
    let admin = crate::admin::serve(&config.server.data, app.clone())?;
    // Before the line that says the server is there: who reads it may send a signal at once.
    let mut signals = Signals::new()?;
    let hangups = signal(SignalKind::hangup())?;
    let mut chores = JoinSet::new();
    chores.spawn(reload_on(hangups, app.clone(), door.clone()));
    let keeper = app.clone();
    chores.spawn(async move { keeper.auth.keep_keys().await });
    say_hello(&config, address);
    service::ready(address);
    let mut alive = JoinSet::new();
    alive.spawn(service::stay_alive());
    alive.spawn(compaction::keep_compact(app.clone()));
    alive.spawn(nodes::forget_the_absent(app.log.clone(), config.limits.node_records));
    alive.spawn(wake::follow(app.clone()));
    alive.spawn(admission::keep_pace(app.door.clone(), sources(&app)));
    alive.spawn(replica::follow(app.clone(), config.upstream.followed()));
    alive.spawn(replica::watch(app.clone()));
    alive.spawn(users::carry_out(app.clone()));
    let outcome = tokio::select! {
        () = door.open(&listener, &mut connections) => Ok(()),
        signal = signals.next() => { tracing::info!(signal, "stopping"); Ok(()) }
        failure = app.log.failed() => Err(anyhow::Error::new(failure).context("the log failed")),
    };
    service::stopping();
    let failed = outcome.is_err();
    app.door.stop();
    // A log that has failed answers nobody, so nobody is better off for staying.
    if !failed {
        let waiting = usize::try_from(app.metrics.waiting.get()).unwrap_or_default();
        let all = app.door.sockets().saturating_add(waiting);
        let limits = (config.limits.drain, config.admission.retry_after);
        app.leaving.begin(all, limits, clock::now_ms());
    }
    // Without a receiver there is nobody left to stop.
    stop.send(true).ok();
    drain(&mut connections, (&door, listener), config.limits.drain).await;
    admin.stop().await;
    chores.shutdown().await;
    if !failed {
        app.wakes.keep_told().await;
        app.log.close().await.context("the last commit failed")?;
        tracing::info!("stopped");
    }
    outcome
}

pub(crate) fn build(config: &Config, stop: watch::Receiver<bool>) -> anyhow::Result<App> {
    let rules = Arc::new(Rules::compile(config)?);
    let auth = Arc::new(Authenticator::new(config)?);
    let (log, opened) = Log::open(log_settings(config), clock::now_ms())?;
    tracing::info!("{opened}");
    crate::revocations::load(&log, auth.revoked())?;
    let wakes = Arc::new(Wakes::open(config, &log)?);
    let judging = (rules.clone(), auth.revoked().clone());
    let replicas = Arc::new(Replicas::open(&log, judging, config)?);
    let (hub, budget) = (Hub::default(), Budget::new(config.limits.frame_budget_bytes));
    let door = Admission::new(&config.admission, metrics::Door::default());
    let site = Site {
        log: log.clone(),
        auth: auth.clone(),
        budget: budget.clone(),
        door: door.clone(),
        data: config.server.data.clone(),
        wakes: wakes.clone(),
        replicas: replicas.clone(),
    };
    let waits = Gauge::default();
    let metrics = Metrics::of(site, waits.clone());
    tell_of_commits(&log, &hub, &wakes, &replicas);
    let settings = (config.limits.action_bytes, quotas(config));
    let ingest = Ingest::new(log.clone(), rules.clone(), metrics.clone(), settings);
    let session = Arc::new(session::Shared {
        incarnation: log.incarnation(),
        epochs: log.epochs(),
        rules: rules.clone(),
        verdicts: ingest.verdicts().clone(),
        limits: session_limits(config),
    });
    Ok(App::new(Parts {
        compaction: compaction::Terms::of(config),
        documents: Documents::within(
            log.clone(),
            rules.clone(),
            config.server.data.join("index").join("documents"),
            config.limits.memory_or(16, 64 << 20),
        )?,
        http: http::Shared::new(http::Settings::of(config), &log),
        node: NodeId::new(&format!("server:{}", log.incarnation()))?,
        wakes,
        replicas,
        upstream: config.upstream.followed().is_some(),
        log,
        ingest,
        hub,
        rules,
        auth,
        metrics,
        session,
        peer: Arc::new(peer_settings(config)),
        subprotocol: config.server.subprotocol,
        dev: config.dev,
        headers: if config.dev { Some(development()?) } else { None },
        sessions_per_user: config.limits.sessions_per_user,
        page: PageLimit { entries: CHUNK_ACTIONS, bytes: CHUNK_BYTES },
        budget,
        outgoing: OutgoingMemory::new(config.limits.outgoing_bytes, waits),
        door,
        leaving: Leaving::default(),
        recent: Recent::new(config.limits.memory_or(16, 64 << 20)),
        maps: app::Maps {
            snapshots: Snapshots::new(config.limits.memory_or(32, 32 << 20)),
            lives: Lives::default(),
        },
        stop,
    }))
}

/// Who hears of what is committed, and when.
fn tell_of_commits(log: &Log, hub: &Hub, wakes: &Wakes, replicas: &Replicas) {
    let publishing = hub.clone();
    log.on_commit(Arc::new(move |entries| publishing.publish(entries)));
    let (waking, committed) = (hub.clone(), wakes.committed.clone());
    let following = Arc::clone(&replicas.committed);
    log.on_answered(Arc::new(move || {
        waking.wake();
        following.notify_waiters();
        committed.notify_one();
    }));
}

fn quotas(config: &Config) -> Quotas {
    Quotas {
        per_second: config.limits.actions_per_second,
        burst: config.limits.actions_burst,
        kept_bytes: config.limits.kept_bytes_per_user.map(|bytes| bytes as u64),
    }
}

fn log_settings(config: &Config) -> Settings {
    Settings {
        kept_bytes_max: quotas(config).kept_bytes,
        tail_bytes: config.log.tail_bytes,
        cache_bytes: config.log.cache_bytes,
        queue_bytes_max: config.limits.ingest_queue_bytes,
        ..Settings::new(config.server.data.clone())
    }
}

fn session_limits(config: &Config) -> session::Limits {
    session::Limits {
        subscriptions: config.limits.subscriptions_per_session,
        window_frames: (config.limits.window_entries / CHUNK_ACTIONS).max(1),
        window_bytes: config.limits.window_bytes,
        chunk_actions: CHUNK_ACTIONS,
        pending_actions: PENDING_ACTIONS,
        pending_frames: PENDING_FRAMES,
    }
}

fn peer_settings(config: &Config) -> peer::Settings {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    peer::Settings {
        limits: Arc::new(config.limits.protocol()),
        timers: peer::Timers {
            handshake_ms: ms(config.limits.handshake),
            idle_ms: ms(config.limits.ping),
            answer_ms: ms(config.limits.timeout),
        },
        min_subprotocol: config.server.min_subprotocol,
    }
}

/// Stock clients leave a `ws://` server that does not say that it is for development.
fn development() -> anyhow::Result<Headers> {
    Ok(Headers::new(bytes::Bytes::from_static(br#"{"env":"development"}"#))?)
}

/// The one line that says where the server is.
#[expect(clippy::print_stdout, reason = "the line is the command's output")]
fn say_hello(config: &Config, address: SocketAddr) {
    let how = if config.tls.is_some() { " (TLS)" } else { "" };
    println!("tidelog listens on {address}{how}");
    if config.dev {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        tracing::warn!(
            demo = %format_args!("{scheme}://{address}/"),
            "development: any token signs in as the user in the node id; only this machine can connect"
        );
    }
}

/// Reads certificates and keys again whenever the server is told to.
async fn reload_on(mut hangups: Signal, app: App, door: Door) -> Infallible {
    loop {
        hangups.recv().await;
        let (app, door) = (app.clone(), door.clone());
        let reading = tokio::task::spawn_blocking(move || {
            door.reload();
            app.auth.reload();
        });
        // A panic in it was reported; what was read before still is.
        drop(reading.await);
    }
}

/// Waits for the connections to end, and no longer than `patience`. Who comes meanwhile is told to come
/// again, here or elsewhere.
async fn drain(
    connections: &mut JoinSet<()>,
    (door, listener): (&Door, TcpListener),
    patience: Duration,
) {
    let mut late = JoinSet::new();
    let all = async { while connections.join_next().await.is_some() {} };
    let ended = tokio::select! {
        ended = tokio::time::timeout(patience, all) => ended,
        () = door.open(&listener, &mut late) => Ok(()),
    };
    drop(listener);
    if ended.is_err() {
        tracing::warn!(left = connections.len(), "connections did not end in time");
        connections.shutdown().await;
    }
    late.shutdown().await;
}

/// What the door follows.
pub(crate) fn sources(app: &App) -> admission::Sources {
    admission::Sources {
        appends: app.ingest.appends(),
        budget: app.budget.clone(),
        outgoing: app.outgoing.clone(),
    }
}

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    fn new() -> std::io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
