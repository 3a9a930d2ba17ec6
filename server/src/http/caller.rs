//! Who calls: the user that the token proves, and the device that says it asks.

use super::Peer;
use super::problem::{Kind, Problem};
use super::turn;
use crate::admission::Permit;
use crate::app::App;
use crate::auth::{Attempt, CLIENT_CLAIM, Claim, Identity, Refusal};
use crate::clock;
use crate::rules::Subject;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_protocol::{ClientId, NodeId, UserId};

/// The header that names the device: `user:client`, or its second part alone.
const CLIENT: HeaderName = HeaderName::from_static("tidelog-client");
/// The client that stands for a device that has no name.
const NAMELESS: &str = "http";

/// A signed-in caller.
pub(super) struct Caller {
    identity: Identity,
    /// The device, if it has a name.
    device: Option<ClientId>,
    subprotocol: u32,
    /// Its leave to have the server work.
    permit: Mutex<Option<Permit>>,
}

impl Caller {
    /// From now on the request waits for something else: others may have the server work.
    pub(super) fn rest(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The user.
    pub(super) fn user(&self) -> &UserId {
        &self.identity.user
    }

    /// The device, if it has a name.
    pub(super) fn device(&self) -> Option<&ClientId> {
        self.device.as_ref()
    }

    /// A user without a log.
    pub(super) fn is_anonymous(&self) -> bool {
        self.identity.anonymous
    }

    /// Who signed in, and as which device.
    pub(super) fn signed_in(&self) -> (&Identity, Option<&ClientId>) {
        (&self.identity, self.device())
    }

    /// The device; one that stands for it, if it has no name.
    pub(super) fn client(&self) -> Result<ClientId, Problem> {
        match &self.device {
            Some(device) => Ok(device.clone()),
            None => of_user(self.user(), NAMELESS),
        }
    }

    /// The caller as rules see it when it acts as `client`, which is then its node, too.
    pub(super) fn subject(&self, client: &ClientId) -> Result<Arc<Subject>, Problem> {
        let node = NodeId::new(client.as_str()).map_err(|error| malformed(&error.to_string()))?;
        Ok(Arc::new(Subject::new(&self.identity, node, self.subprotocol)))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let named = Named::of(&parts.headers)?;
        let claim = match &named {
            Some(Named::Client(client)) => Some(client),
            Some(Named::Part(_)) | None => None,
        };
        let peer = parts.extensions.get::<Peer>();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let (cookies, authority) = (cookies(&parts.headers), parts.uri.authority());
        let authority = authority.map(axum::http::uri::Authority::as_str);
        let attempt = Attempt {
            claim: Claim::Http(claim),
            token: bearer(&parts.headers),
            cookies: cookies.as_deref(),
            origin: text(&parts.headers, &header::ORIGIN),
            // HTTP/2 has the host in the URL instead.
            host: text(&parts.headers, &header::HOST).or(authority),
            address,
        };
        let now = wait_in_line(app, address).await?;
        let signed_in = tokio::select! {
            // First, because it nearly always is ready, and a wait for the end takes a lock that all share.
            biased;
            signed_in = app.auth.admit(&attempt, now) => signed_in,
            () = app.stopping() => return Err(Problem::stopping(app)),
        };
        app.metrics.signed_in(signed_in.as_ref().err().copied());
        let refused = |refusal| refused(app, refusal);
        let identity = signed_in.map_err(refused)?;
        let device = device(&identity, named)?;
        app.auth.holds(&identity, device.as_ref(), now).map_err(refused)?;
        let permit = turn::wait(app, parts, (&identity, device.as_ref()), address).await?;
        let permit = Mutex::new(Some(permit));
        Ok(Self { identity, device, subprotocol: app.subprotocol, permit })
    }
}

/// An address over its ceiling of failures waits, so that a good token from there is accepted
/// whatever others did. Returns when its turn is.
async fn wait_in_line(app: &App, address: IpAddr) -> Result<u64, Problem> {
    let now = clock::now_ms();
    let wait = app.auth.delay(address, now);
    if wait.is_zero() {
        return Ok(now);
    }
    if wait > app.http.settings.patience {
        return Err(too_many_failures(wait.as_secs()));
    }
    tokio::select! {
        () = app.stopping() => Err(Problem::stopping(app)),
        () = tokio::time::sleep(wait) => Ok(clock::now_ms()),
    }
}

/// What the header says.
enum Named {
    /// `user:client`
    Client(ClientId),
    /// The second part alone.
    Part(String),
}

impl Named {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(CLIENT) else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed("no UTF-8"))?;
        Self::read(text).map(Some)
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let client = ClientId::new(text).map_err(|error| malformed(&error.to_string()))?;
        match text.split_once(':') {
            None => Ok(Self::Part(text.to_owned())),
            Some((user, part)) if user.is_empty() || part.is_empty() || part.contains(':') => {
                Err(malformed("it has other parts"))
            }
            Some(_) => Ok(Self::Client(client)),
        }
    }

    fn complete(self, user: &UserId) -> Result<ClientId, Problem> {
        match self {
            Self::Client(client) if client.user_str() == Some(user.as_str()) => Ok(client),
            Self::Client(_) => Err(Problem::new(
                Kind::NotSignedIn,
                "Tidelog-Client names a client of another user than the token",
            )),
            Self::Part(part) => of_user(user, &part),
        }
    }
}

