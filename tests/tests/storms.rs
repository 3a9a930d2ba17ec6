//! Many come at once, and the server says who comes in now, who waits, and who is to come again.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tidelog_client_sim::Process;
use tidelog_client_sim::wire::Wire;
use tidelog_tests::{Answer, Exposition, Options, Server, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

async fn start(config: &str) -> anyhow::Result<Server> {
    Server::start_with(Options { config: config.to_owned(), ..Options::default() }).await
}

/// One client at a time may catch up, and keeps its turn for as long as it likes.
const ONE_AT_A_TIME: &str = "[admission]\nheavy = 1\nheavy_floor = 1\nhold = \"1h\"\n\
    request = \"100ms\"\nbusy = \"2s\"\n\
    [limits]\nwindow_entries = 100\nsessions_per_user = 10_000\n";

/// More than a page.
const MISSED: usize = 150;

async fn post(server: &Server, user: &str, count: usize, text: &str) -> anyhow::Result<Answer> {
    let actions = vec![json!([{"type": "note", "text": text}, {}]); count];
    let token = format!("Authorization: Bearer {user}");
    let headers = [token.as_str(), "Content-Type: application/json", "Tidelog-Client: author"];
    server.request("POST", "/v1/log", &headers, &json!({ "actions": actions }).to_string()).await
}

async fn has_missed(server: &Server, user: &str) -> anyhow::Result<()> {
    let answer = post(server, user, MISSED, "").await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

async fn comes(server: &Server, node: &str) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(format!(r#"["connect",5,"{node}",0,{{"token":"x"}}]"#));
    within("connect to go out", wire.flush()).await??;
    Ok(wire)
}

async fn next(wire: &mut Wire) -> anyhow::Result<Value> {
    let frame = within("a frame", wire.next()).await?.context("the server closed")?;
    Ok(serde_json::from_slice(frame.bytes())?)
}

/// Waits for `connected`; nothing else comes before, but headers.
async fn is_let_in(wire: &mut Wire) -> anyhow::Result<()> {
    loop {
        match next(wire).await?.pointer("/0").and_then(Value::as_str) {
            Some("connected") => return Ok(()),
            Some("headers") => {}
            other => anyhow::bail!("{other:?} before connected"),
        }
    }
}

/// Acknowledges what comes until it has all that it missed.
async fn catches_up(wire: &mut Wire) -> anyhow::Result<()> {
    let mut had = 0;
    while had < MISSED {
        let frame = next(wire).await?;
        let parts = frame.as_array().context("no frame")?;
        if let [kind, number, pairs @ ..] = parts.as_slice()
            && kind == "sync"
        {
            had += pairs.len() / 2;
            wire.send(format!(r#"["synced",{number}]"#));
            within("synced to go out", wire.flush()).await??;
        }
    }
    Ok(())
}

async fn metric(server: &Server, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
    let answer = server.get("/metrics", &["Accept: text/plain"]).await?;
    Ok(Exposition::read(&answer.body, true).context(answer.body)?.sum(name, labels))
}

async fn until_waiting(server: &Server, count: u32) -> anyhow::Result<()> {
    let name = "tidelog_admission_waiting";
    let looking = async {
        while metric(server, name, &[("stage", "heavy")]).await? < f64::from(count) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    within(&format!("{count} who wait"), looking).await?
}

#[tokio::test]
async fn who_waits_is_let_in_in_turn_and_costs_little_until_then() -> anyhow::Result<()> {
    const CROWD: u32 = 400;
    let server = start(ONE_AT_A_TIME).await?;
    has_missed(&server, "ann").await?;
    has_missed(&server, "bob").await?;
    let mut ann = comes(&server, "ann:a:t").await?;
    is_let_in(&mut ann).await?;
    let process = Process::new(server.pid()?);
    let before = process.resident_kib()?;
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        crowd.push(comes(&server, &format!("bob:d{n}:t")).await?);
        // So that they stand in this order.
        if n < 3 {
            until_waiting(&server, n + 1).await?;
        }
    }
    until_waiting(&server, CROWD).await?;
    let each = process.resident_kib()?.saturating_sub(before) / u64::from(CROWD);
    ensure!(each <= 40, "each that waits takes {each} KiB");
    for wire in &mut crowd {
        let heard = tokio::time::timeout(Duration::ZERO, wire.next()).await;
        ensure!(heard.is_err(), "it was told {heard:?} before its turn");
    }
    // The second gives up, and comes back behind all others.
    drop(crowd.remove(1));
    let mut back = comes(&server, "bob:d1:t").await?;
    let [first, third, ..] = crowd.as_mut_slice() else { unreachable!("a crowd") };
    catches_up(&mut ann).await?;
    is_let_in(first).await?;
    catches_up(first).await?;
    is_let_in(&mut back).await?;
    catches_up(&mut back).await?;
    is_let_in(third).await?;
    what_the_crowd_left_is_counted(&server).await
}

/// After three of a crowd were caught up, and a fourth was let in.
async fn what_the_crowd_left_is_counted(server: &Server) -> anyhow::Result<()> {
    const HEAVY: &[(&str, &str)] = &[("class", "heavy")];
    for (name, labels, least) in [
        ("tidelog_caught_up_seconds_count", HEAVY, 3.0),
        ("tidelog_caught_up_seconds_sum", HEAVY, f64::EPSILON),
        ("tidelog_admitted_total", HEAVY, 4.0),
        ("tidelog_admission_inside", HEAVY, 1.0),
        ("tidelog_admission_permits", HEAVY, 1.0),
        ("tidelog_admission_waiting", &[("stage", "heavy")], 300.0),
        ("tidelog_admission_wait_seconds", &[], 1.0),
        ("tidelog_fairness", &[], f64::EPSILON),
    ] {
        let shown = metric(server, name, labels).await?;
        ensure!(shown >= least, "{name} is {shown}");
    }
    ensure!(metric(server, "tidelog_fairness", &[]).await? <= 1.0);
    // It is measured four times a second.
    let looking = async {
        while metric(server, "tidelog_admission_rate", HEAVY).await? <= 0.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    within("a rate", looking).await?
}

#[tokio::test]
async fn a_request_that_asks_for_much_is_told_when_to_come_again_and_a_small_one_is_served()
-> anyhow::Result<()> {
    let server = start(ONE_AT_A_TIME).await?;
    has_missed(&server, "ann").await?;
    let mut ann = comes(&server, "ann:a:t").await?;
    is_let_in(&mut ann).await?;
    let text = "x".repeat(20 << 10);
    let away = post(&server, "eve", 1, &text).await?;
    ensure!(away.status == 503, "{away:?}");
    ensure!(away.body.contains("urn:tidelog:problem:busy"), "{away:?}");
    ensure!(away.header("content-type") == "application/problem+json", "{away:?}");
    ensure!(away.header("cache-control") == "no-store", "{away:?}");
    let seconds: u64 = away.header("retry-after").parse().with_context(|| format!("{away:?}"))?;
    ensure!((1..=300).contains(&seconds), "{away:?}");
    ensure!(post(&server, "eve", 1, "").await?.status == 200);
    ensure!(server.get("/ready", &[]).await?.status == 200, "nobody waits");
    let _crowd = [
        comes(&server, "ann:b:t").await?,
        comes(&server, "ann:c:t").await?,
        comes(&server, "ann:d:t").await?,
    ];
    until_waiting(&server, 3).await?;
    let ready = server.get("/ready", &[]).await?;
    ensure!(ready.status == 503 && ready.body.contains("busy"), "{ready:?}");
    ensure!(metric(&server, "tidelog_admission_wait_seconds", &[]).await? > 2.0);
    ensure!(metric(&server, "tidelog_shed_total", &[("stage", "request")]).await? > 0.5);
    catches_up(&mut ann).await?;
    ensure!(post(&server, "eve", 1, "").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn a_server_that_stops_lets_its_clients_go_one_after_the_other() -> anyhow::Result<()> {
    const CROWD: usize = 600;
    let mut server = start("[limits]\ndrain = \"120s\"\ntimeout = \"1h\"\n").await?;
    // Whose request is not whole, so the server stays until this client has gone.
    let mut last = TcpStream::connect(server.address()).await?;
    let head = "POST /v1/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    last.write_all(head.as_bytes()).await?;
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let mut wire = comes(&server, &format!("user{n}:a:t")).await?;
        is_let_in(&mut wire).await?;
        crowd.spawn(async move {
            while wire.next().await.is_some() {}
            Instant::now()
        });
    }
    server.signal(Server::TERM)?;
    let mut ends = Vec::new();
    let ended = crowd.join_next().await.context("nobody was there")??;
    ends.push(ended);
    // Who comes meanwhile is sent away, and whoever runs the server can still look.
    let late = post(&server, "eve", 1, "").await?;
    ensure!(late.status == 503 && late.body.contains("stopping"), "{late:?}");
    let again: u64 = late.header("retry-after").parse().with_context(|| format!("{late:?}"))?;
    ensure!((1..=7).contains(&again), "all have left after six seconds: {late:?}");
    ensure!(comes(&server, "eve:a:t").await.is_err(), "it was let in");
    ensure!(server.get("/ready", &[]).await?.status == 503);
    while let Some(end) = within("the end of every connection", crowd.join_next()).await? {
        ends.push(end?);
    }
    ends.sort_unstable();
    let (first, last_one) = ends.first().zip(ends.last()).context("nobody left")?;
    let took = last_one.duration_since(*first);
    // One every ten ms; what is measured here may be late at both ends.
    ensure!(took > Duration::from_secs(2), "all went within {took:?}");
    drop(last);
    let status = server.exited().await?;
    ensure!(status.success(), "{status}: {}", server.trace());
    Ok(())
}

#[tokio::test]
async fn a_frame_that_stops_half_way_does_not_keep_its_memory() -> anyhow::Result<()> {
    let server =
        start("[limits]\nframe_budget_bytes = \"8 MiB\"\nping = \"10s\"\ntimeout = \"30s\"\n")
            .await?;
    let mut halves = JoinSet::new();
    let began = Instant::now();
    for n in 0..4 {
        let mut wire = comes(&server, &format!("eve{n}:a:t")).await?;
        is_let_in(&mut wire).await?;
        halves.spawn(async move {
            // A masked text frame of a mebibyte, of which little comes.
            let header = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
            let stream = wire.stream();
            stream.write_all(&header).await?;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok(())
        });
    }
    // They have a quarter of it each; the fifth waits until one of them is cut.
    let reserved = async {
        while metric(&server, "tidelog_frame_bytes", &[]).await? < f64::from(8 << 20) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    within("four halves", reserved).await??;
    let mut bob = comes(&server, "bob:a:t").await?;
    is_let_in(&mut bob).await?;
    let text = "x".repeat(100_000);
    bob.send(format!(r#"["sync",1,{{"type":"note","text":"{text}"}},{{"id":1,"time":1}}]"#));
    while next(&mut bob).await? != json!(["synced", 1]) {}
    let took = began.elapsed();
    ensure!(
        took < Duration::from_secs(25),
        "not before the patience for a frame was over: {took:?}"
    );
    while let Some(half) = within("the end of the halves", halves.join_next()).await? {
        half??;
    }
    Ok(())
}

#[tokio::test]
async fn a_crowd_that_sends_and_never_reads_stays_under_the_ceiling() -> anyhow::Result<()> {
    const CROWD: usize = 1_000;
    const CEILING_MIB: u64 = 256;
    let server = start(&format!(
        "[limits]\nmemory = \"{CEILING_MIB}MiB\"\nping = \"500ms\"\ntimeout = \"5s\"\n\
         [admission]\nlag_target = \"60s\"\n"
    ))
    .await?;
    // Undone, so that each is answered with all of it: 100 MB in all, which nobody takes.
    let text = "x".repeat(5_000);
    let actions = (1..=20)
        .map(|n| format!(r#",{{"type":"logux/foo","text":"{text}"}},{{"id":{n},"time":1}}"#));
    let frame = format!(r#"["sync",1{}]"#, actions.collect::<String>());
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let mut wire = comes(&server, &format!("deaf{n}:a:t")).await?;
        let frame = frame.clone();
        crowd.spawn(async move {
            if is_let_in(&mut wire).await.is_err() {
                return;
            }
            wire.send(frame);
            // It is cut off while it sends, or while it does not read.
            wire.flush().await.ok();
            let stream = wire.stream();
            while stream.write_all(b"\x8a\x80\0\0\0\0").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while let Some(ended) = within("the end of one", crowd.join_next()).await? {
        ended?;
    }
    let peak = server.peak_mib()?;
    ensure!(peak <= CEILING_MIB, "the server has had {peak} MiB");
    Ok(())
}
