//! A push service: it takes what comes, as HTTP/1.1 or HTTP/2, and answers as it is told.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long anything is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Requests that no test has looked at yet.
const WAITING_MAX: usize = 1_000;

/// A request that came.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Came {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer: a status, `Retry-After` if it has one, and a body. None answers never.
pub(super) type Answered = Option<(u16, Option<&'static str>, String)>;

pub(super) struct Double {
    pub(super) url: String,
    came: mpsc::Receiver<Came>,
    answers: Arc<Mutex<VecDeque<Answered>>>,
    _tasks: JoinSet<()>,
}

impl Double {
    /// Answers 201 whatever comes, but for what [`Double::answer`] says.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (telling, came) = mpsc::channel(WAITING_MAX);
        let answers: Arc<Mutex<VecDeque<Answered>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let told = answers.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (telling, told) = (telling.clone(), told.clone());
                connections.spawn(async move {
                    let service =
                        service_fn(move |request| take(request, telling.clone(), told.clone()));
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A client may go at any time.
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { url, came, answers, _tasks: tasks }
    }

    /// Answers a coming request so, after those that were said before.
    pub(super) fn answer(&self, status: u16, after: Option<&'static str>, body: &str) {
        self.answers.lock().unwrap().push_back(Some((status, after, body.to_owned())));
    }

    /// Leaves a coming request without an answer.
    pub(super) fn keep_silent(&self) {
        self.answers.lock().unwrap().push_back(None);
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

async fn take(
    request: Request<Incoming>,
    telling: mpsc::Sender<Came>,
    answers: Arc<Mutex<VecDeque<Answered>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (path, version) = (parts.uri.path().to_owned(), parts.version);
    let came = Came { method: parts.method, version, path, headers: parts.headers, body };
    let answer = answers.lock().unwrap().pop_front();
    let answer = answer.unwrap_or(Some((201, None, String::new())));
    // The test may be over.
    drop(telling.try_send(came));
    let Some((status, after, body)) = answer else { std::future::pending().await };
    let mut response = Response::builder().status(status);
    if let Some(after) = after {
        response = response.header("retry-after", after);
    }
    Ok(response.body(Full::from(body)).unwrap())
}
