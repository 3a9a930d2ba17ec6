//! A proxy that cuts a connection between two WebSocket frames.

use crate::server::target;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_client_sim::client::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Where to cut: once, after so many frames have passed in one direction, counted over connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which frames count.
    pub direction: Direction,
    /// How many pass.
    pub after: usize,
}

/// Stands between a client and a server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    cut: Option<Cut>,
    passed: usize,
    was_cut: bool,
}

impl Proxy {
    /// Listens on a free port, and forwards to `server`.
    pub async fn start(server: SocketAddr, cut: Cut) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { cut: Some(cut), passed: 0, was_cut: false }));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, shared.clone()));
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// How devices reach the server through it.
    pub fn target(&self) -> Target {
        target(self.address)
    }

    /// Whether it has cut.
    pub fn was_cut(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).was_cut
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    /// A frame is about to pass; whether the connection is cut after it.
    fn pass(&mut self, direction: Direction) -> bool {
        let Some(cut) = self.cut.filter(|cut| cut.direction == direction) else { return false };
        self.passed += 1;
        if self.passed < cut.after {
            return false;
        }
        self.cut = None;
        self.was_cut = true;
        true
    }
}

/// Forwards until one side ends, or the cut; then both are closed.
async fn serve(client: TcpStream, server: SocketAddr, state: Arc<Mutex<State>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        () = forward(client_in, server_out, Direction::Up, &state) => {}
        () = forward(server_in, client_out, Direction::Down, &state) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    state: &Mutex<State>,
) {
    let mut pending = Vec::new();
    let mut in_head = true;
    loop {
        while let Some(length) = if in_head { head(&pending) } else { frame(&pending) } {
            let whole: Vec<u8> = pending.drain(..length).collect();
            let cut =
                !in_head && state.lock().unwrap_or_else(PoisonError::into_inner).pass(direction);
            if to.write_all(&whole).await.is_err() || cut {
                return;
            }
            in_head = false;
        }
        match from.read_buf(&mut pending).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The length of the HTTP request or answer that the connection begins with.
fn head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the WebSocket frame at the beginning (RFC 6455, 5.2), once all of it is there.
fn frame(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let (header, payload) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let length = header + mask + usize::try_from(payload).ok()?;
    (bytes.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_where_its_header_says() {
        let masked = [0x81, 0x82, 1, 2, 3, 4, 5, 6, 0x81];
        assert_eq!((frame(&masked), frame(&masked[..7])), (Some(8), None));
        let mut long = vec![0x81, 126, 1, 0];
        long.resize(4 + 256, 0);
        assert_eq!((frame(&long), frame(&long[..100]), frame(&[])), (Some(260), None, None));
    }

    #[test]
    fn the_head_ends_at_the_empty_line() {
        assert_eq!(head(b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest"), Some(24));
        assert_eq!(head(b"GET / HTTP/1.1\r\n"), None);
    }
}
