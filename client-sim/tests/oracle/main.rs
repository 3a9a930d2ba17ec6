//! The oracle is only worth something if it catches servers that do what they must not.

mod liar;

use liar::{Lie, serve};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use tidelog_client_sim::access::Access;
use tidelog_client_sim::oracle::Violation;
use tidelog_client_sim::plan::Spec;
use tidelog_client_sim::report::{Comparison, Outcome, read, write};
use tidelog_client_sim::run::{With, run};
use tokio::process::Command;
use tokio::task::LocalSet;

/// Two users with three devices each, who come with something and make more.
const SCENARIO: &str = r#"
seconds = 1.5
[[group]]
name          = "all"
users         = 2
devices       = 3
own           = 20
online_within = 0.3
rate          = 8
"#;

async fn outcome(lie: Lie) -> anyhow::Result<Outcome> {
    // What never comes is waited for to the end.
    let patience = if matches!(lie, Lie::Forget | Lie::Drop | Lie::Alter) { 3 } else { 60 };
    let spec = Spec::read("lies", SCENARIO, &[format!("patience={patience}")])?;
    let access = Access {
        servers: vec![serve(lie).await?.into()],
        replicas: false,
        sources: 2,
        token: "{user}".to_owned(),
        users: Vec::new(),
        run: "lies".to_owned(),
    };
    let with = With { quiet: true, ..With::default() };
    LocalSet::new().run_until(run(&spec, access, with)).await
}

/// Whether one of the violations is what was to be found; what was found otherwise.
async fn catches(lie: Lie, is_it: fn(&Violation) -> bool) -> anyhow::Result<()> {
    let outcome = outcome(lie).await?;
    assert!(!outcome.holds(), "{lie:?} was not noticed");
    let caught = outcome.found.iter().find(|found| is_it(&found.violation));
    assert!(caught.is_some(), "{lie:?}:\n{outcome}");
    let directory = tempfile::tempdir()?;
    write(&outcome, directory.path())?;
    let text = std::fs::read_to_string(directory.path().join("violations.txt"))?;
    assert!(text.contains("seed 1") && text.contains(" < "), "no seed or no frames in:\n{text}");
    Ok(())
}

#[tokio::test]
async fn an_honest_server_passes_and_its_report_says_so() -> anyhow::Result<()> {
    let outcome = outcome(Lie::None).await?;
    assert!(outcome.holds(), "{outcome}");
    assert!(outcome.acknowledged >= 120 && outcome.audited == 2, "{outcome}");
    let directory = tempfile::tempdir()?;
    let written = write(&outcome, directory.path())?;
    assert_eq!(written.len(), 3, "{written:?}");
    let page = std::fs::read_to_string(directory.path().join("report.html"))?;
    assert!(page.contains("Nothing was lost") && page.matches("<svg").count() >= 4);
    for alien in ["src=", "href=", "@import", "url(", "NaN"] {
        assert!(!page.contains(alien), "{alien} in the page");
    }
    let again = read(directory.path())?;
    let compared = Comparison::new(&outcome, &again).to_string();
    assert!(compared.contains("all: acknowledged, p99"), "{compared}");
    assert!(compared.lines().skip(1).all(|line| line.ends_with(" 1.00")), "{compared}");
    Ok(())
}

/// What `tidelog-sim` does in `home`, where the scenario is.
async fn simulate(home: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    std::fs::write(home.join("lies.toml"), SCENARIO)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog-sim"));
    Ok(command.args(arguments).current_dir(home).kill_on_drop(true).output().await?)
}

async fn plays(home: &Path, address: SocketAddr, out: &str) -> anyhow::Result<Output> {
    let address = address.to_string();
    let arguments = ["run", "lies.toml", "--quiet", "--server", &address, "--out", out];
    simulate(home, &arguments).await
}

#[tokio::test]
async fn the_command_fails_where_something_is_wrong_and_says_how_to_see_it_again()
-> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let bad = plays(home.path(), serve(Lie::Repeat).await?, "bad").await?;
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let told = String::from_utf8(bad.stdout)?;
    assert!(told.contains("came again") && told.contains("violations.txt"), "{told}");
    let violations = std::fs::read_to_string(home.path().join("bad/violations.txt"))?;
    assert!(violations.contains("seed 1") && violations.contains(" < "), "{violations}");
    let good = plays(home.path(), serve(Lie::None).await?, "good").await?;
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(!home.path().join("good/violations.txt").exists());
    let compared = simulate(home.path(), &["compare", "bad/report.json", "good"]).await?;
    let table = String::from_utf8(compared.stdout)?;
    assert!(compared.status.success() && table.contains("all: acknowledged, p99"), "{table}");
    Ok(())
}

#[tokio::test]
async fn the_same_seed_prints_the_same_plan_and_another_one_another() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let mut plans = Vec::new();
    for seed in ["7", "7", "8"] {
        let plan = simulate(home.path(), &["run", "lies.toml", "--plan", "--seed", seed]).await?;
        assert!(plan.status.success(), "{plan:?}");
        plans.push(String::from_utf8(plan.stdout)?);
    }
    let [one, again, other] = plans.as_slice() else { unreachable!("three") };
    assert!(one.lines().count() > 6 * 8, "{one}");
    assert_eq!(one, again);
    assert_ne!(one, other);
    Ok(())
}

#[tokio::test]
async fn an_action_that_is_acknowledged_and_not_kept_is_missed() -> anyhow::Result<()> {
    catches(Lie::Forget, |found| matches!(found, Violation::Missing { .. })).await
}

#[tokio::test]
async fn a_delivery_that_is_left_out_is_missed() -> anyhow::Result<()> {
    catches(Lie::Drop, |found| matches!(found, Violation::Missing { .. })).await
}

#[tokio::test]
async fn a_delivery_that_comes_twice_is_noticed() -> anyhow::Result<()> {
    catches(Lie::Repeat, |found| matches!(found, Violation::Repeated { .. })).await
}

#[tokio::test]
async fn an_authors_actions_in_the_wrong_order_are_noticed() -> anyhow::Result<()> {
    catches(Lie::Reorder, |found| matches!(found, Violation::OutOfOrder { .. })).await
}

#[tokio::test]
async fn authors_that_take_turns_differently_for_one_device_are_noticed() -> anyhow::Result<()> {
    catches(Lie::Swap, |found| matches!(found, Violation::OtherOrder { .. })).await
}

#[tokio::test]
async fn another_body_is_noticed() -> anyhow::Result<()> {
    catches(Lie::Alter, |found| matches!(found, Violation::Altered { .. })).await
}

#[tokio::test]
async fn an_action_that_nobody_made_is_noticed() -> anyhow::Result<()> {
    catches(Lie::Invent, |found| matches!(found, Violation::NeverMade { .. })).await
}

#[tokio::test]
async fn an_undo_without_a_rule_is_noticed() -> anyhow::Result<()> {
    catches(Lie::Undo, |found| matches!(found, Violation::Undone { .. })).await
}

#[tokio::test]
async fn a_number_that_falls_is_noticed() -> anyhow::Result<()> {
    catches(Lie::Fall, |found| matches!(found, Violation::NumberFell { .. })).await
}
