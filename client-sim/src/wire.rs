//! Frames over a WebSocket, without a word about what they mean.

use crate::line::{Faults, Line};
use crate::socket;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tidelog_protocol::{Form, Frame};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Small, because a generator has thousands of them; a longer frame grows them while it lasts.
const BUFFER_BYTES: usize = 4 << 10;
/// A generator takes what it is sent, up to this.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// A WebSocket in the client's role: frames in, frames out, both without waiting for the other.
#[derive(Debug)]
pub struct Wire {
    socket: WebSocketStream<Line>,
    out: VecDeque<Message>,
    unflushed: bool,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No TCP connection.
    #[error("cannot connect: {0}")]
    Tcp(#[from] io::Error),
    /// No upgrade.
    #[error("no WebSocket: {0}")]
    Upgrade(#[source] Box<Error>),
}

impl OpenError {
    /// The status with which an upgrade was refused, and after how many seconds to try again.
    pub fn refusal(&self) -> Option<(u16, Option<u64>)> {
        let Self::Upgrade(error) = self else { return None };
        let Error::Http(response) = &**error else { return None };
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        Some((response.status().as_u16(), after.and_then(|text| text.parse().ok())))
    }
}

impl Wire {
    /// Connects to `server`; `source` is the address to come from, since one has 28,000 ports only.
    pub async fn open(server: SocketAddr, source: Option<Ipv4Addr>) -> Result<Self, OpenError> {
        Self::open_through(server, source, None).await
    }

    /// The same over a line with faults.
    pub(crate) async fn open_through(
        server: SocketAddr,
        source: Option<Ipv4Addr>,
        faults: Option<Box<Faults>>,
    ) -> Result<Self, OpenError> {
        if let Some(faults) = &faults {
            tokio::time::sleep(faults.round_trip()).await;
        }
        let stream = Line::new(socket::connect(server, source).await?, faults);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let url = format!("ws://{server}/");
        let upgraded = client_async_with_config(url, stream, Some(config)).await;
        let (socket, _) = upgraded.map_err(|error| OpenError::Upgrade(Box::new(error)))?;
        Ok(Self { socket, out: VecDeque::new(), unflushed: false })
    }

    /// Puts a text frame behind those that are on their way out; [`Wire::next`] and [`Wire::flush`]
    /// write.
    pub fn send(&mut self, frame: impl Into<Utf8Bytes>) {
        self.out.push_back(Message::Text(frame.into()));
    }

    /// Puts a frame of the protocol behind those that are on their way out.
    pub fn send_frame(&mut self, frame: Frame) {
        let form = frame.form();
        let bytes = frame.into_bytes();
        self.out.push_back(match (form, Utf8Bytes::try_from(bytes.clone())) {
            (Form::Text, Ok(text)) => Message::Text(text),
            _ => Message::Binary(bytes),
        });
    }

    /// Puts a binary frame behind those that are on their way out.
    pub fn send_binary(&mut self, frame: Bytes) {
        self.out.push_back(Message::Binary(frame));
    }

    /// Writes what is ready to go out, and waits for a frame; none when the other side closed or the
    /// connection broke.
    pub async fn next(&mut self) -> Option<Frame> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// A frame that has come in, if there is one already.
    pub async fn next_ready(&mut self) -> Poll<Option<Frame>> {
        poll_fn(|cx| Poll::Ready(self.poll_next(cx))).await
    }

    /// Writes everything out.
    pub async fn flush(&mut self) -> Result<(), Box<Error>> {
        poll_fn(|cx| self.poll_flush(cx)).await.map_err(Box::new)
    }

    /// The TCP stream below, to write what no WebSocket library would.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut().tcp()
    }

    /// Says goodbye without waiting for the answer.
    pub async fn close(mut self) {
        // Whoever is gone already needs no goodbye.
        drop(self.flush().await);
        drop(self.socket.close(None).await);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(Message::Text(text)))) => {
                    return Poll::Ready(Some(Frame::text(text)));
                }
                Poll::Ready(Some(Ok(Message::Binary(bytes)))) => {
                    return Poll::Ready(Some(Frame::binary(bytes)));
                }
                Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(_))) => self.unflushed = true,
                // Written only when nothing more has come in, so that many answers go out at once.
                Poll::Pending => {
                    return match self.poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(None),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.out.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.out.pop_front() {
                Pin::new(&mut self.socket).start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
