//! Who acts, as rules see it: `user` and `headers` of an expression.

use crate::auth::Identity;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use tidelog_protocol::{ClientId, NodeId, UserId};

/// Who acts: made once per session or request.
#[derive(Clone, Debug)]
pub struct Subject {
    user: UserId,
    client: ClientId,
    node: NodeId,
    anonymous: bool,
    claims: Arc<Map<String, Value>>,
    headers: Option<Bytes>,
}

impl Subject {
    /// The one who signed in, at `node`.
    pub fn new(identity: &Identity, node: NodeId) -> Self {
        Self {
            user: identity.user.clone(),
            client: node.client(),
            node,
            anonymous: identity.anonymous,
            claims: Arc::clone(&identity.claims),
            headers: None,
        }
    }

    /// Takes the client's headers, a JSON object, from now on.
    pub fn set_headers(&mut self, json: Bytes) {
        self.headers = Some(json);
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

    /// The claims of the token.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The headers that the client sent.
    pub fn headers(&self) -> Option<&Bytes> {
        self.headers.as_ref()
    }
}
