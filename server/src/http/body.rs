//! The body of a request: how long it may be, and how long it may take.

use super::caller::Caller;
use super::format::Format;
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::aside::aside;
use crate::ws::{Owner, Reserved};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::error::Error;

/// A body of up to this length is read without reserving memory for it.
const SMALL_BYTES: usize = 16 << 10;

type Fault = Box<dyn Error + Send + Sync>;

/// What a body asks for.
pub(super) struct Asked<T> {
    pub(super) request: T,
    /// The format that it came in.
    pub(super) format: Format,
    /// Memory for the body, of which the request may still hold pieces.
    pub(super) reserved: Option<Reserved>,
}

/// Reads what a request asks for, in the format that it says it is in.
pub(super) async fn read<T: DeserializeOwned>(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Asked<T>, Problem> {
    let format = Format::of_content(headers)?;
    let (bytes, reserved) = whole(app, caller, headers, body).await?;
    let request = aside(bytes.len(), || format.read(&bytes))?;
    Ok(Asked { request, format, reserved })
}

/// Reads a body. Memory is reserved before, by the length that the request declares; a request
/// that declares none takes as much as it may.
async fn whole(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<Reserved>), Problem> {
    let bytes_max = app.http.settings.body_bytes;
    let declared = declared_length(headers).unwrap_or(bytes_max);
    if declared > bytes_max {
        return Err(too_large(bytes_max));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let detail = "send the body without Content-Encoding";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let reading = async {
        let reserved = if declared > SMALL_BYTES {
            let owner = Owner::User(caller.user().clone());
            Some(app.budget.reserve(owner, declared as u64).await)
        } else {
            None
        };
        let bytes = Limited::new(body, declared).collect().await?.to_bytes();
        Ok((bytes, reserved))
    };
    let reading = tokio::time::timeout(app.http.settings.patience, reading);
    // Who sends it slowly keeps nobody from being served.
    let resting = async {
        tokio::time::sleep(app.http.settings.hold).await;
        caller.rest();
        std::future::pending::<Infallible>().await
    };
    let read = tokio::select! {
        read = reading => read,
        never = resting => match never {},
    };
    match read {
        Ok(read) => read.map_err(|error: Fault| unread(&error, bytes_max)),
        Err(_) => Err(Problem::new(Kind::BodyTimeout, "send the request again, or a smaller one")),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("a body has at most {bytes_max} bytes: send the actions in several");
    Problem::new(Kind::TooLarge, detail)
}

fn unread(error: &Fault, bytes_max: usize) -> Problem {
    if error.is::<LengthLimitError>() {
        return too_large(bytes_max);
    }
    Problem::new(Kind::MalformedBody, format!("the body broke off: {error}"))
}
