//! `/health`, `/ready` and `/metrics`: what whoever runs the server asks.

use super::problem::Problem;
use crate::app::App;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

/// The paths that are counted by name.
const COUNTED: [&str; 5] = ["/v1/log", "/v1/sync", "/health", "/ready", "/metrics"];
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// The server takes requests: it does not stop, and its log can be written.
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    let failed = app.log.failed().now_or_never().is_some();
    if failed || *app.stop.borrow() { Err(Problem::stopping()) } else { Ok("ready\n") }
}

/// What is counted.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    app.metrics.observe(&app.log.stats());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], app.metrics.text()).into_response()
}

/// Counts a request by its path and how it was answered.
pub(super) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let path = COUNTED.into_iter().find(|known| *known == path).unwrap_or("other");
    let response = next.run(request).await;
    app.metrics.answered(path, response.status().as_u16());
    response
}
