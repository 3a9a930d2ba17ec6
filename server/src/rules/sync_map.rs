//! The `SyncMap` convention of `@logux/client`: `NAME/create`, `NAME/change` and `NAME/delete` of
//! items with an `id`, in the channels `NAME` and `NAME/ID`.

use super::reads::Reads;
use super::scope::Scope;
use super::{Allow, Placement, UndoReason, address};
use crate::log::Channel;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tidelog_protocol::Action;

/// A compiled `[[sync_map]]`.
#[derive(Debug)]
pub(super) struct SyncMap {
    name: Arc<str>,
    channel: Channel,
    /// What `allow` reads of an action.
    pub(super) reads: Reads,
    allow: Allow,
    pub(super) subscribe: Allow,
}

/// A channel of a `[[sync_map]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMapChannel {
    /// The map's name, which is the prefix of its action types.
    pub name: Arc<str>,
    /// The item of `NAME/ID`; none for `NAME`.
    pub item: Option<String>,
}

/// What an action does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMapOp {
    /// `NAME/create`
    Create,
    /// `NAME/change`
    Change,
    /// `NAME/delete`
    Delete,
}

impl SyncMapOp {
    /// What the action type `kind` does to the map `name`.
    pub fn of(kind: &str, name: &str) -> Option<Self> {
        match kind.strip_prefix(name)? {
            "/create" => Some(Self::Create),
            "/change" => Some(Self::Change),
            "/delete" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The same, as an operation on the record of the item.
    pub(super) fn on_record(self) -> &'static str {
        match self {
            Self::Create => "record/create",
            Self::Change => "record/change",
            Self::Delete => "record/delete",
        }
    }

    /// How subscribers see it: the last part of the type.
    pub fn rendered(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Change => "changed",
            Self::Delete => "deleted",
        }
    }
}

/// What an action of a map has to have.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    fields: Option<Fields>,
}

/// An object, whatever is in it.
struct Fields;

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Fields)
            }
        }
        from.deserialize_map(Object)
    }
}

impl SyncMap {
    pub(super) fn new(channel: Channel, allow: Allow, subscribe: Allow) -> Self {
        let reads = allow.reads().clone();
        Self { name: channel.as_str().into(), channel, reads, allow, subscribe }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The action types that are its own.
    pub(super) fn kinds(&self) -> [String; 3] {
        ["create", "change", "delete"].map(|op| format!("{}/{op}", self.name))
    }

    pub(super) fn op(&self, kind: &str) -> Option<SyncMapOp> {
        SyncMapOp::of(kind, &self.name)
    }

    /// The place of `channel` in the map.
    pub(super) fn channel(&self, channel: &str) -> Option<SyncMapChannel> {
        let item = match channel.strip_prefix(&*self.name)? {
            "" => None,
            rest => Some(rest.strip_prefix('/').filter(|item| !item.is_empty())?.to_owned()),
        };
        Some(SyncMapChannel { name: Arc::clone(&self.name), item })
    }

    /// Who may write.
    pub(super) fn allow(&self) -> &Allow {
        &self.allow
    }

    /// Whether it is an action of the map: the channel of its item.
    pub(super) fn check_form(&self, action: &Action) -> Result<Channel, UndoReason> {
        let item: Item<'_> = action.body().map_err(|_| UndoReason::Error)?;
        let deletes = self.op(action.kind()) == Some(SyncMapOp::Delete);
        if item.id.is_empty() || (item.fields.is_none() && !deletes) {
            return Err(UndoReason::Error);
        }
        let channel = address::channel(&format!("{}/{}", self.name, item.id));
        channel.ok_or(UndoReason::Error)
    }

    /// Its channels' logs and no user's: whoever reads the map subscribes to it.
    pub(super) fn place(
        &self,
        action: &Action,
        scope: &Scope<'_>,
    ) -> Result<Placement, UndoReason> {
        let channel = self.check_form(action)?;
        self.allow.check(scope)?;
        Ok(Placement {
            channels: vec![self.channel.clone(), channel],
            kept: true,
            sync_map: true,
            ..Placement::default()
        })
    }
}
