//! Encryption for one browser (RFC 8291, in the form of RFC 8188): the push service sees nothing but
//! a length.
//!
//! Written out here because the crates that do it bring another library of cryptography along.

use anyhow::{Context, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

const SALT_BYTES: usize = 16;
/// One record holds everything.
const RECORD_BYTES: u32 = 4096;
/// Ends the last record.
const LAST: u8 = 2;

/// The body of a push to the browser with these keys.
pub(super) fn encrypt(p256dh: &[u8], auth: &[u8], text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| anyhow!("no random numbers: {error}"))?;
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| anyhow!("no key can be made"))?;
    encrypt_with(&own, salt, (p256dh, auth), text)
}

fn encrypt_with(
    own: &PrivateKey,
    salt: [u8; SALT_BYTES],
    (p256dh, auth): (&[u8], &[u8]),
    text: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let public = own.compute_public_key().map_err(|_| anyhow!("a key without its public one"))?;
    let info = [b"WebPush: info\0", p256dh, public.as_ref()].concat();
    let theirs = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    let input: [u8; 32] = agree(own, theirs, anyhow!("the browser's key is none"), |shared| {
        expand(&Salt::new(HKDF_SHA256, auth).extract(shared), &info)
    })?;
    let secret = Salt::new(HKDF_SHA256, &salt).extract(&input);
    let key: [u8; 16] = expand(&secret, b"Content-Encoding: aes128gcm\0")?;
    let nonce: [u8; 12] = expand(&secret, b"Content-Encoding: nonce\0")?;
    let mut record = [text, &[LAST]].concat();
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| anyhow!("no key for the record"))?;
    LessSafeKey::new(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)
        .map_err(|_| anyhow!("the record cannot be encrypted"))?;
    let id_bytes = u8::try_from(public.as_ref().len()).context("the public key is too long")?;
    let head = [&salt[..], &RECORD_BYTES.to_be_bytes(), &[id_bytes], public.as_ref()];
    Ok([&head.concat()[..], &record].concat())
}

/// How much is wanted of a secret.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(secret: &Prk, info: &[u8]) -> anyhow::Result<[u8; N]> {
    let mut out = [0; N];
    let info = [info];
    let okm = secret.expand(&info, Bytes(N)).map_err(|_| anyhow!("too much of a secret"))?;
    okm.fill(&mut out).map_err(|_| anyhow!("too much of a secret"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_standard_comes_out_byte_for_byte() {
        let own = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let p256dh = decode(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let auth = decode("BTBZMqHH6r4Tts7J_aSIgg");
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let text = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&own, salt, (&p256dh, &auth), text).unwrap();
        let expected = decode(concat!(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml",
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT",
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        ));
        assert_eq!(URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(expected));
    }

    #[test]
    fn no_two_pushes_are_alike() {
        let p256dh = PrivateKey::generate(&ECDH_P256).unwrap().compute_public_key().unwrap();
        let push = || encrypt(p256dh.as_ref(), &[7; 16], b"{}").unwrap();
        let (first, second) = (push(), push());
        assert_ne!(first[..16], second[..16]);
        assert_ne!(first[21..86], second[21..86]);
        assert!(encrypt(&[4; 65], &[7; 16], b"{}").is_err());
    }
}
