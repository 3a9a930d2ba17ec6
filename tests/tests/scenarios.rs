//! The scenarios of `tidelog-sim`, each in small, against the real server: the oracle finds nothing.

use anyhow::{Context, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tidelog_client_sim::access::Access;
use tidelog_client_sim::plan::{RULES, Spec, builtin};
use tidelog_client_sim::report::Outcome;
use tidelog_client_sim::run::{With, run};
use tidelog_client_sim::secure::Place;
use tidelog_tests::replicas::Pair;
use tidelog_tests::{Options, Server, within};
use tokio::task::LocalSet;

/// How often what another process has done is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A built-in scenario with a handful of devices and a few seconds.
fn small(name: &str) -> anyhow::Result<Spec> {
    let mut spec = Spec::read(name, builtin(name).context("there is no such scenario")?, &[])?;
    spec.seconds = 2.5;
    for group in &mut spec.groups {
        group.users = group.users.min(4);
        (group.own, group.missed) = (group.own.min(150), group.missed.min(150));
        group.online_at = group.online_at.min(0.3);
        group.online_within = group.online_within.min(0.3);
        group.rate = if group.rate > 0.0 { 3.0 } else { 0.0 };
        group.poll = 0.2;
        group.move_every = group.move_every.min(0.7);
        group.network.cut_every = group.network.cut_every.min(0.9);
        group.network.half_open_every = group.network.half_open_every.min(1.5);
        group.network.half_open_for = group.network.half_open_for.min(0.3);
    }
    for event in &mut spec.events {
        (event.at, event.lasts) = (1.0, event.lasts.min(0.5));
    }
    if let Some(pace) = &mut spec.pace {
        pace.devices = 4;
    }
    Ok(spec)
}

async fn server() -> anyhow::Result<Server> {
    Server::start_with(Options { config: RULES.to_owned(), ..Options::default() }).await
}

async fn play(spec: &Spec, servers: Vec<SocketAddr>, with: With) -> anyhow::Result<Outcome> {
    play_at(spec, access(servers.into_iter().map(Place::from).collect()), with).await
}

fn access(servers: Vec<Place>) -> Access {
    Access {
        servers,
        replicas: false,
        sources: 4,
        token: "{user}".to_owned(),
        users: Vec::new(),
        run: "small".to_owned(),
    }
}

async fn play_at(spec: &Spec, access: Access, with: With) -> anyhow::Result<Outcome> {
    let outcome = run(spec, access, With { quiet: true, ..with }).await?;
    ensure!(outcome.holds(), "{outcome}");
    ensure!(outcome.acknowledged > 10, "hardly anything was done: {outcome}");
    Ok(outcome)
}

/// Plays a built-in scenario in small against a server of its own.
async fn holds(name: &str) -> anyhow::Result<Outcome> {
    let server = server().await?;
    let with = With { server_pid: Some(server.pid()?), ..With::default() };
    let spec = small(name)?;
    LocalSet::new().run_until(play(&spec, vec![server.address()], with)).await
}

#[tokio::test]
async fn steady_holds_and_says_what_it_cost_the_server() -> anyhow::Result<()> {
    let outcome = holds("steady").await?;
    let cost = outcome.server.context("the server was not looked at")?;
    ensure!(cost.peak_kib.is_some_and(|kib| kib > 1000), "{cost:?}");
    ensure!(outcome.group("everyday").is_some_and(|group| group.delivered.is_some()), "{outcome}");
    Ok(())
}

#[tokio::test]
async fn what_the_metrics_say_is_measured_too() -> anyhow::Result<()> {
    let server = server().await?;
    let metrics = format!("http://{}/metrics", server.address()).parse()?;
    let with = With { metrics: Some(metrics), ..With::default() };
    let spec = small("steady")?;
    let playing = play(&spec, vec![server.address()], with);
    let cost = LocalSet::new().run_until(playing).await?.server;
    ensure!(cost.is_some_and(|cost| cost.after_kib > 1000), "{cost:?}");
    Ok(())
}

#[tokio::test]
async fn fan_out_holds() -> anyhow::Result<()> {
    let outcome = holds("fan-out").await?;
    ensure!(outcome.deliveries >= outcome.acknowledged * 4, "{outcome}");
    Ok(())
}

#[tokio::test]
async fn a_reconnect_storm_holds() -> anyhow::Result<()> {
    let outcome = holds("reconnect-storm").await?;
    let stock = outcome.group("stock").context("there is no such group")?;
    ensure!(stock.connections >= 2 * stock.devices, "not everybody came back: {outcome}");
    Ok(())
}

#[tokio::test]
async fn weeks_offline_hold_and_are_compared_with_the_pace() -> anyhow::Result<()> {
    let outcome = holds("weeks-offline").await?;
    let crowd = outcome.group("crowd").context("there is no such group")?;
    let backlog = crowd.backlog.context("nobody came with anything")?;
    ensure!(backlog.count == crowd.devices * 150 && crowd.deliveries >= backlog.count, "{outcome}");
    ensure!(outcome.goals.iter().any(|goal| goal.found.is_some()), "{outcome}");
    Ok(())
}

#[tokio::test]
async fn flaky_mobiles_hold() -> anyhow::Result<()> {
    let outcome = holds("flaky-mobile").await?;
    let phones = outcome.group("phones").context("there is no such group")?;
    ensure!(phones.connections > phones.devices, "no connection broke: {outcome}");
    Ok(())
}

#[tokio::test]
async fn slow_readers_hold() -> anyhow::Result<()> {
    holds("slow-readers").await?;
    Ok(())
}

#[tokio::test]
async fn devices_that_roam_between_two_servers_lose_nothing() -> anyhow::Result<()> {
    let (one, other) = (server().await?, server().await?);
    let spec = small("roaming")?;
    let servers = vec![one.address(), other.address()];
    let playing = play(&spec, servers, With::default());
    let outcome = LocalSet::new().run_until(playing).await?;
    let movers = outcome.group("movers").context("there is no such group")?;
    ensure!(movers.connections > movers.devices, "nobody moved: {outcome}");
    Ok(())
}

#[tokio::test]
async fn devices_that_roam_between_replicas_find_everything_on_both() -> anyhow::Result<()> {
    let Pair { cloud, edge, .. } = &Pair::start().await?;
    let spec = small("roaming")?;
    let servers = [cloud, edge].map(|server| server.address().into());
    let access = Access { replicas: true, ..access(servers.into()) };
    let outcome = LocalSet::new().run_until(play_at(&spec, access, With::default())).await?;
    let movers = outcome.group("movers").context("there is no such group")?;
    ensure!(movers.connections > movers.devices, "nobody moved: {outcome}");
    ensure!(outcome.audited > 0, "no log was read back: {outcome}");
    Ok(())
}

#[tokio::test]
async fn steady_holds_under_tls_on_every_protocol() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (ca, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    fs::write(&ca, cert.pem())?;
    fs::write(&key, signing_key.serialize_pem())?;
    let (cert_file, key_file) = (ca.display(), key.display());
    let tls = format!("[tls]\ncert_file = \"{cert_file}\"\nkey_file = \"{key_file}\"\n");
    let config = format!("{RULES}\n{tls}");
    let server = Server::start_with(Options { config, ..Options::default() }).await?;
    let url = format!("wss://{}", server.address()).parse()?;
    let access = access(Place::all(&[url], Some(&ca))?);
    let spec = small("steady")?;
    LocalSet::new().run_until(play_at(&spec, access, With::default())).await?;
    Ok(())
}

#[tokio::test]
async fn a_deploy_holds_while_an_operator_restarts_the_server() -> anyhow::Result<()> {
    let mut server = server().await?;
    let mut spec = small("deploy")?;
    // Long enough for a restart on a machine that has other things to do.
    spec.seconds = 5.0;
    let address = server.address();
    let operating = async {
        within("the first actions", until_accepted(&server, 5)).await??;
        server.stop().await?;
        server.start_again().await
    };
    let playing = play(&spec, vec![address], With::default());
    let (outcome, operated) =
        Box::pin(LocalSet::new().run_until(async { tokio::join!(playing, operating) })).await;
    operated?;
    let outcome = outcome?;
    let stock = outcome.group("stock").context("there is no such group")?;
    ensure!(stock.connections > stock.devices, "nobody came back: {outcome}");
    Ok(())
}

/// Waits until the server has accepted so many actions.
async fn until_accepted(server: &Server, count: u64) -> anyhow::Result<()> {
    loop {
        let metrics = server.get("/metrics", &[]).await?.body;
        let name = "tidelog_actions_accepted_total ";
        let accepted = metrics.lines().find_map(|line| line.strip_prefix(name));
        if accepted.and_then(|value| value.parse::<u64>().ok()).is_some_and(|value| value >= count)
        {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
