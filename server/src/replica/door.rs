//! Where servers that follow this one ask: `POST /v1/replica/…`.

use super::body::{self, BODY_BYTES_MAX, MEDIA_TYPE};
use super::desk::Trouble;
use super::registry::Replica;
use super::taken::LOOK_EVERY;
use super::wire::What;
use crate::app::App;
use crate::aside::aside;
use crate::clock;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::replica::{Hello, Pull, Push};
use tokio::time::Instant;

/// No answer is kept back longer, so that proxies do not give up.
const WAIT_MAX: Duration = Duration::from_secs(50);

/// An edge that says or asks more than its bandwidth allows is answered later, and no later than this.
pub(super) const KEPT_WAITING_MAX: Duration = Duration::from_secs(20);

/// The link of who asks by requests.
const BY_REQUESTS: u64 = 0;

/// The routes.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/replica/{what}", post(ask))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Why nothing is answered.
pub(super) struct Failed(pub(super) StatusCode, pub(super) &'static str, pub(super) String);

/// What a problem says, as JSON.
pub(super) fn problem(status: StatusCode, name: &str, detail: &str) -> String {
    let body = json!({
        "type": format!("urn:tidelog:problem:{name}"),
        "title": "The servers do not work together",
        "status": status.as_u16(),
        "detail": detail,
    });
    body.to_string()
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(status, name, detail) = self;
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, json, problem(status, name, &detail)).into_response()
    }
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        let detail = trouble.to_string();
        match trouble {
            Trouble::Refused(_) => Self(StatusCode::CONFLICT, "replica-refused", detail),
            Trouble::OtherLife => Self(StatusCode::PRECONDITION_FAILED, "replica-restored", detail),
            Trouble::Read(_) | Trouble::Stopped(_) => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail)
            }
        }
    }
}

/// Who asks. Of a stranger no body is read.
struct Caller(Arc<Replica>);

impl FromRequestParts<App> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failed> {
        who(&parts.headers, app).map(Self)
    }
}

/// Whose token is in the headers of a request.
pub(super) fn who(headers: &HeaderMap, app: &App) -> Result<Arc<Replica>, Failed> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let replica = token.and_then(|token| app.replicas.desk.registry.of_token(token));
    replica.ok_or_else(removed)
}

fn removed() -> Failed {
    let detail = "no replica has this token: `tidelog replica add` makes one, where this is served";
    Failed(StatusCode::UNAUTHORIZED, "replica-unknown", detail.to_owned())
}

fn said<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Failed> {
    aside(bytes.len(), || body::read(bytes)).map_err(|error| {
        Failed(StatusCode::BAD_REQUEST, "malformed-body", format!("the body: {error}"))
    })
}

fn written<T: Serialize>(of: &T) -> Result<Vec<u8>, Failed> {
    body::write(of)
        .map_err(|error| Failed(StatusCode::SERVICE_UNAVAILABLE, "stopping", error.to_string()))
}

async fn ask(
    State(app): State<App>,
    Path(what): Path<String>,
    Caller(replica): Caller,
    bytes: Bytes,
) -> Result<Response, Failed> {
    let Some(what) = What::ALL.into_iter().find(|it| it.path() == what) else {
        let detail = "a replica asks hello, push or pull".to_owned();
        return Err(Failed(StatusCode::NOT_FOUND, "not-found", detail));
    };
    let said = answer(&app, &replica, (what, BY_REQUESTS), &bytes).await?;
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(said)).into_response())
}

/// What is said to `replica`, which asks by that `link`.
pub(super) async fn answer(
    app: &App,
    replica: &Replica,
    (what, link): (What, u64),
    bytes: &Bytes,
) -> Result<Vec<u8>, Failed> {
    // Its limits may be others by now.
    let replica = app.replicas.desk.registry.now(replica).ok_or_else(removed)?;
    let (paces, rate) = (app.replicas.desk.paces(&replica.name), replica.bandwidth);
    paces.up.spend(bytes.len(), rate, KEPT_WAITING_MAX).await;
    let said = match what {
        What::Hello => hello(app, &replica, link, bytes)?,
        What::Push => push(app, &replica, bytes).await?,
        What::Pull => pull(app, &replica, bytes).await?,
    };
    paces.down.spend(said.len(), rate, KEPT_WAITING_MAX).await;
    Ok(said)
}

fn hello(app: &App, replica: &Replica, link: u64, bytes: &Bytes) -> Result<Vec<u8>, Failed> {
    let hello: Hello = said(bytes)?;
    let desk = &app.replicas.desk;
    let welcome = desk.welcome(replica, &hello).inspect_err(|trouble| {
        tracing::warn!(replica = replica.name, %trouble, "a replica was refused");
    })?;
    desk.is_linked_by(replica, link);
    tracing::info!(
        replica = replica.name,
        store = hello.store,
        incarnation = %hello.incarnation,
        owes_positions = hello.head.get().saturating_sub(welcome.taken.map_or(0, |it| it.through.get())),
        lacks = desk.lag(&replica.name).behind(clock::now_ms()).map(|it| it.actions),
        socket = link != BY_REQUESTS,
        "a replica is linked"
    );
    written(&welcome)
}

async fn push(app: &App, replica: &Replica, bytes: &Bytes) -> Result<Vec<u8>, Failed> {
    let push: Push = said(bytes)?;
    let pushed = app.replicas.desk.take(replica, push).await?;
    if let Some(first) = pushed.refused.first() {
        tracing::warn!(
            replica = replica.name,
            count = pushed.refused.len(),
            id = %first.id,
            reason = ?first.reason,
            "actions of a replica were refused"
        );
    }
    written(&pushed)
}

async fn pull(app: &App, replica: &Arc<Replica>, bytes: &Bytes) -> Result<Vec<u8>, Failed> {
    let pull: Pull = said(bytes)?;
    let wait = Duration::from_millis(pull.wait_ms.into()).min(WAIT_MAX);
    let until = Instant::now() + wait;
    let desk = &app.replicas.desk;
    loop {
        let mut committed = std::pin::pin!(app.replicas.committed.notified());
        committed.as_mut().enable();
        let batch = desk.give(replica, &pull).await?;
        let is_new = !batch.records.is_empty()
            || batch.taken.through < batch.head
            || !batch.revocations.changes.is_empty();
        if is_new || Instant::now() >= until {
            return written(&batch);
        }
        let look = until.min(Instant::now() + LOOK_EVERY);
        tokio::select! {
            () = committed => {}
            () = tokio::time::sleep_until(look) => {}
            () = app.stopping() => return written(&batch),
            () = desk.registry.until_changed(replica) => return Err(removed()),
        }
    }
}
