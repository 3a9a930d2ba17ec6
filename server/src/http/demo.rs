//! The demo: what `--dev` serves at `/`, out of the binary. It is built from the npm package
//! (`protocol/js/demo`) by `npm run demo`; `./check demo` says whether it still is.
//!
//! Its page is a client like any other. Only why a value won has no route of its own otherwise: that is
//! for whoever runs the server, by `tidelog doc --why`.

use super::caller::Caller;
use super::problem::{Kind, Problem};
use super::pull::private;
use super::query;
use super::reader::Reader;
use crate::app::App;
use crate::aside::blocking;
use axum::extract::State;
use axum::http::{HeaderName, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tidelog_crdt::{DocumentName, Path};

/// The page runs what came with it and talks to nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Beside the type and the policy. A page of another build would not fit the server: it is asked for
/// each time.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What there is for development.
pub(super) fn routes() -> Router<App> {
    const PAGE: &[u8] = include_bytes!("demo/index.html");
    const STYLE: &[u8] = include_bytes!("demo/style.css");
    const PROGRAM: &[u8] = include_bytes!("demo/app.js");
    const WORKER: &[u8] = include_bytes!("demo/service-worker.js");
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", PAGE)))
        .route("/demo/style.css", get(async || file("text/css; charset=utf-8", STYLE)))
        .route("/demo/app.js", get(async || file(SCRIPT, PROGRAM)))
        .route("/demo/service-worker.js", get(async || file(SCRIPT, WORKER)))
        .route("/demo/why", get(why))
}

fn file(media_type: &'static str, bytes: &'static [u8]) -> Response {
    (HEADERS, [(header::CONTENT_TYPE, media_type)], bytes).into_response()
}

/// Why a place in a channel's document shows what it shows.
async fn why(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    let query = query::Why::read(&uri)?;
    let malformed = |fault: String| Problem::new(Kind::MalformedQuery, fault);
    let name = DocumentName::new(&query.document).map_err(|fault| malformed(fault.to_string()))?;
    let keys = serde_json::from_str(&query.path).map_err(|fault| malformed(fault.to_string()))?;
    let path = Path::parse(Some(&keys)).map_err(|fault| malformed(fault.to_string()))?;
    let log = Reader::new(&app, &caller, None, query::channels(&[query.channel])?)?.only_log()?;
    let account = blocking(move || app.documents.why(&log, &name, &path)).await;
    let account = account.map_err(|error| Problem::log_unreadable(&error))?;
    Ok(private(Json(account).into_response()))
}
