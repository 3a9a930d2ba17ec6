//! `tidelog revoke`, `unrevoke` and `revocations`: what is durable, and takes effect at once.
//!
//! A revocation is a note of the store, under its target's name: not an action, because it is no
//! user's, has to count before any log is read, and is taken back or expires; and not derived,
//! because losing one would let somebody in again. Replicas tell each other; of one name the last word counts,
//! so what was taken back stays a note for a while.

use crate::admin;
use crate::app::App;
use crate::auth::{Change, Revocation, Revoked, Target, Terms, seconds_as_ms};
use crate::cli::{RevocationsArgs, RevokeArgs, TargetArgs, UnrevokeArgs};
use crate::clock;
use crate::log::{Log, Settings, Stopped};
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tidelog_crdt::Position;
use tidelog_protocol::replica;

/// The notes that are revocations.
const NOTES: &str = "revoked/";
/// The form of a note that this version writes.
const FORM: u8 = 2;
/// The form that had neither the moment of the last word, nor what was taken back.
const FORM_OF_STANDING: u8 = 1;

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Shut out.
    Revoke {
        /// Whom, or what.
        target: Target,
        /// When the last of its tokens has expired, if that is known.
        expires_ms: Option<u64>,
    },
    /// Let in again.
    Unrevoke {
        /// Whom, or what.
        target: Target,
    },
    /// Say what was revoked.
    List {},
}

/// What became of it, a line of JSON each.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// It counts, and is on disk.
    Revoked {
        #[serde(flatten)]
        revocation: Revocation,
        /// Sessions, streams and long polls that had to end.
        ended: usize,
    },
    /// It does not count any more.
    Unrevoked {
        #[serde(flatten)]
        target: Target,
    },
    /// One of the list.
    Listed(Revocation),
}

/// Reads what was revoked in earlier lives. Blocks.
pub(crate) fn load(log: &Log, revoked: &Revoked) -> anyhow::Result<()> {
    for (name, note) in log.notes(NOTES)? {
        let change = read(&name, &note).with_context(|| {
            format!(
                "the store has a revocation that this version cannot read ({name:?}): use the \
                 version that wrote it; without it, who was shut out would be let in"
            )
        })?;
        revoked.change(change);
    }
    Ok(())
}

/// Does what a command asks for: first on disk, then in the running server.
async fn carry_out(log: &Log, revoked: &Revoked, order: Order) -> anyhow::Result<Vec<Answer>> {
    let _turn = revoked.turn().await;
    let now_ms = clock::now_ms();
    match order {
        Order::Revoke { target, expires_ms } => {
            target.check()?;
            revoked.check_room(&target)?;
            let known = match &target {
                Target::Token(id) => revoked.expiry_of(id),
                Target::User(_) | Target::Client(_) => None,
            };
            let terms = Terms { issued_until_ms: now_ms, expires_ms: expires_ms.or(known) };
            let change = said(revoked, target.clone(), (terms, true), now_ms);
            let (revocation, ended) =
                (Revocation { target, terms }, keep((log, revoked), change).await?);
            Ok(vec![Answer::Revoked { revocation, ended }])
        }
        Order::Unrevoke { target } => {
            target.check()?;
            let Some(terms) = revoked.terms_of(&target) else {
                bail!("{target} is not revoked; `tidelog revocations` lists what is");
            };
            let change = said(revoked, target.clone(), (terms, false), now_ms);
            keep((log, revoked), change).await?;
            Ok(vec![Answer::Unrevoked { target }])
        }
        Order::List {} => Ok(revoked.list(now_ms).into_iter().map(Answer::Listed).collect()),
    }
}

/// What is said here and now.
fn said(revoked: &Revoked, target: Target, (terms, stands): (Terms, bool), now_ms: u64) -> Change {
    let changed_ms = revoked.change_ms(&target, now_ms);
    Change { target, terms, changed_ms, stands, heard_at: Position::ZERO }
}

