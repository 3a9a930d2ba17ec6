//! Push services that are reached by TLS, whose certificates an authority of the operator's has signed.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Signs certificates.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Who a service is, and what it speaks.
#[derive(Clone)]
pub(super) struct Identity {
    acceptor: TlsAcceptor,
    /// It leaves who does not choose the first.
    protocols: &'static [&'static [u8]],
}

impl Authority {
    pub(super) fn make() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority for tests");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// What goes into `ca_file`.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A service on this machine that speaks these protocols.
    pub(super) fn certify(&self, protocols: &'static [&'static [u8]]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(crate::tls::provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Identity { acceptor: TlsAcceptor::from(Arc::new(config)), protocols }
    }
}

impl Identity {
    /// Shakes hands; none with who does not trust it, or speaks something else.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await.ok()?;
        let chosen = stream.get_ref().1.alpn_protocol();
        (chosen == self.protocols.first().copied()).then_some(stream)
    }
}
