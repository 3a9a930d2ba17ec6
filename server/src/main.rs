//! `tidelog`: the server and its tools.

use std::process::ExitCode;
use tidelog_server::cli::{Cli, Command, check_config, manual, token};

fn main() -> ExitCode {
    let result = match Cli::of_process().command {
        Command::Serve(args) => tidelog_server::serve::run(&args),
        Command::Log(args) => tidelog_server::log_export::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Token(args) => token::run(&args),
        Command::ConfigReference => manual::config_reference(),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tidelog_server::trace::fatal(&error);
            ExitCode::FAILURE
        }
    }
}
