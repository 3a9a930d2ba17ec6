//! A request waits for its turn, though not for long.

use super::problem::Problem;
use crate::admission::{Away, Class, Name, Permit, Who};
use crate::app::App;
use crate::auth::Identity;
use crate::ws::Owner;
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, header};
use std::net::IpAddr;
use tidelog_protocol::ClientId;

/// A body that is longer, or does not say how long it is, is much.
const SMALL_BYTES: u64 = 16 << 10;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Waits for the turn of who signed in, as `device` if it has a name.
pub(super) async fn wait(
    app: &App,
    parts: &Parts,
    (identity, device): (&Identity, Option<&ClientId>),
    address: IpAddr,
) -> Result<Permit, Problem> {
    let owner = if identity.anonymous {
        Owner::Address(address)
    } else {
        Owner::User(identity.user.clone())
    };
    // Anonymous devices call themselves what they like.
    let device = device.filter(|_| !identity.anonymous);
    let who = Who { owner, name: device.cloned().map(Name::Request) };
    let permit = app.door.request(who, class(parts)).await;
    permit.map_err(|Away(seconds)| Problem::busy(seconds))
}

/// How much a request asks for, as far as its head says.
fn class(parts: &Parts) -> Class {
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let is_long = match parts.method {
        Method::POST | Method::PUT => length.is_none_or(|length: u64| length > SMALL_BYTES),
        _ => false,
    };
    let query = parts.uri.query().unwrap_or_default();
    let goes_on = query.split('&').any(|pair| pair.starts_with("since="));
    let from_start = parts.method == Method::GET
        && parts.uri.path() == "/v1/log"
        && !goes_on
        && !parts.headers.contains_key(LAST_EVENT_ID);
    if is_long || from_start { Class::Heavy } else { Class::Light }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn of(method: &str, path: &str, header: Option<(&str, &str)>) -> Class {
        let request = Request::builder().method(method).uri(path);
        let request = header.into_iter().fold(request, |it, (name, value)| it.header(name, value));
        class(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_a_request_asks_for_is_seen_by_its_head() {
        let length = |bytes| Some(("content-length", bytes));
        assert_eq!(of("POST", "/v1/log", length("16384")), Class::Light);
        assert_eq!(of("POST", "/v1/log", length("16385")), Class::Heavy);
        assert_eq!(of("POST", "/v1/sync", None), Class::Heavy, "it does not say how long it is");
        assert_eq!(of("GET", "/v1/log", None), Class::Heavy, "from the start");
        assert_eq!(of("GET", "/v1/log?limit=3&since=c1", None), Class::Light);
        assert_eq!(of("GET", "/v1/log", Some(("last-event-id", "c1"))), Class::Light);
        assert_eq!(of("GET", "/v1/docs/a", None), Class::Light);
    }
}
