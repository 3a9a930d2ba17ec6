//! How a server is reached: in the clear, or under TLS.

use crate::line::Line;
use anyhow::{Context as _, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is, as the command line says it: `127.0.0.1:31337`, or `wss://sync.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its certificate has to be for, under TLS.
    name: Option<ServerName<'static>>,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS, if it is spoken there.
    pub tls: Option<Tls>,
}

/// TLS with one server. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl FromStr for Url {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let secured = ["wss://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let plain = ["ws://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let place = secured.or(plain).unwrap_or(text).trim_end_matches('/');
        let is_bare = place.ends_with(']') || !place.contains(':');
        let port = if secured.is_some() { ":443" } else { ":80" };
        let place = if is_bare { format!("{place}{port}") } else { place.to_owned() };
        let said = || format!("{text} is no server: write 127.0.0.1:31337, or wss://sync.example");
        let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
        // A resolver takes a number for an address, and this is a port that lacks one.
        ensure!(!host.bytes().all(|byte| byte.is_ascii_digit()), said());
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addresses = place.to_socket_addrs();
        let addresses: Vec<_> = addresses.with_context(said)?.collect();
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let address = *address.with_context(said)?;
        let name = secured.map(|_| ServerName::try_from(host)).transpose().with_context(said)?;
        Ok(Self { address, name })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "wss://{}:{}", name.to_str(), self.address.port()),
            None => self.address.fmt(f),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Place {
    /// The servers at `urls`, whose certificates are from an authority in the file `ca`, or from one that the system knows.
    pub fn all(urls: &[Url], ca: Option<&Path>) -> anyhow::Result<Vec<Self>> {
        let is_secured = urls.iter().any(|url| url.name.is_some());
        let config = is_secured.then(|| config(ca)).transpose()?;
        let place = |url: &Url| {
            let tls = config.clone().zip(url.name.clone());
            Self { address: url.address, tls: tls.map(|(config, name)| Tls { config, name }) }
        };
        Ok(urls.iter().map(place).collect())
    }
}

fn config(ca: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        let said = || format!("--ca: {} holds no certificates in PEM", file.display());
        for certificate in CertificateDer::pem_file_iter(file).with_context(said)? {
            roots.add(certificate.with_context(said)?).with_context(said)?;
        }
        ensure!(!roots.is_empty(), "{}", said());
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        ensure!(
            !roots.is_empty(),
            "this machine knows no certificate authorities: name a file with --ca"
        );
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A WebSocket begins with a request of HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.name).finish()
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Pipe {
    way: Way,
    /// Bytes that were read so far, without what TLS takes.
    read: u64,
}

#[derive(Debug)]
enum Way {
    Plain(Line),
    Secured(Box<TlsStream<Line>>),
}

impl Pipe {
    /// Goes on over `line`, once hands are shaken where there is TLS.
    pub(crate) async fn over(line: Line, tls: Option<&Tls>) -> io::Result<Self> {
        let way = match tls {
            None => Way::Plain(line),
            Some(Tls { config, name }) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let shaking = Box::pin(connector.connect(name.clone(), line));
                Way::Secured(Box::new(shaking.await?))
            }
        };
        Ok(Self { way, read: 0 })
    }

    /// Bytes that were read so far.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The TCP stream below.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.way {
            Way::Plain(line) => line.tcp(),
            Way::Secured(stream) => stream.get_mut().0.tcp(),
        }
    }

    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        match &mut self.way {
            Way::Plain(line) => Pin::new(line),
            Way::Secured(stream) => Pin::new(stream.as_mut()),
        }
    }
}

/// What both ways are.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(cx, buffer))?;
        self.read += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_as_people_name_them() {
        let of = |text: &str| text.parse::<Url>().map(|url| (url.to_string(), url.name.is_some()));
        for (text, shown, secured) in [
            ("127.0.0.1:31337", "127.0.0.1:31337", false),
            ("ws://127.0.0.1:31337/", "127.0.0.1:31337", false),
            ("http://127.0.0.1", "127.0.0.1:80", false),
            ("wss://127.0.0.1", "wss://127.0.0.1:443", true),
            ("wss://localhost:8443/", "wss://localhost:8443", true),
            ("https://[::1]:8443", "wss://::1:8443", true),
            ("[::1]:31337", "[::1]:31337", false),
        ] {
            assert_eq!(of(text).unwrap(), (shown.to_owned(), secured), "{text}");
        }
        assert!(of("31337").is_err());
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let urls = ["wss://127.0.0.1".parse().unwrap()];
        let error = Place::all(&urls, Some(file.path())).unwrap_err();
        assert!(format!("{error:#}").contains("holds no certificates"), "{error:#}");
        assert!(Place::all(&["127.0.0.1:1".parse().unwrap()], Some(file.path())).is_ok(), "unused");
    }
}
