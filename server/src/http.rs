//! HTTP: for devices without a WebSocket, and for whoever runs the server.
//!
//! One line per route. In order of reading: `caller` (who asks), `pull` and `stream` (what is new),
//! `push` and `sync` (what comes in), with `cursor`, `standpoint` and `look` (where a reader stands,
//! and what it sees) below them; `devices` (who wants to be woken). The same rules, the same way in and the same logs as for WebSockets; nothing is remembered
//! of a reader but what its cursor says.

mod body;
mod caller;
mod causality;
mod compressing;
mod cors;
mod cursor;
mod demo;
mod devices;
mod document;
mod etag;
mod following;
mod format;
#[cfg(test)]
mod fuzz;
mod held;
mod look;
mod mint;
mod problem;
mod pull;
mod push;
mod query;
mod quota;
mod reader;
mod source;
mod standpoint;
mod states;
mod status;
mod stream;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

use crate::app::App;
use crate::config::{Config, Cors};
use crate::log::{Log, PageLimit};
use crate::replica;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use cursor::Cursors;
use mint::Mint;
use problem::Problem;
use std::net::IpAddr;
use std::time::Duration;

/// The address that a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What can be set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bytes of a body; above it, the answer is 413.
    body_bytes: usize,
    /// How long a body, or a place in the line of sign-ins, is waited for; then the answer is 408
    /// or 429.
    patience: Duration,
    /// How much a page holds; the rest is in the next.
    page: PageLimit,
    /// The longest wait of a long poll; a longer one is cut.
    wait: Duration,
    /// Silence of a stream after which it sends a comment.
    heartbeat: Duration,
    /// When to try again after too many failed sign-ins.
    sign_in_again: Duration,
    /// When to try again after keys could not be fetched.
    keys_again: Duration,
    /// How long a request keeps its turn whose body comes slowly.
    hold: Duration,
    /// When a newcomer would wait longer, the server says that it is not ready.
    busy: Duration,
    cors: Cors,
}

/// What all requests share.
pub(crate) struct Shared {
    settings: Settings,
    cursors: Cursors,
    mint: Mint,
}

impl Settings {
    /// The settings among those of the server.
    pub(crate) fn of(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            body_bytes: limits.body_bytes,
            patience: limits.timeout,
            page: PageLimit { entries: limits.page_actions, bytes: limits.page_bytes },
            wait: limits.wait,
            heartbeat: limits.ping,
            sign_in_again: limits.sign_in_window,
            keys_again: config.auth.jwks.floor,
            hold: config.admission.hold,
            busy: config.admission.busy,
            cors: config.cors.clone(),
        }
    }
}

impl Shared {
    /// What requests to the server of `log` share.
    pub(crate) fn new(settings: Settings, log: &Log) -> Self {
        let cursors = Cursors::new(log.store_id(), log.epochs());
        let mint = Mint::new(cursors.run());
        Self { settings, cursors, mint }
    }
}

/// The answer to who is to come again after so many seconds.
pub(crate) fn busy(seconds: u64) -> Response<Body> {
    Problem::busy(seconds).into_response()
}

/// The answer to who comes while the server stops.
pub(crate) fn stopping(app: &App) -> Response<Body> {
    Problem::stopping(app).into_response()
}

/// The routes.
pub(crate) fn router(app: App) -> Router {
    let cors = cors::layer(&app.http.settings.cors);
    let router = Router::new()
        .route("/v1/log", get(pull::pull).post(push::push))
        .route("/v1/sync", post(sync::sync))
        .route("/v1/docs/{name}", get(document::document))
        .route("/v1/held", get(held::held))
        .route("/v1/push/key", get(devices::key))
        .route("/v1/push/devices", get(devices::list).post(devices::register))
        .route("/v1/push/devices/{id}", put(devices::put).delete(devices::delete))
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .route("/openapi.json", get(status::openapi))
        .merge(replica::routes())
        .merge(if app.dev { demo::routes() } else { Router::new() })
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(status::Counting(app.clone()))
        .with_state(app);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}