/// First on disk, then in effect; how many were here and have to go.
pub(crate) async fn keep(
    (log, revoked): (&Log, &Revoked),
    change: Change,
) -> Result<usize, Stopped> {
    log.keep_note(name(&change.target), Some(note(&change))).await?;
    Ok(revoked.change(change))
}

/// Takes over what another server says, as far as it is news, and `may` be said by it. On disk on return.
pub(crate) async fn hear(
    (log, revoked): (&Log, &Revoked),
    said: &[replica::Revocation],
    may: &(dyn Fn(&Target) -> bool + Sync),
) -> Result<(), Stopped> {
    for said in said {
        let _turn = revoked.turn().await;
        let change = heard(said, log.head());
        let target = change.target.clone();
        if target.check().is_err() || !may(&target) || !revoked.is_news(&change) {
            continue;
        }
        if let Err(full) = revoked.check_room(&target) {
            tracing::error!(%full, "what another server has revoked does not count here: {target}");
            continue;
        }
        let stands = change.stands;
        let ended = keep((log, revoked), change).await?;
        tracing::info!(ended, stands, "another server has revoked, or let in again: {target}");
    }
    Ok(())
}

fn heard(said: &replica::Revocation, head: Position) -> Change {
    let target = match &said.target {
        replica::Revoked::Token(id) => Target::Token(id.clone()),
        replica::Revoked::User(user) => Target::User(user.clone()),
        replica::Revoked::Client(client) => Target::Client(client.clone()),
    };
    let terms = Terms { issued_until_ms: said.issued_until_ms, expires_ms: said.expires_ms };
    let (changed_ms, stands) = (said.changed_ms, said.stands);
    Change { target, terms, changed_ms, stands, heard_at: head }
}

/// What another server is told.
pub(crate) fn told(change: Change) -> replica::Revocation {
    let target = match change.target {
        Target::Token(id) => replica::Revoked::Token(id),
        Target::User(user) => replica::Revoked::User(user),
        Target::Client(client) => replica::Revoked::Client(client),
    };
    replica::Revocation {
        target,
        issued_until_ms: change.terms.issued_until_ms,
        expires_ms: change.terms.expires_ms,
        changed_ms: change.changed_ms,
        stands: change.stands,
    }
}

/// Answers a command that asks the running server; forgets what is over, too.
pub(crate) async fn answer(app: &App, order: Order) -> anyhow::Result<String> {
    let revoked = app.auth.revoked();
    for target in revoked.forget(clock::now_ms()) {
        app.log.keep_note(name(&target), None).await?;
    }
    let answers = carry_out(&app.log, revoked, order).await?;
    for answer in &answers {
        match answer {
            Answer::Revoked { revocation, ended } => {
                tracing::info!(ended, "revoked: {}", revocation.target);
            }
            Answer::Unrevoked { target } => tracing::info!("revoked no more: {target}"),
            Answer::Listed(_) => {}
        }
    }
    lines(&answers)
}

fn lines(answers: &[Answer]) -> anyhow::Result<String> {
    let mut text = String::new();
    for answer in answers {
        text.push_str(&serde_json::to_string(answer)?);
        text.push('\n');
    }
    Ok(text)
}

/// A target's name among the notes.
fn name(target: &Target) -> String {
    match target {
        Target::Token(id) => format!("{NOTES}token/{id}"),
        Target::User(user) => format!("{NOTES}user/{user}"),
        Target::Client(client) => format!("{NOTES}client/{client}"),
    }
}

/// Its form, which tokens, when that was said, whether it stands, and where it was heard.
type Note = (u8, u64, Option<u64>, u64, bool, Position);

fn note(change: &Change) -> Vec<u8> {
    let Terms { issued_until_ms, expires_ms } = change.terms;
    let (changed_ms, stands) = (change.changed_ms, change.stands);
    let note: Note = (FORM, issued_until_ms, expires_ms, changed_ms, stands, change.heard_at);
    // Plain data always serializes.
    rmp_serde::to_vec(&note).unwrap_or_default()
}

