//! Apple's service: a provider's token, and what each header may be.

use super::{Came, Judge, Reply};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Version;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

pub(in crate::wake::tests) const KEY_ID: &str = "KEYKEYKEY1";
pub(in crate::wake::tests) const TEAM_ID: &str = "TEAMTEAM01";
pub(in crate::wake::tests) const TOPIC: &str = "com.example.app";
/// How old a token may be, and how far apart two have to be.
const TOKEN_S: u64 = 3600;
const TOKEN_APART_S: u64 = 20 * 60;
const BODY_BYTES_MAX: usize = 4096;

/// The key of a developer's account.
pub(in crate::wake::tests) struct Account {
    pub(in crate::wake::tests) pem: String,
    public: Vec<u8>,
}

/// What a device's token begins with says what it is.
pub(in crate::wake::tests) fn device(sort: &str) -> String {
    format!("{sort}{}", "0".repeat(64 - sort.len()))
}

pub(in crate::wake::tests) const IN_DEVELOPMENT: &str = "de";
pub(in crate::wake::tests) const UNREGISTERED: &str = "dead";
pub(in crate::wake::tests) const OF_ANOTHER_APP: &str = "0bad";

impl Account {
    pub(in crate::wake::tests) fn make() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref()).unwrap();
        let pem = STANDARD.encode(made.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        Self { pem, public: pair.public_key().as_ref().to_vec() }
    }

    pub(in crate::wake::tests) fn judge(&self) -> Judge {
        let mut service = Service { public: self.public.clone(), last: None };
        Box::new(move |came, now_s| match service.wrong(came, now_s) {
            Some((status, reason)) => Err(refusal(status, reason)),
            None => {
                Ok(Reply::new(200, &"").with("apns-id", &"eabeae54-14a8-11e5-b60b-1697f925ec7b"))
            }
        })
    }

    /// The claims of a provider's token, if its key has signed it.
    pub(in crate::wake::tests) fn proven(&self, token: &str) -> Option<Value> {
        proven(&self.public, token)
    }
}

/// An answer of Apple's.
pub(in crate::wake::tests) fn refusal(status: u16, reason: &str) -> Reply {
    let body = match status {
        410 => json!({ "reason": reason, "timestamp": 1_454_948_015_990_u64 }),
        _ => json!({ "reason": reason }),
    };
    Reply::new(status, &body)
}

fn proven(public: &[u8], token: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    if header.alg != Algorithm::ES256 || header.kid.as_deref() != Some(KEY_ID) {
        return None;
    }
    let mut rules = Validation::new(Algorithm::ES256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let key = DecodingKey::from_ec_der(public);
    jsonwebtoken::decode::<Value>(token, &key, &rules).ok().map(|token| token.claims)
}

struct Service {
    public: Vec<u8>,
    /// The token that was taken last, and of when it is.
    last: Option<(String, u64)>,
}

type Wrong = Option<(u16, &'static str)>;

impl Service {
    fn wrong(&mut self, came: &Came, now_s: u64) -> Wrong {
        if came.version != Version::HTTP_2 {
            return Some((400, "HTTP/2 only"));
        }
        if came.method != "POST" {
            return Some((405, "MethodNotAllowed"));
        }
        let Some((place, device)) = came.path.split_once("/3/device/") else {
            return Some((404, "BadPath"));
        };
        let wrong = self.wrong_token(came.header("authorization"), now_s);
        wrong.or_else(|| wrong_header(came)).or_else(|| wrong_body(came)).or_else(|| {
            let in_development = device.starts_with(IN_DEVELOPMENT);
            let hexadecimal = device.bytes().all(|byte| byte.is_ascii_hexdigit());
            if device.len() != 64 || !hexadecimal || (place == "/sandbox") != in_development {
                Some((400, "BadDeviceToken"))
            } else if device.starts_with(OF_ANOTHER_APP) {
                Some((400, "DeviceTokenNotForTopic"))
            } else {
                device.starts_with(UNREGISTERED).then_some((410, "Unregistered"))
            }
        })
    }

    fn wrong_token(&mut self, authorization: &str, now_s: u64) -> Wrong {
        let Some(token) = authorization.strip_prefix("bearer ") else {
            return Some((403, "MissingProviderToken"));
        };
        let claims = proven(&self.public, token).filter(|claims| claims["iss"] == TEAM_ID);
        let issued = claims.and_then(|claims| claims["iat"].as_u64()).filter(|at| *at <= now_s);
        let Some(issued) = issued else { return Some((403, "InvalidProviderToken")) };
        if issued + TOKEN_S < now_s {
            return Some((403, "ExpiredProviderToken"));
        }
        let soon = |(last, at): &(String, u64)| last != token && issued < at + TOKEN_APART_S;
        if self.last.as_ref().is_some_and(soon) {
            return Some((429, "TooManyProviderTokenUpdates"));
        }
        self.last = Some((token.to_owned(), issued));
        None
    }
}

fn wrong_header(came: &Came) -> Wrong {
    let (kind, priority) = (came.header("apns-push-type"), came.header("apns-priority"));
    let collapse = came.header("apns-collapse-id");
    match came.header("apns-topic") {
        "" => return Some((400, "MissingTopic")),
        TOPIC => {}
        _ => return Some((400, "TopicDisallowed")),
    }
    let urgent = ["5", "10"].contains(&priority) && kind == "alert";
    let fits = [
        ("InvalidPushType", ["alert", "background"].contains(&kind)),
        ("BadPriority", urgent || (priority == "5" && kind == "background")),
        ("BadExpirationDate", came.header("apns-expiration").parse::<u64>().is_ok()),
        ("BadCollapseId", (1..=64).contains(&collapse.len())),
    ];
    fits.into_iter().find(|(_, fits)| !fits).map(|(reason, _)| (400, reason))
}

fn wrong_body(came: &Came) -> Wrong {
    if came.body.is_empty() {
        return Some((400, "PayloadEmpty"));
    }
    if came.body.len() > BODY_BYTES_MAX {
        return Some((413, "PayloadTooLarge"));
    }
    let body: Value = serde_json::from_slice(&came.body).unwrap_or_default();
    let (aps, shown) = (&body["aps"], came.header("apns-push-type") == "alert");
    let fits = aps["alert"]["title"].is_string() == shown && aps["content-available"] == 1;
    (!fits).then_some((400, "PayloadEmpty"))
}
