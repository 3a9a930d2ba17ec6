//! Connections as they come in: TCP, TLS where it is set up, and HTTP, of which one request may turn
//! its connection into a WebSocket.

mod proxies;
mod streams;
mod timer;

use crate::admission::{Away, Counted};
use crate::app::App;
use crate::config::Config;
use crate::connection::{self, Newcomer, Origin};
use crate::http;
use crate::metrics::Stage;
use crate::replica;
use crate::tls::{Tls, TlsError, TlsStream, speaks_http2};
use crate::ws::{self, Impatient, Owner, Socket};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use proxies::Proxies;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use streams::Streams;
use timer::LazyTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tower::ServiceExt;

/// The head of a request, its URL with a cursor and a hundred channels included; a longer one is
/// answered with 431 and closed.
const HEAD_BYTES_MAX: u32 = 64 << 10;
/// Requests of one HTTP/2 connection at once; further ones wait at the client.
const STREAMS_MAX: u32 = 128;
/// Bytes that wait for the client of one HTTP/2 request.
const STREAM_BYTES_MAX: usize = 64 << 10;
/// How long an HTTP/2 connection that was told to end may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// After an error of the listener, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What every connection comes in by. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Parts>);

struct Parts {
    app: App,
    router: Router,
    tls: Option<Tls>,
    proxies: Proxies,
    /// Open sockets, those that still shake hands among them.
    most: usize,
    /// TLS handshakes at once.
    handshakes: Semaphore,
    /// From opening a socket to the end of what is said before requests.
    handshake: Duration,
}

impl Door {
    pub(crate) fn new(config: &Config, app: App) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Parts {
            router: http::router(app.clone()),
            app,
            tls: config.tls.as_ref().map(Tls::read).transpose()?,
            proxies: Proxies::of(&config.server),
            most: config.limits.connections,
            handshakes: Semaphore::new(config.admission.handshakes),
            handshake: config.limits.handshake,
        })))
    }

    /// Reads the certificate again. A bad one changes nothing.
    pub(crate) fn reload(&self) {
        match self.0.tls.as_ref().map(Tls::reload) {
            None => {}
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::error!(
                %error,
                "the new certificate cannot be used, and the one before it still is: mend it and \
                 send SIGHUP again"
            ),
        }
    }

    /// Lets in whoever comes.
    pub(crate) async fn open(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        let most = self.0.most;
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, address)) if connections.len() >= most => {
                    tracing::warn!(%address, most, "too many connections: one is closed");
                    self.0.app.door.told().shed(Stage::Accept);
                    drop(stream);
                }
                Ok((stream, address)) => {
                    connections.spawn(serve_connection(stream, address, self.clone()));
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot accept a connection; is the limit of open files too low?"
                    );
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// Serves one TCP connection. The memory of what serves requests is gone once it is a WebSocket,
/// which may be idle for days.
async fn serve_connection(stream: TcpStream, address: SocketAddr, door: Door) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let upgraded = Box::pin(serve_stream(stream, address, &door)).await;
    if let Some(newcomer) = upgraded {
        let app = door.0.app.clone();
        drop(door);
        Box::pin(connection::serve(app, newcomer)).await;
    }
}

async fn serve_stream(stream: TcpStream, address: SocketAddr, door: &Door) -> Option<Newcomer> {
    let Some(tls) = &door.0.tls else { return serve_http1(stream, address, door).await };
    let late = *door.0.app.stop.borrow();
    let shaken = tokio::select! {
        shaken = door.shake_hands(tls, stream) => shaken,
        () = door.0.app.stopping(), if !late => return None,
    };
    match shaken {
        Ok(Ok(stream)) if speaks_http2(&stream) => {
            serve_http2(stream, address, door).await;
            None
        }
        Ok(Ok(stream)) => serve_http1(stream, address, door).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, %address, "no TLS handshake");
            None
        }
        Err(_) => {
            tracing::debug!(%address, "a TLS handshake took too long");
            None
        }
    }
}

/// What becomes a WebSocket, once the answer that says so is sent.
type Slot = Arc<Mutex<Option<(OnUpgrade, Origin, Counted)>>>;

