//! Apple's push service: HTTP/2, and a token that the developer's key signs anew from time to time.

use super::client::{Sender, Whom};
use super::outcome::{Answer, Outcome};
use super::payload::Push;
use crate::clock;
use crate::config::{self, Wake};
use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// A token is signed anew after this time: Apple takes none that is older than an hour, and not more than
/// one in twenty minutes.
const TOKEN_MS: u64 = 40 * 60_000;
/// And at the earliest, when Apple says that it has expired.
const TOKEN_MS_MIN: u64 = 20 * 60_000;

/// iPhones.
pub(super) struct Apns {
    sender: Sender,
    settings: config::Apns,
    key: EncodingKey,
    token: Mutex<Option<Token>>,
    ttl_s: u64,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    signed_ms: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
}

impl Apns {
    pub(super) fn new(settings: &Wake) -> anyhow::Result<Self> {
        let file = settings.apns.key_file.display();
        let pem = std::fs::read(&settings.apns.key_file)
            .with_context(|| format!("{file} ([wake.apns] key_file) cannot be read"))?;
        let key = EncodingKey::from_ec_pem(&pem).with_context(|| {
            format!("{file} ([wake.apns] key_file) is no key as Apple gives it")
        })?;
        Ok(Self {
            sender: Sender::new(settings, Whom::KnownByHttp2)?,
            settings: settings.apns.clone(),
            key,
            token: Mutex::default(),
            ttl_s: settings.ttl.as_secs(),
        })
    }

    /// Sends `push` to the device with this token; `development` says that its app is.
    pub(super) async fn send(&self, device: (&str, bool), push: &Push) -> Outcome {
        let now = clock::now_ms();
        let request = self.token(now).and_then(|token| self.request(device, push, (&token, now)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(format!("{error:#}")),
        };
        match self.sender.send(request).await {
            Ok(answer) => self.judge(&answer, now),
            Err(outcome) => outcome,
        }
    }

    fn request(
        &self,
        (device, development): (&str, bool),
        push: &Push,
        (token, now_ms): (&str, u64),
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let settings = &self.settings;
        let url = if development { &settings.development_url } else { &settings.url };
        let (kind, priority) =
            if push.message.is_some() { ("alert", 10) } else { ("background", 5) };
        let request = Request::post(format!("{}/3/device/{device}", url.trim_end_matches('/')))
            .header(AUTHORIZATION, format!("bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .header("apns-topic", &settings.topic)
            .header("apns-push-type", kind)
            .header("apns-priority", priority)
            .header("apns-expiration", now_ms / 1000 + self.ttl_s)
            .header("apns-collapse-id", &*push.collapse_id());
        Ok(request.body(Full::from(body(push)))?)
    }

    /// The token that counts at `now_ms`.
    pub(super) fn token(&self, now_ms: u64) -> anyhow::Result<String> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |token: &Token| now_ms < token.signed_ms.saturating_add(TOKEN_MS);
        if let Some(token) = token.as_ref().filter(|token| counts(token)) {
            return Ok(token.text.clone());
        }
        let header =
            Header { kid: Some(self.settings.key_id.clone()), ..Header::new(Algorithm::ES256) };
        let claims = Claims { iss: &self.settings.team_id, iat: now_ms / 1000 };
        let text = jsonwebtoken::encode(&header, &claims, &self.key)?;
        *token = Some(Token { text: text.clone(), signed_ms: now_ms });
        Ok(text)
    }

    pub(super) fn judge(&self, answer: &Answer, now_ms: u64) -> Outcome {
        #[derive(Default, Deserialize)]
        struct Told {
            #[serde(default)]
            reason: String,
        }
        let Told { reason } = serde_json::from_str(&answer.body).unwrap_or_default();
        let said = format!("{} {reason}", answer.status);
        match (answer.status, reason.as_str()) {
            (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Outcome::Gone,
            // A path that is none says nothing of the device.
            (404, _) => Outcome::Refused(said),
            (403, _) => {
                if reason == "ExpiredProviderToken" {
                    self.expire(now_ms);
                }
                answer.later(said, true)
            }
            (429, "TooManyProviderTokenUpdates") => answer.later(said, true),
            _ => answer.outcome(&reason),
        }
    }

    /// Apple takes the token no longer.
    fn expire(&self, now_ms: u64) {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.take_if(|token| token.signed_ms.saturating_add(TOKEN_MS_MIN) <= now_ms);
    }
}

fn body(push: &Push) -> String {
    let aps = match &push.message {
        None => json!({"content-available": 1}),
        Some(message) => {
            let alert =
                json!({"title": message.title, "body": message.body.as_deref().unwrap_or("")});
            json!({"alert": alert, "sound": "default", "content-available": 1})
        }
    };
    format!(r#"{{"aps":{aps},"tidelog":{}}}"#, push.json())
}
