//! `/v1/push/…`: devices register to be woken.

use super::body::{self, Asked};
use super::caller::Caller;
use super::format::Format;
use super::problem::{Kind, Place, Problem};
use super::push::answer;
use super::query;
use super::reader;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::log::{Channel, ReadError};
use crate::wake::{self, Device, DeviceId, LastTold, Limits, NotKept, Target};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

/// Browsers leave the padding out; not every library does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Channels that one device is woken for.
const CHANNELS_MAX: usize = 20;
/// The longest token of a push service.
const TOKEN_BYTES_MAX: usize = 4 << 10;
/// The longest language tag.
const LANGUAGE_BYTES_MAX: usize = 35;
/// What is kept of a token's claims at most.
const CLAIMS_BYTES_MAX: usize = 8 << 10;
/// A device that says the same again is written anew after this time.
const FRESH_MS: u64 = 86_400_000;

/// What a device says of itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registering {
    kind: Kinds,
    subscription: Option<Subscription>,
    token: Option<String>,
    environment: Option<Environment>,
    #[serde(default)]
    channels: Vec<String>,
    language: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kinds {
    Web,
    Apns,
    Fcm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Environment {
    Production,
    Development,
}

/// What `PushSubscription.toJSON()` gives; browsers may come to give more.
#[derive(Debug, Deserialize)]
struct Subscription {
    endpoint: String,
    keys: Keys,
}

#[derive(Debug, Deserialize)]
struct Keys {
    p256dh: String,
    auth: String,
}

/// A device as its user sees it, without what lets others wake it.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    kind: &'static str,
    client: String,
    channels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    registered: u64,
    refreshed: u64,
}

#[derive(Debug, Serialize)]
struct List {
    devices: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Key<'a> {
    #[serde(rename = "publicKey")]
    public_key: &'a str,
}

/// `GET /v1/push/key`
pub(super) async fn key(State(app): State<App>, headers: HeaderMap) -> Response {
    let key = Key { public_key: app.wakes.vapid.public() };
    let mut response = Format::accepted(&headers, Format::Json).write(&key);
    let cached = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, cached);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// `GET /v1/push/devices`
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = caller.user().clone();
    let devices = if caller.is_anonymous() {
        Vec::new()
    } else {
        blocking(move || app.wakes.book.of_user(&user)).await.map_err(unread)?
    };
    let devices = devices.into_iter().map(Shown::from).collect();
    Ok(answer(Format::accepted(&headers, Format::Json).write(&List { devices })))
}

/// `POST /v1/push/devices`
pub(super) async fn register(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    keep(&app, &caller, &headers, body, None).await
}

/// `PUT /v1/push/devices/ID`
pub(super) async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    keep(&app, &caller, &headers, body, Some(named(&id)?)).await
}

/// `DELETE /v1/push/devices/ID`
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = named(&id)?;
    app.wakes.book.forget(caller.user(), &id).await.map_err(|error| not_kept(&app, error))?;
    Ok(answer(StatusCode::NO_CONTENT.into_response()))
}

async fn keep(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    id: Option<DeviceId>,
) -> Result<Response, Problem> {
    let Asked { request, format, reserved } = body::read(app, caller, headers, body).await?;
    app.wakes.begin().await.map_err(|_| Problem::stopping(app))?;
    let device = device(app, caller, &request, id)?;
    drop(reserved);
    let (auth, now) = (app.auth.clone(), clock::now_ms());
    let settings = &app.wakes.settings;
    let limits = Limits { devices: settings.devices_per_user, origins: settings.origins_per_user };
    // One that was shut out since is written with the token that let it in again.
    let fresh = move |known: &Device| {
        now < known.refreshed_ms.saturating_add(FRESH_MS)
            && auth.holds(&known.identity(), Some(&known.client), now).is_ok()
    };
    let kept =
        app.wakes.book.keep(device, limits, fresh).await.map_err(|error| not_kept(app, error))?;
    Ok(answer(Format::accepted(headers, format).write(&Shown::from(kept))))
}

