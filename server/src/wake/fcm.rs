//! Firebase Cloud Messaging, by HTTP v1: a service account's key buys a token for an hour.

use super::client::{Sender, Whom};
use super::outcome::{Answer, Outcome};
use super::payload::Push;
use crate::clock;
use crate::config::Wake;
use anyhow::Context;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion counts; Google takes no longer one.
const ASSERTION_S: u64 = 3600;
/// A token is bought anew so long before it expires.
const EARLY_MS: u64 = 300_000;
/// One that is refused before that has never been good.
const YOUNG_MS: u64 = 60_000;
/// How long Firebase wants to be left alone after a quota, unless it says.
const QUOTA: Duration = Duration::from_secs(60);

/// Whatever Firebase reaches.
pub(super) struct Fcm {
    sender: Sender,
    url: String,
    account: Account,
    key: EncodingKey,
    token: Mutex<Option<Token>>,
    /// Attempts to buy one that have failed, and how the last did.
    failed: watch::Sender<(u64, Option<Outcome>)>,
    ttl_s: u64,
}

/// The file that Google gives.
#[derive(Deserialize)]
struct Account {
    project_id: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
    token_uri: String,
}

#[derive(Clone)]
struct Token {
    text: String,
    bought_ms: u64,
    until_ms: u64,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl Fcm {
    pub(super) fn new(settings: &Wake) -> anyhow::Result<Self> {
        let file = &settings.fcm.service_account_file;
        let at = || format!("{} ([wake.fcm] service_account_file)", file.display());
        let text = std::fs::read(file).with_context(|| format!("{} cannot be read", at()))?;
        let account: Account = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no key as Google gives it", at()))?;
        let key = EncodingKey::from_rsa_pem(account.private_key.as_bytes())
            .with_context(|| format!("{} has no private key of RSA", at()))?;
        Ok(Self {
            sender: Sender::new(settings, Whom::Known)?,
            url: settings.fcm.url.trim_end_matches('/').to_owned(),
            account,
            key,
            token: Mutex::default(),
            failed: watch::Sender::default(),
            ttl_s: settings.ttl.as_secs(),
        })
    }

    /// Sends `push` to what registered as `device`.
    pub(super) async fn send(&self, device: &str, push: &Push) -> Outcome {
        let token = match self.token(clock::now_ms()).await {
            Ok(token) => token,
            Err(outcome) => return outcome,
        };
        let url = format!("{}/v1/projects/{}/messages:send", self.url, self.account.project_id);
        let request = Request::post(url)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(self.body(device, push, clock::now_ms()).to_string()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        match self.sender.send(request).await {
            Ok(answer) => self.judge(answer, &token).await,
            Err(outcome) => outcome,
        }
    }

    fn body(&self, device: &str, push: &Push, now_ms: u64) -> Value {
        let (visible, collapse) = (push.message.is_some(), push.collapse_id());
        let priority = if visible { "high" } else { "normal" };
        let until_s = (now_ms / 1000).saturating_add(self.ttl_s);
        let (apple_kind, apple_priority) =
            if visible { ("alert", "10") } else { ("background", "5") };
        let mut message = json!({
            "token": device,
            "data": {"tidelog": push.json()},
            "android": {
                "collapse_key": collapse,
                "priority": priority,
                "ttl": format!("{}s", self.ttl_s),
            },
            "apns": {
                "headers": {
                    "apns-priority": apple_priority,
                    "apns-push-type": apple_kind,
                    "apns-collapse-id": collapse,
                    "apns-expiration": until_s.to_string(),
                },
                "payload": {"aps": {"content-available": 1}},
            },
            "webpush": {
                "headers": {"TTL": self.ttl_s.to_string(), "Urgency": priority},
            },
        });
        if let Some(shown) = &push.message {
            let shown = json!({"title": shown.title, "body": shown.body});
            message.as_object_mut().map(|message| message.insert("notification".into(), shown));
        }
        json!({ "message": message })
    }

    /// The token that counts at `now_ms`; who needs one while it is bought waits for it, and has failed if
    /// that fails: while the service hangs, nobody asks it again after having waited for another.
    pub(super) async fn token(&self, now_ms: u64) -> Result<String, Outcome> {
        let (before, _) = *self.failed.borrow();
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| now_ms < token.until_ms) {
            return Ok(token.text.clone());
        }
        if let (failed, Some(outcome)) = &*self.failed.borrow()
            && *failed != before
        {
            return Err(outcome.clone());
        }
        match self.buy(now_ms).await {
            Ok(bought) => Ok(token.insert(bought).text.clone()),
            Err(outcome) => {
                self.failed.send_replace((before + 1, Some(outcome.clone())));
                Err(outcome)
            }
        }
    }

    async fn buy(&self, now_ms: u64) -> Result<Token, Outcome> {
        #[derive(Deserialize)]
        struct Bought {
            access_token: String,
            expires_in: u64,
        }
        let refused = |error: &dyn std::fmt::Display| Outcome::Later {
            reason: format!("no token from {}: {error}", self.account.token_uri),
            after: None,
            all: true,
            ours: true,
        };
        let assertion = self.assertion(now_ms).map_err(|error| refused(&error))?;
        // Neither has a character that a form would have to write otherwise, but for colons.
        let form = format!("grant_type={}&assertion={assertion}", GRANT.replace(':', "%3A"));
        let request = Request::post(&self.account.token_uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form));
        let answer = self.sender.send(request.map_err(|error| refused(&error))?).await?;
        if answer.status != 200 {
            let failed = answer.later(unsold(&answer), true);
            let passing = matches!(answer.status, 408 | 429 | 500..=599);
            return Err(if passing { failed } else { failed.ours() });
        }
        let bought: Bought = serde_json::from_str(&answer.body).map_err(|error| refused(&error))?;
        let lasts_ms = bought.expires_in.saturating_mul(1000);
        // One that lasts a moment is used, and not kept.
        let until_ms = now_ms.saturating_add(lasts_ms.saturating_sub(EARLY_MS));
        Ok(Token { text: bought.access_token, bought_ms: now_ms, until_ms })
    }

