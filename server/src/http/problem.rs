//! What goes wrong over HTTP, as RFC 9457 has it: a stable `type`, and a `detail` that says what to do.

use crate::app::App;
use crate::clock;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt::Display;
use tidelog_protocol::http::Cursor;

/// What went wrong. Its name is part of the interface: `urn:tidelog:problem:NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body cannot be read.
    MalformedBody,
    /// The query string cannot be read.
    MalformedQuery,
    /// A header cannot be read.
    MalformedHeader,
    /// The cursor is none.
    MalformedCursor,
    /// More channels or devices than one request may name.
    TooMany,
    /// Nobody, or not who was named.
    NotSignedIn,
    /// The token belongs to another device.
    WrongClient,
    /// The rules do not let this user read the channel.
    ChannelDenied,
    /// No rule knows the channel.
    UnknownChannel,
    /// There is no key for the push service.
    PushNotConfigured,
    /// No such path.
    NotFound,
    /// Not with this method.
    MethodNotAllowed,
    /// The body did not come in time.
    BodyTimeout,
    /// The user has as many devices registered as one may.
    TooManyDevices,
    /// The user's devices are at as many push services as may be.
    TooManyPushServices,
    /// The cursor is of another user, or of a history that this server does not have.
    ForeignCursor,
    /// The body, or the number of its actions.
    TooLarge,
    /// A format that is not spoken here.
    UnsupportedMediaType,
    /// Nothing is sent to this endpoint of Web Push.
    EndpointRefused,
    /// Too many failed sign-ins.
    TooManyFailures,
    /// The user acts faster than one may.
    TooManyActions,
    /// As many bytes of the user are kept as may be.
    OverQuota,
    /// The keys that could prove the token cannot be fetched now.
    KeysUnavailable,
    /// The log cannot be read.
    LogUnreadable,
    /// Too many want something at once.
    Busy,
    /// The server stops.
    Stopping,
}

impl Kind {
    /// All of them, as docs/http.md lists them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 26] = [
        Self::MalformedBody,
        Self::MalformedQuery,
        Self::MalformedHeader,
        Self::MalformedCursor,
        Self::TooMany,
        Self::NotSignedIn,
        Self::WrongClient,
        Self::ChannelDenied,
        Self::UnknownChannel,
        Self::PushNotConfigured,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::TooManyDevices,
        Self::TooManyPushServices,
        Self::ForeignCursor,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::EndpointRefused,
        Self::TooManyFailures,
        Self::TooManyActions,
        Self::OverQuota,
        Self::KeysUnavailable,
        Self::LogUnreadable,
        Self::Busy,
        Self::Stopping,
    ];

    /// Its `type`.
    pub(super) fn urn(self) -> String {
        format!("urn:tidelog:problem:{}", self.words().0)
    }

    /// The status that it is answered with.
    #[cfg(test)]
    pub(super) fn status(self) -> u16 {
        self.words().1
    }

    /// Its name, status and title.
    const fn words(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::MalformedBody => ("malformed-body", 400, "The body cannot be read"),
            Self::MalformedQuery => ("malformed-query", 400, "The query string cannot be read"),
            Self::MalformedHeader => ("malformed-header", 400, "A header cannot be read"),
            Self::MalformedCursor => ("malformed-cursor", 400, "The cursor cannot be read"),
            Self::TooMany => ("too-many", 400, "The request names too much at once"),
            Self::NotSignedIn => ("not-signed-in", 401, "Sign-in is needed"),
            Self::WrongClient => ("wrong-client", 403, "The token belongs to another device"),
            Self::ChannelDenied => ("channel-denied", 403, "The channel may not be read"),
            Self::UnknownChannel => ("unknown-channel", 404, "There is no such channel"),
            Self::PushNotConfigured => {
                ("push-not-configured", 404, "The server does not use this push service")
            }
            Self::NotFound => ("not-found", 404, "There is nothing at this path"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "The path has no such method"),
            Self::BodyTimeout => ("body-timeout", 408, "The body did not come in time"),
            Self::TooManyDevices => ("too-many-devices", 409, "No more devices may register"),
            Self::TooManyPushServices => {
                ("too-many-push-services", 409, "Devices may register at no more push services")
            }
            Self::ForeignCursor => {
                ("foreign-cursor", 410, "The cursor says nothing about this user's log here")
            }
            Self::TooLarge => ("too-large", 413, "The request is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", 415, "The format of the body is not spoken here")
            }
            Self::EndpointRefused => {
                ("push-endpoint-refused", 422, "Nothing is sent to this endpoint")
            }
            Self::TooManyFailures => ("too-many-failures", 429, "Too many failed sign-ins"),
            Self::TooManyActions => ("too-many-actions", 429, "The user acts too fast"),
            Self::OverQuota => ("over-quota", 429, "No more of this user is kept"),
            Self::KeysUnavailable => {
                ("keys-unavailable", 503, "The keys of who issued the token cannot be had")
            }
            Self::LogUnreadable => ("log-unreadable", 500, "The log cannot be read"),
            Self::Busy => ("busy", 503, "The server has too much to do now"),
            Self::Stopping => ("stopping", 503, "The server is stopping"),
        }
    }
}

