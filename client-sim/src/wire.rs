//! Frames over a WebSocket, without a word about what they mean.

use crate::line::{Faults, Line};
use crate::secure::{Pipe, Tls};
use crate::socket;
use bytes::Bytes;
use futures_util::{FutureExt, Sink, Stream};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tidelog_protocol::{Form, Frame};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Small, because a generator has thousands of them; a longer frame grows them while it lasts.
const BUFFER_BYTES: usize = 4 << 10;
/// A generator takes what it is sent, up to this.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// A WebSocket in the client's role: frames in, frames out, both without waiting for the other.
#[derive(Debug)]
pub struct Wire {
    socket: WebSocketStream<Pipe>,
    out: VecDeque<Message>,
    unflushed: bool,
    /// Bytes of the frames that were taken out of the socket.
    taken: u64,
    /// A frame went through that was longer than the buffers were.
    grown: bool,
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No TCP connection, or no TLS over it.
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

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

impl Wire {
    /// Connects to `server`; `source` is the address to come from, since one has 28,000 ports only.
    pub async fn open(server: SocketAddr, source: Option<Ipv4Addr>) -> Result<Self, OpenError> {
        Self::open_through((server, None), source, None).await
    }

    /// The same under TLS, and over a line with faults.
    pub(crate) async fn open_through(
        (server, tls): (SocketAddr, Option<&Tls>),
        source: Option<Ipv4Addr>,
        faults: Option<Box<Faults>>,
    ) -> Result<Self, OpenError> {
        if let Some(faults) = &faults {
            tokio::time::sleep(faults.round_trip()).await;
        }
        let line = Line::new(socket::connect(server, source).await?, faults);
        let stream = Pipe::over(line, tls).await?;
        let url = format!("ws://{server}/");
        let upgraded = client_async_with_config(url, stream, Some(config())).await;
        let (socket, _) = upgraded.map_err(|error| OpenError::Upgrade(Box::new(error)))?;
        let taken = socket.get_ref().read();
        Ok(Self { socket, out: VecDeque::new(), unflushed: false, taken, grown: false })
    }

    /// Puts a text frame behind those that are on their way out; [`Wire::next`] and [`Wire::flush`]
    /// write.
    pub fn send(&mut self, frame: impl Into<Utf8Bytes>) {
        self.out.push_back(Message::Text(frame.into()));
    }

    /// Whether the library below holds buffers for long frames, and nothing in them.
    pub(crate) fn is_baggy(&self) -> bool {
        let idle = self.out.is_empty() && !self.unflushed;
        self.grown && idle && self.taken == self.socket.get_ref().read()
    }

    /// The same without those buffers: the library never gives them back, and thousands of devices have some.
    pub(crate) fn shrunk(self) -> Self {
        let pipe = self.socket.into_inner();
        let socket = WebSocketStream::from_raw_socket(pipe, Role::Client, Some(config()));
        let socket = socket.now_or_never().unwrap_or_else(|| unreachable!("it waits for nothing"));
        Self { socket, out: VecDeque::new(), grown: false, ..self }
    }

    /// Puts a frame of the protocol behind those that are on their way out.
    pub fn send_frame(&mut self, frame: Frame) {
        self.grown |= frame.len() > BUFFER_BYTES;
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
                    self.take(text.len());
                    return Poll::Ready(Some(Frame::text(text)));
                }
                Poll::Ready(Some(Ok(Message::Binary(bytes)))) => {
                    self.take(bytes.len());
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

    /// A frame of a server has no mask: its header says its length in 0, 2 or 8 bytes more. What is no such frame is not
    /// counted, so that the counts are never equal again, and the buffers stay.
    fn take(&mut self, length: usize) {
        let header = match length {
            0..126 => 2,
            126..65_536 => 4,
            _ => 10,
        };
        self.taken += length as u64 + header;
        self.grown |= length > BUFFER_BYTES;
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    #[tokio::test]
    async fn buffers_are_given_back_between_frames_and_nothing_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                socket.send(message).await.unwrap();
            }
        });
        let mut wire = Wire::open(address, None).await.unwrap();
        for length in [10, 125, 126, 5_000, 65_535, 65_536, 300_000, 20, 70_000] {
            let text = "x".repeat(length);
            wire.send_frame(Frame::text(text.clone()));
            assert_eq!(wire.next().await.unwrap(), Frame::text(text));
            wire.flush().await.unwrap();
            assert_eq!(wire.is_baggy(), length > BUFFER_BYTES, "{length}");
            if wire.is_baggy() {
                wire = wire.shrunk();
            }
        }
    }
}
