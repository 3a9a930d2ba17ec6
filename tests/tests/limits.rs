//! The limits of connections, at their edges, on a real server: what is just within passes, one more is
//! answered as `docs/configuration.md` says. The others have their edges elsewhere:
//!
//! | setting | tested in |
//! |---|---|
//! | `window_entries`, `window_bytes` | `session/tests/{history,answers}.rs`, `history.rs` here |
//! | `ingest_queue_bytes` | `server/tests/log/limits.rs` |
//! | `frame_budget_bytes` | `server/src/ws/metered/tests.rs`, `greedy.rs` |
//! | `memory`, `outgoing_bytes`, `drain`, `[admission]` | `storms.rs`; `server/src/{config/memory,leaving,admission}` |
//! | `handshake` | `hostile.rs`, `tls.rs` |
//! | `ping`, `timeout` | `protocol/tests/peer/connection.rs`, to the millisecond; `hostile.rs` |
//! | `body_bytes`, `page_actions`, `page_bytes`, `wait` | `server/src/http/tests/limits.rs` |
//! | `sign_in_failures`, `sign_in_window`, `sign_in_failures_per_address` | `server/src/auth/limiter.rs`, `http/tests/sign_in.rs` |
//! | `actions_per_second`, `actions_burst`, `kept_bytes_per_user` | `server/src/http/tests/quotas.rs`, `ingest/tests.rs` |
//! | `node_records` | `server/src/nodes.rs` |
//!
//! Of the form of frames, bytes and JSON, `protocol/tests/codec/{limits,binary_limits}.rs` has every limit.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidelog_client_sim::wire::Wire;
use tidelog_tests::{Options, Server, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const LIMITS: &str = r#"
[limits]
sessions_per_user = 2
subscriptions_per_session = 2
frame_bytes_before_sign_in = 400
frame_bytes = 4000
actions_per_frame = 3
action_bytes = 200
type_bytes = 20
json_depth = 4
headers_bytes = 60
addresses_per_action = 3

[[action]]
type = "to"
users = ["{action.to}"]

[[action]]
type = "*"

[[channel]]
pattern = "c/:id"
"#;

async fn start(config: &str) -> anyhow::Result<Server> {
    Server::start_with(Options { config: config.to_owned(), ..Options::default() }).await
}

fn connect(user: &str) -> String {
    format!(r#"["connect",5,"{user}:c:t",0,{{"token":"x"}}]"#)
}

async fn signed_in(server: &Server, user: &str) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(connect(user));
    hears(&mut wire, r#"["connected""#).await?;
    Ok(wire)
}

/// Reads up to a frame with this in it.
async fn hears(wire: &mut Wire, text: &str) -> anyhow::Result<()> {
    let mut heard = Vec::new();
    loop {
        let Some(frame) = within(text, wire.next()).await? else {
            anyhow::bail!("closed before {text}, after {heard:?}");
        };
        let frame = String::from_utf8(frame.bytes().to_vec())?;
        if frame.contains(text) {
            return Ok(());
        }
        heard.push(frame);
    }
}

/// `wrong-format` with this sentence, and the end.
async fn is_told(wire: &mut Wire, sentence: &str) -> anyhow::Result<()> {
    hears(wire, &serde_json::to_string(&json!(["error", "wrong-format", sentence]))?).await?;
    let end = within("the end", wire.next()).await?;
    ensure!(end.is_none(), "the connection goes on after {sentence}");
    Ok(())
}

/// `text` with blanks behind it, which mean nothing in JSON.
fn padded(text: &str, bytes: usize) -> String {
    format!("{text:<bytes$}")
}

fn sync(actions: &[Value]) -> String {
    let pairs =
        (1..).zip(actions).flat_map(|(n, action)| [action.clone(), json!({"id": n, "time": n})]);
    let frame: Value = [json!("sync"), json!(1)].into_iter().chain(pairs).collect();
    frame.to_string()
}

/// An action so many bytes long.
fn note(bytes: usize) -> Value {
    let note = |text: &str| json!({"type": "note", "x": text});
    note(&"x".repeat(bytes - note("").to_string().len()))
}

/// What is one more than a limit allows.
enum Over {
    /// It ends the connection, with this sentence.
    Ends(&'static str),
    /// It is undone for this reason, and the connection goes on.
    Undone(&'static str),
}

/// One row of the table: what is sent at the edge, what answers that, and what is sent beyond.
struct Row {
    limit: &'static str,
    within: String,
    answer: &'static str,
    beyond: String,
    over: Over,
}

fn rows() -> Vec<Row> {
    let headers = |bytes: usize| json!(["headers", {"a": "x".repeat(bytes - 8)}]).to_string();
    let typed = |length: usize| sync(&[json!({"type": "t".repeat(length)})]);
    let to = |users: &[&str]| sync(&[json!({"type": "to", "to": users})]);
    let row = |limit, within, answer, beyond, over| Row { limit, within, answer, beyond, over };
    let (synced, processed) = (r#"["synced",1]"#, "logux/processed");
    vec![
        row(
            "frame_bytes_before_sign_in",
            padded(r#"["ping",1]"#, 400),
            r#"["pong""#,
            padded(r#"["ping",1]"#, 401),
            Over::Ends("a message other than sync has at most 400 bytes"),
        ),
        row(
            "frame_bytes",
            padded(r#"["sync",1]"#, 4000),
            synced,
            padded(r#"["sync",1]"#, 4001),
            Over::Ends("a frame has at most 4000 bytes"),
        ),
        row(
            "actions_per_frame",
            sync(&vec![note(50); 3]),
            synced,
            sync(&vec![note(50); 4]),
            Over::Ends("a sync has at most 3 actions"),
        ),
        row(
            "action_bytes",
            sync(&[note(200)]),
            processed,
            sync(&[note(201)]),
            Over::Undone("tooLarge"),
        ),
        row(
            "type_bytes",
            typed(20),
            processed,
            typed(21),
            Over::Ends("an action's type has at most 20 bytes"),
        ),
        row(
            "json_depth",
            sync(&[json!({"type": "note", "x": [[[1]]]})]),
            processed,
            sync(&[json!({"type": "note", "x": [[[[]]]]})]),
            Over::Ends("arrays and objects nest at most 4 deep"),
        ),
        row(
            "headers_bytes",
            headers(60),
            "",
            headers(61),
            Over::Ends("headers have at most 60 bytes"),
        ),
        row(
            "addresses_per_action",
            to(&["1", "2", "3"]),
            processed,
            to(&["1", "2", "3", "4"]),
            Over::Undone("error"),
        ),
    ]
}

#[tokio::test]
async fn what_is_just_within_a_limit_passes_and_one_more_does_not() -> anyhow::Result<()> {
    let server = start(LIMITS).await?;
    for (n, Row { limit, within, answer, beyond, over }) in rows().into_iter().enumerate() {
        let edge = async {
            let mut wire = signed_in(&server, &format!("user{n}")).await?;
            wire.send(within);
            if answer.is_empty() {
                // Nothing answers it, but what comes next is.
                wire.send(r#"["ping",1]"#);
            }
            hears(&mut wire, if answer.is_empty() { r#"["pong""# } else { answer }).await?;
            // Under ids of their own.
            wire.send(beyond.replace(r#"{"id":"#, r#"{"id":1"#));
            match over {
                Over::Ends(sentence) => is_told(&mut wire, sentence).await,
                Over::Undone(reason) => {
                    hears(&mut wire, &format!(r#""reason":"{reason}""#)).await?;
                    wire.send(r#"["ping",1]"#);
                    hears(&mut wire, r#"["pong""#).await
                }
            }
        };
        edge.await.with_context(|| limit)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_frame_before_sign_in_may_be_so_long() -> anyhow::Result<()> {
    let server = start(LIMITS).await?;
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(padded(&connect("1"), 400));
    hears(&mut wire, r#"["connected""#).await?;
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(padded(&connect("2"), 401));
    is_told(&mut wire, "a frame has at most 400 bytes").await
}

#[tokio::test]
async fn a_session_has_so_many_subscriptions() -> anyhow::Result<()> {
    let server = start(LIMITS).await?;
    let mut wire = signed_in(&server, "1").await?;
    for (n, answer) in [(1, "logux/processed"), (2, "logux/processed"), (3, "tooManySubscriptions")]
    {
        let action = format!(r#"{{"type":"logux/subscribe","channel":"c/{n}"}}"#);
        wire.send(format!(r#"["sync",{n},{action},{{"id":{n},"time":{n}}}]"#));
        hears(&mut wire, answer).await?;
    }
    // What ends makes room.
    wire.send(r#"["sync",4,{"type":"logux/unsubscribe","channel":"c/1"},{"id":4,"time":4}]"#);
    hears(&mut wire, r#"["synced",4]"#).await?;
    wire.send(r#"["sync",5,{"type":"logux/subscribe","channel":"c/3"},{"id":5,"time":5}]"#);
    hears(&mut wire, "logux/processed").await
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_goes_for_a_new_one() -> anyhow::Result<()> {
    let server = start(LIMITS).await?;
    let open = async |client: &str| {
        let mut wire = Wire::open(server.address(), None).await?;
        wire.send(format!(r#"["connect",5,"10:{client}:t",0,{{"token":"x"}}]"#));
        hears(&mut wire, r#"["connected""#).await?;
        anyhow::Ok(wire)
    };
    let (mut first, mut second) = (open("a").await?, open("b").await?);
    for wire in [&mut first, &mut second] {
        wire.send(r#"["ping",1]"#);
        hears(wire, r#"["pong""#).await?;
    }
    let mut third = open("c").await?;
    while within("the end of the first", first.next()).await?.is_some() {}
    for wire in [&mut second, &mut third] {
        wire.send(r#"["ping",1]"#);
        hears(wire, r#"["pong""#).await?;
    }
    Ok(())
}

#[tokio::test]
async fn so_many_connections_are_open_and_one_more_is_closed_at_once() -> anyhow::Result<()> {
    let server = start("[limits]\nconnections = 2\n").await?;
    let mut one = signed_in(&server, "1").await?;
    let two = signed_in(&server, "2").await?;
    let mut third = TcpStream::connect(server.address()).await?;
    let heard = within("the end", third.read(&mut [0; 64])).await?;
    ensure!(!matches!(heard, Ok(1..)), "it was let in");
    one.send(r#"["ping",1]"#);
    hears(&mut one, r#"["pong""#).await?;
    two.close().await;
    // As soon as the server knows that it is gone.
    let again = async { while signed_in(&server, "3").await.is_err() {} };
    within("room for another", again).await
}

#[tokio::test]
async fn stopping_waits_so_long_for_a_request_and_no_longer() -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt;
    let mut server = start("[limits]\ndrain = \"200ms\"\ntimeout = \"1h\"\n").await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    let head = "POST /v1/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await?;
    // What comes after the head was read on another connection.
    drop(signed_in(&server, "1").await?);
    server.stop().await
}