/// What is to be kept of a device, if it may be woken.
fn device(
    app: &App,
    caller: &Caller,
    asked: &Registering,
    id: Option<DeviceId>,
) -> Result<Device, Problem> {
    if caller.is_anonymous() {
        let detail = "anonymous users are strangers to each other: sign in to be woken";
        return Err(Problem::new(Kind::NotSignedIn, detail));
    }
    let client = caller.device().cloned().ok_or_else(|| {
        let detail = "name the device with Tidelog-Client, as it names itself when it connects and \
                      pulls: it is not woken for what it has";
        Problem::new(Kind::MalformedHeader, detail)
    })?;
    let (language, target) = (language(asked.language.as_deref())?, target(app, asked)?);
    let channels = channels(app, caller, &asked.channels)?;
    let (identity, _) = caller.signed_in();
    let claims = identity.claims.clone();
    if serde_json::to_string(&*claims).map_or(0, |text| text.len()) > CLAIMS_BYTES_MAX {
        let detail = format!(
            "a device registers with a token whose claims have at most {CLAIMS_BYTES_MAX} bytes"
        );
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let now = clock::now_ms();
    Ok(Device {
        user: caller.user().clone(),
        id: id.unwrap_or_else(|| DeviceId::of(&target)),
        client,
        target,
        channels,
        language,
        claims,
        since: app.log.head(),
        registered_ms: now,
        refreshed_ms: now,
        told: LastTold::default(),
    })
}

fn target(app: &App, asked: &Registering) -> Result<Target, Problem> {
    let foreign = match asked.kind {
        Kinds::Web => {
            [("token", asked.token.is_some()), ("environment", asked.environment.is_some())]
        }
        Kinds::Apns => [("subscription", asked.subscription.is_some()), ("", false)],
        Kinds::Fcm => [
            ("subscription", asked.subscription.is_some()),
            ("environment", asked.environment.is_some()),
        ],
    };
    if let Some((name, _)) = foreign.iter().find(|(_, given)| *given) {
        return Err(malformed(name, "this is of another kind of device"));
    }
    let target = match asked.kind {
        Kinds::Web => web(app, asked.subscription.as_ref())?,
        Kinds::Apns => {
            let token = token(asked, |byte| byte.is_ascii_hexdigit(), "the token in hexadecimal")?;
            let development = asked.environment == Some(Environment::Development);
            Target::Apns { token: token.to_ascii_lowercase(), development }
        }
        Kinds::Fcm => {
            let token = token(asked, |byte| byte.is_ascii_graphic(), "the registration token")?;
            Target::Fcm { token }
        }
    };
    if app.wakes.serves(&target) {
        return Ok(target);
    }
    let detail = format!("this server has no key for {0}: set one in [wake.{0}]", target.kind());
    Err(Problem::new(Kind::PushNotConfigured, detail))
}

fn web(app: &App, subscription: Option<&Subscription>) -> Result<Target, Problem> {
    let Some(Subscription { endpoint, keys }) = subscription else {
        return Err(malformed("subscription", "what PushSubscription.toJSON() gives is needed"));
    };
    let decode = |name: &str, text: &str, bytes: usize| {
        let decoded = BASE64.decode(text).ok().filter(|key| key.len() == bytes);
        let what = format!("{bytes} bytes in base64url, as the browser gives them");
        decoded.ok_or_else(|| malformed(&format!("subscription.keys.{name}"), &what))
    };
    let (p256dh, auth) = (decode("p256dh", &keys.p256dh, 65)?, decode("auth", &keys.auth, 16)?);
    wake::check_key(&p256dh)
        .map_err(|()| malformed("subscription.keys.p256dh", "it is no point of P-256"))?;
    wake::check_endpoint(endpoint, app.wakes.settings.allow_private).map_err(|refused| {
        let detail = format!("{refused}: send what the browser gave");
        Problem::new(Kind::EndpointRefused, detail)
    })?;
    Ok(Target::Web { endpoint: endpoint.clone(), p256dh, auth })
}

fn token(asked: &Registering, plain: impl Fn(u8) -> bool, what: &str) -> Result<String, Problem> {
    let token = asked
        .token
        .as_ref()
        .filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(&plain));
    token.cloned().ok_or_else(|| malformed("token", &format!("{what} is needed")))
}

fn language(tag: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(tag) = tag else { return Ok(None) };
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if tag.len() > LANGUAGE_BYTES_MAX || !tag.split('-').all(part) {
        return Err(malformed("language", "a language tag such as en or de-AT is needed"));
    }
    Ok(Some(tag.to_ascii_lowercase()))
}

/// The channels, each of which the caller may read now; it is asked again before it is woken.
fn channels(app: &App, caller: &Caller, names: &[String]) -> Result<Vec<Channel>, Problem> {
    let channels = query::channels(names)?;
    if channels.len() > CHANNELS_MAX {
        let detail = format!("a device is woken for at most {CHANNELS_MAX} channels");
        return Err(Problem::new(Kind::TooMany, detail));
    }
    let subject = caller.subject(&caller.client()?)?;
    channels.iter().try_for_each(|channel| reader::access(app, &subject, channel).map(drop))?;
    Ok(channels)
}

fn named(id: &str) -> Result<DeviceId, Problem> {
    DeviceId::new(id).map_err(|error| Problem::new(Kind::MalformedQuery, error.to_string()))
}

fn malformed(path: &str, what: &str) -> Problem {
    let place = Place { path: path.to_owned(), line: None, column: None };
    Problem::new(Kind::MalformedBody, what).at(place)
}

fn not_kept(app: &App, error: NotKept) -> Problem {
    match error {
        NotKept::Full(_) => {
            let detail = format!("{error}: forget one with DELETE /v1/push/devices/ID");
            Problem::new(Kind::TooManyDevices, detail)
        }
        NotKept::Origins(_) => {
            let detail = format!(
                "{error}, beside those of the makers of browsers: one counts until a day after its last device"
            );
            Problem::new(Kind::TooManyPushServices, detail)
        }
        NotKept::Read(error) => unread(error),
        NotKept::Stopped(_) => Problem::stopping(app),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn unread(error: ReadError) -> Problem {
    Problem::log_unreadable(&error)
}

impl From<Device> for Shown {
    fn from(device: Device) -> Self {
        Self {
            id: device.id.to_string(),
            kind: device.target.kind(),
            client: device.client.to_string(),
            channels: device.channels.iter().map(|it| it.as_str().to_owned()).collect(),
            language: device.language,
            registered: device.registered_ms,
            refreshed: device.refreshed_ms,
        }
    }
}
