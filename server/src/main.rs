//! `tidelog`: the server and its tools.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tidelog_server::cli::{Cli, Command, certificate, check, check_config, manual, token};
use tidelog_server::revocations;

/// Most of what is allocated is small, short-lived, and freed by another thread than asked for it; on musl the
/// system's allocator has one lock for all.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let command = Cli::of_process().command;
    if let Err(error) = heed_file_size_limits() {
        tidelog_server::trace::fatal(&error.into());
        return ExitCode::FAILURE;
    }
    let done = |()| ExitCode::SUCCESS;
    let result = match command {
        Command::Serve(args) => tidelog_server::serve::run(&args).map(done),
        Command::Log(args) => tidelog_server::log_export::run(&args).map(done),
        Command::Compact(args) => tidelog_server::compaction::run(&args).map(done),
        Command::Doc(args) => tidelog_server::doc::run(&args).map(done),
        Command::CheckConfig(args) => check_config::run(&args).map(done),
        Command::Token(args) => token::run(&args).map(done),
        Command::Revoke(args) => revocations::revoke(&args).map(done),
        Command::Unrevoke(args) => revocations::unrevoke(&args).map(done),
        Command::Revocations(args) => revocations::list(&args).map(done),
        Command::Check(args) => check::run(&args),
        Command::Rebuild(args) => check::rebuild(&args).map(done),
        Command::Backup(args) => tidelog_server::backup::backup(&args).map(done),
        Command::Restore(args) => tidelog_server::backup::restore(&args).map(done),
        Command::Replica(args) => tidelog_server::replica::run(&args).map(done),
        Command::Certificate(args) => certificate::run(&args).map(done),
        Command::User(args) => tidelog_server::users::run(&args).map(done),
        Command::Push(args) => tidelog_server::wake::run(&args).map(done),
        Command::ConfigReference => manual::config_reference().map(done),
        Command::Completions(args) => manual::completions(&args).map(done),
        Command::Man(args) => manual::man(&args).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            tidelog_server::trace::fatal(&error);
            ExitCode::FAILURE
        }
    }
}

/// A write beyond the limit of a file's size is to fail like one on a full disk, with an error that says
/// so, and not to end the process without a word.
fn heed_file_size_limits() -> std::io::Result<()> {
    let reached = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, reached).map(drop)
}
