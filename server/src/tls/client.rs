//! TLS towards other servers: whose certificates are believed.

use super::provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;

/// How connections are encrypted to servers whose certificates `roots` signed.
pub(crate) fn trusting(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Those in `file`, or the system's if it is empty.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if file.as_os_str().is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    }
    let unusable = |_| format!("{} (ca_file) holds no certificates in PEM", file.display());
    let content = std::fs::read(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    for certificate in CertificateDer::pem_slice_iter(&content) {
        roots.add(certificate.map_err(unusable)?).map_err(|error| {
            format!("{} (ca_file) has a certificate that cannot be used: {error}", file.display())
        })?;
    }
    if roots.is_empty() {
        return Err(format!("{} (ca_file) holds no certificates in PEM", file.display()));
    }
    Ok(roots)
}
