//! Reading a binary frame in one pass. Nothing is made room for before it is there.

use super::action::{Actions, expand};
use super::read::{Fault, Reader};
use crate::codec::text::absolute;
use crate::codec::{Link, Version};
use crate::{
    Connect, Connected, Headers, Limits, Message, Meta, NodeId, OverLimit, Pair, Sync, Token,
    WireError,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;

/// As much of a frame goes back to whoever sent one that cannot be read.
const OFFENDING_BYTES: usize = 20;

/// Reads a frame of a running connection.
pub(in super::super) fn decode(
    frame: &[u8],
    limits: &Limits,
    link: &Link,
) -> Result<Message, WireError> {
    if frame.len() > limits.frame_bytes {
        return Err(OverLimit::Frame(limits.frame_bytes).into());
    }
    if frame.len() > limits.frame_bytes_before_sign_in && frame.first() != Some(&b's') {
        return Err(OverLimit::Message(limits.frame_bytes_before_sign_in).into());
    }
    read(frame, limits, Some(link))
}

/// Reads a frame from before the handshake was over. The batch of a sync is checked, and not kept.
pub(in super::super) fn decode_opening(
    frame: &[u8],
    limits: &Limits,
) -> Result<Message, WireError> {
    if frame.len() > limits.frame_bytes_before_sign_in {
        return Err(OverLimit::FrameBeforeSignIn(limits.frame_bytes_before_sign_in).into());
    }
    read(frame, limits, None)
}

fn read(frame: &[u8], limits: &Limits, link: Option<&Link>) -> Result<Message, WireError> {
    let mut reader = Reader::new(frame);
    let read = message(&mut reader, frame, limits, link);
    match read.and_then(|message| reader.end().map(|()| message)) {
        Ok(message) => Ok(message),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Malformed) => Err(wrong_format(frame)),
    }
}

/// The `wrong-format` for a frame: its start, as clients write it for people.
pub(crate) fn wrong_format(frame: &[u8]) -> WireError {
    let mut text = String::new();
    for byte in frame.iter().take(OFFENDING_BYTES) {
        let space = if text.is_empty() { "" } else { " " };
        // Writing into a text never fails.
        let _ = write!(text, "{space}{byte:02x}");
    }
    WireError::WrongFormat(text)
}

fn message(
    reader: &mut Reader<'_>,
    frame: &[u8],
    limits: &Limits,
    link: Option<&Link>,
) -> Result<Message, Fault> {
    Ok(match reader.byte()? {
        b'c' => Message::Connect(connect(reader)?),
        b'C' => Message::Connected(connected(reader)?),
        b'h' => Message::Headers(headers(reader, limits)?),
        b'e' => Message::Error(error(reader)?),
        b'd' => Message::Debug(debug(reader)?),
        b'p' => Message::Ping(reader.number()?),
        b'P' => Message::Pong(reader.number()?),
        b'S' => Message::Synced(reader.number()?),
        b'r' => Message::Ready(reader.number()?),
        b's' => Message::Sync(sync(reader, frame, limits, link)?),
        _ => return Err(Fault::Malformed),
    })
}

/// Comes first and is judged first: in another version other things may follow.
fn protocol(reader: &mut Reader<'_>) -> Result<Version, Fault> {
    let (supported, used) = (Version::V7.protocol(), reader.small_number()?);
    if used == supported {
        return Ok(Version::V7);
    }
    Err(Fault::Refused(WireError::WrongProtocol { supported, used }))
}

fn connect(reader: &mut Reader<'_>) -> Result<Connect, Fault> {
    let version = protocol(reader)?;
    let (node, synced) = (node(reader)?, reader.number()?);
    let (subprotocol, token) = (reader.small_number()?, token(reader)?);
    Ok(Connect { version, node, synced, token, subprotocol })
}

fn connected(reader: &mut Reader<'_>) -> Result<Connected, Fault> {
    protocol(reader)?;
    let (node, start, end) = (node(reader)?, reader.number()?, reader.number()?);
    let (subprotocol, token) = (reader.small_number()?, token(reader)?);
    Ok(Connected { node, start, end, token, subprotocol })
}

fn node(reader: &mut Reader<'_>) -> Result<NodeId, Fault> {
    NodeId::new(reader.text()?).map_err(|_| Fault::Malformed)
}

/// The options that end a handshake message; keys that nobody knows are left alone.
fn token(reader: &mut Reader<'_>) -> Result<Option<Token>, Fault> {
    #[derive(Deserialize)]
    struct Options {
        #[serde(default)]
        token: Option<String>,
    }
    let json = reader.text()?;
    if json.is_empty() {
        return Ok(None);
    }
    let options: Options = object(json)?;
    Ok(options.token.map(Token::new))
}

/// Reads an object; a derived reader would take an array for one, too.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Fault> {
    if !json.trim_start().starts_with('{') {
        return Err(Fault::Malformed);
    }
    serde_json::from_str(json).map_err(|_| Fault::Malformed)
}

fn headers(reader: &mut Reader<'_>, limits: &Limits) -> Result<Headers, Fault> {
    let json = reader.bytes()?;
    limits.check_headers(json)?;
    Headers::new(Bytes::copy_from_slice(json)).map_err(|_| Fault::Malformed)
}

fn error(reader: &mut Reader<'_>) -> Result<WireError, Fault> {
    let kind = reader.text()?.to_owned();
    let options = match reader.text()? {
        "" => Value::Null,
        json => serde_json::from_str(json).map_err(|_| Fault::Malformed)?,
    };
    Ok(WireError::from_wire(kind, options))
}

fn debug(reader: &mut Reader<'_>) -> Result<String, Fault> {
    if reader.text()? != "error" {
        return Err(Fault::Malformed);
    }
    serde_json::from_str(reader.text()?).map_err(|_| Fault::Malformed)
}

fn sync(
    reader: &mut Reader<'_>,
    frame: &[u8],
    limits: &Limits,
    link: Option<&Link>,
) -> Result<Sync, Fault> {
    let (number, count) = (reader.number()?, reader.number()?);
    if count > limits.actions_per_frame as u64 {
        return Err(OverLimit::Actions(limits.actions_per_frame).into());
    }
    let mut actions = Actions::new(limits, link, frame);
    let mut batch = Vec::new();
    for _ in 0..count {
        let action = actions.next(reader)?;
        let meta = meta(reader, link)?;
        if let (Some(action), Some(meta)) = (action, meta) {
            batch.push(Pair::new(action, meta));
        }
    }
    Ok(Sync { number, batch })
}

fn meta(reader: &mut Reader<'_>, link: Option<&Link>) -> Result<Option<Meta>, Fault> {
    let fields = reader.byte()?;
    let (time, shift) = (reader.signed()?, reader.signed()?);
    let (node, subprotocol) = match fields {
        2 => (None, None),
        3 => (None, Some(reader.small_number()?)),
        4 => {
            let (node, subprotocol) = (reader.text()?, reader.small_number()?);
            // Which stands for none, where another node is named.
            let implied = link.is_some_and(|link| link.connected_subprotocol == subprotocol);
            (Some(node), (!implied).then_some(subprotocol))
        }
        _ => return Err(Fault::Malformed),
    };
    let Some(link) = link else { return Ok(None) };
    let time = absolute(link.base_here(), time).ok_or(Fault::Malformed)?;
    Ok(Some(Meta { id: expand(shift, node, link)?, time, subprotocol }))
}