fn read(name: &str, note: &[u8]) -> Option<Change> {
    let (kind, name) = name.strip_prefix(NOTES)?.split_once('/')?;
    let target = match kind {
        "token" => Target::Token(name.to_owned()),
        "user" => Target::User(name.to_owned()),
        "client" => Target::Client(name.to_owned()),
        _ => return None,
    };
    let (form, issued_until_ms, expires_ms, changed_ms, stands, heard_at) = known(note)?;
    let terms = Terms { issued_until_ms, expires_ms };
    (form == FORM).then_some(Change { target, terms, changed_ms, stands, heard_at })
}

fn known(note: &[u8]) -> Option<Note> {
    if let Ok((FORM_OF_STANDING, issued_until_ms, expires_ms)) =
        rmp_serde::from_slice::<(u8, u64, Option<u64>)>(note)
    {
        let since_ms = issued_until_ms;
        return Some((FORM, issued_until_ms, expires_ms, since_ms, true, Position::ZERO));
    }
    rmp_serde::from_slice(note).ok()
}

/// `tidelog revoke`
pub fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let (target, known_ms) = named(&args.target)?;
    let stated_ms = args.expires.map(|expires| {
        clock::now_ms().saturating_add(u64::try_from(expires.as_millis()).unwrap_or(u64::MAX))
    });
    command(&args.store.data()?, Order::Revoke { target, expires_ms: stated_ms.or(known_ms) })
}

/// `tidelog unrevoke`
pub fn unrevoke(args: &UnrevokeArgs) -> anyhow::Result<()> {
    let (target, _) = named(&args.target)?;
    command(&args.store.data()?, Order::Unrevoke { target })
}

/// `tidelog revocations`
pub fn list(args: &RevocationsArgs) -> anyhow::Result<()> {
    command(&args.store.data()?, Order::List {})
}

/// What the arguments name, and when it expires, if they say so.
fn named(args: &TargetArgs) -> anyhow::Result<(Target, Option<u64>)> {
    let target = match (&args.token, &args.token_file, &args.user, &args.client) {
        (Some(id), ..) => Target::Token(id.clone()),
        (_, Some(file), ..) => return of_token(file),
        (_, _, Some(user), _) => Target::User(user.clone()),
        (.., Some(client)) => Target::Client(client.clone()),
        (None, None, None, None) => bail!("name a --token, a --user or a --client"),
    };
    target.check()?;
    Ok((target, None))
}

/// The name of the token in a file, and when it expires. Whether it is genuine does not matter.
fn of_token(file: &Path) -> anyhow::Result<(Target, Option<u64>)> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin().lock())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.with_context(|| format!("{} cannot be read", file.display()))?;
    let claims = text.trim().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<TokenClaims>(&claims).ok());
    let Some(TokenClaims { jti, exp }) = claims else {
        bail!("there is no token in {}: it holds one JSON Web Token", file.display());
    };
    let Some(jti) = jti else {
        bail!("the token has no jti, so it has no name: revoke all of its --user's or --client's")
    };
    let target = Target::Token(jti);
    target.check()?;
    Ok((target, exp.and_then(|exp| seconds_as_ms(&exp))))
}

#[derive(Deserialize)]
struct TokenClaims {
    jti: Option<String>,
    exp: Option<serde_json::Value>,
}

/// Has the running server do it, if there is one; else does it to the store.
#[expect(clippy::print_stdout, reason = "the text is the command's output")]
fn command(data: &Path, order: Order) -> anyhow::Result<()> {
    let text = match UnixStream::connect(admin::path(data)) {
        Ok(server) => admin::ask_all(server, &admin::Request::Revocations(order))?,
        Err(_) => to_stopped(data, order)?,
    };
    print!("{text}");
    Ok(())
}

fn to_stopped(data: &Path, order: Order) -> anyhow::Result<String> {
    if !Log::exists(data) {
        bail!("there is no store in {}: name the server's with --data", data.display());
    }
    let (log, _) = Log::open(Settings::new(data.to_owned()), clock::now_ms())?;
    let revoked = Revoked::default();
    load(&log, &revoked)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answers = carry_out(&log, &revoked, order).await?;
        log.close().await?;
        lines(&answers)
    })
}