    fn assertion(&self, now_ms: u64) -> jsonwebtoken::errors::Result<String> {
        let header =
            Header { kid: self.account.private_key_id.clone(), ..Header::new(Algorithm::RS256) };
        let iat = now_ms / 1000;
        let claims = Assertion {
            iss: &self.account.client_email,
            scope: SCOPE,
            aud: &self.account.token_uri,
            iat,
            exp: iat + ASSERTION_S,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
    }

    async fn judge(&self, mut answer: Answer, token: &str) -> Outcome {
        let reason = reason(&answer.body);
        let said = format!("{} {reason}", answer.status);
        if answer.status == 429 {
            answer.after = answer.after.or(Some(QUOTA));
        }
        match (answer.status, reason.as_str()) {
            // Of another sender: it never was reached from here, and never will be.
            (404, "UNREGISTERED") | (403, "SENDER_ID_MISMATCH") => Outcome::Gone,
            (404, _) => Outcome::Refused(said),
            // What Firebase has for Apple or for browsers is wrong, and other devices do without.
            (401, "THIRD_PARTY_AUTH_ERROR") => answer.later(said, false).ours(),
            (401, _) if self.give_up(token).await => answer.later(said, true),
            (401 | 403, _) => answer.later(said, true).ours(),
            (429, "QUOTA_EXCEEDED") => answer.later(said, true),
            _ => answer.outcome(&reason),
        }
    }

    /// Google takes the token no longer, so another is bought; whether this one had been taken.
    async fn give_up(&self, token: &str) -> bool {
        let mut known = self.token.lock().await;
        let Some(refused) = known.take_if(|known| known.text == token) else { return true };
        refused.bought_ms.saturating_add(YOUNG_MS) <= clock::now_ms()
    }
}

/// What the seller of tokens says (RFC 6749, 5.2).
fn unsold(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (error, detail) = (text("error"), text("error_description"));
    format!("no token: {} {error} {detail}", answer.status).trim_end().to_owned()
}

/// The code of Firebase in an answer, or else that of Google's interfaces.
fn reason(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let error = body.get("error");
    let details = error.and_then(|error| error.get("details")).and_then(Value::as_array);
    let codes = details.into_iter().flatten().filter_map(|detail| detail.get("errorCode"));
    let status = error.and_then(|error| error.get("status"));
    codes.chain(status).find_map(Value::as_str).unwrap_or_default().to_owned()
}
