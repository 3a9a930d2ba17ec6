use super::*;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Writes a new certificate and its key.
    fn issue(&self, cert: &str, key: &str) {
        let CertifiedKey { cert: issued, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.write(cert, &issued.pem());
        self.write(key, &signing_key.serialize_pem());
    }

    fn named(&self, cert: &str, key: &str) -> config::Tls {
        let folder = self.folder.path();
        config::Tls { cert_file: folder.join(cert), key_file: folder.join(key) }
    }

    fn error(&self, cert: &str, key: &str) -> String {
        match Tls::read(&self.named(cert, key)) {
            Ok(_) => panic!("{cert} and {key} are taken"),
            Err(error) => error.to_string(),
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named_and_not_shown() {
    let files = Files::new();
    files.issue("cert.pem", "key.pem");
    files.issue("other.cert.pem", "other.key.pem");
    files.write("hush.pem", "-----BEGIN PRIVATE KEY-----\nhushhush\n");
    files.write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files.write("empty.pem", "");
    for (cert, key, reason) in [
        ("missing.pem", "key.pem", "missing.pem cannot be read"),
        ("cert.pem", "missing.pem", "missing.pem cannot be read"),
        ("cert.pem", "other.key.pem", "is not that of the first certificate"),
        ("key.pem", "key.pem", "key.pem has no certificate"),
        ("cert.pem", "cert.pem", "cert.pem has no private key"),
        ("empty.pem", "key.pem", "empty.pem has no certificate"),
        ("cert.pem", "hush.pem", "hush.pem is no PEM"),
        ("bad.pem", "key.pem", "cannot be used"),
    ] {
        let error = files.error(cert, key);
        assert!(error.contains(reason), "{cert} {key}: {error}");
        assert!(!error.contains("hushhush"), "{error}");
    }
}

#[test]
fn a_bad_file_leaves_what_was_read_before() {
    let files = Files::new();
    files.issue("cert.pem", "key.pem");
    let tls = Tls::read(&files.named("cert.pem", "key.pem")).unwrap();
    let current = || Arc::as_ptr(&tls.current.read().unwrap());
    let first = current();
    let other = KeyPair::generate().unwrap();
    files.write("key.pem", &other.serialize_pem());
    assert!(tls.reload().is_err());
    assert_eq!(current(), first);
    files.issue("cert.pem", "key.pem");
    tls.reload().unwrap();
    assert_ne!(current(), first);
}
