//! What HTTP and WebSockets cost by themselves: a bare axum that answers what the scenarios `push` and `pull` ask, sends back
//! what `echo` sends, and does nothing. `client-sim/compare` measures Tidelog beside it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

const TAG: HeaderValue = HeaderValue::from_static("\"floor\"");

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever starts it waits for the line")]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("floor listens on {}", listener.local_addr()?);
    let app = Router::new().route("/v1/log", get(unchanged).post(taken)).route("/", get(echo));
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

/// Upgrades, and sends back whatever comes, each message by itself. By hand, because axum's own WebSocket is of another
/// version of the library below than Tidelog's.
async fn echo(request: Request<Body>) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, &accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