/// The device that the token is bound to, or else the one that the request names.
fn device(identity: &Identity, named: Option<Named>) -> Result<Option<ClientId>, Problem> {
    let named = named.map(|named| named.complete(&identity.user)).transpose()?;
    let claim = identity.claims.get(CLIENT_CLAIM).and_then(serde_json::Value::as_str);
    let Some(claim) = claim else { return Ok(named) };
    let bound = Named::read(claim).and_then(|bound| bound.complete(&identity.user));
    let bound = bound.map_err(|_| {
        Problem::new(
            Kind::WrongClient,
            "the claim `client` of the token names no client of its user",
        )
    })?;
    if named.is_some_and(|named| named != bound) {
        return Err(Problem::new(
            Kind::WrongClient,
            "leave Tidelog-Client out, or name the client that the token is bound to",
        ));
    }
    Ok(Some(bound))
}

fn of_user(user: &UserId, part: &str) -> Result<ClientId, Problem> {
    ClientId::new(&format!("{user}:{part}")).map_err(|error| malformed(&error.to_string()))
}

fn malformed(what: &str) -> Problem {
    let detail = format!("Tidelog-Client is `user:client`, or the second part alone: {what}");
    Problem::new(Kind::MalformedHeader, detail)
}

fn refused(app: &App, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Credentials => Problem::new(
            Kind::NotSignedIn,
            "send Authorization: Bearer TOKEN with a token that is valid for the user",
        ),
        Refusal::Revoked => Problem::new(
            Kind::NotSignedIn,
            "the token was revoked: sign in anew, and send that one",
        ),
        Refusal::NotNow => {
            let detail = "the keys of who issued the token cannot be had now: wait as long as \
                          Retry-After says";
            let again = app.http.settings.keys_again;
            Problem::new(Kind::KeysUnavailable, detail).retry_after(again.as_secs().max(1))
        }
        Refusal::TooManyFailures => too_many_failures(app.http.settings.sign_in_again.as_secs()),
    }
}

fn too_many_failures(seconds: u64) -> Problem {
    let detail = "wait as long as Retry-After says before the next attempt";
    Problem::new(Kind::TooManyFailures, detail).retry_after(seconds.max(1))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// HTTP/2 may send each cookie in a line of its own.
fn cookies(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let lines: Vec<_> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn identity(claims: &serde_json::Value) -> Identity {
        let claims: Map<_, _> = claims.as_object().unwrap().clone();
        let user = UserId::new("10").unwrap();
        Identity { user, claims: Arc::new(claims), expires_ms: None, anonymous: false }
    }

    fn of(header: Option<&str>, claims: &serde_json::Value) -> Result<Option<String>, Kind> {
        let named = header.map(Named::read).transpose().map_err(|problem| problem.kind())?;
        let device = device(&identity(claims), named).map_err(|problem| problem.kind())?;
        Ok(device.map(|device| device.to_string()))
    }

    #[test]
    fn a_device_is_named_in_full_or_by_its_second_part() {
        let expected = Ok(Some("10:phone".to_owned()));
        assert_eq!(of(Some("10:phone"), &json!({})), expected);
        assert_eq!(of(Some("phone"), &json!({})), expected);
        assert_eq!(of(None, &json!({})), Ok(None));
        assert_eq!(of(Some("11:phone"), &json!({})), Err(Kind::NotSignedIn));
        for bad in ["", "10:", ":phone", "10:phone:tab", "a b"] {
            assert_eq!(of(Some(bad), &json!({})), Err(Kind::MalformedHeader), "{bad}");
        }
    }

    #[test]
    fn a_token_that_is_bound_to_a_device_is_of_no_other() {
        for claim in ["phone", "10:phone"] {
            let claims = json!({ "client": claim });
            assert_eq!(of(None, &claims), Ok(Some("10:phone".to_owned())));
            assert_eq!(of(Some("phone"), &claims), Ok(Some("10:phone".to_owned())));
            assert_eq!(of(Some("tablet"), &claims), Err(Kind::WrongClient));
        }
        assert_eq!(of(None, &json!({"client": "11:phone"})), Err(Kind::WrongClient));
    }
}
