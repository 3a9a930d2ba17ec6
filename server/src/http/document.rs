//! `GET /v1/docs/NAME`: what the actions of a log add up to.

use super::caller::Caller;
use super::etag::ETag;
use super::format::Format;
use super::problem::{Kind, Problem};
use super::pull::private;
use super::query;
use super::reader::Reader;
use crate::app::App;
use crate::aside::blocking;
use crate::log::LogName;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tidelog_crdt::DocumentName;
use tidelog_protocol::http::DocumentResponse;

/// Answers with a document of the caller's own log, or of the channel that the query names.
pub(super) async fn document(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query::Document::read(&uri)?;
    let name = DocumentName::new(&name)
        .map_err(|fault| Problem::new(Kind::MalformedQuery, fault.to_string()))?;
    let channels = query.channel.into_iter().collect();
    let mut reader = Reader::new(&app, &caller, query.since.as_deref(), channels)?;
    reader.has_come();
    let log = reader.only_log()?;
    let read = read(app, log, name).await?;
    reader.has_folded(read.through);
    let format = Format::accepted(&headers, Format::Json);
    let tag = ETag::of_document(&caller, &reader, &read, format);
    let mut response = if tag.is_known(&headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        format.write(&DocumentResponse { value: read.value, cursor: reader.here() })
    };
    if let Some(tag) = tag.header() {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(private(response))
}

/// Folding may wait for the disk, and for others who fold the same log.
async fn read(
    app: App,
    log: LogName,
    name: DocumentName,
) -> Result<crate::documents::Read, Problem> {
    let read = blocking(move || app.documents.read(&log, &name)).await;
    read.map_err(|error| Problem::log_unreadable(&error))
}
