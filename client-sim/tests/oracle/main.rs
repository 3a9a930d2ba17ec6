//! The oracle is only worth something if it catches servers that do what they must not.

mod liar;

use liar::{Lie, serve};
use tidelog_client_sim::access::Access;
use tidelog_client_sim::oracle::Violation;
use tidelog_client_sim::plan::Spec;
use tidelog_client_sim::report::{Comparison, Outcome, read, write};
use tidelog_client_sim::run::{With, run};
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
