//! Web Push (RFC 8030): one request to wherever the browser's maker has its service.

use super::client::{Sender, Whom};
use super::encrypt::encrypt;
use super::endpoint;
use super::outcome::{Answer, Outcome};
use super::payload::{Push, hashed};
use super::vapid::Vapid;
use crate::clock;
use crate::config::Wake;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Request, Uri};

/// Browsers.
pub(super) struct Web {
    sender: Sender,
    contact: String,
    allow_private: bool,
    ttl_s: u64,
}

/// Where a browser is, and its keys.
pub(super) struct Browser<'a> {
    pub(super) endpoint: &'a str,
    pub(super) p256dh: &'a [u8],
    pub(super) auth: &'a [u8],
}

impl Web {
    pub(super) fn new(settings: &Wake) -> anyhow::Result<Self> {
        Ok(Self {
            sender: Sender::new(settings, Whom::Stranger)?,
            contact: settings.contact.clone(),
            allow_private: settings.allow_private,
            ttl_s: settings.ttl.as_secs(),
        })
    }

    pub(super) async fn send(&self, vapid: &Vapid, browser: &Browser<'_>, push: &Push) -> Outcome {
        let request = match self.request(vapid, browser, push) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(format!("{error:#}")),
        };
        match self.sender.send(request).await {
            Ok(answer) => judge(&answer),
            Err(outcome) => outcome,
        }
    }

    fn request(
        &self,
        vapid: &Vapid,
        browser: &Browser<'_>,
        push: &Push,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let uri = endpoint::check(browser.endpoint, self.allow_private)?;
        let contact = Some(self.contact.as_str()).filter(|contact| !contact.is_empty());
        let authorization = vapid.authorization(&origin(&uri), contact, clock::now_ms())?;
        let body = encrypt(browser.p256dh, browser.auth, push.json().as_bytes())?;
        let request = Request::post(uri)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_ENCODING, "aes128gcm")
            .header("ttl", self.ttl_s)
            .header("urgency", if push.message.is_some() { "high" } else { "normal" })
            .header("topic", hashed(push.collapse()));
        Ok(request.body(Full::from(body))?)
    }
}

fn judge(answer: &Answer) -> Outcome {
    match answer.status {
        // Perhaps of this browser alone: it may have subscribed with another key.
        401 | 403 => answer.later(answer.status.to_string(), false).ours(),
        _ => answer.outcome(""),
    }
}

/// Scheme, host and port: what a token is for, and what a service is told from others by.
pub(super) fn origin(uri: &Uri) -> String {
    let (scheme, authority) =
        (uri.scheme_str(), uri.authority().map(hyper::http::uri::Authority::as_str));
    format!("{}://{}", scheme.unwrap_or_default(), authority.unwrap_or_default())
}
