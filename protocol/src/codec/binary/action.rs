//! Actions that the binary form writes shorter than as JSON, and what they are as JSON.

use super::super::bodies;
use super::read::{Fault, Reader};
use crate::codec::Link;
use crate::codec::name::Name;
use crate::codec::text::absolute;
use crate::{Action, ActionId, Limits, OverLimit, builtin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Before an id whose node is the sender's, and before one that names its node.
pub(super) const OWN: u8 = 10;
pub(super) const WHOLE: u8 = 11;

/// What a client makes at random for each encrypted action.
const IV_BYTES: usize = 12;
/// An id stands for many times the bytes that it takes; a whole frame may grow as much as this, and to
/// so many of the longest frames.
const GROWTH: usize = 32;
const GROWTH_FROM: usize = 64 << 10;
const GROWTH_FRAMES: usize = 2;

/// An action as the binary form has it.
pub(super) enum Shape {
    Json(Bytes),
    Processed(ActionId),
    Clean(ActionId),
    CleanMany(Vec<ActionId>),
    Encrypted { compressed: bool, iv: Vec<u8>, data: Vec<u8> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfId {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    id: ActionId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfIds {
    #[serde(rename = "type")]
    _type: IgnoredAny,
    ids: Vec<ActionId>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Encrypted {
    d: String,
    iv: String,
    r#type: String,
    #[serde(default)]
    z: bool,
}

impl Shape {
    /// The shortest shape that loses nothing of `action`.
    pub(super) fn of(action: &Action) -> Self {
        let short = match action.kind() {
            builtin::PROCESSED => action.body::<OfId>().ok().map(|body| Self::Processed(body.id)),
            builtin::CLEAN => (action.body::<OfId>().ok().map(|body| Self::Clean(body.id)))
                .or_else(|| action.body::<OfIds>().ok().map(|body| Self::CleanMany(body.ids))),
            builtin::ENCRYPTED => action.body::<Encrypted>().ok().and_then(encrypted),
            _ => None,
        };
        short.unwrap_or_else(|| {
            let named = bodies::to_names(action);
            Self::Json(named.as_ref().unwrap_or(action).json().clone())
        })
    }
}

fn encrypted(body: Encrypted) -> Option<Shape> {
    let (iv, data) = (STANDARD.decode(body.iv).ok()?, STANDARD.decode(body.d).ok()?);
    (iv.len() == IV_BYTES).then_some(Shape::Encrypted { compressed: body.z, iv, data })
}

/// Reads the actions of one frame.
pub(super) struct Actions<'a> {
    limits: &'a Limits,
    /// None before the handshake is over: then actions are checked, and not made.
    link: Option<&'a Link>,
    /// JSON that this frame may still turn into, and the limit that then is passed.
    growth_left: usize,
    growth: OverLimit,
}

impl<'a> Actions<'a> {
    pub(super) fn new(limits: &'a Limits, link: Option<&'a Link>, frame: &[u8]) -> Self {
        let by_length = frame.len().saturating_mul(GROWTH).saturating_add(GROWTH_FROM);
        let most = limits.frame_bytes.saturating_mul(GROWTH_FRAMES);
        let (growth_left, growth) = if by_length <= most {
            (by_length, OverLimit::Growth(GROWTH))
        } else {
            (most, OverLimit::Json(most))
        };
        Self { limits, link, growth_left, growth }
    }

    pub(super) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<Action>, Fault> {
        match reader.byte()? {
            b'j' => self.json(reader.text()?),
            b'p' => self.of_id(builtin::PROCESSED, reader),
            b'c' => self.of_id(builtin::CLEAN, reader),
            b'C' => self.of_ids(reader),
            b'Z' => self.encrypted(true, reader),
            b'z' => self.encrypted(false, reader),
            _ => Err(Fault::Malformed),
        }
    }

    fn json(&self, json: &str) -> Result<Option<Action>, Fault> {
        self.limits.check_action(json.as_bytes())?;
        let action = Action::copied(json).map_err(|_| Fault::Malformed)?;
        self.limits.check_name(action.kind())?;
        Ok(self.link.map(|_| bodies::from_names(action)))
    }

    fn of_id(
        &mut self,
        kind: &'static str,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Action>, Fault> {
        #[derive(Serialize)]
        struct Body<'a> {
            id: &'a ActionId,
            r#type: &'a str,
        }
        let id = read_id(reader, self.link)?;
        id.map(|id| self.built(kind, &Body { id: &id, r#type: kind })).transpose()
    }

    fn of_ids(&mut self, reader: &mut Reader<'_>) -> Result<Option<Action>, Fault> {
        #[derive(Serialize)]
        struct Body<'a> {
            ids: &'a [ActionId],
            r#type: &'a str,
        }
        let count = reader.number()?;
        let mut ids = Vec::new();
        let mut bytes = 0_usize;
        for _ in 0..count {
            let Some(id) = read_id(reader, self.link)? else { continue };
            // Less than it takes as JSON: an id has two numbers and three separators more.
            bytes = bytes.saturating_add(id.node.as_str().len() + 5);
            if bytes > self.limits.action_bytes {
                return Err(OverLimit::Action(self.limits.action_bytes).into());
            }
            if bytes > self.growth_left {
                return Err(self.growth.into());
            }
            ids.push(id);
        }
        let body = Body { ids: &ids, r#type: builtin::CLEAN };
        self.link.map(|_| self.built(builtin::CLEAN, &body)).transpose()
    }

    fn encrypted(
        &mut self,
        compressed: bool,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Action>, Fault> {
        let (iv, data) = (reader.raw(IV_BYTES)?, reader.bytes()?);
        if data.len() > self.limits.action_bytes {
            return Err(OverLimit::Action(self.limits.action_bytes).into());
        }
        if self.link.is_none() {
            return Ok(None);
        }
        let body = Encrypted {
            d: STANDARD.encode(data),
            iv: STANDARD.encode(iv),
            r#type: builtin::ENCRYPTED.to_owned(),
            z: compressed,
        };
        self.built(builtin::ENCRYPTED, &body).map(Some)
    }

    fn built(&mut self, kind: &str, body: &impl Serialize) -> Result<Action, Fault> {
        // Strings, lists and flags always serialize.
        let json = serde_json::to_vec(body).unwrap_or_default();
        self.limits.check_action(&json)?;
        self.growth_left = self.growth_left.checked_sub(json.len()).ok_or(self.growth)?;
        Ok(Action::from_parts(Bytes::from(json), kind))
    }
}

/// An id in a body; none as long as nobody knows what it is relative to.
fn read_id(reader: &mut Reader<'_>, link: Option<&Link>) -> Result<Option<ActionId>, Fault> {
    let kind = reader.byte()?;
    let shift = reader.signed()?;
    let node = match kind {
        OWN => None,
        WHOLE => Some(reader.text()?),
        _ => return Err(Fault::Malformed),
    };
    link.map(|link| expand(shift, node, link)).transpose()
}

/// The id of a name whose time is an offset, and whose node may be the sender's.
pub(super) fn expand(shift: i64, node: Option<&str>, link: &Link) -> Result<ActionId, Fault> {
    let t = absolute(link.base, shift).ok_or(Fault::Malformed)?;
    let node = node.unwrap_or(link.remote.as_str());
    Name { t, node: node.into() }.id(Some(&link.remote)).map_err(|_| Fault::Malformed)
}
