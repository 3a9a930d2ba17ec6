//! Documents from the command line: the same from a running server and from its store, with why.

#![expect(clippy::indexing_slicing, reason = "a value of JSON that is not there is null")]

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidelog_tests::{Server, tidelog};

const ANN: &[&str] = &["Authorization: Bearer ann", "Content-Type: application/json"];

/// Ann's actions, each with what she had seen: the number of actions before it.
async fn push(server: &Server, actions: &[Value]) -> anyhow::Result<()> {
    for (nth, action) in actions.iter().enumerate() {
        let seen = server.get("/v1/docs/cart", ANN).await?;
        let cursor = serde_json::from_str::<Value>(&seen.body)?["cursor"].clone();
        let id = format!("{} ann:phone:{nth} 0", 1000 + nth);
        let body =
            json!({ "actions": [[action, { "id": id, "time": 1000 + nth }]], "seen": cursor });
        let answer = server.request("POST", "/v1/log", ANN, &body.to_string()).await?;
        ensure!(answer.body.contains("processed"), "{answer:?}");
    }
    Ok(())
}

async fn doc(server: &Server, arguments: &[&str]) -> anyhow::Result<String> {
    let data = server.data().to_str().context("a path that is no text")?;
    let ran =
        tidelog([&["doc", "cart", "--user", "ann", "--data", data], arguments].concat()).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(ran.out)
}

#[tokio::test]
async fn a_document_and_why_it_is_so_are_printed_beside_a_server_and_without_one()
-> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let set = |op: &str, value: &str| json!({ "type": format!("crdt/set/{op}"), "doc": "cart", "path": ["items"], "value": value });
    let name = |op: &str, field: &str, value: Value| json!({ "type": format!("crdt/{op}"), "doc": "cart", "path": ["name"], field: value });
    push(
        &server,
        &[
            set("add", "apples"),
            set("add", "pears"),
            set("remove", "apples"),
            name("register/set", "value", json!("mine")),
            // What is there is a register, so this has no effect.
            name("counter/add", "by", json!(1)),
        ],
    )
    .await?;
    let ask: [&[&str]; 4] =
        [&["--json"], &[], &["--why", "items", "--json"], &["--why", r#"["name"]"#]];
    let mut live = Vec::new();
    for arguments in ask {
        live.push(doc(&server, arguments).await?);
    }
    server.stop().await?;
    for (arguments, live) in ask.iter().zip(&live) {
        let stopped = doc(&server, arguments).await?;
        ensure!(stopped == *live, "{arguments:?}: {live}\nand stopped: {stopped}");
    }
    let [whole, text, items, name] = &live[..] else { anyhow::bail!("four answers") };
    let whole: Value = serde_json::from_str(whole)?;
    ensure!(whole["value"] == json!({ "items": ["pears"], "name": "mine" }), "{whole}");
    ensure!(whole["through"] == 5 && whole["changed"] == 5 && whole["user"] == "ann", "{whole}");
    ensure!(text.starts_with("cart of user ann, up to position 5"), "{text}");
    ensure!(text.contains("\"pears\""), "{text}");
    let items: Value = serde_json::from_str(items)?;
    let fates = items["why"]["parts"].as_array().context("parts")?;
    let fate = |id: &str| fates.iter().find(|part| part["entry"]["id"] == id);
    let apples = fate("1000 ann:phone:0 0").context("the apples")?;
    ensure!(apples["fate"] == "replaced", "{items}");
    ensure!(apples["other"]["id"] == "1002 ann:phone:2 0", "{items}");
    ensure!(fate("1001 ann:phone:1 0").context("the pears")?["fate"] == "makes", "{items}");
    ensure!(fate("1002 ann:phone:2 0").context("the removal")?["fate"] == "took-away", "{items}");
    ensure!(
        name.contains("shows a register: \"mine\"") && name.contains("makes the value"),
        "{name}"
    );
    ensure!(name.contains("has no effect while there is a register"), "{name}");
    Ok(())
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let data = server.data().to_str().context("a path that is no text")?.to_owned();
    for (arguments, expected) in [
        (&["doc", "cart"][..], "--user"),
        (&["doc", "", "--user", "ann"], "a document's name has 1 to 256 bytes"),
        (&["doc", "cart", "--user", "ann", "--why", "[1"], "JSON array"),
    ] {
        let ran = tidelog([arguments, &["--data", &data]].concat()).await?;
        ensure!(!ran.good && ran.err.contains(expected), "{arguments:?}: {ran:?}");
    }
    Ok(())
}
