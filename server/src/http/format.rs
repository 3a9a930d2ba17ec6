//! JSON and `MessagePack`: which of them a request is in, and which its answer.

use super::problem::{Kind, Place, Problem};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    /// `application/json`
    Json,
    /// `application/msgpack`
    MessagePack,
}

const JSON: &str = "application/json";
const MESSAGE_PACK: &str = "application/msgpack";
/// Names that `MessagePack` goes by.
const MESSAGE_PACK_NAMES: [&str; 3] =
    [MESSAGE_PACK, "application/vnd.msgpack", "application/x-msgpack"];
/// How deep a body in `MessagePack` may nest: an action as deep as one may be, within its list.
const DEPTH_MAX: usize = 160;
const EVENTS: &str = "text/event-stream";

impl Format {
    /// The format of the body that comes with `headers`. Other types are refused: a page of another
    /// site could send them with the user's cookies, without asking first.
    pub(super) fn of_content(headers: &HeaderMap) -> Result<Self, Problem> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match essence(given.unwrap_or_default()).as_str() {
            JSON => Ok(Self::Json),
            name if MESSAGE_PACK_NAMES.contains(&name) => Ok(Self::MessagePack),
            _ => Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send Content-Type: application/json or application/msgpack",
            )),
        }
    }

    /// The format that `Accept` prefers; `otherwise` if it has no wish.
    pub(super) fn accepted(headers: &HeaderMap, otherwise: Self) -> Self {
        let accept = Accept::of(headers);
        let (json, packed) = (accept.named(&[JSON]), accept.named(&MESSAGE_PACK_NAMES));
        match (json, packed) {
            (Some(json), Some(packed)) if packed > json => Self::MessagePack,
            (Some(_), _) => Self::Json,
            (None, Some(_)) => Self::MessagePack,
            (None, None) => otherwise,
        }
    }

    /// Reads a body; a fault is answered with its place.
    pub(super) fn read<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, Problem> {
        match self {
            Self::Json => read_json(body),
            Self::MessagePack => read_message_pack(body),
        }
    }

    /// A 200 with `value` as its body.
    pub(super) fn write(self, value: &impl Serialize) -> Response {
        self.write_about(value, 0)
    }

    /// The same for a body of about `bytes`.
    pub(super) fn write_about(self, value: &impl Serialize, bytes: usize) -> Response {
        let mut body = Vec::with_capacity(bytes);
        let (written, name) = match self {
            Self::Json => (serde_json::to_writer(&mut body, value).is_ok(), JSON),
            Self::MessagePack => (
                value
                    .serialize(&mut rmp_serde::Serializer::new(&mut body).with_struct_map())
                    .is_ok(),
                MESSAGE_PACK,
            ),
        };
        // What is answered is plain data and JSON that was read before.
        debug_assert!(written, "it always serializes");
        let mut response = body.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(name));
        response
    }
}

/// Whether the client asks for server-sent events, and for nothing else rather.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = Accept::of(headers);
    let page = [&[JSON][..], &MESSAGE_PACK_NAMES].map(|names| accept.of_names_or_any(names));
    accept.named(&[EVENTS]).is_some_and(|events| page.iter().all(|&page| events >= page))
}

/// Whether the client prefers `OpenMetrics` to plain text.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accept = Accept::of(headers);
    let text = accept.named(&["text/plain"]).unwrap_or_default();
    accept.named(&["application/openmetrics-text"]).is_some_and(|weight| weight >= text)
}

/// Media types with their weights, as `Accept` lists them.
struct Accept(Vec<(String, f32)>);

impl Accept {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let ranges = texts.flat_map(|text| text.split(','));
        Self(ranges.map(|range| (essence(range), weight(range))).collect())
    }

    /// The greatest weight that one of `names` is given by name; none when it is not, or is refused.
    fn named(&self, names: &[&str]) -> Option<f32> {
        let given = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        given.map(|(_, weight)| *weight).filter(|weight| *weight > 0.0).reduce(f32::max)
    }

    /// The weight of `names`, all of which are of the type `application`: by name, or as any other.
    fn of_names_or_any(&self, names: &[&str]) -> f32 {
        let is_named = self.0.iter().any(|(name, _)| names.contains(&name.as_str()));
        let any = || self.named(&["application/*"]).or_else(|| self.named(&["*/*"]));
        let weight = if is_named { self.named(names) } else { any() };
        weight.unwrap_or_default()
    }
}

/// A media type without its parameters.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn weight(range: &str) -> f32 {
    let mut parameters = range.split(';').skip(1).filter_map(|text| text.trim().split_once('='));
    let weight = parameters.find(|(name, _)| name.eq_ignore_ascii_case("q"));
    weight.and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0)
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // To know the place of a fault costs half as much again, and most bodies have none.
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let (error, path) = match read {
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => (error, String::new()),
        },
        Err(error) => {
            let path = way_to(error.path());
            (error.into_inner(), path)
        }
    };
    let place = Place { path, line: Some(error.line()), column: Some(error.column()) };
    Err(Problem::new(Kind::MalformedBody, format!("the body is not as documented: {error}"))
        .at(place))
}

