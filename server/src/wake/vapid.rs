//! Who the server is to Web Push services (RFC 8292): a key that it makes at its first start.
//!
//! Browsers tie what they subscribe to to this key, so it is kept as long as the data: with another
//! one every browser has to subscribe anew.

use anyhow::{Context, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "vapid.pem";
/// How long a token counts; services take none for more than a day.
const TOKEN_S: u64 = 12 * 3600;

/// The key.
pub(crate) struct Vapid {
    public: String,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

impl Vapid {
    /// Reads the key in `data`; makes one if there is none.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let file = data.join(FILE);
        if !file.exists() {
            make(data).with_context(|| format!("{} cannot be made", file.display()))?;
        }
        let unusable = || {
            format!(
                "{} holds no private key of P-256 in PKCS#8: restore it from a backup; with another \
                 one, all browsers have to subscribe anew",
                file.display()
            )
        };
        let key = PrivatePkcs8KeyDer::from_pem_file(&file).with_context(unusable)?;
        Self::read(key.secret_pkcs8_der()).with_context(unusable)
    }

    /// Takes a key in PKCS#8.
    pub(super) fn read(pkcs8: &[u8]) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)?;
        let key = EncodingKey::from_ec_der(pkcs8);
        Ok(Self { public: URL_SAFE_NO_PAD.encode(pair.public_key()), key })
    }

    /// Who the server is, in a header for the service at `origin`.
    pub(super) fn authorization(
        &self,
        origin: &str,
        contact: Option<&str>,
        now_ms: u64,
    ) -> anyhow::Result<String> {
        let claims = Claims { aud: origin, exp: now_ms / 1000 + TOKEN_S, sub: contact };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)?;
        Ok(header(&token, &self.public))
    }

    /// The public key, as a page subscribes with: uncompressed, in base64url.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }
}

/// The header of RFC 8292.
fn header(token: &str, public: &str) -> String {
    format!("vapid t={token}, k={public}")
}

/// Makes a key, for the owner of `data` alone. It is whole, or not there.
fn make(data: &Path) -> anyhow::Result<()> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.map_err(|_| anyhow!("no key can be made"))?;
    let text = STANDARD.encode(made.as_ref());
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let beside = data.join(format!("{FILE}.new"));
    drop(std::fs::remove_file(&beside));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, data.join(FILE))?;
    Ok(File::open(data)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Vapid::open(dir.path()).unwrap();
        let point = URL_SAFE_NO_PAD.decode(first.public()).unwrap();
        assert_eq!((point.len(), point[0]), (65, 4), "an uncompressed point");
        let file = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Vapid::open(dir.path()).unwrap();
        assert_eq!(first.public(), second.public());
        std::fs::write(&file, "nothing").unwrap();
        let error = format!("{:#}", Vapid::open(dir.path()).err().unwrap());
        assert!(error.contains("vapid.pem") && error.contains("backup"), "{error}");
    }

    /// RFC 8292, section 2.4, with its line breaks taken out.
    #[test]
    fn the_header_has_the_form_of_the_standard() {
        let token = concat!(
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleH",
            "AiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_",
            "HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
        );
        let public = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
        let example = concat!(
            "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5u",
            "ZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCD",
            "quptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, ",
            "k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
        );
        assert_eq!(header(token, public), example);
        // What is signed is the same, byte for byte; a signature has chance in it, so theirs is verified.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let dir = tempfile::tempdir().unwrap();
        let now_ms = (1_453_523_768 - TOKEN_S) * 1000;
        let contact = Some("mailto:push@example.com");
        let here = Vapid::open(dir.path()).unwrap();
        let here = here.authorization("https://push.example.net", contact, now_ms).unwrap();
        assert!(here.starts_with(&format!("vapid t={signed}.")), "{here}");
        let [key, signature] = [public, signature].map(|it| URL_SAFE_NO_PAD.decode(it).unwrap());
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
    }
}
