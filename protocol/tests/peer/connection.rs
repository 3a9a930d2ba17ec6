use super::{OPENED, action, headers, met, meta, text};
use proptest::prelude::*;
use std::collections::VecDeque;
use tidelog_protocol::peer::{Connection, Outstanding, Received, SentSync, Tick};
use tidelog_protocol::{Frame, Meta, WireError};

const BASE: u64 = OPENED + 104;
const CLIENT: &str = "10:client:tab";

/// Sends a sync of one action with a token.
fn send(from: &mut Connection, number: u64, token: u64, now: u64) -> Frame {
    let action = action(r#"{"type":"note"}"#);
    let meta = meta("server:srv", BASE);
    from.sync(number, [(&action, &meta)], token, now)
}

#[test]
fn a_sync_arrives_with_its_ids_whole() {
    let (mut server, mut client) = met(0);
    let (mine, theirs) = (action(r#"{"type":"a"}"#), action(r#"{"type":"b"}"#));
    let other = Meta { subprotocol: Some(7), ..meta("20:c:t", BASE - 5) };
    let frame = client.sync(
        3,
        [(&mine, &Meta { subprotocol: Some(10), ..meta(CLIENT, BASE + 1) }), (&theirs, &other)],
        0,
        BASE,
    );
    assert_eq!(
        frame,
        text(concat!(
            r#"["sync",3,{"type":"a"},{"id":1,"time":1},"#,
            r#"{"type":"b"},{"id":[-5,"20:c:t",0],"time":-5,"subprotocol":7}]"#
        )),
        "the subprotocol that connect named goes without saying"
    );
    let Ok(Received::Sync(sync)) = server.receive(&frame, BASE) else { panic!("a sync") };
    assert_eq!(sync.number, 3);
    let metas: Vec<_> = sync.batch.iter().map(|pair| &pair.meta).collect();
    assert_eq!(metas, [&Meta { subprotocol: Some(10), ..meta(CLIENT, BASE + 1) }, &other]);
    assert_eq!(server.synced(3, BASE), text(r#"["synced",3]"#));
}

#[test]
fn a_server_always_names_the_subprotocol_it_knows() {
    let (mut server, mut client) = met(0);
    let action = action(r#"{"type":"a"}"#);
    let named = Meta { subprotocol: Some(11), ..meta("server:srv", BASE) };
    let frame = server.sync(0, [(&action, &named), (&action, &meta("server:srv", BASE))], 0, BASE);
    assert_eq!(
        frame,
        text(concat!(
            r#"["sync",0,{"type":"a"},{"id":0,"time":0,"subprotocol":11},"#,
            r#"{"type":"a"},{"id":0,"time":0}]"#
        ))
    );
    let Ok(Received::Sync(sync)) = client.receive(&frame, BASE) else { panic!("a sync") };
    assert!(sync.batch.iter().all(|pair| pair.meta.subprotocol == Some(11)));
}

#[test]
fn an_empty_sync_is_a_sync() {
    let (mut server, _) = met(0);
    let Ok(Received::Sync(sync)) = server.receive(&text(r#"["sync",1]"#), BASE) else {
        panic!("a sync")
    };
    assert_eq!((sync.number, sync.batch.len()), (1, 0));
}

#[test]
fn a_clock_that_is_ahead_is_corrected_in_both_directions() {
    let ahead = 3_600_000;
    let (mut server, mut client) = met(ahead);
    assert_eq!(client.link().time_fix, 3_600_000);
    let action = action(r#"{"type":"a"}"#);
    let frame = client.sync(1, [(&action, &meta(CLIENT, BASE + ahead + 5))], 0, BASE + ahead);
    let Ok(Received::Sync(sync)) = server.receive(&frame, BASE) else { panic!("a sync") };
    let there = &sync.batch[0].meta;
    assert_eq!((there.id.ms, there.time), (BASE + ahead + 5, BASE + 5), "an id is never shifted");
    let frame = server.sync(1, [(&action, &meta("server:srv", BASE))], 0, BASE);
    let Ok(Received::Sync(sync)) = client.receive(&frame, BASE + ahead) else { panic!("a sync") };
    let there = &sync.batch[0].meta;
    assert_eq!((there.id.ms, there.time), (BASE, BASE + ahead));
}

#[test]
fn acknowledgements_are_matched_in_order_and_not_by_number() {
    let (mut server, _) = met(0);
    for token in [100, 101, 102] {
        send(&mut server, 0, token, BASE + token);
    }
    let bytes = send(&mut server, 5, 103, BASE + 103).len();
    let outstanding = Outstanding { count: 4, bytes: 4 * bytes };
    assert_eq!(server.outstanding(), outstanding);
    for token in [100, 101, 102, 103] {
        let number = if token == 103 { 5 } else { 0 };
        let expected = SentSync { number, token, bytes, sent_ms: BASE + token };
        let received = server.receive(&text(r#"["synced",0]"#), BASE + 200);
        assert_eq!(received, Ok(Received::Synced(expected)));
    }
    assert_eq!(server.outstanding(), Outstanding::default());
    assert_eq!(server.receive(&text(r#"["synced",5]"#), BASE + 200), Ok(Received::Nothing));
    assert_eq!(server.outstanding(), Outstanding::default());
}

proptest! {
    #[test]
    fn the_window_is_what_was_sent_and_not_acknowledged(
        steps in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let (mut server, _) = met(0);
        let mut model = VecDeque::new();
        for (token, send_one) in (0_u64..).zip(steps) {
            if send_one {
                model.push_back((token, send(&mut server, token, token, BASE).len()));
            } else {
                let expected = model.pop_front();
                let received = server.receive(&text(r#"["synced",0]"#), BASE).unwrap();
                match (received, expected) {
                    (Received::Synced(sent), Some(there)) => {
                        prop_assert_eq!((sent.token, sent.bytes), there);
                    }
                    (Received::Nothing, None) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            let bytes = model.iter().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(server.outstanding(), Outstanding { count: model.len(), bytes });
        }
    }
}

#[test]
fn numbers_that_are_sent_never_fall() {
    let (mut server, _) = met(0);
    assert_eq!(server.pong(7, BASE), text(r#"["pong",7]"#));
    assert_eq!(server.ping(7, BASE), text(r#"["ping",7]"#));
    assert_eq!(server.synced(3, BASE), text(r#"["synced",3]"#), "an echo is not ours");
    let fall = std::panic::AssertUnwindSafe(|| server.pong(6, BASE));
    let frame = std::panic::catch_unwind(fall).ok();
    // A debug build stops there; a release build sends the number before.
    let expected = (!cfg!(debug_assertions)).then(|| text(r#"["pong",7]"#));
    assert_eq!(frame, expected);
}

#[test]
fn pings_pongs_headers_errors_and_texts_arrive() {
    let (mut server, mut client) = met(0);
    let now = BASE;
    let frame = client.ping(4, now);
    assert_eq!(server.receive(&frame, now), Ok(Received::Ping(4)));
    let frame = server.pong(9, now);
    assert_eq!(client.receive(&frame, now), Ok(Received::Pong(9)));
    let french = headers(r#"{"locale":"fr"}"#);
    let frame = client.headers(&french, now);
    assert_eq!(server.receive(&frame, now), Ok(Received::Headers(french)));
    let frame = server.debug("Error: \"x\"\n".into(), now);
    assert_eq!(client.receive(&frame, now), Ok(Received::Debug("Error: \"x\"\n".into())));
    let quota = WireError::Custom { kind: "over-quota".into(), options: 5.into() };
    let frame = server.error(&quota, now);
    assert_eq!(frame, text(r#"["error","over-quota",5]"#));
    assert_eq!(client.receive(&frame, now), Ok(Received::Error(quota)));
}

#[test]
fn a_quiet_server_pings_after_20_seconds_and_a_quiet_client_after_10() {
    let (server, client) = met(0);
    for (peer, start, idle) in [(server, BASE, 20_000), (client, BASE + 100, 10_000)] {
        assert_eq!(peer.deadline(), start + idle);
        assert_eq!(peer.tick(start + idle - 1), Tick::Nothing);
        assert_eq!(peer.tick(start + idle), Tick::Ping);
    }
}

#[test]
fn any_message_in_or_out_puts_the_ping_off() {
    let (mut server, _) = met(0);
    let quiet_until = |server: &Connection, last| {
        assert_eq!(server.deadline(), last + 20_000);
        assert_eq!(server.tick(last + 19_999), Tick::Nothing);
    };
    server.receive(&text(r#"["ping",0]"#), BASE + 1).unwrap();
    quiet_until(&server, BASE + 1);
    server.pong(0, BASE + 2);
    quiet_until(&server, BASE + 2);
    server.synced(0, BASE + 3);
    quiet_until(&server, BASE + 3);
    server.headers(&headers("{}"), BASE + 4);
    quiet_until(&server, BASE + 4);
    send(&mut server, 0, 0, BASE + 5);
    quiet_until(&server, BASE + 5);
    assert!(server.receive(&text("[]"), BASE + 6).is_err());
    quiet_until(&server, BASE + 5);
}

#[test]
fn a_ping_is_asked_once_and_waits_70_seconds_for_its_answer() {
    let (mut server, _) = met(0);
    let asked = BASE + 20_000;
    server.ping(0, asked);
    assert_eq!(server.deadline(), asked + 70_000);
    assert_eq!(server.tick(asked + 69_999), Tick::Nothing);
    assert_eq!(server.tick(asked + 70_000), Tick::TimedOut);
    // Other messages are no answer to it.
    server.receive(&text(r#"["ping",0]"#), asked + 60_000).unwrap();
    assert_eq!(server.tick(asked + 70_000), Tick::TimedOut);
    server.receive(&text(r#"["pong",0]"#), asked + 69_000).unwrap();
    assert_eq!(server.tick(asked + 70_000), Tick::Nothing);
    assert_eq!(server.tick(asked + 89_000), Tick::Ping);
}

#[test]
fn a_sync_waits_70_seconds_from_the_last_acknowledgement_before_it() {
    let (mut server, _) = met(0);
    send(&mut server, 1, 1, BASE);
    send(&mut server, 2, 2, BASE + 1_000);
    server.ping(2, BASE + 21_000);
    server.receive(&text(r#"["pong",0]"#), BASE + 22_000).unwrap();
    assert_eq!(server.tick(BASE + 69_999), Tick::Ping);
    assert_eq!(server.tick(BASE + 70_000), Tick::TimedOut);
    server.receive(&text(r#"["synced",1]"#), BASE + 60_000).unwrap();
    assert_eq!(server.tick(BASE + 129_999), Tick::Ping);
    assert_eq!(server.tick(BASE + 130_000), Tick::TimedOut);
    server.receive(&text(r#"["synced",2]"#), BASE + 100_000).unwrap();
    assert_eq!(server.deadline(), BASE + 120_000);
    assert_eq!(server.tick(BASE + 119_999), Tick::Nothing);
}
