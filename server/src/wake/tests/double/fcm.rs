//! Google's services: one that sells tokens for an assertion (RFC 7523), and Firebase's HTTP v1.

use super::{Came, Judge, Reply};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

const PROJECT: &str = "example-app";
const EMAIL: &str = "push@example-app.iam.gserviceaccount.com";
const KEY_ID: &str = "key-1";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
/// How long what is sold lasts.
const TOKEN_S: u64 = 3599;
const DATA_BYTES_MAX: usize = 4096;

/// What a device's token begins with says what it is.
pub(in crate::wake::tests) const UNREGISTERED: &str = "gone:";
pub(in crate::wake::tests) const OF_ANOTHER_SENDER: &str = "other:";
pub(in crate::wake::tests) const INVALID: &str = "invalid:";

/// Making one takes long.
static KEY: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// The file that Google gives for the account, with tokens sold at `url`.
pub(in crate::wake::tests) fn account(url: &str) -> String {
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&*KEY).unwrap();
    let pem = STANDARD.encode(der.as_ref());
    let account = json!({
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n"),
        "client_email": EMAIL,
        "token_uri": format!("{url}/token"),
    });
    account.to_string()
}

pub(in crate::wake::tests) fn judge(url: &str) -> Judge {
    let seller = format!("{url}/token");
    // Until when each counts that was sold.
    let mut sold: HashMap<String, u64> = HashMap::new();
    Box::new(move |came, now_s| {
        if came.path == "/token" {
            let sells = wrong_purchase(came, &seller, now_s).map_or(Ok(()), Err);
            sells?;
            let token = format!("ya29.{}", sold.len() + 1);
            sold.insert(token.clone(), now_s + TOKEN_S);
            let token =
                json!({"access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer"});
            return Ok(Reply::new(200, &token));
        }
        let token = came.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if sold.get(token).is_none_or(|until_s| *until_s <= now_s) {
            return Err(error(401, "UNAUTHENTICATED", None));
        }
        wrong_message(came).map_or(Ok(()), Err)?;
        Ok(Reply::new(200, &json!({"name": format!("projects/{PROJECT}/messages/0:1")})))
    })
}

/// An answer of Firebase's.
pub(in crate::wake::tests) fn error(code: u16, status: &str, reason: Option<&str>) -> Reply {
    let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
    let details = reason.map(|reason| json!({"@type": kind, "errorCode": reason}));
    let details: Vec<_> = details.into_iter().collect();
    Reply::new(code, &json!({"error": {"code": code, "status": status, "details": details}}))
}

/// An answer of who sells tokens.
pub(in crate::wake::tests) fn unsold(status: u16, error: &str, why: &str) -> Reply {
    Reply::new(status, &json!({"error": error, "error_description": why}))
}

fn wrong_purchase(came: &Came, seller: &str, now_s: u64) -> Option<Reply> {
    let form = came.header("content-type") == "application/x-www-form-urlencoded";
    let body = std::str::from_utf8(&came.body).unwrap_or_default();
    let (Some((grant, assertion)), true, true) =
        (body.split_once("&assertion="), form, came.method == "POST")
    else {
        return Some(unsold(400, "invalid_request", "Bad Request"));
    };
    if grant != format!("grant_type={GRANT}") {
        return Some(unsold(400, "unsupported_grant_type", "Invalid grant_type"));
    }
    let Some(claims) = proven(assertion) else {
        return Some(unsold(400, "invalid_grant", "Invalid JWT Signature."));
    };
    if claims["iss"] != EMAIL {
        return Some(unsold(400, "invalid_grant", "Invalid grant: account not found"));
    }
    let time = |name: &str| claims[name].as_u64().unwrap_or_default();
    let (issued, expires) = (time("iat"), time("exp"));
    if claims["aud"] != seller || issued > now_s || expires <= now_s || expires > issued + 3600 {
        let why = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.";
        return Some(unsold(400, "invalid_grant", why));
    }
    (claims["scope"] != SCOPE).then(|| unsold(400, "invalid_scope", "Invalid OAuth scope"))
}

/// The claims of an assertion, if the account's key has signed it.
fn proven(assertion: &str) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key().as_ref());
    key.verify(signed.as_bytes(), &signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let header = read(header)?;
    (header["alg"] == "RS256" && header["kid"] == KEY_ID).then(|| read(claims))?
}

fn wrong_message(came: &Came) -> Option<Reply> {
    let invalid = || Some(error(400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT")));
    if came.path != format!("/v1/projects/{PROJECT}/messages:send") {
        return Some(error(403, "PERMISSION_DENIED", None));
    }
    let body: Value = serde_json::from_slice(&came.body).unwrap_or_default();
    let message = body["message"].as_object();
    let as_documented = came.method == "POST" && came.header("content-type") == "application/json";
    let Some(message) = message.filter(|message| as_documented && is_valid(message)) else {
        return invalid();
    };
    match message["token"].as_str().unwrap_or_default() {
        token if token.starts_with(INVALID) => invalid(),
        token if token.starts_with(UNREGISTERED) => {
            Some(error(404, "NOT_FOUND", Some("UNREGISTERED")))
        }
        token if token.starts_with(OF_ANOTHER_SENDER) => {
            Some(error(403, "PERMISSION_DENIED", Some("SENDER_ID_MISMATCH")))
        }
        _ => None,
    }
}

/// Every key and type is one of those that are documented.
fn is_valid(message: &Map<String, Value>) -> bool {
    let texts =
        |value: &Value| value.as_object().is_some_and(|texts| texts.values().all(Value::is_string));
    let has = |value: &Value, names: &[&str]| {
        value.as_object().is_some_and(|it| it.keys().all(|name| names.contains(&name.as_str())))
    };
    let known = ["token", "data", "notification", "android", "apns", "webpush"];
    let android = &message["android"];
    let ttl = android["ttl"].as_str().and_then(|ttl| ttl.strip_suffix('s'));
    let shown = message.get("notification");
    let priority = if shown.is_some() { "high" } else { "normal" };
    message.keys().all(|name| known.contains(&name.as_str()))
        && message["token"].is_string()
        && texts(&message["data"])
        && message["data"].to_string().len() <= DATA_BYTES_MAX
        && has(android, &["collapse_key", "priority", "ttl"])
        && android["collapse_key"].is_string()
        && android["priority"] == priority
        && ttl.is_some_and(|ttl| ttl.parse::<f64>().is_ok())
        && has(&message["apns"], &["headers", "payload"])
        && texts(&message["apns"]["headers"])
        && message["apns"]["payload"]["aps"].is_object()
        && has(&message["webpush"], &["headers"])
        && texts(&message["webpush"]["headers"])
        && shown.is_none_or(|shown| has(shown, &["title", "body"]) && shown["title"].is_string())
}
