//! Server-sent events: one event per page, with the cursor as its id.
//!
//! A page is read when the client has taken the one before: nothing is queued for a slow client, it
//! is in the log. The stream ends when the token expires or is revoked and when the server stops; an `EventSource`
//! then connects again and names the last id that it had.

use super::caller::Caller;
use super::following::{Following, Woken};
use super::problem::Problem;
use super::reader::Reader;
use crate::app::App;
use crate::clock;
use crate::log::PageLimit;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use tidelog_protocol::http::PullResponse;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies of the nginx kind not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A comment, so that neither side takes a silent connection for a dead one.
const HEARTBEAT: &[u8] = b":\n\n";

/// The cursor of the last event that the client had.
pub(super) fn last_event(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(LAST_EVENT_ID)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// An open stream.
struct Live {
    app: App,
    reader: Reader,
    following: Following,
    limit: PageLimit,
    /// The first event comes at once, with a cursor, even if nothing is new.
    first: bool,
}

/// Starts the stream of what `reader` sees.
pub(super) fn open(app: App, caller: &Caller, reader: Reader, limit: PageLimit) -> Response {
    let following = Following::new(&app, reader.logs(), caller.signed_in());
    // Pages of a stream are as small as a session's frames, since one waits in memory per client.
    let limit = PageLimit {
        entries: limit.entries.min(app.page.entries),
        bytes: limit.bytes.min(app.page.bytes),
    };
    let live = Live { app, reader, following, limit, first: true };
    let events = stream::unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

impl Live {
    /// The next event, or a heartbeat; none when the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let heartbeat_ms = u64::try_from(self.app.http.settings.heartbeat.as_millis()).ok()?;
        let deadline_ms = clock::now_ms().saturating_add(heartbeat_ms);
        // What ends the stream is looked at before each page, too.
        let mut woken = self.following.wait(0).await;
        loop {
            if woken == Woken::End {
                return None;
            }
            match self.page().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) if woken == Woken::Time && clock::now_ms() >= deadline_ms => {
                    return Some(Bytes::from_static(HEARTBEAT));
                }
                Ok(None) => {
                    let renews = self.reader.renews_at().unwrap_or(u64::MAX);
                    woken = self.following.wait(deadline_ms.min(renews)).await;
                }
                // It was logged; the client connects again.
                Err(_) => return None,
            }
        }
    }

    /// The next page as an event, if there is one.
    async fn page(&mut self) -> Result<Option<Bytes>, Problem> {
        let received = clock::now_ms();
        let view = self.reader.look(self.limit).await?;
        if view.shown.is_empty() && !view.more && !std::mem::take(&mut self.first) {
            return Ok(None);
        }
        self.first = false;
        let cursor = self.reader.cursor(&view.after);
        let number = self.reader.number(&view.after);
        self.reader.move_on(view.after);
        let actions = self.reader.render(view.shown);
        let time = (received, clock::now_ms());
        let page = PullResponse { actions, cursor, number, more: view.more, time };
        Ok(Some(event(&page)))
    }
}

/// A page as an event. An action's JSON may have line breaks between its tokens, and then each line
/// is a `data` of its own.
fn event(page: &PullResponse) -> Bytes {
    // What is answered is plain data and JSON that was read before: it always serializes.
    let json = serde_json::to_string(page).unwrap_or_default();
    let mut event = format!("id: {}\n", page.cursor);
    for line in json.split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    Bytes::from(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_protocol::Action;
    use tidelog_protocol::http::{Cursor, PulledMeta};

    #[test]
    fn line_breaks_within_an_action_do_not_break_the_event() {
        let action = Action::new(Bytes::from_static(b"{\"type\":\r\n\"a\",\n\"b\":1}")).unwrap();
        let id = "1 10:a:b 0".parse().unwrap();
        let (channels, dots) = (Vec::new(), Vec::new());
        let meta =
            PulledMeta { id, time: 1, added: 1, subprotocol: None, channels, dots, context: None };
        let cursor = Cursor::new("c1".into());
        let (actions, number) = (vec![(action, meta)], 0);
        let page = PullResponse { actions, cursor, number, more: false, time: (1, 2) };
        let event = String::from_utf8(event(&page).to_vec()).unwrap();
        let (id, data) = event.split_once('\n').unwrap();
        assert_eq!(id, "id: c1");
        assert!(data.ends_with("\n\n") && !data.trim_end().contains("\n\n"), "{data:?}");
        let lines = data.trim_end().lines();
        let joined: Vec<_> = lines.map(|line| line.strip_prefix("data: ").unwrap()).collect();
        let read: PullResponse = serde_json::from_str(&joined.join("\n")).unwrap();
        assert_eq!(read.actions[0].0.kind(), "a");
    }
}
