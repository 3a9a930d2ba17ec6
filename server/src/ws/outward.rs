//! WebSockets that this server opens to another one.

use super::fill;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The library's buffers; a longer message grows them.
const BUFFER_BYTES: usize = 1 << 10;

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// What proves that the other has understood.
pub(crate) struct Expected(String);

impl Expected {
    /// Whether the headers of its answer do.
    pub(crate) fn is_met_by(&self, headers: &HeaderMap) -> bool {
        let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        accept.is_some_and(|accept| accept.as_bytes() == self.0.as_bytes())
    }
}

/// Makes a request one for a WebSocket.
pub(crate) fn ask(headers: &mut HeaderMap) -> Expected {
    let key = generate_key();
    let expected = Expected(derive_accept_key(key.as_bytes()));
    fill(headers, &expected.0);
    headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // Base64 is always a header value.
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    expected
}

/// What goes out.
pub(crate) struct Writer(SplitSink<Stream, Message>);
/// What comes in.
pub(crate) struct Reader(SplitStream<Stream>);

/// The socket of an upgraded connection, over which messages of up to `message_max` bytes come.
pub(crate) async fn open(upgraded: Upgraded, message_max: usize) -> (Writer, Reader) {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max));
    let io = TokioIo::new(upgraded);
    let stream = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
    let (writer, reader) = stream.split();
    (Writer(writer), Reader(reader))
}

impl Writer {
    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Bytes) -> Result<(), Error> {
        self.0.send(Message::Binary(message)).await
    }
}

impl Reader {
    /// The next message; none when the other has closed.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.0.next().await.transpose()? {
                Some(Message::Binary(bytes)) => return Ok(Some(bytes)),
                Some(Message::Close(_)) | None => return Ok(None),
                Some(_) => {}
            }
        }
    }
}
