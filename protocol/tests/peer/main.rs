//! Both roles of the protocol as transcripts: what goes in, what comes out, and when.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod connection;
mod handshake;

use bytes::Bytes;
use std::sync::Arc;
use tidelog_protocol::codec::Version;
use tidelog_protocol::peer::{
    Accept, Accepted, ClientEvent, ClientHandshake, Connection, Finished, HandshakeEvent, Hello,
    ServerHandshake, Settings, SignIn,
};
use tidelog_protocol::{Action, ActionId, Form, Frame, Headers, Meta, NodeId, Token};

/// When the server's side of every story begins, by its clock.
const OPENED: u64 = 1_795_222_838_000;

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn headers(json: &'static str) -> Headers {
    Headers::new(Bytes::from_static(json.as_bytes())).unwrap()
}

fn action(json: &'static str) -> Action {
    Action::new(Bytes::from_static(json.as_bytes())).unwrap()
}

fn meta(node_id: &str, ms: u64) -> Meta {
    let id = ActionId { node: node(node_id), ms, sequence: 0 };
    Meta { id, time: ms, subprotocol: None }
}

fn text(frame: &str) -> Frame {
    Frame::text(frame.to_owned())
}

fn texts(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| std::str::from_utf8(frame.bytes()).unwrap()).collect()
}

fn hello() -> Hello {
    Hello {
        version: Version::V5,
        form: Form::Text,
        node: node("10:client:tab"),
        synced: 7,
        token: Some(Token::new("good:10".into())),
        subprotocol: 10,
        headers: Some(headers(r#"{"locale":"en"}"#)),
    }
}

fn accept(now: u64) -> Accept {
    let headers = Some(headers(r#"{"env":"development"}"#));
    Accept { node: node("server:srv"), subprotocol: 11, headers, now }
}

fn sign_in(event: HandshakeEvent) -> SignIn {
    match event {
        HandshakeEvent::SignIn(sign_in) => sign_in,
        HandshakeEvent::Wait => panic!("no sign-in"),
    }
}

/// A server and a client that have just met, the client's clock `ahead` of the server's, with 100 ms
/// for each way and 4 ms for the sign-in.
fn met(ahead: u64) -> (Connection, Connection) {
    let (mut client, frames) =
        ClientHandshake::new(OPENED + ahead, &Arc::new(Settings::client()), hello());
    let mut server = ServerHandshake::new(OPENED + 50, &Arc::new(Settings::server()));
    let event =
        frames.iter().map(|frame| server.on_frame(frame, OPENED + 100).unwrap()).next_back();
    let Accepted { connection, frames, queued } =
        server.accept(&sign_in(event.unwrap()), accept(OPENED + 104));
    assert!(queued.is_empty());
    let event = frames.iter().map(|frame| client.on_frame(frame).unwrap()).next_back();
    let Some(ClientEvent::Connected(connected)) = event else { panic!("{event:?}") };
    let Finished { connection: client, .. } = client.finish(&connected, OPENED + 204 + ahead);
    (connection, client)
}