fn read_message_pack<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    reader.set_max_depth(DEPTH_MAX);
    let read = serde_path_to_error::deserialize(&mut reader);
    let (error, path) = match read {
        Ok(value) if is_at_end(&mut reader) => return Ok(value),
        Ok(_) => ("there are bytes after the body".to_owned(), String::new()),
        Err(error) => (error.inner().to_string(), way_to(error.path())),
    };
    let place = Place { path, line: None, column: None };
    Err(Problem::new(Kind::MalformedBody, format!("the body is not as documented: {error}"))
        .at(place))
}

/// The reader does not say where it is, but what it finds when it reads on.
fn is_at_end<'de, R: rmp_serde::decode::ReadSlice<'de>>(
    reader: &mut rmp_serde::Deserializer<R>,
) -> bool {
    use rmp_serde::decode::Error;
    match IgnoredAny::deserialize(reader) {
        Err(Error::InvalidMarkerRead(error)) => error.kind() == ErrorKind::UnexpectedEof,
        Ok(IgnoredAny) | Err(_) => false,
    }
}

/// The way to a value, as far as it is known.
fn way_to(path: &serde_path_to_error::Path) -> String {
    path.to_string().trim_end_matches(['.', '?']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_protocol::http::PushRequest;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn fault(format: Format, body: &[u8]) -> serde_json::Value {
        serde_json::to_value(format.read::<PushRequest>(body).unwrap_err()).unwrap()
    }

    #[test]
    fn accept_chooses_by_name_and_weight() {
        for (accept, otherwise, expected) in [
            ("", Format::Json, Format::Json),
            ("*/*", Format::MessagePack, Format::MessagePack),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json, Format::Json),
            ("application/json", Format::MessagePack, Format::Json),
            ("Application/MsgPack; v=1", Format::Json, Format::MessagePack),
            ("application/json;q=0.5, application/x-msgpack", Format::Json, Format::MessagePack),
            ("application/json, application/msgpack;q=0.9", Format::MessagePack, Format::Json),
            ("application/msgpack;q=0", Format::Json, Format::Json),
            ("application/msgpack;q=high", Format::Json, Format::MessagePack),
        ] {
            let headers = headers(header::ACCEPT, accept);
            assert_eq!(Format::accepted(&headers, otherwise), expected, "{accept}");
        }
        for (accept, expected) in [
            ("text/event-stream", true),
            ("*/*", false),
            ("application/json, text/event-stream;q=0.1", false),
            ("application/msgpack;q=0.5, text/event-stream;q=0.1", false),
            ("text/event-stream;q=0.1, */*", false),
            ("text/event-stream;q=0.1, application/*;q=0.2", false),
            ("text/event-stream;q=0", false),
            ("application/json;q=0.1, text/event-stream", true),
            ("text/event-stream, */*;q=0.5", true),
            ("application/json, text/event-stream", true),
            ("text/event-stream;q=0.1, application/json;q=0", true),
            ("text/event-stream;q=0.1, application/json;q=0, */*", false),
        ] {
            assert_eq!(wants_events(&headers(header::ACCEPT, accept)), expected, "{accept}");
        }
    }

    #[test]
    fn only_the_two_formats_are_read() {
        let of = |value| Format::of_content(&headers(header::CONTENT_TYPE, value));
        assert_eq!(of("application/json; charset=utf-8").unwrap(), Format::Json);
        assert_eq!(of("application/vnd.msgpack").unwrap(), Format::MessagePack);
        for other in ["text/plain", "application/x-www-form-urlencoded", "", "application/json5"] {
            assert_eq!(of(other).unwrap_err().kind(), Kind::UnsupportedMediaType, "{other}");
        }
        assert!(Format::of_content(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_fault_in_json_has_its_path_line_and_column() {
        let fault = fault(Format::Json, b"{\"actions\":[\n[{\"type\":\"a\"},{\"time\":\"x\"}]]}");
        assert_eq!(fault["path"], "actions[0][1].time");
        assert_eq!((fault["line"].as_u64(), fault["column"].as_u64()), (Some(2), Some(25)));
        let detail = fault["detail"].as_str().unwrap();
        assert!(detail.contains("line 2 column 25"), "{detail}");
    }

    #[test]
    fn what_follows_the_body_is_a_fault() {
        assert_eq!(fault(Format::Json, br#"{"actions":[]} x"#)["line"], 1);
        let mut packed = rmp_serde::to_vec_named(&serde_json::json!({"actions": []})).unwrap();
        assert!(Format::MessagePack.read::<PushRequest>(&packed).is_ok());
        packed.push(0xc0);
        assert!(fault(Format::MessagePack, &packed)["detail"].is_string());
    }

    #[test]
    fn a_fault_in_messagepack_has_its_path() {
        let body = serde_json::json!({"actions": [[{"type": "a"}, {"id": 1}]]});
        let packed = rmp_serde::to_vec_named(&body).unwrap();
        assert_eq!(fault(Format::MessagePack, &packed)["path"], "actions[0][1].id");
    }
}
