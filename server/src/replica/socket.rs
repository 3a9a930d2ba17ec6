//! The link of a replica as a WebSocket, where it comes in. What is asked and answered is the same as over
//! HTTP; when the socket closes the link is down, and nobody has to wait for that to be noticed.

use super::body::BODY_BYTES_MAX;
use super::door::{self, Failed};
use super::registry::Replica;
use super::wire;
use crate::app::App;
use crate::clock;
use crate::ws::{self, Incoming, Owner, Socket};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidelog_protocol::{Frame, UserId};
use tokio::time::Instant;

/// Where it is asked for.
const PATH: &str = "/v1/replica/link";
/// Questions that are answered at once; an edge asks two.
const QUESTIONS_MAX: usize = 4;
/// Who says nothing for so long is gone: an edge asks again whenever it was answered, which may be later by what
/// both keep each other waiting for because of a limit to bandwidth, and by what the line takes.
const SILENCE_MAX: Duration = Duration::from_secs(180);
const GOODBYE: Duration = Duration::from_secs(2);
/// Sockets so far, each of which has its number.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// The answer to a request for a link; none if it is for something else.
pub(crate) fn upgrade<B>(app: &App, request: &mut Request<B>) -> Option<Response<Body>> {
    if request.uri().path() != PATH {
        return None;
    }
    let replica = match door::who(request.headers(), app) {
        Ok(replica) => replica,
        Err(refusal) => return Some(axum::response::IntoResponse::into_response(refusal)),
    };
    let (answer, on_upgrade) = ws::upgrade(request);
    if let Some(on_upgrade) = on_upgrade {
        tokio::spawn(serve(app.clone(), replica, on_upgrade));
    }
    Some(answer.map(Body::new))
}

async fn serve(app: App, replica: Arc<Replica>, on_upgrade: OnUpgrade) {
    let Ok(upgraded) = on_upgrade.await else { return };
    let Some(mut socket) = open(&app, &replica, upgraded) else { return };
    let link = LINKS.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::select! {
        () = answer_all(&app, (&replica, link), &mut socket) => {}
        () = app.stopping() => {}
        () = app.replicas.desk.registry.until_changed(&replica) => {}
    }
    app.replicas.desk.is_closed(&replica.name, link, clock::now_ms());
    Box::new(socket).close(None, GOODBYE).await;
}

fn open(app: &App, replica: &Replica, upgraded: Upgraded) -> Option<Socket> {
    // No user has such a name that signs in: memory for frames is a replica's own.
    let owner = Owner::User(UserId::new(&format!("replica/{}", replica.name)).ok()?);
    let message_max = BODY_BYTES_MAX + wire::HEAD_BYTES;
    Some(Socket::new(upgraded, app.budget.clone(), owner, message_max))
}

/// Until the other closes, is silent for too long, or says what is nothing.
async fn answer_all(app: &App, (replica, link): (&Replica, u64), socket: &mut Socket) {
    let (mut answers, mut pushes) = (FuturesUnordered::new(), 0_usize);
    let mut heard = Instant::now();
    loop {
        let listens = answers.len() < QUESTIONS_MAX;
        tokio::select! {
            incoming = socket.next(listens, false) => {
                let Incoming::Frame(frame) = incoming else { return };
                let Some(asked) = wire::read_question(&frame.into_bytes()) else { return };
                heard = Instant::now();
                let is_push = asked.0 == wire::What::Push;
                pushes += usize::from(is_push);
                answers.push(answer(app, (replica, link), asked).map(move |said| (said, is_push)));
            }
            Some((answer, was_push)) = answers.next() => {
                socket.send(Frame::binary(answer));
                pushes -= usize::from(was_push);
                // What else is asked takes no memory that is counted, and may wait for long.
                if pushes == 0 {
                    socket.release();
                }
            }
            () = tokio::time::sleep_until(heard + SILENCE_MAX) => return,
        }
    }
}

async fn answer(
    app: &App,
    (replica, link): (&Replica, u64),
    (what, number, body): (wire::What, u32, Bytes),
) -> Bytes {
    match door::answer(app, replica, (what, link), &body).await {
        Ok(said) => wire::answer(number, StatusCode::OK, &said),
        Err(Failed(status, name, detail)) => {
            let problem = door::problem(status, name, &detail);
            wire::answer(number, status, problem.as_bytes())
        }
    }
}
