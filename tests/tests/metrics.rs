//! What an operator is told of the numbers is what the server shows, and the dashboard asks for
//! nothing else.

use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tidelog_tests::{Device, Exposition, Family, Options, Server, commands, tidelog, within};

/// Labels whose values are too many to list, or differ.
const OPEN: [&str; 6] = ["le", "method", "path", "replica", "status", "version"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A server that has done a bit of everything.
async fn busy() -> anyhow::Result<(Server, Device)> {
    let server = Server::start().await?;
    let mut device = Device::new(server.target(), "zebulon", "phone")?;
    device.connect().await?;
    device.dispatch(r#"{"type":"note"}"#).await?;
    device.dispatch(r#"{"type":"logux/subscribe","channel":"nowhere"}"#).await?;
    device.until_acknowledged().await?;
    server.get("/v1/log", &["Authorization: Bearer zebulon"]).await?;
    Ok((server, device))
}

/// A server that follows `server` as a replica, which is known there by now.
async fn edge(server: &Server) -> anyhow::Result<Server> {
    let data = commands::text(server.data())?;
    let added = tidelog(["replica", "add", "ship-7", "--data", data]).await?;
    let added: serde_json::Value = serde_json::from_str(added.out.trim())?;
    let token = server.data().join("token");
    let text = added.get("token").and_then(serde_json::Value::as_str);
    std::fs::write(&token, text.context("no token")?)?;
    let flags = vec![
        format!("--upstream=ws://{}", server.address()),
        format!("--upstream-token-file={}", token.display()),
    ];
    let edge = Server::start_with(Options { flags, ..Options::default() }).await?;
    let looking = async {
        loop {
            let status = tidelog(["replica", "status", "--data", data]).await?;
            if status.out.contains("\"lacks_actions\":0") {
                return anyhow::Ok(());
            }
        }
    };
    within("the edge is known", looking).await??;
    Ok(edge)
}

async fn scrape(server: &Server, accept: &str, older: bool) -> anyhow::Result<Exposition> {
    let answer = server.get("/metrics", &[&format!("Accept: {accept}")]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Exposition::read(&answer.body, older).context(answer.body)
}

/// The labels of a family, with their values where those are few.
fn labels(family: &Family) -> String {
    let names: BTreeSet<_> = family.samples.iter().flat_map(|it| it.labels.keys()).collect();
    let shown = names.into_iter().filter(|name| *name != "le").map(|name| {
        let values = family.samples.iter().filter_map(|it| it.labels.get(name));
        let values: BTreeSet<_> = values.map(|value| format!("`{value}`")).collect();
        let values = values.into_iter().collect::<Vec<_>>().join(", ");
        if OPEN.contains(&name.as_str()) {
            format!("`{name}`")
        } else {
            format!("`{name}`: {values}")
        }
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn every_metric_is_documented_with_its_type_labels_and_meaning() -> anyhow::Result<()> {
    let (server, _device) = busy().await?;
    let _edge = edge(&server).await?;
    let live = scrape(&server, "text/plain", true).await?;
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for family in &live.families {
        let Family { name, kind, help, .. } = family;
        let help = help.strip_suffix('.').context("help ends with a dot")?;
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels(family))?;
    }
    let docs = file("docs/metrics.md");
    let text = std::fs::read_to_string(&docs)?;
    let (before, rest) = text.split_once("| metric |").context("no table")?;
    let (rows, after) = rest.split_once("\n\n").context("no end of the table")?;
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        std::fs::write(&docs, [before, &table, "\n", after].concat())?;
        return Ok(());
    }
    let shown: BTreeSet<_> = rows.lines().skip(1).collect();
    let expected: BTreeSet<_> = table.lines().skip(1).collect();
    ensure!(
        shown == expected,
        "docs/metrics.md has drifted: run this test with TIDELOG_BLESS=1\nnot documented: {:#?}\nnot there: {:#?}",
        expected.difference(&shown).collect::<Vec<_>>(),
        shown.difference(&expected).collect::<Vec<_>>()
    );
    Ok(())
}

#[tokio::test]
async fn both_formats_say_the_same() -> anyhow::Result<()> {
    let (server, _device) = busy().await?;
    let older = scrape(&server, "text/plain", true).await?;
    let open = scrape(&server, "application/openmetrics-text", false).await?;
    let names = |exposition: &Exposition| -> BTreeSet<(String, String)> {
        let samples = exposition.families.iter().flat_map(|family| {
            family.samples.iter().map(|sample| (sample.name.clone(), family.help.clone()))
        });
        samples.collect()
    };
    ensure!(names(&older) == names(&open), "{:?} {:?}", names(&older), names(&open));
    for family in &older.families {
        let total = family.name.ends_with("_total");
        ensure!(total == (family.kind == "counter"), "{} is a {}", family.name, family.kind);
    }
    Ok(())
}

#[tokio::test]
async fn the_numbers_follow_what_happens() -> anyhow::Result<()> {
    let (server, mut device) = busy().await?;
    let now = scrape(&server, "text/plain", true).await?;
    for (name, labels, expected) in [
        ("tidelog_connections", &[("protocol", "5")][..], 1.0),
        ("tidelog_connections", &[("protocol", "none")], 0.0),
        ("tidelog_sign_ins_total", &[("result", "accepted")], 2.0),
        ("tidelog_actions_accepted_total", &[], 1.0),
        ("tidelog_actions_undone_total", &[("reason", "wrongChannel")], 1.0),
        ("tidelog_actions_undone_total", &[], 1.0),
        ("tidelog_key_set_fetches_total", &[], 0.0),
        ("tidelog_key_set_age_seconds", &[], 0.0),
        ("tidelog_commit_actions_sum", &[], 1.0),
        ("tidelog_fsync_seconds_count", &[], 1.0),
        ("tidelog_head_position", &[], 1.0),
        ("tidelog_ingest_queue_bytes", &[], 0.0),
        ("tidelog_http_requests_total", &[("path", "/v1/log"), ("status", "200")], 1.0),
    ] {
        let shown = now.sum(name, labels);
        ensure!((shown - expected).abs() < 0.5, "{name}: {shown}");
    }
    for name in [
        "tidelog_store_bytes",
        "tidelog_store_free_bytes",
        "tidelog_tail_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        ensure!(now.sum(name, &[]) > 0.0, "{name}");
    }
    let again = server.get("/metrics", &[]).await?.body;
    ensure!(!again.contains("zebulon"), "{again}");
    device.go_offline();
    let gone = async {
        loop {
            let open = scrape(&server, "text/plain", true).await?.sum("tidelog_connections", &[]);
            if open == 0.0 {
                return anyhow::Ok(());
            }
            tokio::task::yield_now().await;
        }
    };
    tidelog_tests::within("the end of the connection", gone).await??;
    Ok(())
}

/// The names in an expression, each with the labels that it is asked for.
fn asked(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    let mut rest = expression;
    while let Some(start) = ["tidelog_", "process_"].iter().filter_map(|it| rest.find(it)).min() {
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|c| !word(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let matchers = after.strip_prefix('{').and_then(|it| it.split_once('}'));
        let matchers = matchers.map_or("", |(matchers, _)| matchers).split(',');
        let labels = matchers
            .filter_map(|it| it.split_once('='))
            .map(|(key, _)| key.trim_end_matches('!').trim());
        names.push((name.to_owned(), labels.map(str::to_owned).collect()));
        rest = after;
    }
    names
}

/// The labels that an expression groups by.
fn groups(expression: &str) -> BTreeSet<String> {
    let lists = expression.split("by (").skip(1).filter_map(|it| it.split(')').next());
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            found.extend(object.get("expr").and_then(|it| it.as_str()).map(str::to_owned));
            object.values().for_each(|value| expressions(value, found));
        }
        serde_json::Value::Array(array) => array.iter().for_each(|it| expressions(it, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_nothing_that_is_not_there() -> anyhow::Result<()> {
    let (server, _device) = busy().await?;
    let _edge = edge(&server).await?;
    let live = scrape(&server, "text/plain", true).await?;
    let dashboard = std::fs::read_to_string(file("server/packaging/grafana/tidelog.json"))?;
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&dashboard)?, &mut found);
    ensure!(found.len() > 15, "a dashboard of {} queries", found.len());
    let alerts = std::fs::read_to_string(file("server/packaging/prometheus/alerts.yml"))?;
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let before = found.len();
    found.extend(alerts.map(str::to_owned));
    ensure!(found.len() > before, "no alerts");
    for expression in found {
        let names = asked(&expression);
        ensure!(!names.is_empty(), "{expression} asks for nothing");
        for (name, labels) in names {
            let samples = live.families.iter().flat_map(|family| &family.samples);
            let mut samples = samples.filter(|sample| sample.name == name).peekable();
            ensure!(samples.peek().is_some(), "{expression}: there is no {name}");
            let known: BTreeSet<_> =
                samples.flat_map(|sample| sample.labels.keys().cloned()).collect();
            let given = ["job", "instance"].map(str::to_owned).into();
            for label in labels.union(&groups(&expression)) {
                ensure!(
                    known.union(&given).any(|it| it == label),
                    "{expression}: {name} has no {label}"
                );
            }
        }
    }
    Ok(())
}
