//! `tidelog serve`: opens the log, listens, and stops in order.

use crate::app::{App, Parts};
use crate::auth::Authenticator;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::connection::{self, Origin};
use crate::documents::Documents;
use crate::hub::Hub;
use crate::ingest::{Ingest, Quotas};
use crate::log::{Log, PageLimit, Settings};
use crate::metrics::{Metrics, Site};
use crate::nodes::{self, Recent};
use crate::rules::Rules;
use crate::ws::{self, Budget, Socket};
use crate::{clock, http, service, session};
use anyhow::Context;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{Headers, NodeId, peer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

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
/// The head of a request, its URL with a cursor and a hundred channels included; a longer one is
/// answered with 431 and closed.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// After an error of the listener, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

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
    let (stop, stopping) = watch::channel(false);
    let app = build(&config, stopping)?;
    let mut connections = JoinSet::new();
    let admin = crate::admin::serve(&config.server.data, app.clone())?;
    // Before the line that says the server is there: who reads it may send a signal at once.
    let mut signals = Signals::new()?;
    say_hello(&config, address);
    service::ready(address);
    let mut alive = JoinSet::new();
    alive.spawn(service::stay_alive());
    alive.spawn(nodes::forget_the_absent(app.log.clone(), config.limits.node_records));
    let outcome = tokio::select! {
        () = accept(&listener, &app, &mut connections, config.limits.connections) => Ok(()),
        signal = signals.next() => { tracing::info!(signal, "stopping"); Ok(()) }
        failure = app.log.failed() => Err(anyhow::Error::new(failure).context("the log failed")),
    };
    drop(listener);
    service::stopping();
    // Without a receiver there is nobody left to stop.
    stop.send(true).ok();
    let failed = outcome.is_err();
    drain(&mut connections, config.limits.drain).await;
    admin.stop().await;
    if !failed {
        app.log.close().await.context("the last commit failed")?;
        tracing::info!("stopped");
    }
    outcome
}

pub(crate) fn build(config: &Config, stop: watch::Receiver<bool>) -> anyhow::Result<App> {
    let rules = Arc::new(Rules::compile(config)?);
    let auth = Authenticator::new(config)?;
    let (log, opened) = Log::open(log_settings(config), clock::now_ms())?;
    tracing::info!("{opened}");
    let (hub, budget) = (Hub::default(), Budget::new(config.limits.frame_budget_bytes));
    let data = config.server.data.clone();
    let metrics = Metrics::of(Site { log: log.clone(), budget: budget.clone(), data });
    let publishing = hub.clone();
    log.on_commit(Arc::new(move |entries| publishing.publish(entries)));
    let settings = (config.limits.action_bytes, quotas(config));
    let ingest = Ingest::new(log.clone(), rules.clone(), metrics.clone(), settings);
    let session = session::Shared {
        incarnation: log.incarnation(),
        epochs: log.epochs(),
        rules: rules.clone(),
        verdicts: ingest.verdicts().clone(),
        limits: session_limits(config),
    };
    Ok(App::new(Parts {
        documents: Documents::new(log.clone(), config.server.data.join("index").join("documents")),
        http: http::Shared::new(http::Settings::of(config), &log),
        node: NodeId::new(&format!("server:{}", log.incarnation()))?,
        log,
        ingest,
        hub,
        rules,
        auth,
        metrics,
        session,
        peer: Arc::new(peer_settings(config)),
        subprotocol: config.server.subprotocol,
        headers: if config.dev { Some(development()?) } else { None },
        sessions_per_user: config.limits.sessions_per_user,
        page: PageLimit { entries: CHUNK_ACTIONS, bytes: CHUNK_BYTES },
        budget,
        recent: Recent::default(),
        stop,
    }))
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
    println!("tidelog listens on {address}");
    if config.dev {
        tracing::warn!(
            "development: any token signs in as the user in the node id; only this machine can connect"
        );
    }
}

async fn accept(listener: &TcpListener, app: &App, connections: &mut JoinSet<()>, most: usize) {
    let router = http::router(app.clone());
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, address)) if connections.len() >= most => {
                tracing::warn!(%address, most, "too many connections: one is closed");
                drop(stream);
            }
            Ok((stream, address)) => {
                let (app, router) = (app.clone(), router.clone());
                connections.spawn(serve_connection(stream, address, app, router));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; is the limit of open files too low?");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves one TCP connection. The memory of what serves requests is gone once it is a WebSocket,
/// which may be idle for days.
async fn serve_connection(stream: TcpStream, address: SocketAddr, app: App, router: Router) {
    let upgraded = Box::pin(serve_requests(stream, address, &app, router)).await;
    if let Some((upgraded, origin)) = upgraded {
        let message_max = app.peer.limits.frame_bytes_before_sign_in;
        let socket = Box::pin(Socket::new(upgraded, app.budget.clone(), message_max)).await;
        Box::pin(connection::serve(app, socket, origin)).await;
    }
}

/// Serves requests, until one of them turns the connection into a WebSocket.
async fn serve_requests(
    stream: TcpStream,
    address: SocketAddr,
    app: &App,
    router: Router,
) -> Option<(Upgraded, Origin)> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let upgraded = Arc::new(std::sync::Mutex::new(None));
    let slot = upgraded.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let (router, slot) = (router.clone(), slot.clone());
        async move {
            if !ws::is_upgrade(&request) {
                request.extensions_mut().insert(http::Peer(address.ip()));
                return router.oneshot(request).await;
            }
            let origin = origin(&request, address);
            let (answer, on_upgrade) = ws::upgrade(&mut request);
            *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                on_upgrade.map(|on_upgrade| (on_upgrade, origin));
            Ok::<Response<Body>, Infallible>(answer.map(Body::new))
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(HEAD_BYTES_MAX)
        .header_read_timeout(Duration::from_millis(app.peer.timers.handshake_ms))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = app.stopping() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, %address, "an HTTP connection broke");
    }
    let asked = upgraded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let (on_upgrade, origin) = asked?;
    Some((on_upgrade.await.ok()?, origin))
}

fn origin(request: &Request<Incoming>, address: SocketAddr) -> Origin {
    let text = |name| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    Origin {
        address: address.ip(),
        cookies: text(header::COOKIE),
        page: text(header::ORIGIN),
        host: text(header::HOST),
    }
}

/// Waits for the connections to end, and no longer than `patience`.
async fn drain(connections: &mut JoinSet<()>, patience: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all).await.is_err() {
        tracing::warn!(left = connections.len(), "connections did not end in time");
        connections.shutdown().await;
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
