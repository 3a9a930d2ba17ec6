//! Compression of what is worth it. What the library makes of a body takes several KiB, whatever is in it, so only what it
//! changes goes through it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use std::convert::Infallible;
use std::future::ready;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};

/// What a request says of codings.
pub(super) struct Accepted(Vec<HeaderValue>);

impl Accepted {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(header::ACCEPT_ENCODING).iter().cloned().collect())
    }

    /// Whether some coding is refused; perhaps all that there are.
    fn refuses(&self) -> bool {
        self.0.iter().any(|value| value.as_bytes().windows(3).any(|part| part == b"q=0"))
    }

    /// The answer as the client accepts it.
    pub(super) async fn answer(self, mut response: Response) -> Response {
        let worth = DefaultPredicate::new().should_compress(&response);
        if !worth && !self.refuses() {
            return response;
        }
        if self.0.is_empty() {
            let names = |value: &HeaderValue| {
                value.to_str().is_ok_and(|names| names.contains(header::ACCEPT_ENCODING.as_str()))
            };
            if !response.headers().get_all(header::VARY).iter().any(names) {
                response.headers_mut().append(header::VARY, header::ACCEPT_ENCODING.into());
            }
            return response;
        }
        Box::pin(self.compress(response)).await
    }

    async fn compress(self, response: Response) -> Response {
        let mut request = axum::http::Request::new(());
        for value in self.0 {
            request.headers_mut().append(header::ACCEPT_ENCODING, value);
        }
        let mut response = Some(response);
        let answer = move |_| ready(Ok::<_, Infallible>(response.take().unwrap_or_default()));
        let compressed = CompressionLayer::new().layer(service_fn(answer)).oneshot(request).await;
        match compressed {
            Ok(compressed) => compressed.map(Body::new),
            Err(never) => match never {},
        }
    }
}
