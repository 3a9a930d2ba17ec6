//! Which web pages may call.

use crate::config::Cors;
use axum::http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// How long a browser remembers what it may send.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The answers to pages of other origins; none when no origin is named.
pub(super) fn layer(cors: &Cors) -> Option<CorsLayer> {
    if cors.origins.is_empty() {
        return None;
    }
    let origins = if cors.origins.iter().any(|origin| origin == "*") {
        AllowOrigin::from(Any)
    } else {
        // The configuration was checked: each is a header value.
        let origins = cors.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        AllowOrigin::list(origins)
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(cors.credentials)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("tidelog-client"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .max_age(REMEMBERED);
    Some(layer)
}
