//! What an author had seen of a channel decides what its removal takes away, by whatever way it came.

#![expect(clippy::indexing_slicing, reason = "a value of JSON that is not there is null")]

use anyhow::ensure;
use bytes::Bytes;
use serde_json::{Value, json};
use tidelog_client_sim::client::Client;
use tidelog_client_sim::now_ms;
use tidelog_protocol::{Action, ActionId, Meta, NodeId};
use tidelog_tests::{Device, LATER_MS, Options, Server, within};

const CONFIG: &str = r#"
[[action]]
type = "crdt/*"
channels = ["board"]

[[channel]]
pattern = "board"
"#;
const BOB: &[&str] =
    &["Authorization: Bearer bob", "Content-Type: application/json", "Tidelog-Client: bob:phone"];

async fn start() -> anyhow::Result<Server> {
    Server::start_with(Options { config: CONFIG.to_owned(), ..Options::default() }).await
}

fn set(operation: &str, value: &str) -> String {
    json!({ "type": format!("crdt/set/{operation}"), "doc": "cart", "value": value }).to_string()
}

/// Ann puts something on the board.
async fn add(server: &Server, value: &str) -> anyhow::Result<ActionId> {
    let mut ann = Device::new(server.target(), "ann", value)?;
    ann.connect().await?;
    let id = ann.dispatch(&set("add", value)).await?;
    ann.until_acknowledged().await?;
    Ok(id)
}

async fn board(server: &Server) -> anyhow::Result<Value> {
    let answer = server.get("/v1/docs/cart?channel=board", &["Authorization: Bearer bob"]).await?;
    Ok(serde_json::from_str::<Value>(&answer.body)?["value"].take())
}

/// A time after all that was done until now.
async fn later() -> u64 {
    let before = now_ms();
    while now_ms() <= before {
        tokio::task::yield_now().await;
    }
    now_ms()
}

#[tokio::test]
async fn who_removes_on_a_channel_takes_away_what_it_was_shown_of_it() -> anyhow::Result<()> {
    let server = start().await?;
    let apples = add(&server, "apples").await?;
    let mut bob = Device::new(server.target(), "bob", "page")?;
    bob.connect().await?;
    bob.dispatch(&set("add", "pears")).await?;
    bob.until_acknowledged().await?;
    // It follows nothing: what is there it never saw, but its own.
    for value in ["apples", "pears"] {
        bob.dispatch(&set("remove", value)).await?;
        bob.until_acknowledged().await?;
    }
    ensure!(board(&server).await? == json!(["apples"]), "{}", board(&server).await?);
    bob.dispatch(r#"{"type":"logux/subscribe","channel":"board"}"#).await?;
    bob.until_heard(&apples).await?;
    bob.until_acknowledged().await?;
    bob.ahead_ms = LATER_MS;
    bob.dispatch(&set("remove", "apples")).await?;
    bob.until_acknowledged().await?;
    ensure!(board(&server).await?.is_null(), "{}", board(&server).await?);
    Ok(())
}

#[tokio::test]
async fn over_http_the_cursor_says_what_was_shown() -> anyhow::Result<()> {
    let server = start().await?;
    add(&server, "apples").await?;
    let pull = |query: &'static str| {
        let server = &server;
        async move {
            let answer = server.get(&format!("/v1/log?{query}"), BOB).await?;
            anyhow::Ok(serde_json::from_str::<Value>(&answer.body)?["cursor"].take())
        }
    };
    for (query, left) in [("", json!(["apples"])), ("channel=board", Value::Null)] {
        let seen = pull(query).await?;
        let action: Value = serde_json::from_str(&set("remove", "apples"))?;
        let body = json!({ "actions": [[action, {}]], "seen": seen });
        let answer = server.request("POST", "/v1/log", BOB, &body.to_string()).await?;
        ensure!(answer.body.contains("processed"), "{answer:?}");
        ensure!(board(&server).await? == left, "{query}: {}", board(&server).await?);
    }
    Ok(())
}

/// A page that keeps its actions acts offline and is closed; the next page of its client sends what it left,
/// before it names its subscriptions.
#[tokio::test]
async fn what_a_closed_page_had_seen_counts_for_the_actions_that_it_left() -> anyhow::Result<()> {
    let mut server = start().await?;
    let apples = add(&server, "apples").await?;
    let mut bob = Device::new(server.target(), "bob", "page")?;
    bob.connect().await?;
    bob.dispatch(r#"{"type":"logux/subscribe","channel":"board"}"#).await?;
    bob.until_heard(&apples).await?;
    bob.until_acknowledged().await?;
    // Behind this, the server knows that it has had the board.
    bob.dispatch(r#"{"type":"crdt/counter/add","doc":"visits"}"#).await?;
    bob.until_acknowledged().await?;
    bob.go_offline();
    let made = later().await;
    // What it had is on disk when the server stops.
    server.stop().await?;
    server.start_again().await?;
    add(&server, "pears").await?;
    let id = ActionId { node: bob.node().clone(), ms: made, sequence: 7 };
    let next = NodeId::new(&format!("{}:next", bob.node().client()))?;
    let mut client =
        within("sign-in", Client::sign_in(&server.target(), &next, bob.number)).await??;
    let removals = ["apples", "pears"].map(|value| {
        let action = Action::new(Bytes::from(set("remove", value)));
        let id = ActionId { sequence: id.sequence + value.len() as u64, ..id.clone() };
        action.map(|action| (action, Meta { id, time: made, subprotocol: None }))
    });
    for removal in removals {
        let (action, meta) = removal?;
        client.send_again([(&action, &meta)], 1);
    }
    client.wire().flush().await?;
    // Their answers come when they are on disk.
    for _ in 0..2 {
        loop {
            let event = within("an acknowledgement", client.next()).await??;
            if matches!(event, tidelog_client_sim::client::Event::Synced(_)) {
                break;
            }
        }
    }
    ensure!(board(&server).await? == json!(["pears"]), "{}", board(&server).await?);
    Ok(())
}
