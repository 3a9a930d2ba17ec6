use super::{OPENED, accept, headers, hello, met, node, sign_in, text, texts};
use std::sync::Arc;
use tidelog_protocol::peer::{
    ClientEvent, ClientHandshake, HandshakeEvent, Received, ServerHandshake, Settings, Tick,
};
use tidelog_protocol::{Limits, WireError};

const CONNECT: &str = r#"["connect",5,"10:client:tab",7,{"token":"good:10","subprotocol":10}]"#;

fn server(settings: Settings) -> ServerHandshake {
    ServerHandshake::new(OPENED, &Arc::new(settings))
}

fn take(server: &mut ServerHandshake, frame: &str) -> Result<HandshakeEvent, WireError> {
    server.on_frame(&text(frame), OPENED + 100)
}

fn wrong_format(frame: &str) -> WireError {
    WireError::WrongFormat(frame.into())
}

#[test]
fn a_client_sends_headers_and_connect_and_a_server_answers_in_the_same_order() {
    let (mut client, sent) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), hello());
    assert_eq!(texts(&sent), [r#"["headers",{"locale":"en"}]"#, CONNECT]);

    let mut server = server(Settings::server());
    assert_eq!(server.on_frame(&sent[0], OPENED + 1), Ok(HandshakeEvent::Wait));
    let sign_in = sign_in(server.on_frame(&sent[1], OPENED + 2).unwrap());
    assert_eq!((&sign_in.node, sign_in.synced), (&node("10:client:tab"), 7));
    assert_eq!((sign_in.token.as_deref(), sign_in.subprotocol), (Some("good:10"), 10));
    assert_eq!(sign_in.headers, Some(headers(r#"{"locale":"en"}"#)));
    assert_eq!(sign_in.received_ms, OPENED + 2);
    assert!(!format!("{sign_in:?}").contains("good:10"), "a token is never shown");

    let accepted = server.accept(&sign_in, accept(OPENED + 5));
    assert_eq!(
        texts(&accepted.frames),
        [
            r#"["headers",{"env":"development"}]"#,
            r#"["connected",5,"server:srv",[1795222838002,1795222838005],{"subprotocol":11}]"#
        ]
    );
    assert_eq!(client.on_frame(&accepted.frames[0]), Ok(ClientEvent::Wait));
    let Ok(ClientEvent::Connected(connected)) = client.on_frame(&accepted.frames[1]) else {
        panic!("connected");
    };
    let finished = client.finish(&connected, OPENED + 7);
    assert_eq!(finished.headers, Some(headers(r#"{"env":"development"}"#)));
    for (here, there) in [
        (accepted.connection.link(), finished.connection.link()),
        (finished.connection.link(), accepted.connection.link()),
    ] {
        assert_eq!(
            (&here.local, &here.remote, here.base),
            (&there.remote, &there.local, OPENED + 5)
        );
    }
}

#[test]
fn without_headers_token_and_subprotocol_nothing_is_sent_for_them() {
    let bare = super::Hello { token: None, subprotocol: 0, headers: None, synced: 0, ..hello() };
    let (_, sent) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), bare);
    assert_eq!(texts(&sent), [r#"["connect",5,"10:client:tab",0]"#]);

    let mut server = server(Settings::server());
    let sign_in = sign_in(server.on_frame(&sent[0], OPENED).unwrap());
    assert_eq!((&sign_in.token, sign_in.subprotocol, &sign_in.headers), (&None, 0, &None));
    let bare = super::Accept { subprotocol: 0, headers: None, ..accept(OPENED) };
    assert_eq!(
        texts(&server.accept(&sign_in, bare).frames),
        [r#"["connected",5,"server:srv",[1795222838000,1795222838000]]"#]
    );
}

#[test]
fn a_later_headers_frame_replaces_the_earlier_one() {
    let mut server = server(Settings::server());
    take(&mut server, r#"["headers",{"locale":"en","a":1}]"#).unwrap();
    take(&mut server, r#"["headers",{"locale":"fr"}]"#).unwrap();
    let headers = sign_in(take(&mut server, CONNECT).unwrap()).headers.unwrap();
    assert_eq!(headers.get::<String>("locale").as_deref(), Some("fr"));
    assert_eq!((headers.get::<u8>("a"), headers.get::<u8>("locale")), (None, None));
}

#[test]
fn protocol_is_checked_before_subprotocol_and_subprotocol_before_user() {
    let settings = Settings { min_subprotocol: 5, ..Settings::server() };
    let refused = |frame| take(&mut server(settings.clone()), frame).unwrap_err();
    assert_eq!(
        refused(r#"["connect",3,"server:x",0,{"subprotocol":"1.0.0"}]"#),
        WireError::WrongProtocol { supported: 4, used: 3 }
    );
    assert_eq!(
        refused(r#"["connect",5,"server:x",0,{"subprotocol":4}]"#),
        WireError::WrongSubprotocol { supported: 5, used: 4 }
    );
    assert_eq!(
        refused(r#"["connect",5,"server:x",0]"#),
        WireError::WrongSubprotocol { supported: 5, used: 0 }
    );
    assert_eq!(
        refused(r#"["connect",5,"server:x",0,{"subprotocol":5}]"#),
        WireError::WrongCredentials
    );
    let mut server = server(settings);
    sign_in(take(&mut server, r#"["connect",5,"servers:x",0,{"subprotocol":5}]"#).unwrap());
}

#[test]
fn a_refusal_is_the_frame_that_clients_know() {
    let refuse = |error| server(Settings::server()).refuse(&error);
    for (error, frame) in [
        (WireError::WrongCredentials, r#"["error","wrong-credentials"]"#),
        (WireError::Bruteforce, r#"["error","bruteforce"]"#),
        (
            WireError::WrongSubprotocol { supported: 5, used: 2 },
            r#"["error","wrong-subprotocol",{"supported":5,"used":2}]"#,
        ),
    ] {
        assert_eq!(refuse(error), text(frame));
    }
}

#[test]
fn what_comes_before_sign_in_is_kept_and_answered_after_it_in_order() {
    let mut server = server(Settings::server());
    let early =
        [r#"["ping",0]"#, r#"["sync",1,{"type":"a"},{"id":-1,"time":-1}]"#, r#"["synced",3]"#];
    for frame in early {
        assert_eq!(take(&mut server, frame), Ok(HandshakeEvent::Wait));
    }
    let sign_in = sign_in(take(&mut server, CONNECT).unwrap());
    let late = [r#"["headers",{"locale":"fr"}]"#, r#"["sync",2,{"type":"b"},{"id":0,"time":0}]"#];
    for frame in late {
        assert_eq!(take(&mut server, frame), Ok(HandshakeEvent::Wait));
    }
    let mut accepted = server.accept(&sign_in, accept(OPENED + 104));
    assert_eq!(texts(&accepted.queued), [&early[..], &late[..]].concat());
    let replayed: Vec<_> = accepted
        .queued
        .iter()
        .map(|frame| accepted.connection.receive(frame, OPENED + 104).unwrap())
        .collect();
    let [
        Received::Ping(0),
        Received::Sync(first),
        Received::Nothing,
        Received::Headers(_),
        Received::Sync(second),
    ] = &replayed[..]
    else {
        panic!("{replayed:?}");
    };
    assert_eq!(first.batch[0].meta.id.to_string(), "1795222838103 10:client:tab 0");
    assert_eq!(first.batch[0].meta.subprotocol, Some(10), "that of connect goes without saying");
    assert_eq!(second.batch[0].meta.time, OPENED + 104);
}

#[test]
fn a_sync_before_sign_in_is_checked_when_it_comes_and_its_times_when_they_mean_something() {
    let mut server = server(Settings::server());
    let bad = r#"["sync",1,{"type":"a"}]"#;
    assert_eq!(take(&mut server, bad), Err(wrong_format(bad)));
    let too_old = r#"["sync",1,{"type":"a"},{"id":0,"time":-1795222838105}]"#;
    take(&mut server, too_old).unwrap();
    let sign_in = sign_in(take(&mut server, CONNECT).unwrap());
    let mut accepted = server.accept(&sign_in, accept(OPENED + 104));
    let replayed = accepted.connection.receive(&accepted.queued[0], OPENED + 104);
    assert_eq!(replayed, Err(wrong_format(too_old)));
}

#[test]
fn no_more_than_the_limits_allow_waits_for_sign_in() {
    let limits = Limits {
        queued_frames_before_sign_in: 2,
        queued_bytes_before_sign_in: 30,
        ..Limits::default()
    };
    let settings = Settings { limits: Arc::new(limits), ..Settings::server() };
    let mut many = server(settings.clone());
    take(&mut many, r#"["ping",0]"#).unwrap();
    take(&mut many, r#"["ping",1]"#).unwrap();
    assert_eq!(
        take(&mut many, r#"["ping",2]"#),
        Err(wrong_format("before sign-in at most 2 frames wait"))
    );
    let mut long = server(settings);
    take(&mut long, r#"["ping",0]"#).unwrap();
    assert_eq!(
        take(&mut long, r#"["ping",1            ]"#),
        Err(wrong_format("before sign-in frames of at most 30 bytes together wait"))
    );
}

#[test]
fn errors_and_debug_texts_before_sign_in_change_nothing() {
    let mut server = server(Settings::server());
    for frame in [r#"["error","over-quota",1]"#, r#"["debug","error","x"]"#] {
        assert_eq!(take(&mut server, frame), Ok(HandshakeEvent::Wait));
    }
    let sign_in = sign_in(take(&mut server, CONNECT).unwrap());
    assert_eq!(server.accept(&sign_in, accept(OPENED)).queued, []);
}

#[test]
fn a_message_of_the_other_role_or_a_second_connect_is_a_wrong_format() {
    let connected = r#"["connected",5,"server:q",[1,2]]"#;
    let mut fresh = server(Settings::server());
    assert_eq!(take(&mut fresh, connected), Err(wrong_format(connected)));
    let mut waiting = server(Settings::server());
    take(&mut waiting, CONNECT).unwrap();
    assert_eq!(take(&mut waiting, CONNECT), Err(wrong_format(CONNECT)));
    let (mut client, _) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), hello());
    assert_eq!(client.on_frame(&text(CONNECT)), Err(wrong_format(CONNECT)));
    let (mut server, mut client) = met(0);
    for frame in [CONNECT, connected] {
        assert_eq!(server.receive(&text(frame), OPENED), Err(wrong_format(frame)));
        assert_eq!(client.receive(&text(frame), OPENED), Err(wrong_format(frame)));
    }
}

#[test]
fn a_socket_that_stays_silent_times_out() {
    let server = server(Settings::server());
    assert_eq!(server.deadline(), OPENED + 70_000);
    assert_eq!(server.tick(OPENED + 69_999), Tick::Nothing);
    assert_eq!(server.tick(OPENED + 70_000), Tick::TimedOut);
    let (client, _) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), hello());
    assert_eq!(client.tick(OPENED + 69_999), Tick::Nothing);
    assert_eq!(client.tick(client.deadline()), Tick::TimedOut);
}

#[test]
fn a_client_hears_why_it_is_not_let_in() {
    let (mut client, _) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), hello());
    for (frame, stops) in [
        (r#"["error","wrong-protocol",{"supported":5,"used":4}]"#, true),
        (r#"["error","wrong-subprotocol",{"supported":5,"used":2}]"#, true),
        (r#"["error","wrong-credentials"]"#, true),
        (r#"["error","bruteforce"]"#, false),
        (r#"["error","wrong-format","x"]"#, false),
        (r#"["error","over-quota"]"#, false),
    ] {
        let Ok(ClientEvent::Error(error)) = client.on_frame(&text(frame)) else {
            panic!("{frame}");
        };
        assert_eq!(error.stops_client(), stops, "{frame}");
        assert_eq!(error.closes(), error.kind() != "over-quota", "{frame}");
    }
}

#[test]
fn a_client_checks_the_servers_versions() {
    let settings = Settings { min_subprotocol: 5, ..Settings::client() };
    let (mut client, _) = ClientHandshake::new(OPENED, &Arc::new(settings), hello());
    let mut refused = |frame: &str| client.on_frame(&text(frame)).unwrap_err();
    assert_eq!(
        refused(r#"["connected",4,"server:srv",[1,2]]"#),
        WireError::WrongProtocol { supported: 5, used: 4 }
    );
    assert_eq!(
        refused(r#"["connected",5,"server:srv",[1,2],{"subprotocol":4}]"#),
        WireError::WrongSubprotocol { supported: 5, used: 4 }
    );
}

#[test]
fn what_a_server_sends_too_early_waits_for_connected() {
    let (mut client, _) = ClientHandshake::new(OPENED, &Arc::new(Settings::client()), hello());
    assert_eq!(client.on_frame(&text(r#"["ping",0]"#)), Ok(ClientEvent::Wait));
    let Ok(ClientEvent::Connected(connected)) =
        client.on_frame(&text(r#"["connected",5,"server:srv",[1,2]]"#))
    else {
        panic!("connected");
    };
    assert_eq!(texts(&client.finish(&connected, OPENED).queued), [r#"["ping",0]"#]);
}
