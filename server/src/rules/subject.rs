//! Who acts, as rules see it: `user` and `headers` of an expression.

use super::value::{self, Object};
use crate::auth::Identity;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};
use tidelog_protocol::{ClientId, NodeId, UserId};

/// Who acts: made once per session or request.
///
/// What expressions read of it is made when a rule first asks, so that a server whose rules never
/// do pays nothing per session.
#[derive(Clone, Debug)]
pub struct Subject {
    user: UserId,
    client: ClientId,
    node: NodeId,
    anonymous: bool,
    subprotocol: u32,
    claims: Arc<Map<String, Value>>,
    headers: Bytes,
    user_value: OnceLock<Object<'static>>,
    headers_value: OnceLock<Object<'static>>,
}

impl Subject {
    /// The one who signed in, at `node`, with an application of version `subprotocol`.
    pub fn new(identity: &Identity, node: NodeId, subprotocol: u32) -> Self {
        Self {
            user: identity.user.clone(),
            client: node.client(),
            node,
            anonymous: identity.anonymous,
            subprotocol,
            claims: Arc::clone(&identity.claims),
            headers: Bytes::new(),
            user_value: OnceLock::new(),
            headers_value: OnceLock::new(),
        }
    }

    /// Takes the client's headers, a JSON object, from now on.
    pub fn set_headers(&mut self, json: Bytes) {
        self.headers = json;
        self.headers_value = OnceLock::new();
    }

    /// The user.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The client.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// The node.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// A user without a log.
    pub fn anonymous(&self) -> bool {
        self.anonymous
    }

    pub(super) fn subprotocol(&self) -> u32 {
        self.subprotocol
    }

    /// `user`: id, client, node, anonymous, claims.
    pub(super) fn user_value(&self) -> &Object<'static> {
        self.user_value.get_or_init(|| {
            value::record([
                ("id", value::text(self.user.as_str().to_owned())),
                ("client", value::text(self.client.as_str().to_owned())),
                ("node", value::text(self.node.as_str().to_owned())),
                ("anonymous", value::truth(self.anonymous)),
                ("claims", Box::new(value::owned_object((*self.claims).clone()))),
            ])
        })
    }

    /// `headers`: empty when there are none.
    pub(super) fn headers_value(&self) -> &Object<'static> {
        self.headers_value.get_or_init(|| {
            let headers = serde_json::from_slice(&self.headers).unwrap_or_default();
            value::owned_object(headers)
        })
    }
}
