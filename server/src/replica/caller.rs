//! How the other server is asked: over a WebSocket, or with requests where there is none to be had.

use super::body::{self, BODY_BYTES_MAX, MEDIA_TYPE};
use super::door::KEPT_WAITING_MAX;
use super::pace::{Paces, Sizes, narrower};
use super::wire::{self, What};
use crate::clock::Stopwatch;
use crate::config::Upstream;
use crate::tls::client::{authorities, trusting};
use crate::ws::outward::{self, Reader, Writer};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the other may wait before it says that there is nothing.
pub(super) const WAIT_MS: u32 = 25_000;
/// An answer takes no longer than this, beside what the other waits and keeps it waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long until it is seen that what is between lets a socket be opened, and nothing through it.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);
/// No pause is longer, or the other would take the silence for the end of the link.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// Questions that wait to be sent; there are two at most.
const QUESTIONS_MAX: usize = 4;
/// What [`Caller::rate`] is without a limit.
const NO_LIMIT: u64 = 0;

/// Why a link went down.
pub(super) enum Down {
    /// It can be tried again soon.
    Broken(anyhow::Error),
    /// The two do not work together.
    Refused(anyhow::Error),
}

impl From<anyhow::Error> for Down {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

type Answer = (StatusCode, Bytes);
type Question = (What, u32, Vec<u8>, oneshot::Sender<Answer>);

/// Asks the other server.
pub(super) struct Caller {
    pub(super) base: String,
    token: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Where questions go while there is a socket.
    line: Mutex<Option<Line>>,
    number: AtomicU32,
    paces: Paces,
    /// Bytes in a second.
    rate: AtomicU64,
    /// How much is said at once.
    sizes: Arc<Sizes>,
}

/// Questions on their way.
#[derive(Clone)]
struct Line(mpsc::Sender<Question>);

impl Caller {
    /// Made anew for each life of the link, so that a new token and new authorities count. Blocks.
    pub(super) fn new(upstream: &Upstream, sizes: Arc<Sizes>) -> anyhow::Result<Self> {
        let client = client(upstream)?;
        let rate = AtomicU64::new(upstream.bandwidth.map_or(NO_LIMIT, |rate| rate as u64));
        Ok(Self {
            base: upstream.url.trim_end_matches('/').to_owned(),
            token: token(upstream)?,
            client,
            line: Mutex::default(),
            number: AtomicU32::default(),
            paces: Paces::default(),
            rate,
            sizes,
        })
    }

    /// Bytes in a second, if there is a limit.
    pub(super) fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate != NO_LIMIT)
    }

    /// What a batch may hold that is pushed, and one that is pulled.
    pub(super) fn sizes(&self) -> (Option<u64>, Option<u64>) {
        let Sizes { up, down } = &*self.sizes;
        (narrower(self.rate(), Some(up.now())), narrower(self.rate(), Some(down.now())))
    }

    /// From now on this is the limit.
    pub(super) fn set_rate(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(NO_LIMIT), Ordering::Relaxed);
    }

    /// Says something, and hears what is said to it.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        what: What,
        said: &impl Serialize,
    ) -> Result<T, Down> {
        let body = body::write(said).map_err(|error| anyhow!(error))?;
        if body.len() > BODY_BYTES_MAX {
            return Err(Down::Broken(anyhow!("what is to be said is too long")));
        }
        let length = body.len();
        self.paces.up.spend(length, self.rate(), PAUSE_MAX).await;
        let patience = match what {
            What::Hello => FIRST_PATIENCE,
            What::Push => PATIENCE + KEPT_WAITING_MAX * 2,
            What::Pull => PATIENCE + KEPT_WAITING_MAX * 2 + Duration::from_millis(WAIT_MS.into()),
        };
        let since = Stopwatch::start();
        let answered = tokio::time::timeout(patience, self.exchange(what, body)).await;
        let (status, bytes) = answered.context("no answer in time")??;
        match what {
            What::Hello => {}
            What::Push => self.sizes.up.took(length, since.elapsed()),
            What::Pull => self.sizes.down.took(bytes.len(), since.elapsed()),
        }
        self.paces.down.spend(bytes.len(), self.rate(), PAUSE_MAX).await;
        match status {
            StatusCode::OK => Ok(body::read(&bytes).context("the answer cannot be read")?),
            _ => Err(refused_or_broken(status, &bytes)),
        }
    }

    async fn exchange(&self, what: What, body: Vec<u8>) -> anyhow::Result<Answer> {
        let Some(Line(line)) = self.line().clone() else { return self.request(what, body).await };
        let (answer, answered) = oneshot::channel();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let asked = line.send((what, number, body, answer)).await;
        asked.map_err(|_| anyhow!("the socket is closed"))?;
        answered.await.context("the socket was closed")
    }

    async fn request(&self, what: What, body: Vec<u8>) -> anyhow::Result<Answer> {
        let request = Request::post(format!("{}/v1/replica/{}", self.base, what.path()))
            .header(AUTHORIZATION, self.token.clone())
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::from(body))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow!(error)).context("the answer broke off")?;
        Ok((status, body.to_bytes()))
    }

    fn line(&self) -> MutexGuard<'_, Option<Line>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a socket, over which everything goes from now on; none if the other, or what is between, has none.
    pub(super) async fn open_socket(&self) -> Result<Option<Questions>, Down> {
        let mut request = Request::get(format!("{}/v1/replica/link", self.base))
            .header(AUTHORIZATION, self.token.clone())
            .body(Full::default())
            .map_err(|error| anyhow!(error))?;
        let expected = outward::ask(request.headers_mut());
        let asked = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        // A proxy that knows no WebSockets may do anything. What else is wrong, requests will tell.
        let Ok(Ok(response)) = asked else { return Ok(None) };
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::CONFLICT) {
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            return Err(refused_or_broken(status, &body));
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || !expected.is_met_by(response.headers())
        {
            return Ok(None);
        }
        let Ok(upgraded) = hyper::upgrade::on(response).await else { return Ok(None) };
        let (writer, reader) = outward::open(upgraded, BODY_BYTES_MAX + wire::HEAD_BYTES).await;
        let (line, asked) = mpsc::channel(QUESTIONS_MAX);
        *self.line() = Some(Line(line));
        Ok(Some(Questions { writer, reader, asked, pending: Mutex::default() }))
    }
}

