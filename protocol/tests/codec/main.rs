//! The wire, byte by byte: recordings of real clients and servers, malformed frames, round trips.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod binary_limits;
mod captures;
mod limits;
mod malformed;
mod round_trip;

use std::sync::Arc;
use tidelog_protocol::codec::{Codec, Link, Opening, Version};
use tidelog_protocol::{Frame, Limits, NodeId, WireError};

const BASE: u64 = 1_795_222_838_404;

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn text(frame: &str) -> Frame {
    Frame::text(frame.to_owned())
}

/// What a frame says before sign-in.
fn opening(frame: &Frame, version: Version, limits: &Limits) -> Result<Opening, WireError> {
    Opening::read(frame, Some(version), limits)
}

/// The codecs of both ends of one connection of protocol 5: the client's, then the server's.
fn both_ends(client: &NodeId, server: &NodeId, base: u64, limits: &Limits) -> (Codec, Codec) {
    both_ends_of(Version::V5, (client, server), base, limits)
}

fn both_ends_of(
    version: Version,
    (client, server): (&NodeId, &NodeId),
    base: u64,
    limits: &Limits,
) -> (Codec, Codec) {
    let end = |local: &NodeId, remote: &NodeId| {
        let link = Link {
            local: local.clone(),
            remote: remote.clone(),
            base,
            time_fix: 0,
            implied_subprotocol: None,
            connected_subprotocol: 10,
        };
        Codec::new(version, link, Arc::new(limits.clone()))
    };
    (end(client, server), end(server, client))
}
