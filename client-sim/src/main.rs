//! `tidelog-sim`: puts a server under load, and says what it did.

use clap::Parser;
use std::process::ExitCode;
use tidelog_client_sim::cli::{self, Cli, Scenario, Task};
use tidelog_client_sim::{raise_open_files, scenario};

fn main() -> ExitCode {
    let done = match Cli::parse().task {
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
#[expect(clippy::print_stdout, reason = "the report is the command's output")]
fn run(scenario: &Scenario) -> anyhow::Result<bool> {
    raise_open_files();
    // One thread: on a small machine every further one is taken from the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let report = local.block_on(&runtime, scenario::run(scenario))?;
    if scenario.common().json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.holds())
}
