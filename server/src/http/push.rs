//! `POST /v1/log`: actions in, verdicts out, by the same way in as a WebSocket's.

use super::body::{self, Asked};
use super::caller::Caller;
use super::causality;
use super::format::Format;
use super::mint;
use super::problem::{Kind, Problem};
use super::quota;
use super::reader::{self, Seen};
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::ingest::{Follows, Judgement, Known, OWN_RANGES_MAX, Submission, Verdict};
use crate::log::{LogName, PageLimit, ReadError};
use crate::rules::UndoReason;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use std::collections::HashMap;
use std::sync::Arc;
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::http::{
    ACTIONS_MAX, Cursor, PushRequest, PushResponse, PushResult, PushedMeta, Status,
};
use tidelog_protocol::{Action, ActionId, ClientId, Meta, NodeId, OverLimit, Pair, builtin};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Devices that one push may hold actions of; each is committed on its own.
const DEVICES_MAX: usize = 16;
/// The newest entries of a user's log in which the author's own are looked for.
const OWN_AMONG: PageLimit = PageLimit { entries: 256, bytes: 1 << 20 };
/// Nodes of a push whose earlier actions are looked for.
const NODES_MAX: usize = 4;
/// Subscriptions belong to connections.
const USE_CHANNEL_PARAMETER: &str = "useChannelParameter";

/// Actions with what their author says of them.
pub(super) type Pushed = Vec<(Action, PushedMeta)>;

/// Answers a push.
pub(super) async fn push(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let received = clock::now_ms();
    let Asked { request, format, reserved } = body::read(&app, &caller, &headers, body).await?;
    let PushRequest { actions, seen, causality } = request;
    let results = take(&app, &caller, &headers, actions, seen.as_ref()).await?;
    let results = told(&app, results, causality).await?;
    drop(reserved);
    let response = PushResponse { results, time: (received, clock::now_ms()) };
    Ok(answer(Format::accepted(&headers, format).write(&response)))
}

/// The results, with what was stored with each action for who asks for causality.
pub(super) async fn told(
    app: &App,
    results: Vec<PushResult>,
    causality: bool,
) -> Result<Vec<PushResult>, Problem> {
    if !causality {
        return Ok(results);
    }
    let told = causality::tell(&app.log, results).await;
    told.map_err(|error| Problem::log_unreadable(&error))
}

