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
        let made = self.token(now).and_then(|token| {
            let request = self.request(device, push, (&token, now))?;
            Ok((token, request))
        });
        let (token, request) = match made {
            Ok(made) => made,
            Err(error) => return Outcome::Refused(format!("{error:#}")),
        };
        match self.sender.send(request).await {
            Ok(answer) => self.judge(&answer, &token, now),
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
        // One of tomorrow is of before the clock was set right.
        let counts =
            |token: &Token| (token.signed_ms..token.signed_ms + TOKEN_MS).contains(&now_ms);
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

    pub(super) fn judge(&self, answer: &Answer, token: &str, now_ms: u64) -> Outcome {
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
            (403, "ExpiredProviderToken") if self.expire(token, now_ms) => answer.later(said, true),
            (403, _) | (400, "BadTopic" | "MissingTopic" | "TopicDisallowed") => {
                answer.later(said, true).ours()
            }
            (429, "TooManyProviderTokenUpdates") => answer.later(said, true),
            // Of the connection, not of what was sent.
            (400, "IdleTimeout") => answer.later(said, false),
            _ => answer.outcome(&reason),
        }
    }

    /// Apple takes `token` no longer; whether another takes its place. Of a young one that is no wonder only if
    /// the clock is wrong.
    fn expire(&self, token: &str, now_ms: u64) -> bool {
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = |known: &Token| {
            known.text == token && now_ms < known.signed_ms.saturating_add(TOKEN_MS_MIN)
        };
        if known.as_ref().is_some_and(keep) {
            return false;
        }
        // Others that were sent with it may have had another signed already.
        known.take_if(|known| known.text == token);
        true
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
