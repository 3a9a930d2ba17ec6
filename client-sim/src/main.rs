//! `tidelog-sim`: puts a server under load, and says what it did.

use clap::Parser;
use std::process::ExitCode;
use tidelog_client_sim::cli::{self, Cli, Scenario, Task};
use tidelog_client_sim::{raise_open_files, scenario};

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Run(args) => on_one_thread(cli::play(&args)),
        Task::List => cli::list().map(|()| true),
        Task::Show { name } => cli::show(&name).map(|()| true),
        Task::Rules => cli::rules().map(|()| true),
        Task::Compare { a, b } => cli::compare(&a, &b).map(|()| true),
        Task::Scenario(scenario) => run(&scenario),
        Task::Completions { shell } => cli::completions(shell).map(|()| true),
        Task::Man { dir } => cli::man(dir).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidelog-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything holds that had to.
fn run(scenario: &Scenario) -> anyhow::Result<bool> {
    let report = on_one_thread(scenario::run(scenario))?;
    if scenario.common().json {
        cli::say(format_args!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        cli::say(&report)?;
    }
    Ok(report.holds())
}

/// On a small machine every further thread is taken from the server.
fn on_one_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
