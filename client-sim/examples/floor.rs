//! What HTTP costs by itself: a bare axum that answers what the scenarios `push` and `pull` ask, and does
//! nothing. `client-sim/compare` measures Tidelog beside it.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

const TAG: HeaderValue = HeaderValue::from_static("\"floor\"");

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever starts it waits for the line")]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("floor listens on {}", listener.local_addr()?);
    let app = Router::new().route("/v1/log", get(unchanged).post(taken));
    let nodelay = axum::serve::ListenerExt::tap_io(listener, |stream| {
        drop(stream.set_nodelay(true));
    });
    Ok(axum::serve(nodelay, app).await?)
}

/// 304, if the client has the tag.
async fn unchanged(headers: HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH) == Some(&TAG);
    let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    (status, [(header::ETAG, TAG)]).into_response()
}

/// 200, once the body is there.
async fn taken(body: Bytes) -> StatusCode {
    drop(body);
    StatusCode::OK
}
