//! The binary form of protocol 7: a byte for the message's type, and what follows it. Ids and times
//! are offsets from `end` of `connected`.
//!
//! Encoding is here, decoding in `decode.rs`; `action.rs` has the actions with a shape of their own,
//! `read.rs` and `write.rs` numbers and texts.

mod action;
mod decode;
mod read;
mod write;

pub(crate) use decode::wrong_format;
pub(super) use decode::{decode, decode_opening};

use super::name::Name;
use super::text::offset;
use super::{Link, Version};
use crate::{Action, ActionId, Connect, Connected, Frame, Headers, Message, Meta, WireError};
use action::Shape;
use serde_json::json;
use write::Draft;

pub(super) fn encode(message: &Message, link: &Link) -> Frame {
    match message {
        Message::Connect(message) => connect(message),
        Message::Connected(message) => connected(message),
        Message::Headers(message) => headers(message),
        Message::Error(message) => error(message),
        Message::Debug(text) => Draft::new(b'd').text("error").json(&json!(text)).end(),
        Message::Ping(number) => Draft::new(b'p').number(*number).end(),
        Message::Pong(number) => Draft::new(b'P').number(*number).end(),
        Message::Synced(number) => Draft::new(b'S').number(*number).end(),
        Message::Ready(number) => Draft::new(b'r').number(*number).end(),
        Message::Sync(message) => {
            let actions = message.batch.iter().map(|pair| (&pair.action, &pair.meta));
            sync(message.number, actions, link)
        }
    }
}

pub(super) fn connect(connect: &Connect) -> Frame {
    let mut frame = Draft::new(b'c');
    frame
        .number(connect.version.protocol().into())
        .text(connect.node.as_str())
        .number(connect.synced)
        .number(connect.subprotocol.into());
    match &connect.token {
        Some(token) => frame.json(&json!({ "token": &**token })),
        None => frame.text(""),
    };
    frame.end()
}

pub(super) fn connected(connected: &Connected) -> Frame {
    let mut frame = Draft::new(b'C');
    frame
        .number(Version::V7.protocol().into())
        .text(connected.node.as_str())
        .number(connected.start)
        .number(connected.end)
        .number(connected.subprotocol.into());
    match &connected.token {
        Some(token) => frame.json(&json!({ "token": &**token })),
        None => frame.text(""),
    };
    frame.end()
}

pub(super) fn headers(headers: &Headers) -> Frame {
    Draft::new(b'h').bytes(headers.json()).end()
}

pub(super) fn error(error: &WireError) -> Frame {
    let mut frame = Draft::new(b'e');
    frame.text(error.kind());
    let options = error.options();
    if options.is_null() { frame.text("") } else { frame.json(&options) }.end()
}

pub(super) fn sync<'a>(
    number: u64,
    actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
    link: &Link,
) -> Frame {
    let actions: Vec<_> = actions.into_iter().collect();
    let mut frame = Draft::new(b's');
    frame.number(number).number(actions.len() as u64);
    for (action, meta) in actions {
        write_action(&mut frame, action, link);
        write_meta(&mut frame, meta, link);
    }
    frame.end()
}

fn write_action(frame: &mut Draft, action: &Action, link: &Link) {
    match Shape::of(action) {
        Shape::Json(json) => {
            frame.byte(b'j').bytes(&json);
        }
        Shape::Processed(id) => write_id(frame.byte(b'p'), &id, link),
        Shape::Clean(id) => write_id(frame.byte(b'c'), &id, link),
        Shape::CleanMany(ids) => {
            frame.byte(b'C').number(ids.len() as u64);
            for id in &ids {
                write_id(frame, id, link);
            }
        }
        Shape::Encrypted { compressed, iv, data } => {
            frame.byte(if compressed { b'Z' } else { b'z' }).raw(&iv).bytes(&data);
        }
    }
}

fn write_id(frame: &mut Draft, id: &ActionId, link: &Link) {
    let name = Name::of(id);
    let shift = offset(name.t, link.base);
    if name.node == link.local.as_str() {
        frame.byte(action::OWN).signed(shift);
    } else {
        frame.byte(action::WHOLE).signed(shift).text(&name.node);
    }
}

fn write_meta(frame: &mut Draft, meta: &Meta, link: &Link) {
    let name = Name::of(&meta.id);
    let (time, shift) = (offset(meta.time, link.base_here()), offset(name.t, link.base));
    let subprotocol = meta.subprotocol.filter(|own| Some(*own) != link.implied_subprotocol);
    if name.node != link.local.as_str() {
        // Here one always stands: for none that of `connected`.
        let subprotocol = meta.subprotocol.unwrap_or(link.connected_subprotocol);
        frame.byte(4).signed(time).signed(shift).text(&name.node).number(subprotocol.into());
    } else if let Some(subprotocol) = subprotocol {
        frame.byte(3).signed(time).signed(shift).number(subprotocol.into());
    } else {
        frame.byte(2).signed(time).signed(shift);
    }
}
