//! What Tidelog knows about order and causality: stamps, dots and contexts, and the replicated
//! types that merge by them.
//!
//! Pure: no async, no IO, no clock. Nothing here knows a wire format or a store.
#![doc = include_str!("../README.md")]

mod action;
mod cell;
mod codec;
mod context;
mod document;
mod dot;
mod element;
mod entry;
mod json;
mod kind;
mod malformed;
mod operation;
mod path;
mod register;
mod replica;
mod stamp;

pub use action::{ACTION_PREFIX, DocumentAction};
pub use cell::list::{Item, List};
pub use cell::record::{Field, Record};
pub use cell::text::{Passage, Text};
pub use codec::DecodeError;
pub use context::{Context, Ranges, RangesError, Seen};
pub use document::why::{Fate, Part, Why};
pub use document::{Applied, Document};
pub use dot::{Dot, Incarnation, Position, PositionError};
pub use element::{Element, Elements};
pub use entry::{Change, Entry};
pub use json::Json;
pub use kind::Kind;
pub use malformed::Malformed;
pub use operation::{Fields, Gap, ListOp, Operation, RecordOp, SetOp, Switch, TextOp};
pub use path::{DocumentName, Path};
pub use register::LwwRegister;
pub use replica::Replica;
pub use stamp::Stamp;