/// The answer to a POST is nobody's to keep.
pub(super) fn answer(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Judges `actions` and stores what is accepted: one result each, in order, true on disk.
pub(super) async fn take(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    actions: Pushed,
    seen: Option<&Cursor>,
) -> Result<Vec<PushResult>, Problem> {
    let seen = reader::seen(app, caller.user(), seen)?;
    let mut pushes = sort(app, caller, named(app, caller, headers, actions)?)?;
    let mut results = std::mem::take(&mut pushes.results);
    quota::check(app, caller, &pushes.groups).await?;
    for (client, group) in pushes.groups {
        let subject = caller.subject(&client)?;
        let (indexes, pairs): (Vec<_>, Vec<Pair>) = group.into_iter().unzip();
        let known = known(app, caller, (&client, &pairs), &seen).await?;
        let submissions = pairs.into_iter().map(|pair| Submission { pair, known: known.clone() });
        let taken = app.ingest.take(&subject, submissions.collect(), clock::now_ms()).await;
        let verdicts = taken.map_err(|_| Problem::stopping(app))?;
        results.extend(indexes.into_iter().zip(verdicts.iter().map(result)));
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Gives a name and a time to what comes without.
fn named(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    actions: Pushed,
) -> Result<Vec<Pair>, Problem> {
    if actions.len() > ACTIONS_MAX {
        let detail = format!("a push has at most {ACTIONS_MAX} actions: send the rest in another");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let (client, key, now) = (caller.client()?, idempotency_key(headers)?, clock::now_ms());
    let names = app.http.mint.names(&client, key, &actions, now);
    let names = names.map_err(|error| Problem::new(Kind::MalformedHeader, error.to_string()))?;
    let pairs = actions.into_iter().enumerate().map(|(index, (action, meta))| {
        let time = meta.time.or(meta.id.as_ref().map(|id| id.ms)).unwrap_or(now);
        let id = meta.id.clone().unwrap_or_else(|| names.of(index, &meta));
        let meta = Meta { id, time, subprotocol: meta.subprotocol };
        Pair { action, meta, extra_keys: false }
    });
    Ok(pairs.collect())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        let detail = format!("Idempotency-Key is visible ASCII of 1 to {KEY_BYTES_MAX} bytes");
        Problem::new(Kind::MalformedHeader, detail)
    })
}

/// Actions by device, with their places in the push.
pub(super) type Groups = Vec<(ClientId, Vec<(usize, Pair)>)>;

/// A push, sorted by who is to be asked.
#[derive(Default)]
struct Sorted {
    /// What is undone before it is judged.
    results: Vec<(usize, PushResult)>,
    /// The rest by device, with its place in the push.
    groups: Groups,
}

/// An id says of which device its action is. A caller that has a name acts as that device alone; one
/// that has none acts as any device of its user, as it could by WebSocket with the same token.
fn sort(app: &App, caller: &Caller, pairs: Vec<Pair>) -> Result<Sorted, Problem> {
    let mut sorted = Sorted::default();
    let mut group_of: HashMap<ClientId, usize> = HashMap::new();
    for (index, pair) in pairs.into_iter().enumerate() {
        if let Some(reason) = undone_at_once(app, &pair.action) {
            app.metrics.undone(reason);
            sorted.results.push((index, undone(pair.meta.id, reason)));
            continue;
        }
        let client = acting_as(caller, &pair.meta.id)?;
        let at = *group_of.entry(client.clone()).or_insert_with(|| {
            sorted.groups.push((client, Vec::new()));
            sorted.groups.len() - 1
        });
        if let Some((_, group)) = sorted.groups.get_mut(at) {
            group.push((index, pair));
        }
    }
    if sorted.groups.len() > DEVICES_MAX {
        let detail = format!("a push has actions of at most {DEVICES_MAX} devices: send several");
        return Err(Problem::new(Kind::TooMany, detail));
    }
    Ok(sorted)
}

/// As whom the caller pushes the action called `id`. Who may not is told so by the verdict.
fn acting_as(caller: &Caller, id: &ActionId) -> Result<ClientId, Problem> {
    let own = id.node.user_str() == Some(caller.user().as_str());
    match caller.device() {
        None if own => Ok(id.node.client()),
        None | Some(_) => caller.client(),
    }
}

/// Why an action is undone that the rules need not see. One that is too large is left to them, who
/// say so.
fn undone_at_once(app: &App, action: &Action) -> Option<&'static str> {
    if matches!(action.kind(), builtin::SUBSCRIBE | builtin::UNSUBSCRIBE) {
        return Some(USE_CHANNEL_PARAMETER);
    }
    let limits = &app.peer.limits;
    let checked = limits.check_action(action.json()).and(limits.check_name(action.kind()));
    match checked {
        Ok(()) | Err(OverLimit::Action(_)) => None,
        Err(_) => Some(UndoReason::Error.word()),
    }
}

fn undone(id: ActionId, reason: &str) -> PushResult {
    let reason = Some(reason.to_owned());
    PushResult { id, status: Status::Undone, reason, added: None, dots: Vec::new(), context: None }
}

fn result(verdict: &Verdict) -> PushResult {
    let id = verdict.id.clone();
    match &verdict.outcome {
        Judgement::Processed => {
            let added = verdict.position.map(Position::get);
            let (status, dots) = (Status::Processed, Vec::new());
            PushResult { id, status, reason: None, added, dots, context: None }
        }
        Judgement::Undone(reason, _) => undone(id, reason.text()),
    }
}

/// What the author of a push had seen: what its cursor says, and its own actions beyond it.
async fn known(
    app: &App,
    caller: &Caller,
    (client, pairs): (&ClientId, &[Pair]),
    seen: &Seen,
) -> Result<Known, Problem> {
    let nodes = nodes(pairs);
    let own = match app.ingest.own_positions().of(client, &nodes) {
        Some(own) => own,
        None => own_positions(app, caller, client, nodes).await?,
    };
    let channels = seen.channels.clone().map(|channels| channels as Arc<dyn Follows>);
    Ok(Known { own_log: seen.own_log, time: 0, channels, own: Arc::new(own) })
}

/// The nodes that may have acted before in other logs than their user's: not those whose names were made here.
fn nodes(pairs: &[Pair]) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = Vec::new();
    for Pair { meta, .. } in pairs {
        let node = &meta.id.node;
        if nodes.len() < NODES_MAX && nodes.last() != Some(node) && !mint::is_minted(node) {
            nodes.push(node.clone());
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The positions of the client's own actions: among the newest of its user's log, and those of `nodes`
/// wherever they went.
async fn own_positions(
    app: &App,
    caller: &Caller,
    client: &ClientId,
    nodes: Vec<NodeId>,
) -> Result<Ranges, Problem> {
    let (log, user) = (app.log.clone(), LogName::User(caller.user().clone()));
    let (asked, mine) = (nodes.clone(), client.clone());
    let read = move || {
        let newest = log.newest(&user, OWN_AMONG)?;
        let own = newest.entries.iter().filter(|it| it.id.node.client_str() == mine.as_str());
        let mut own: Ranges = own.map(|entry| entry.position).collect();
        for node in asked.iter().filter(|node| node.client_str() == mine.as_str()) {
            for position in log.newest_of(node, OWN_RANGES_MAX)? {
                own.insert(position);
            }
        }
        Ok(own)
    };
    let read: Result<Ranges, ReadError> = blocking(read).await;
    let own = read.map_err(|error| Problem::log_unreadable(&error))?;
    Ok(app.ingest.own_positions().learn(client, nodes, &own))
}
