//! TLS: the certificate, which is read again when the server is told to, and handshakes.
//!
//! Nothing else knows the library, but for what connections to other servers are made with.

pub(crate) mod client;

use crate::config;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
pub(crate) use tokio_rustls::server::TlsStream;

/// What is offered to clients, in order.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const HTTP2: &[u8] = b"h2";

/// Why a certificate or its key cannot be used. Names the file, and shows nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsError(String);

/// The one provider of cryptography, named wherever one is needed: the library knows no default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// How connections are encrypted.
pub(crate) struct Tls {
    files: config::Tls,
    /// Kept over a change of the certificate, so that a crowd that comes back need not do whole
    /// handshakes.
    tickets: Arc<dyn ProducesTickets>,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn read(files: &config::Tls) -> Result<Self, TlsError> {
        let tickets = Ticketer::new()
            .map_err(|error| TlsError(format!("no keys for session tickets: {error}")))?;
        let current = RwLock::new(Arc::new(server_config(files, &tickets)?));
        Ok(Self { files: files.clone(), tickets, current })
    }

    /// Reads the files again, for connections that come from now on. If they cannot be used, what
    /// was read before stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let new = Arc::new(server_config(&self.files, &self.tickets)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Shakes hands. Whoever calls sees that it does not take too long.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        TlsAcceptor::from(current).accept(stream).await
    }
}

/// Whether the client has chosen HTTP/2.
pub(crate) fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn server_config(
    files: &config::Tls,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let (chain, key) = (certificates(&files.cert_file)?, private_key(&files.key_file)?);
    let unusable = |error: rustls::Error| {
        let (cert, key) = (files.cert_file.display(), files.key_file.display());
        TlsError(match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key in {key} is not that of the first certificate in {cert}; the server's own \
                 certificate has to come first, then those that signed it"
            ),
            error => format!("{cert} and {key} cannot be used: {error}"),
        })
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.ticketer = tickets.clone();
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let chain: Vec<_> = read.map_err(|error| unread(file, "certificate", error))?;
    if chain.is_empty() {
        return Err(unread(file, "certificate", pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unread(file, "private key", error))
}

/// Other errors of the library quote the file.
fn unread(file: &Path, wanted: &str, error: pem::Error) -> TlsError {
    let file = file.display();
    TlsError(match error {
        pem::Error::Io(error) => format!("{file} cannot be read: {error}"),
        pem::Error::NoItemsFound => {
            format!("{file} has no {wanted}: one in PEM is needed, without a password")
        }
        _ => format!("{file} is no PEM: a {wanted} was expected"),
    })
}

#[cfg(test)]
mod tests;
