//! JSON: arrays that begin with the message's type. In protocols 4 and 5 ids have three parts, and
//! ids and times are relative to `end` of `connected`; in protocol 7 ids are absolute texts.
//!
//! Encoding is here, decoding in `decode.rs`; `meta.rs` reads what stands beside an
//! action, `options.rs` what ends a handshake message.

mod decode;
mod meta;
mod options;

pub(super) use decode::{decode, decode_opening};
pub(super) use meta::absolute;

use super::name::{Digits, Name};
use super::subprotocol::Written;
use super::{Link, Version, bodies};
use crate::{
    Action, ActionId, Connect, Connected, Frame, Headers, Message, Meta, Token, WireError,
};
use serde::Serialize;

/// What a `sync` needs besides its actions' bodies, for one allocation per usual frame: brackets and
/// a number; a meta whose id spells out a node.
const SYNC_BYTES: usize = 32;
const META_BYTES: usize = 64;

/// A frame in the making.
struct Draft(Vec<u8>);

impl Draft {
    /// `["name"`
    fn new(name: &str, capacity: usize) -> Self {
        let mut frame = Self(Vec::with_capacity(capacity));
        frame.text("[\"").text(name).text("\"");
        frame
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        serde_json::to_writer(&mut self.0, value).expect("numbers, texts and JSON go into memory");
        self
    }

    /// `,value`
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> &mut Self {
        self.text(",").value(value)
    }

    /// `,json` as it is.
    fn raw(&mut self, json: &[u8]) -> &mut Self {
        self.text(",").0.extend_from_slice(json);
        self
    }

    fn end(&mut self) -> Frame {
        self.text("]");
        Frame::text(std::mem::take(&mut self.0))
    }
}

#[derive(Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<Written>,
}

impl<'a> Options<'a> {
    /// None when there is nothing to say: then the whole object is left out.
    fn of(version: Version, token: Option<&'a Token>, subprotocol: u32) -> Option<Self> {
        let subprotocol = (subprotocol != 0).then_some(Written(subprotocol, version));
        let options = Self { token: token.map(|token| &**token), subprotocol };
        (options.token.is_some() || options.subprotocol.is_some()).then_some(options)
    }
}

pub(super) fn encode(version: Version, message: &Message, link: &Link) -> Frame {
    match message {
        Message::Connect(message) => connect(message),
        Message::Connected(message) => connected(version, message),
        Message::Headers(message) => headers(message),
        Message::Error(message) => error(version, message),
        Message::Debug(text) => {
            Draft::new("debug", text.len() + 32).element("error").element(text).end()
        }
        Message::Ping(number) => numbered("ping", *number),
        Message::Pong(number) => numbered("pong", *number),
        Message::Synced(number) => numbered("synced", *number),
        Message::Ready(number) => numbered("ready", *number),
        Message::Sync(message) => {
            let actions = message.batch.iter().map(|pair| (&pair.action, &pair.meta));
            sync(version, message.number, actions, link)
        }
    }
}

fn numbered(name: &str, number: u64) -> Frame {
    Draft::new(name, SYNC_BYTES).element(&number).end()
}

pub(super) fn connect(connect: &Connect) -> Frame {
    let mut frame = Draft::new("connect", 128);
    frame
        .element(&connect.version.protocol())
        .element(connect.node.as_str())
        .element(&connect.synced);
    if let Some(options) = Options::of(connect.version, connect.token.as_ref(), connect.subprotocol)
    {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn connected(version: Version, connected: &Connected) -> Frame {
    let mut frame = Draft::new("connected", 128);
    frame.element(&version.protocol()).element(connected.node.as_str());
    frame.element(&[connected.start, connected.end]);
    if let Some(options) = Options::of(version, connected.token.as_ref(), connected.subprotocol) {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn headers(headers: &Headers) -> Frame {
    Draft::new("headers", headers.json().len() + 16).raw(headers.json()).end()
}

pub(super) fn error(version: Version, error: &WireError) -> Frame {
    let mut frame = Draft::new("error", 64);
    frame.element(error.kind());
    let options = match (version, error) {
        (Version::V4, WireError::WrongSubprotocol { supported, used }) => {
            // A range, and one version.
            let (supported, used) = (format!(">={supported}.0.0"), format!("{used}.0.0"));
            serde_json::json!({ "supported": supported, "used": used })
        }
        _ => error.options(),
    };
    if !options.is_null() {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn sync<'a>(
    version: Version,
    number: u64,
    actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
    link: &Link,
) -> Frame {
    let mut actions = actions.into_iter().peekable();
    let first = actions.peek().map_or(0, |(action, _)| action.json().len() + META_BYTES);
    let mut frame = Draft::new("sync", SYNC_BYTES + first);
    frame.element(&number);
    for (action, meta) in actions {
        frame.0.reserve(action.json().len() + META_BYTES);
        match version {
            Version::V4 | Version::V5 => frame.raw(action.json()),
            Version::V7 => match bodies::to_names(action) {
                Some(named) => frame.raw(named.json()),
                None => frame.raw(action.json()),
            },
        };
        write_meta(&mut frame, version, meta, link);
    }
    frame.end()
}

fn write_meta(frame: &mut Draft, version: Version, meta: &Meta, link: &Link) {
    frame.text(",{\"id\":");
    match version {
        Version::V4 | Version::V5 => write_id(frame, &meta.id, link),
        Version::V7 => write_name(frame, &meta.id, link),
    }
    frame.text(",\"time\":").value(&offset(meta.time, link.base_here()));
    if meta.subprotocol != link.implied_subprotocol
        && let Some(subprotocol) = meta.subprotocol
    {
        frame.text(",\"subprotocol\":").value(&Written(subprotocol, version));
    }
    frame.text("}");
}

fn write_id(frame: &mut Draft, id: &ActionId, link: &Link) {
    let ms = offset(id.ms, link.base);
    if id.node != link.local {
        frame.text("[").value(&ms).element(id.node.as_str()).element(&id.sequence).text("]");
    } else if id.sequence == 0 {
        frame.value(&ms);
    } else {
        frame.text("[").value(&ms).element(&id.sequence).text("]");
    }
}

fn write_name(frame: &mut Draft, id: &ActionId, link: &Link) {
    let name = Name::of(id);
    if name.node == link.local.as_str() {
        frame.value(&format_args!("{}", Digits(name.t)));
    } else {
        frame.value(&format_args!("{name}"));
    }
}

/// `ms` as seen from `base`. Both are far below 2^63, so neither subtraction nor cast can overflow.
pub(super) fn offset(ms: u64, base: u64) -> i64 {
    ms.cast_signed().wrapping_sub(base.cast_signed())
}
