//! `GET /v1/log`: what is new above a cursor.

use super::caller::Caller;
use super::etag::ETag;
use super::following::{Following, Woken};
use super::format::{Format, wants_events};
use super::problem::Problem;
use super::query::{self, Pull};
use super::reader::Reader;
use super::standpoint::View;
use super::stream;
use crate::app::App;
use crate::clock;
use crate::log::PageLimit;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use tidelog_protocol::http::PullResponse;

/// What a page depends on beside its URL.
const VARY: &str = "authorization, cookie, accept, accept-encoding, tidelog-client";

/// About what an action's meta takes in a page, and what the page has beside its actions.
const BYTES_BESIDE: usize = 256;

/// Answers a pull with a page, a 304, or a stream.
pub(super) async fn pull(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let received = clock::now_ms();
    let Pull { since, limit, wait, channels, causality } = Pull::read(&uri)?;
    // Who wants no action asks for the time, and whether its cursor is known.
    let asks_time = limit == Some(0) && !wants_events(&headers);
    let limit = if asks_time { app.http.settings.page } else { page_limit(&app, limit)? };
    if wants_events(&headers) {
        let since = stream::last_event(&headers).or(since);
        let reader = Reader::new(&app, &caller, since.as_deref(), channels)?;
        let reader = reader.with_causality(causality);
        reader.has_come();
        return Ok(private(stream::open(app, &caller, reader, limit)));
    }
    let format = Format::accepted(&headers, Format::Json);
    let reader = Reader::new(&app, &caller, since.as_deref(), channels)?;
    let reader = reader.with_causality(causality);
    reader.has_come();
    let view = if asks_time {
        reader.unmoved()
    } else {
        wait_for_view(&app, &caller, &reader, limit, wait).await?
    };
    // Who waits may be gone when something comes; its next cursor says what it got.
    if wait.is_zero() && reader.moves(&view.after) {
        reader.has_had(&view.after);
    }
    let cursor = reader.cursor(&view.after);
    let tag = ETag::of(&caller, &reader, &cursor, view.more, format);
    // What was answered before has another time.
    let tag = Some(tag).filter(|_| !asks_time);
    let mut response = if tag.as_ref().is_some_and(|tag| tag.is_known(&headers)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = view.shown.iter().map(|it| it.bytes() + BYTES_BESIDE).sum::<usize>();
        let actions = reader.render(view.shown);
        let time = (received, clock::now_ms());
        let number = reader.number(&view.after);
        let page = PullResponse { actions, cursor, number, more: view.more, time };
        format.write_about(&page, BYTES_BESIDE + bytes)
    };
    if let Some(tag) = tag.and_then(|tag| tag.header()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(private(response))
}

/// How much a page may hold.
pub(super) fn page_limit(app: &App, wanted: Option<usize>) -> Result<PageLimit, Problem> {
    let most = app.http.settings.page;
    Ok(PageLimit { entries: query::limit(wanted, most.entries)?, ..most })
}

/// Looks at once; then again whenever something comes, until something is visible, or the time is
/// over.
async fn wait_for_view(
    app: &App,
    caller: &Caller,
    reader: &Reader,
    limit: PageLimit,
    wait: Duration,
) -> Result<View, Problem> {
    if wait.is_zero() {
        return reader.look(limit).await;
    }
    let wait = wait.min(app.http.settings.wait);
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let deadline_ms = clock::now_ms().saturating_add(wait_ms);
    let mut following = Following::new(app, reader.logs(), caller.signed_in());
    loop {
        let view = reader.look(limit).await?;
        if !view.shown.is_empty() || view.more {
            return Ok(view);
        }
        // Who waits for news keeps nobody from being served.
        caller.rest();
        match following.wait(deadline_ms).await {
            Woken::News => {}
            Woken::Time | Woken::End => return Ok(view),
        }
    }
}

/// One user's answer, which caches may keep but must ask about.
pub(super) fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    response
}
