//! One user's data, for whoever has to hand it over or to remove it: `tidelog user export|erase`, from a
//! running server and from a stopped store alike.

mod erase;
mod export;

pub(crate) use erase::carry_out;
pub use erase::erase_live;
pub use export::export_live;

use crate::admin::{self, Request};
use crate::cli::{UserArgs, UserCommand, UserDataArgs};
use crate::clock;
use crate::erasures::{self, Erasures};
use crate::log::{Log, OpenError, Settings};
use crate::wake;
use anyhow::Context;
use std::io::Write;
use tidelog_protocol::UserId;

/// `tidelog user`
pub fn run(args: &UserArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match &args.command {
        UserCommand::Export(args) => export(args, &mut out),
        UserCommand::Erase(args) => erase(args, &mut out),
    }
}

fn export(args: &UserDataArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (user, data) = (user(&args.user)?, args.store.data()?);
    if let Some(server) = admin::connect(&data) {
        let request = Request::UserExport { user: args.user.clone() };
        admin::ask_lines(server, &request, |line| Ok(writeln!(out, "{line}")?))?;
        return Ok(out.flush()?);
    }
    let settings = Settings { read_only: true, ..Settings::new(data) };
    let (log, _) = Log::open(settings, clock::now_ms())?;
    let mut export = export::Export::new(&log, user);
    while let Some(lines) = export.next(&log)? {
        out.write_all(lines.as_bytes())?;
    }
    Ok(out.flush()?)
}

fn erase(args: &UserDataArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (user, data) = (user(&args.user)?, args.store.data()?);
    if let Some(server) = admin::connect(&data) {
        let request = Request::UserErase { user: args.user.clone() };
        admin::ask_lines(server, &request, |line| erase::show(line, out))?;
        return Ok(out.flush()?);
    }
    if !data.exists() {
        return Err(OpenError::Missing { dir: data }.into());
    }
    let (log, _) = Log::open(Settings::new(data), clock::now_ms())?;
    let head = log.head();
    let erasures = Erasures::open(&log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let told = erasures::is_of_a_tree(&log)?;
    let tombstone = if told { Some(runtime.block_on(erasures.begin(&user))?) } else { None };
    let devices = runtime.block_on(wake::forget_user(&log, &user))?;
    let removed = log.erase(&user, &mut |at| {
        // Progress that cannot be shown is no reason to stop.
        drop(erase::show(&erase::progress(at, head), &mut std::io::sink()));
    })?;
    if let Some(seen) = &tombstone {
        runtime.block_on(erasures.done(&user, seen, (Some(removed.head), &removed.names)))?;
    }
    let gone = erase::Gone { devices, sessions: 0, told };
    erase::show(&erase::receipt(&user, (&removed, &gone), &log, clock::now_ms()), out)?;
    out.flush()?;
    runtime.block_on(log.close()).context("the user is erased; closing the store")
}

fn user(name: &str) -> anyhow::Result<UserId> {
    UserId::new(name).with_context(|| format!("{name:?} is no user id"))
}
