//! `POST /v1/sync`: a push, and then a pull that sees it.

use super::body::{self, Asked};
use super::caller::Caller;
use super::format::Format;
use super::problem::Problem;
use super::pull::page_limit;
use super::push;
use super::query;
use super::reader::Reader;
use crate::app::App;
use crate::clock;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use tidelog_protocol::http::{Cursor, SyncRequest, SyncResponse};

/// Answers a push and a pull in one. What is wrong with the pull is said before anything is pushed.
pub(super) async fn sync(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let received = clock::now_ms();
    let Asked { request, format, reserved } = body::read(&app, &caller, &headers, body).await?;
    let SyncRequest { actions, seen, since, limit, channels, causality } = request;
    let limit = page_limit(&app, limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))?;
    let since = since.as_ref().map(Cursor::as_str);
    let reader = Reader::new(&app, &caller, since, query::channels(&channels)?)?;
    let reader = reader.with_causality(causality);
    reader.has_come();
    let results = push::take(&app, &caller, &headers, actions, seen.as_ref()).await?;
    let results = push::told(&app, results, causality).await?;
    drop(reserved);
    let view = reader.look(limit).await?;
    reader.has_had(&view.after);
    let response = SyncResponse {
        results,
        actions: reader.render(view.shown),
        cursor: reader.cursor(&view.after),
        number: reader.number(&view.after),
        more: view.more,
        time: (received, clock::now_ms()),
    };
    Ok(push::answer(Format::accepted(&headers, format).write(&response)))
}
