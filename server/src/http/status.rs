//! `/health`, `/ready` and `/metrics`: what whoever runs the server asks.

use super::compressing::Accepted;
use super::format;
use super::problem::Problem;
use crate::app::App;
use crate::aside::blocking;
use crate::metrics::Format;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// What clients can ask for, and what is answered.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The process answers.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// The server takes requests and sockets: it does not stop, its log can be written, as many sockets as may be are not
/// open yet, and who comes now does not wait longer than it has patience.
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    let failed = app.log.failed().now_or_never().is_some();
    if failed || *app.stop.borrow() {
        return Err(Problem::stopping(&app));
    }
    let wait = app.door.look().wait_seconds();
    let is_late = wait > app.http.settings.busy.as_secs();
    if is_late || app.door.is_full() { Err(Problem::busy(wait.max(1))) } else { Ok("ready\n") }
}

/// What is counted: as `OpenMetrics` for who asks for it, as Prometheus does; else as plain text.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let wanted = format::wants_open_metrics(&headers);
    let format = if wanted { Format::OpenMetrics } else { Format::Text };
    let metrics = app.metrics.clone();
    let text = blocking(move || metrics.text(format)).await;
    ([(header::CONTENT_TYPE, format.media_type()), (header::VARY, "accept")], text).into_response()
}

/// The document that describes the routes.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Counts requests by their routes and how they were answered, and compresses the answers.
#[derive(Clone)]
pub(super) struct Counting(pub(super) App);

/// Counts what its service answers, and compresses it.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    app: App,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, app: self.0.clone() }
    }
}

// By hand, because each request would clone and box more for middleware from a function than most answers take.
impl<S> Service<Request> for Counted<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map_or("other", MatchedPath::as_str).to_owned();
        let method = method(request.method());
        let accepted = Accepted::of(request.headers());
        let (app, answering) = (self.app.clone(), self.inner.call(request));
        Box::pin(async move {
            let response = answering.await?;
            let response = accepted.answer(response).await;
            app.metrics.answered(path, method, response.status().as_u16());
            Ok(response)
        })
    }
}

/// A method as a label: clients can invent any number of them.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
