//! `GET /v1/held`: how far what was acknowledged is safe, here and on the servers above this one.

use super::format::Format;
use crate::app::App;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

/// Up to where of this server's positions, which are `added` in metas.
#[derive(Serialize)]
struct Held {
    /// Everything is on disk here.
    here: u64,
    /// Everything is with all servers above this one, and none of them will undo it.
    cloud: u64,
}

/// Says it.
pub(super) async fn held(State(app): State<App>, headers: HeaderMap) -> Response {
    // First this: it may not be beyond the other.
    let cloud = app.replicas.desk.settled().get();
    let held = Held { here: app.log.head().get(), cloud };
    let mut response = Format::accepted(&headers, Format::Json).write(&held);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}