/// Serves requests, until one of them turns the connection into a WebSocket.
async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    door: &Door,
) -> Option<Newcomer> {
    let slot = Slot::default();
    let upgrading = slot.clone();
    let late = *door.0.app.stop.borrow();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let (door, slot) = (door.clone(), upgrading.clone());
        async move {
            if let Some(refusal) = door.refusal(&request, late) {
                return Ok(refusal);
            }
            if !ws::is_upgrade(&request) {
                return door.answer(request, address).await;
            }
            if let Some(answer) = replica::upgrade(&door.0.app, &mut request) {
                return Ok(answer);
            }
            let unsigned = match door.0.app.door.knock() {
                Ok(unsigned) => unsigned,
                Err(Away(seconds)) => return Ok(http::busy(seconds)),
            };
            let origin = origin(&request, door.client(&request, address));
            let (answer, on_upgrade) = ws::upgrade(&mut request);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) =
                on_upgrade.map(|on_upgrade| (on_upgrade, origin, unsigned));
            Ok::<Response<Body>, Infallible>(answer.map(Body::new))
        }
    });
    let patience = Duration::from_millis(door.0.app.peer.timers.answer_ms);
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(LazyTimer::default())
        .max_buf_size(HEAD_BYTES_MAX as usize)
        .header_read_timeout(door.0.handshake)
        .keep_alive(!late)
        .serve_connection(TokioIo::new(Impatient::new(stream, patience)), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        // Who comes late is answered once, that it is late.
        () = door.0.app.stopping(), if !late => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, %address, "an HTTP connection broke");
    }
    let asked = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (on_upgrade, origin, unsigned) = asked?;
    let upgraded = on_upgrade.await.ok()?;
    let message_max = door.0.app.peer.limits.frame_bytes_before_sign_in;
    let owner = Owner::Address(origin.address);
    let socket = Socket::new(upgraded, door.0.app.budget.clone(), owner, message_max);
    Some(Newcomer { socket: Box::new(socket), origin: Box::new(origin), unsigned })
}

/// Serves requests side by side, until nothing is asked for a while. A WebSocket cannot come this
/// way: browsers open a connection of HTTP/1.1 for it, since nothing offers them another.
async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    door: &Door,
) {
    let timers = door.0.app.peer.timers;
    let (ping, patience) =
        (Duration::from_millis(timers.idle_ms), Duration::from_millis(timers.answer_ms));
    let answering = door.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let door = answering.clone();
        async move { door.answer(request, address).await }
    });
    let streams = Streams::default();
    let serving = hyper::server::conn::http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(STREAM_BYTES_MAX)
        .keep_alive_interval(ping)
        .keep_alive_timeout(patience)
        .serve_connection(TokioIo::new(Impatient::new(stream, patience)), service);
    let mut serving = std::pin::pin!(serving);
    let goodbye = tokio::select! {
        served = serving.as_mut() => return broke(served, address),
        () = streams.idle(door.0.handshake, patience) => GOODBYE,
        // The whole server waits for no longer than this; then the task is ended.
        () = door.0.app.stopping() => Duration::MAX,
    };
    serving.as_mut().graceful_shutdown();
    if let Ok(served) = tokio::time::timeout(goodbye, serving).await {
        broke(served, address);
    }
}

fn broke(served: hyper::Result<()>, address: SocketAddr) {
    if let Err(error) = served {
        tracing::debug!(%error, %address, "an HTTP/2 connection broke");
    }
}

impl Door {
    /// Shakes hands for TLS, as soon as the client has begun and there are not too many who do; the socket costs nothing
    /// so long. Who opens one and says nothing takes no turn from anybody.
    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: TcpStream,
    ) -> Result<io::Result<TlsStream<TcpStream>>, Elapsed> {
        // A look, and not only the question: a new socket is said to be readable when it is not.
        if let Err(error) = tokio::time::timeout(self.0.handshake, stream.peek(&mut [0])).await? {
            return Ok(Err(error));
        }
        let waits = self.0.app.door.told().waits_for_handshake();
        // It is never closed.
        let _turn = self.0.handshakes.acquire().await;
        drop(waits);
        tokio::time::timeout(self.0.handshake, tls.accept(stream)).await
    }

    /// What a server that stops answers to who comes `late`, and to who wants a WebSocket; whoever runs
    /// it may still look.
    fn refusal(&self, request: &Request<Incoming>, late: bool) -> Option<Response<Body>> {
        let stops = *self.0.app.stop.borrow();
        let looks = matches!(request.uri().path(), "/health" | "/ready" | "/metrics");
        if !stops || looks || !(late || ws::is_upgrade(request)) {
            return None;
        }
        self.0.app.door.told().shed(Stage::Drain);
        Some(http::stopping(&self.0.app))
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        let client = self.client(&request, address);
        request.extensions_mut().insert(http::Peer(client));
        self.0.router.clone().oneshot(request).await
    }

    /// Where a request comes from.
    fn client(&self, request: &Request<Incoming>, address: SocketAddr) -> IpAddr {
        self.0.proxies.client(address.ip(), request.headers())
    }
}

fn origin(request: &Request<Incoming>, address: IpAddr) -> Origin {
    let text = |name| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    Origin {
        address,
        cookies: text(header::COOKIE),
        page: text(header::ORIGIN),
        host: text(header::HOST),
    }
}
