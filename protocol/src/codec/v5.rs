//! Protocol 5: JSON arrays, ids of three parts, everything relative to `end` of `connected`.
//!
//! Encoding is here, decoding in `decode.rs`; `meta.rs` reads what stands beside an
//! action, `options.rs` what ends a handshake message.

mod decode;
mod meta;
mod options;

pub(super) use decode::{decode, decode_opening};

use super::{Link, Version};
use crate::{Action, ActionId, Connect, Connected, Headers, Message, Meta, Token, WireError};
use bytes::Bytes;
use serde::Serialize;

/// What a `sync` needs besides its actions' bodies, for one allocation per usual frame: brackets and
/// a number; a meta whose id spells out a node.
const SYNC_BYTES: usize = 32;
const META_BYTES: usize = 64;

/// A frame in the making.
struct Frame(Vec<u8>);

impl Frame {
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

    fn end(&mut self) -> Bytes {
        self.text("]");
        Bytes::from(std::mem::take(&mut self.0))
    }
}

#[derive(Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<u32>,
}

impl<'a> Options<'a> {
    /// None when there is nothing to say: then the whole object is left out.
    fn of(token: Option<&'a Token>, subprotocol: u32) -> Option<Self> {
        let subprotocol = (subprotocol != 0).then_some(subprotocol);
        let options = Self { token: token.map(|token| &**token), subprotocol };
        (options.token.is_some() || options.subprotocol.is_some()).then_some(options)
    }
}

pub(super) fn encode(message: &Message, link: &Link) -> Bytes {
    match message {
        Message::Connect(message) => connect(message),
        Message::Connected(message) => connected(message),
        Message::Headers(message) => headers(message),
        Message::Error(message) => error(message),
        Message::Debug(text) => {
            Frame::new("debug", text.len() + 32).element("error").element(text).end()
        }
        Message::Ping(number) => numbered("ping", *number),
        Message::Pong(number) => numbered("pong", *number),
        Message::Synced(number) => numbered("synced", *number),
        Message::Sync(message) => {
            let actions = message.batch.iter().map(|pair| (&pair.action, &pair.meta));
            sync(message.number, actions, link)
        }
    }
}

fn numbered(name: &str, number: u64) -> Bytes {
    Frame::new(name, SYNC_BYTES).element(&number).end()
}

pub(super) fn connect(connect: &Connect) -> Bytes {
    let mut frame = Frame::new("connect", 128);
    frame
        .element(&connect.version.protocol())
        .element(connect.node.as_str())
        .element(&connect.synced);
    if let Some(options) = Options::of(connect.token.as_ref(), connect.subprotocol) {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn connected(connected: &Connected) -> Bytes {
    let mut frame = Frame::new("connected", 128);
    frame.element(&Version::V5.protocol()).element(connected.node.as_str());
    frame.element(&[connected.start, connected.end]);
    if let Some(options) = Options::of(connected.token.as_ref(), connected.subprotocol) {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn headers(headers: &Headers) -> Bytes {
    Frame::new("headers", headers.json().len() + 16).raw(headers.json()).end()
}

pub(super) fn error(error: &WireError) -> Bytes {
    let mut frame = Frame::new("error", 64);
    frame.element(error.kind());
    let options = error.options();
    if !options.is_null() {
        frame.element(&options);
    }
    frame.end()
}

pub(super) fn sync<'a>(
    number: u64,
    actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
    link: &Link,
) -> Bytes {
    let mut actions = actions.into_iter().peekable();
    let first = actions.peek().map_or(0, |(action, _)| action.json().len() + META_BYTES);
    let mut frame = Frame::new("sync", SYNC_BYTES + first);
    frame.element(&number);
    for (action, meta) in actions {
        frame.0.reserve(action.json().len() + META_BYTES);
        frame.raw(action.json());
        write_meta(&mut frame, meta, link);
    }
    frame.end()
}

fn write_meta(frame: &mut Frame, meta: &Meta, link: &Link) {
    frame.text(",{\"id\":");
    write_id(frame, &meta.id, link);
    frame.text(",\"time\":").value(&offset(meta.time, link.base_here()));
    if meta.subprotocol != link.implied_subprotocol
        && let Some(subprotocol) = meta.subprotocol
    {
        frame.text(",\"subprotocol\":").value(&subprotocol);
    }
    frame.text("}");
}

fn write_id(frame: &mut Frame, id: &ActionId, link: &Link) {
    let ms = offset(id.ms, link.base);
    if id.node != link.local {
        frame.text("[").value(&ms).element(id.node.as_str()).element(&id.sequence).text("]");
    } else if id.sequence == 0 {
        frame.value(&ms);
    } else {
        frame.text("[").value(&ms).element(&id.sequence).text("]");
    }
}

/// `ms` as seen from `base`. Both are far below 2^63, so neither subtraction nor cast can overflow.
fn offset(ms: u64, base: u64) -> i64 {
    ms.cast_signed().wrapping_sub(base.cast_signed())
}
