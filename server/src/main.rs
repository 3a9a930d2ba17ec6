//! `tidelog`: the server and its tools.

use clap::Parser;
use std::process::ExitCode;
use tidelog_server::cli::{Cli, Command, check_config, token};
use tidelog_server::revocations;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => tidelog_server::serve::run(&args),
        Command::Log(args) => tidelog_server::log_export::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Revoke(args) => revocations::revoke(&args),
        Command::Unrevoke(args) => revocations::unrevoke(&args),
        Command::Revocations(args) => revocations::list(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidelog: {error:#}");
            ExitCode::FAILURE
        }
    }
}
