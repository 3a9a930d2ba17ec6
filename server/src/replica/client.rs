//! The link to the server that this one follows: it comes up by itself, and again after each break.

use super::body::{self, BODY_BYTES_MAX, MEDIA_TYPE};
use super::desk::Trouble;
use super::link::{self, Link};
use super::taken::LOOK_EVERY;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::config::Upstream;
use crate::tls::client::{authorities, trusting};
use anyhow::{Context, bail};
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
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_protocol::replica::{Batch, Pushed, Welcome};

/// How long the other may wait before it says that there is nothing.
const WAIT_MS: u32 = 25_000;
/// An answer takes no longer than this, beside what the other waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause after a break, and the longest.
const PAUSE_MS: (u64, u64) = (200, 30_000);
/// The pause after a refusal: somebody has to do something.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// How the link is, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<Seen>);

/// What is known of the link.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// Since when it is up, if it is, in ms since the epoch.
    pub(crate) since_ms: Option<u64>,
    /// Whether it ever was since the start.
    pub(crate) known: bool,
    /// Up to where of this feed the other has everything.
    pub(crate) pushed: u64,
    /// How far the other's feed was taken, and where it ends.
    pub(crate) pulled: u64,
    pub(crate) their_head: u64,
    /// Actions that the other refused.
    pub(crate) refused: u64,
    /// Why the link went down last.
    pub(crate) trouble: Option<String>,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is now.
    pub(crate) fn now(&self) -> Seen {
        self.seen().clone()
    }
}

/// Why a link went down.
enum Down {
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

impl From<Trouble> for Down {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) => Self::Refused(refusal.into()),
            other => Self::Broken(other.into()),
        }
    }
}

/// Follows the server that the settings name, for as long as this one runs.
pub(crate) async fn follow(app: App, upstream: Option<Upstream>) -> Infallible {
    let Some(upstream) = upstream else { return std::future::pending().await };
    let mut pause_ms = PAUSE_MS.0;
    loop {
        let settings = upstream.clone();
        let down = match blocking(move || Caller::new(&settings)).await {
            Ok(caller) => attempt(&app, &caller, &mut pause_ms).await,
            Err(error) => Err(Down::Refused(error)),
        };
        let state = &app.replicas.upstream;
        let was_up = state.seen().since_ms.take().is_some();
        let (error, pause) = match down {
            Ok(never) => match never {},
            Err(Down::Refused(error)) => (error, REFUSED_PAUSE),
            Err(Down::Broken(error)) => (error, Duration::from_millis(spread(pause_ms))),
        };
        let text = format!("{error:#}");
        let is_news = was_up || state.seen().trouble.as_deref() != Some(&text);
        if is_news {
            tracing::warn!(upstream = upstream.url, error = text, "the link is down");
        }
        state.seen().trouble = Some(text);
        pause_ms = (pause_ms * 2).min(PAUSE_MS.1);
        tokio::time::sleep(pause).await;
    }
}

/// Half of it, and a part of the rest by chance: many edges do not come back at once.
fn spread(ms: u64) -> u64 {
    let chance = getrandom::u64().unwrap_or_default();
    ms / 2 + chance % (ms / 2 + 1)
}

/// One life of the link.
async fn attempt(app: &App, caller: &Caller, pause_ms: &mut u64) -> Result<Infallible, Down> {
    let (log, replicas) = (&app.log, &app.replicas);
    let welcome: Welcome = caller.ask("hello", &link::hello(log)).await?;
    let link = Link::up(log, &replicas.desk, &welcome)?;
    *pause_ms = PAUSE_MS.0;
    {
        let mut seen = replicas.upstream.seen();
        seen.since_ms = Some(clock::now_ms());
        seen.trouble = None;
    }
    show(app, &link);
    tracing::info!(
        upstream = caller.base,
        incarnation = %welcome.incarnation,
        users = ?welcome.users,
        channels = ?welcome.channels,
        "the link is up"
    );
    tokio::try_join!(push(app, caller, &link), pull(app, caller, &link)).map(|(never, _)| never)
}

fn show(app: &App, link: &Link<'_>) {
    let (has, taken, head) = link.progress();
    let mut seen = app.replicas.upstream.seen();
    seen.known = true;
    (seen.pushed, seen.pulled, seen.their_head) = (has.get(), taken.get(), head.get());
}

async fn push(app: &App, caller: &Caller, link: &Link<'_>) -> Result<Infallible, Down> {
    loop {
        let mut committed = std::pin::pin!(app.replicas.committed.notified());
        committed.as_mut().enable();
        let Some(push) = link.push().await? else {
            show(app, link);
            tokio::select! {
                () = committed => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            continue;
        };
        let pushed: Pushed = caller.ask("push", &push).await?;
        if let Some(first) = pushed.refused.first() {
            app.replicas.upstream.seen().refused += pushed.refused.len() as u64;
            tracing::warn!(
                count = pushed.refused.len(),
                id = %first.id,
                reason = ?first.reason,
                "actions were refused where this server's go"
            );
        }
        link.pushed(push.taken.through);
        show(app, link);
    }
}

async fn pull(app: &App, caller: &Caller, link: &Link<'_>) -> Result<Infallible, Down> {
    loop {
        let batch: Batch = caller.ask("pull", &link.pull(WAIT_MS)).await?;
        let left = link.take(batch).await?;
        if left > 0 {
            tracing::warn!(left, "actions that came over the link could not be taken");
        }
        show(app, link);
    }
}

/// Asks the other server.
struct Caller {
    base: String,
    token: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Caller {
    /// Made anew for each life of the link, so that a new token and new authorities count. Blocks.
    fn new(upstream: &Upstream) -> anyhow::Result<Self> {
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
        let roots = authorities(&upstream.ca_file).map_err(anyhow::Error::msg)?;
        let config = trusting(roots)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(PATIENCE));
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let connector = connector.enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { base: upstream.url.trim_end_matches('/').to_owned(), token, client })
    }

    /// Says something, and hears what is said to it.
    async fn ask<T: DeserializeOwned>(&self, what: &str, said: &impl Serialize) -> Result<T, Down> {
        let patience = PATIENCE + Duration::from_millis(WAIT_MS.into());
        let answered = tokio::time::timeout(patience, self.exchange(what, said)).await;
        let (status, bytes) = answered.context("no answer in time")??;
        match status {
            StatusCode::OK => Ok(body::read(&bytes).context("the answer cannot be read")?),
            StatusCode::CONFLICT | StatusCode::UNAUTHORIZED => {
                Err(Down::Refused(anyhow::Error::msg(detail(status, &bytes))))
            }
            _ => Err(Down::Broken(anyhow::Error::msg(detail(status, &bytes)))),
        }
    }

    async fn exchange(
        &self,
        what: &str,
        said: &impl Serialize,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let body = body::write(said)?;
        if body.len() > BODY_BYTES_MAX {
            bail!("what is to be said is too long");
        }
        let request = Request::post(format!("{}/v1/replica/{what}", self.base))
            .header(AUTHORIZATION, self.token.clone())
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::from(body))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error)).context("the answer broke off")?;
        Ok((status, body.to_bytes()))
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
