//! `tidelog certificate`: a certificate for a network without a public name, signed by an authority that is
//! made along with it.

use super::CertificateArgs;
use crate::clock;
use anyhow::{Context, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// No longer, or Apple's devices do not take it.
const CERTIFICATE_DAYS: u32 = 820;
const AUTHORITY_DAYS: u32 = 3_650;
/// How far the clocks of devices may be behind.
const EARLIER_DAYS: u32 = 2;

/// Makes a certificate and its key, and the authority if there is none yet.
pub fn run(args: &CertificateArgs) -> anyhow::Result<()> {
    let text = make(&args.names, &args.dir, clock::now_ms())?;
    #[expect(clippy::print_stdout, reason = "the text is the command's output")]
    {
        print!("{text}");
    }
    Ok(())
}

fn make(names: &[String], dir: &Path, now_ms: u64) -> anyhow::Result<String> {
    ensure!(!names.is_empty(), "name what pages call the server: `tidelog certificate ship.local`");
    let create = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    create.with_context(|| format!("{} cannot be made", dir.display()))?;
    let issuer = authority(dir, now_ms)?;
    let mut params = CertificateParams::new(names.to_vec())
        .with_context(|| format!("{names:?} are no names or addresses"))?;
    params
        .distinguished_name
        .push(DnType::CommonName, names.concat().chars().take(60).collect::<String>());
    params.use_authority_key_identifier_extension = true;
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    lasts(&mut params, now_ms, CERTIFICATE_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    write(&key_file, &key.serialize_pem(), 0o600)?;
    write(&cert_file, &certificate.pem(), 0o644)?;
    let (ca, cert, key) = (dir.join("ca.pem"), cert_file, key_file);
    Ok(format!(
        "{} is for {}, for {CERTIFICATE_DAYS} days. Serve with it:\n\n    \
         tidelog serve --tls-cert {} --tls-key {}\n\n\
         Let the devices trust {}, once; keep {} to yourself.\n",
        cert.display(),
        names.join(", "),
        cert.display(),
        key.display(),
        ca.display(),
        dir.join("ca.key").display(),
    ))
}

/// The authority whose key is in `dir`; a new one if there is none.
fn authority(dir: &Path, now_ms: u64) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let (cert_file, key_file) = (dir.join("ca.pem"), dir.join("ca.key"));
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "Tidelog local authority");
    params.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
    lasts(&mut params, now_ms, AUTHORITY_DAYS);
    if cert_file.exists() {
        // The devices trust it already: only its key is needed to sign with.
        let pem = fs::read_to_string(&key_file)
            .with_context(|| format!("{} cannot be read", key_file.display()))?;
        let key = KeyPair::from_pem(&pem)
            .with_context(|| format!("{} holds no key", key_file.display()))?;
        return Ok(Issuer::new(params, key));
    }
    let key = KeyPair::generate()?;
    write(&key_file, &key.serialize_pem(), 0o600)?;
    write(&cert_file, &params.self_signed(&key)?.pem(), 0o644)?;
    Ok(Issuer::new(params, key))
}

fn lasts(params: &mut CertificateParams, now_ms: u64, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms);
    params.not_before = now - DAY * EARLIER_DAYS;
    params.not_after = now + DAY * (days - EARLIER_DAYS);
}

fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let named = || format!("{} cannot be written", file.display());
    // Beside it, and then in its place: a server that reads it meanwhile reads all of it.
    let new = file.with_extension("new");
    let mut options = OpenOptions::new();
    let open = options.write(true).create(true).truncate(true).mode(mode).open(&new);
    open.and_then(|mut open| open.write_all(text.as_bytes())).with_context(named)?;
    fs::rename(new, file).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::tls::Tls;
    use crate::tls::client::{authorities, trusting};
    use rustls::pki_types::ServerName;
    use std::sync::Arc;
    use tokio::net::{TcpListener, TcpStream};

    /// Whether a client that trusts `ca_file` takes the certificate in `dir` for `name`.
    async fn is_taken(dir: &Path, ca_file: &Path, name: &str) -> bool {
        let files = config::Tls { cert_file: dir.join("cert.pem"), key_file: dir.join("key.pem") };
        let tls = Tls::read(&files).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = trusting(authorities(ca_file).unwrap()).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let accepting = async {
            let (stream, _) = listener.accept().await.unwrap();
            tls.accept(stream).await.is_ok()
        };
        let connecting = async {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect(name, stream).await.is_ok()
        };
        tokio::join!(accepting, connecting).1
    }

    #[tokio::test]
    async fn who_trusts_the_authority_takes_its_certificates_and_those_that_follow() {
        let dir = tempfile::tempdir().unwrap();
        let (tls, ca) = (dir.path().join("tls"), dir.path().join("tls/ca.pem"));
        let names = ["ship.local".to_owned(), "10.0.0.5".to_owned()];
        let text = make(&names, &tls, clock::now_ms()).unwrap();
        assert!(text.contains("--tls-cert") && text.contains("ship.local, 10.0.0.5"), "{text}");
        let trusted = fs::read(&ca).unwrap();
        assert!(is_taken(&tls, &ca, "ship.local").await && is_taken(&tls, &ca, "10.0.0.5").await);
        assert!(!is_taken(&tls, &ca, "other.local").await);
        // Another one later is of the same authority.
        make(&["other.local".to_owned()], &tls, clock::now_ms()).unwrap();
        assert_eq!(fs::read(&ca).unwrap(), trusted);
        assert!(is_taken(&tls, &ca, "other.local").await);
        // And of nobody else's.
        let other = dir.path().join("other");
        make(&["ship.local".to_owned()], &other, clock::now_ms()).unwrap();
        assert!(!is_taken(&other, &ca, "ship.local").await);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make(&[], dir.path(), 0).unwrap_err().to_string().contains("ship.local"));
        let bad = make(&["ü".to_owned()], dir.path(), 0).unwrap_err().to_string();
        assert!(bad.contains("no names"), "{bad}");
    }
}