/// Where in a body the fault is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    /// The way to the value, such as `actions[2][1].time`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) path: String,
    /// The line in JSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// The column in JSON, in bytes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
}

/// The answer to a request that went wrong.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Problem(Box<Told>);

/// What the answer says.
#[derive(Debug, Serialize)]
struct Told {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    /// What the log could not say; the operator reads why.
    pub(super) fn log_unreadable(error: &dyn Display) -> Self {
        tracing::error!(%error, "cannot read the log");
        Self::new(Kind::LogUnreadable, "try again later; the server's log says more")
    }

    /// What is in the log cannot be said in the format that was asked for.
    pub(super) fn not_written(error: &dyn Display) -> Self {
        tracing::error!(%error, "cannot write an answer");
        Self::new(Kind::LogUnreadable, "ask for another format; the server's log says more")
    }

    /// A problem whose `detail` says what to do.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (_, status, title) = kind.words();
        Self(Box::new(Told {
            r#type: kind.urn(),
            title,
            status,
            detail: detail.into(),
            place: None,
            channel: None,
            cursor: None,
            kind,
            retry_after_s: None,
        }))
    }

    /// Says where in the body the fault is.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// Names the channel.
    pub(super) fn of_channel(mut self, channel: &str) -> Self {
        self.0.channel = Some(channel.to_owned());
        self
    }

    /// Gives the cursor to go on with.
    pub(super) fn with_cursor(mut self, cursor: Cursor) -> Self {
        self.0.cursor = Some(cursor);
        self
    }

    /// Says when to try again.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// The log takes nothing more, or nothing more is read.
    pub(super) fn stopping(app: &App) -> Self {
        let detail = "send the request again, here or to another server; actions with an id, or \
                      sent with an Idempotency-Key, are stored once";
        Self::new(Kind::Stopping, detail).retry_after(app.leaving.again(clock::now_ms()))
    }

    /// Too many want something at once; whoever waits as long as it is told is served then.
    pub(super) fn busy(seconds: u64) -> Self {
        let detail = "send the request again when Retry-After says: a place is kept for a device \
                      that names itself";
        Self::new(Kind::Busy, detail).retry_after(seconds)
    }

    /// What went wrong.
    #[cfg(test)]
    pub(super) fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Plain data always serializes, and every status above is one.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let status = StatusCode::from_u16(self.0.status).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.0.kind == Kind::NotSignedIn {
            let challenge = HeaderValue::from_static("Bearer realm=\"tidelog\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The answer at a path that is none.
pub(super) async fn not_found() -> Problem {
    let detail = "the paths are in /openapi.json; a WebSocket connects at any path";
    Problem::new(Kind::NotFound, detail)
}

/// The answer to a method that the path does not have.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "the methods of this path are in the Allow header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_has_each_problem_with_its_status() {
        let docs = include_str!("../../../docs/http.md");
        let rows = docs.lines().filter(|line| line.starts_with("| `") && line.contains("` | "));
        let documented: Vec<_> = rows
            .filter_map(|row| row.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0.parse::<u16>().ok()?)))
            .collect();
        let words = Kind::ALL.map(|kind| (kind.words().0, kind.words().1));
        assert_eq!(documented, words);
    }

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let place = Place { path: "actions[0]".into(), line: Some(1), column: Some(2) };
        let problem = Problem::new(Kind::MalformedBody, "do this").at(place);
        let json = serde_json::to_string(&problem).unwrap();
        assert_eq!(
            json,
            r#"{"type":"urn:tidelog:problem:malformed-body","title":"The body cannot be read","status":400,"detail":"do this","path":"actions[0]","line":1,"column":2}"#
        );
    }
}
