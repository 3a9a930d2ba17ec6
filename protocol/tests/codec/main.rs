//! The wire, byte by byte: recordings of real clients and servers, malformed frames, round trips.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod captures;
mod limits;
mod malformed;
mod round_trip;

use std::sync::Arc;
use tidelog_protocol::codec::{Codec, Link, Version};
use tidelog_protocol::{Limits, NodeId};

const BASE: u64 = 1_795_222_838_404;

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

/// The codecs of both ends of one connection: the client's, then the server's.
fn both_ends(client: &NodeId, server: &NodeId, base: u64, limits: &Limits) -> (Codec, Codec) {
    let end = |local: &NodeId, remote: &NodeId| {
        let (local, remote) = (local.clone(), remote.clone());
        let link = Link { local, remote, base, time_fix: 0, implied_subprotocol: None };
        Codec::new(Version::V5, link, Arc::new(limits.clone()))
    };
    (end(client, server), end(server, client))
}
