//! A push service that speaks the protocol: it takes what comes by HTTP/1.1, HTTP/2 or TLS, looks at all of it as the
//! service would, and answers what that is documented to answer.

pub(super) mod apns;
pub(super) mod fcm;
pub(super) mod web;

use super::tls::Identity;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long anything is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Requests that no test has looked at yet.
const WAITING_MAX: usize = 1_000;

/// A request that came, and how it was answered: 0 if it was not.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) answered: u16,
}

impl Came {
    /// The one value that the header has; nothing if it has none, or several.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none());
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub(super) fn new(status: u16, body: &impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn response(self) -> Response<Full<Bytes>> {
        let start = Response::builder().status(self.status);
        let with = |start: hyper::http::response::Builder, (name, value)| start.header(name, value);
        let response = self.headers.into_iter().fold(start, with);
        response.body(Full::from(self.body)).unwrap()
    }
}

/// What a service makes of a request at the second that its clock shows: what it says when all is as it wants
/// it, or else what is wrong.
pub(super) type Judge = Box<dyn FnMut(&Came, u64) -> Result<Reply, Reply> + Send>;

struct State {
    judge: Judge,
    /// What it says in place of yes to the next requests whose paths end so; none says nothing.
    instead: Vec<(&'static str, Option<Reply>)>,
    /// One bit of these values is flipped on the way, in the next requests.
    flips: Vec<Flip>,
    ahead_s: u64,
}

/// Changes a request on its way.
pub(super) type Flip = fn(&mut Came);

pub(super) struct Double {
    pub(super) url: String,
    came: mpsc::Receiver<Came>,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Double {
    /// A service of Web Push.
    pub(super) async fn start() -> Self {
        Self::judging(web::judge).await
    }

    /// The service whose judge `make` makes, knowing where it is.
    pub(super) async fn judging(make: impl FnOnce(&str) -> Judge) -> Self {
        Self::listen(None, make).await
    }

    /// The same with TLS, as `identity`.
    pub(super) async fn with_tls(identity: Identity, make: impl FnOnce(&str) -> Judge) -> Self {
        Self::listen(Some(identity), make).await
    }

    async fn listen(identity: Option<Identity>, make: impl FnOnce(&str) -> Judge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match identity {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let (telling, came) = mpsc::channel(WAITING_MAX);
        let state = State { judge: make(&url), instead: Vec::new(), flips: Vec::new(), ahead_s: 0 };
        let state = Arc::new(Mutex::new(state));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, identity, telling, state.clone()));
        Self { url, came, state, _tasks: tasks }
    }

    /// Answers a coming request that is right so, after those that were said before.
    pub(super) fn answer(&self, status: u16, after: Option<&'static str>, body: &str) {
        let reply = Reply::new(status, &body);
        let reply = match after {
            Some(after) => reply.with("retry-after", &after),
            None => reply,
        };
        self.say("", reply);
    }

    /// The same, if its path ends so.
    pub(super) fn say(&self, path: &'static str, reply: Reply) {
        self.state.lock().unwrap().instead.push((path, Some(reply)));
    }

    /// Leaves a coming request without an answer.
    pub(super) fn keep_silent(&self) {
        self.state.lock().unwrap().instead.push(("", None));
    }

    /// Changes a coming request on its way.
    pub(super) fn damage(&self, flip: Flip) {
        self.state.lock().unwrap().flips.push(flip);
    }

    /// Its clock is so many seconds ahead of ours.
    pub(super) fn be_ahead(&self, seconds: u64) {
        self.state.lock().unwrap().ahead_s = seconds;
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Came {
        let came = tokio::time::timeout(PATIENCE, self.came.recv()).await;
        came.expect("nothing came").unwrap()
    }

    /// Whether nothing more has come.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.came.try_recv().is_err()
    }
}

async fn accept(
    listener: TcpListener,
    identity: Option<Identity>,
    telling: mpsc::Sender<Came>,
    state: Arc<Mutex<State>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (telling, state, identity) = (telling.clone(), state.clone(), identity.clone());
        connections.spawn(async move {
            match identity {
                None => serve(stream, telling, state).await,
                Some(identity) => {
                    // Who does not trust it goes.
                    if let Some(stream) = identity.accept(stream).await {
                        serve(stream, telling, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    telling: mpsc::Sender<Came>,
    state: Arc<Mutex<State>>,
) {
    let service = service_fn(move |request| take(request, telling.clone(), state.clone()));
    let server = auto::Builder::new(TokioExecutor::new());
    // A client may go at any time.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

async fn take(
    request: Request<Incoming>,
    telling: mpsc::Sender<Came>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (path, version) = (parts.uri.path().to_owned(), parts.version);
    let (method, headers) = (parts.method, parts.headers);
    let mut came = Came { method, version, path, headers, body, answered: 0 };
    let reply = state.lock().unwrap().judge(&mut came);
    came.answered = reply.as_ref().map_or(0, |reply| reply.status);
    // The test may be over.
    drop(telling.try_send(came));
    match reply {
        Some(reply) => Ok(reply.response()),
        None => std::future::pending().await,
    }
}

impl State {
    fn judge(&mut self, came: &mut Came) -> Option<Reply> {
        if !self.flips.is_empty() {
            self.flips.remove(0)(came);
        }
        let now_s = crate::clock::now_ms() / 1000 + self.ahead_s;
        match (self.judge)(came, now_s) {
            Err(wrong) => Some(wrong),
            Ok(right) => {
                let fits = |(path, _): &(&str, _)| came.path.ends_with(path);
                let instead = self.instead.iter().position(fits);
                instead.map_or(Some(right), |at| self.instead.remove(at).1)
            }
        }
    }
}

/// Flips one bit in the middle of a signature, or of whatever else is in base64url.
pub(super) fn flipped(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    let value = LETTERS.iter().position(|letter| *letter == bytes[middle]).unwrap();
    bytes[middle] = LETTERS[value ^ 1];
    String::from_utf8(bytes).unwrap()
}

/// With one bit of the signature flipped that the token in this header has.
pub(super) fn flip_signature(came: &mut Came) {
    let value = came.header("authorization").to_owned();
    let (start, rest) = value.rsplit_once('.').unwrap();
    // What comes after a token for browsers is the key.
    let (signature, end) = rest.find(',').map_or((rest, ""), |at| rest.split_at(at));
    let value = format!("{start}.{}{end}", flipped(signature));
    came.headers.insert("authorization", value.parse().unwrap());
}
