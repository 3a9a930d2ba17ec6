//! Fetching a key set: over TLS, within a time and a size, without following anybody elsewhere.

use crate::aside::blocking;
use crate::config::Jwks;
use crate::tls::client::{authorities, trusting};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::fmt::Write as _;

/// The text of the set at `url`, or the reason why there is none.
pub(super) async fn set(url: &str, terms: &Jwks) -> Result<String, String> {
    let fetching = fetch(url, terms);
    let fetched = tokio::time::timeout(terms.timeout, fetching).await;
    fetched.unwrap_or_else(|_| Err(format!("it took longer than {:?}", terms.timeout)))
}

async fn fetch(url: &str, terms: &Jwks) -> Result<String, String> {
    let request = Request::get(url)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("tidelog/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new())
        // One request an hour: a connection is not kept for the next.
        .pool_max_idle_per_host(0)
        .build(connector(url, terms).await?);
    let response = client.request(request).await.map_err(|error| with_causes(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(format!("it answers {status}; name the URL that it leads to in jwks_url"));
    }
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    let body = Limited::new(response.into_body(), terms.bytes).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => format!("it is longer than {} bytes ([auth.jwks] bytes)", terms.bytes),
        None => with_causes(&*error),
    })?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|_| "it is no JWK set".to_owned())
}

/// Made anew for each fetch, so that authorities that were added since count.
async fn connector(url: &str, terms: &Jwks) -> Result<HttpsConnector<HttpConnector>, String> {
    let ca_file = terms.ca_file.clone();
    let roots = blocking(move || authorities(&ca_file)).await?;
    if roots.is_empty() && url.starts_with("https:") {
        let way = "install the package ca-certificates, or name a file with ca_file in [auth.jwks]";
        return Err(format!("this machine knows no certificate authorities: {way}"));
    }
    let config = trusting(roots).map_err(|error| error.to_string())?;
    // Which schemes a URL may have was checked when it was read.
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(builder.enable_http1().build())
}

/// An error and what caused it: the outermost alone says little.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
