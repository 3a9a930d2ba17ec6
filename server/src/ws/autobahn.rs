//! The cases of Autobahn's suite for RFC 6455, against an echo over these sockets.

use super::*;
use crate::ws;
use http_body_util::Empty;
use hyper::body::Incoming as Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

/// The suite's longest message.
const MESSAGE_BYTES: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Says back what it is told, until the peer says goodbye or breaks the rules.
async fn echo(mut socket: Box<Socket>) {
    let breach = loop {
        let full = socket.room() == 0;
        match socket.next(!full, full).await {
            Incoming::Frame(frame) => {
                socket.send(frame);
                socket.release();
            }
            Incoming::Room => {}
            Incoming::Malformed(breach) => break Some(breach),
            Incoming::Closed | Incoming::TooLong(_) => break None,
        }
    };
    socket.close(breach, PATIENCE).await;
}

async fn serve(stream: TcpStream, budget: Budget) {
    let slot = std::sync::Mutex::new(None);
    let service = service_fn(|mut request: Request<Body>| {
        let (answer, on_upgrade) = ws::upgrade(&mut request);
        *slot.lock().unwrap() = on_upgrade;
        async { Ok::<Response<Empty<Bytes>>, Infallible>(answer) }
    });
    let stream = TokioIo::new(Impatient::new(stream, PATIENCE));
    let served = http1::Builder::new().serve_connection(stream, service).with_upgrades().await;
    let asked = slot.lock().unwrap().take();
    if let (Ok(()), Some(on_upgrade)) = (served, asked) {
        let owner = Owner::Address(Ipv4Addr::LOCALHOST.into());
        let upgraded = on_upgrade.await.unwrap();
        echo(Box::new(Socket::new(upgraded, budget, owner, MESSAGE_BYTES))).await;
    }
}

/// What the suite says of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    behavior: String,
    behavior_close: String,
}

/// Where the suite would like to hear of text that is not UTF-8 before its frame is whole, which the
/// RFC leaves open.
const LATE: [&str; 2] = ["6.4.3", "6.4.4"];

impl Verdict {
    fn is_good(&self, case: &str) -> bool {
        let late = if LATE.contains(&case) { "NON-STRICT" } else { "OK" };
        let good = ["OK", "INFORMATIONAL", late];
        good.contains(&self.behavior.as_str()) && good.contains(&self.behavior_close.as_str())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Autobahn's suite: ./check autobahn"]
async fn an_echo_passes_every_case() {
    let suite =
        std::env::var_os("TIDELOG_WSTEST").expect("TIDELOG_WSTEST names the suite's wstest");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut connections, budget) = (JoinSet::new(), Budget::new(1 << 30));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(serve(stream, budget.clone()));
        }
    });
    let all = run(&suite, address, &["*".to_owned()]).await;
    assert!(all.len() > 290, "{} cases", all.len());
    let mut bad = bad(&all);
    // An answer that does not come within a second is a failure to the suite, and may be none.
    for _ in 0..2 {
        if bad.is_empty() {
            return;
        }
        let again = run(&suite, address, &bad).await;
        bad = self::bad(&again);
    }
    assert!(bad.is_empty(), "{bad:?} {all:#?}");
}

fn bad(verdicts: &BTreeMap<String, Verdict>) -> Vec<String> {
    let bad = verdicts.iter().filter(|(case, verdict)| !verdict.is_good(case));
    bad.map(|(case, _)| case.clone()).collect()
}

/// What the suite says of each of these cases.
async fn run(suite: &OsStr, address: SocketAddr, cases: &[String]) -> BTreeMap<String, Verdict> {
    let home = tempfile::tempdir().unwrap();
    let (reports, spec) = (home.path().join("reports"), home.path().join("spec.json"));
    let what = json!({
        "outdir": reports,
        "servers": [{ "agent": "echo", "url": format!("ws://{address}") }],
        "cases": cases,
        // Compression, which is not offered.
        "exclude-cases": ["12.*", "13.*"],
    });
    fs::write(&spec, what.to_string()).unwrap();
    let mut run = Command::new(suite);
    run.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec).current_dir(home.path());
    let run = run.kill_on_drop(true).output().await.unwrap();
    let index = fs::read(reports.join("index.json"));
    let index = index.unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let mut all: BTreeMap<String, BTreeMap<String, Verdict>> =
        serde_json::from_slice(&index).unwrap();
    all.remove("echo").unwrap()
}
