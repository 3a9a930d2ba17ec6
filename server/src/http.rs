//! HTTP: every route, one line each.

use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use std::net::IpAddr;

/// The address that a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/metrics", get(|State(app): State<App>| async move { app.metrics.text() }))
        .with_state(app)
}
