//! A TCP connection from an address of one's choice.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `server`; `source` is the address to come from, since one has 28,000 ports only.
pub(crate) async fn connect(server: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let stream = match source {
        Some(source) => {
            let socket = TcpSocket::new_v4()?;
            // Ports of connections that are over may be taken again.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
            socket.connect(server).await?
        }
        None => TcpStream::connect(server).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
