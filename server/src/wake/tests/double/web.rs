//! A service of Web Push: RFC 8030, 8188, 8291 and 8292, as far as one sees without the browser's keys.

use super::{Came, Judge, Reply};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The longest body that every service takes.
const BODY_BYTES_MAX: usize = 4096;
/// Salt, record size, length of the key, the key; then at least one byte, and its tag.
const BODY_BYTES_MIN: usize = 16 + 4 + 1 + 65 + 17;

/// Judges for the service at `origin`. Subscriptions whose paths begin with `/unknown` and `/gone` are.
pub(in crate::wake::tests) fn judge(origin: &str) -> Judge {
    let origin = origin.to_owned();
    let mut key = None;
    Box::new(move |came, now_s| {
        let wrong = |status: u16, what: &str| Err(Reply::new(status, &what));
        if came.method != "POST" {
            return wrong(405, "method");
        }
        let Some((token, public)) = vapid(came) else { return wrong(401, "no vapid") };
        // Browsers subscribed with the key of who came first.
        if key.get_or_insert_with(|| public.to_owned()) != public {
            return wrong(403, "another key");
        }
        match proven(token, public) {
            Some(claims) if counts(&claims, &origin, now_s) => {}
            _ => return wrong(403, "the token is not good"),
        }
        if let Some(header) = bad_header(came) {
            return wrong(400, header);
        }
        match came.body.len() {
            0..BODY_BYTES_MIN => return wrong(400, "body"),
            BODY_BYTES_MIN..=BODY_BYTES_MAX => {}
            _ => return wrong(413, "body"),
        }
        let (records, key_bytes) = (&came.body[16..20], came.body[20]);
        if u32::from_be_bytes(records.try_into().unwrap()) < 18 || key_bytes != 65 {
            return wrong(400, "aes128gcm");
        }
        match came.path.as_str() {
            path if path.starts_with("/unknown") => wrong(404, "never heard of"),
            path if path.starts_with("/gone") => wrong(410, "unsubscribed"),
            path => Ok(Reply::new(201, &"").with("location", &format!("{path}/message"))),
        }
    })
}

/// Who the push says it is from: a token, and the key that has signed it.
fn vapid(came: &Came) -> Option<(&str, &str)> {
    came.header("authorization").strip_prefix("vapid t=")?.split_once(", k=")
}

/// The claims of the token, if the key has signed it.
pub(in crate::wake::tests) fn proven(token: &str, public: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let public = URL_SAFE_NO_PAD.decode(public).ok()?;
    let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public);
    verifier.verify(signed.as_bytes(), &signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let header = read(header)?;
    (header["alg"] == "ES256" && header["typ"] == "JWT").then(|| read(claims))?
}

fn counts(claims: &Value, origin: &str, now_s: u64) -> bool {
    let lasts =
        claims["exp"].as_u64().is_some_and(|exp| (now_s + 1..=now_s + 86_400).contains(&exp));
    let contact = claims.get("sub").is_none_or(|sub| {
        let sub = sub.as_str().unwrap_or_default();
        sub.starts_with("mailto:") || sub.starts_with("https:")
    });
    lasts && contact && claims["aud"] == origin
}

/// The first header that is not as the standards have it.
fn bad_header(came: &Came) -> Option<&'static str> {
    let topic = came.header("topic");
    let fits = [
        ("ttl", came.header("ttl").parse::<u32>().is_ok()),
        ("urgency", ["very-low", "low", "normal", "high"].contains(&came.header("urgency"))),
        ("topic", (1..=32).contains(&topic.len()) && URL_SAFE_NO_PAD.decode(topic).is_ok()),
        ("content-encoding", came.header("content-encoding") == "aes128gcm"),
        ("content-type", came.header("content-type") == "application/octet-stream"),
        ("content-length", came.header("content-length") == came.body.len().to_string()),
    ];
    fits.into_iter().find(|(_, fits)| !fits).map(|(name, _)| name)
}