/// A socket, and who waits for what comes over it.
pub(super) struct Questions {
    writer: Writer,
    reader: Reader,
    asked: mpsc::Receiver<Question>,
    pending: Mutex<HashMap<u32, oneshot::Sender<Answer>>>,
}

impl Questions {
    /// Carries questions and answers until the socket is closed.
    pub(super) async fn carry(self) -> Result<Infallible, Down> {
        let Self { mut writer, mut reader, mut asked, pending } = self;
        let locked = || pending.lock().unwrap_or_else(PoisonError::into_inner);
        let sending = async {
            while let Some((what, number, body, answer)) = asked.recv().await {
                locked().insert(number, answer);
                writer.send(wire::question(what, number, &body)).await?;
            }
            std::future::pending::<anyhow::Result<Infallible>>().await
        };
        let reading = async {
            while let Some(message) = reader.next().await? {
                let Some((number, status, body)) = wire::read_answer(&message) else {
                    bail!("the other server said something that is no answer");
                };
                // Who asked may have given up.
                if let Some(answer) = locked().remove(&number) {
                    answer.send((status, body)).ok();
                }
            }
            Err::<Infallible, _>(anyhow!("the other server has closed the socket"))
        };
        let (never, _) = tokio::try_join!(sending, reading)?;
        match never {}
    }
}

fn token(upstream: &Upstream) -> anyhow::Result<HeaderValue> {
    let file = &upstream.token_file;
    let token = std::fs::read_to_string(file)
        .with_context(|| format!("{} (the token) cannot be read", file.display()))?;
    let name = token.split_once('.').map_or("", |(name, _)| name.trim());
    if !upstream.replica.is_empty() && upstream.replica != name {
        let (file, named) = (file.display(), &upstream.replica);
        bail!("{file} holds the token of {name:?}, and this server is to be {named:?}");
    }
    let mut token = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .with_context(|| format!("{} holds no token", file.display()))?;
    token.set_sensitive(true);
    Ok(token)
}

fn client(
    upstream: &Upstream,
) -> anyhow::Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>> {
    let roots = authorities(&upstream.ca_file).map_err(anyhow::Error::msg)?;
    let config = trusting(roots)?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(PATIENCE));
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let connector = connector.enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .build(connector))
}

fn refused_or_broken(status: StatusCode, bytes: &[u8]) -> Down {
    let error = anyhow::Error::msg(detail(status, bytes));
    match status {
        StatusCode::CONFLICT | StatusCode::UNAUTHORIZED => Down::Refused(error),
        _ => Down::Broken(error),
    }
}

/// What a problem says.
fn detail(status: StatusCode, bytes: &[u8]) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
    match problem.get("detail").and_then(serde_json::Value::as_str) {
        Some(detail) => detail.to_owned(),
        None => format!("it answers {status}"),
    }
}
