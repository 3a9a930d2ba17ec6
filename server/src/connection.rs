//! One WebSocket connection from its first frame to its last: the handshake, the sign-in, and then
//! the loop that feeds the session and does what it asks. One task, nothing detached.

mod driver;
mod earlier;
mod turn;

use crate::admission::{Counted, Permit};
use crate::app::App;
use crate::auth::{Attempt, Claim, Identity, Presence, Refusal};
use crate::clock;
use crate::hub::Inbox;
use crate::leaving::Leave;
use crate::rules::Subject;
use crate::session::{NodeState, Session, Start};
use crate::ws::{Breach, Incoming, Owner, Socket};
use driver::Driver;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::codec::Version;
use tidelog_protocol::peer::{Accept, Accepted, HandshakeEvent, ServerHandshake, SignIn, Tick};
use tidelog_protocol::{Frame, NodeId, UserId, WireError};

/// How long a peer may take to accept a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the earlier connection of a client may take to leave.
const LEAVE: Duration = Duration::from_secs(2);

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The address of the peer.
    pub address: IpAddr,
    /// The `Cookie` header of the upgrade request.
    pub cookies: Option<String>,
    /// Its `Origin` header: the page that it is from, when a browser sends it.
    pub page: Option<String>,
    /// Its `Host` header.
    pub host: Option<String>,
}

/// A WebSocket that has come in by the door and has not signed in.
pub(crate) struct Newcomer {
    pub(crate) socket: Box<Socket>,
    pub(crate) origin: Box<Origin>,
    /// It counts as such for so long.
    pub(crate) unsigned: Counted,
}

/// How a connection ends.
enum End {
    /// The peer is gone, or is told to go without a word.
    Silent,
    /// The peer is told why.
    Error(WireError),
    /// The peer broke the rules of WebSockets.
    Malformed(Breach),
}

/// Serves one connection until it ends. What a future is given it keeps twice, so large things come
/// in boxes.
pub(crate) async fn serve(app: App, newcomer: Newcomer) {
    let Newcomer { mut socket, origin, unsigned } = newcomer;
    let open = app.metrics.connection(None);
    let address = origin.address;
    let end = match Box::pin(let_in(&app, &mut socket, origin, unsigned)).await {
        Ok(guest) => {
            drop(open);
            run(&app, &mut socket, guest).await
        }
        Err(end) => end,
    };
    if let End::Error(error) = &end {
        tracing::debug!(%error, %address, "connection closed");
    }
    let breach = if let End::Malformed(breach) = end { Some(breach) } else { None };
    // What a goodbye takes is not kept ready by every connection that may be idle for days.
    Box::pin(socket.close(breach, GOODBYE)).await;
}

/// A client that is in.
struct Guest {
    user: UserId,
    node: NodeId,
    version: Version,
    session: Box<Session>,
    inbox: Arc<Inbox>,
    /// Frames that came before it was in.
    queued: Vec<Frame>,
    expires_ms: Option<u64>,
    /// Whoever revokes the token finds it by this.
    presence: Presence,
    /// Its leave to have the server work until it has caught up.
    permit: Permit,
}

/// From the first frame to `connected`. What that takes is gone afterwards: a connection may be idle
/// for days.
async fn let_in(
    app: &App,
    socket: &mut Socket,
    origin: Box<Origin>,
    unsigned: Counted,
) -> Result<Box<Guest>, End> {
    let mut leave = Leave::default();
    let signed_in = Box::pin(shake_hands(app, socket, &origin, &mut leave)).await?;
    let (sign_in, mut handshake, identity) = signed_in;
    tracing::debug!(node = %sign_in.node, "signed in");
    let address = origin.address;
    drop((origin, unsigned));
    let who = (&sign_in, &identity, address);
    let permit = match turn::wait(app, socket, (&mut handshake, &mut leave), who).await {
        Ok(permit) => permit,
        Err(turn::Out::End(end)) => return Err(end),
        Err(turn::Out::Refused(error)) => return Err(refuse(socket, handshake, error)),
    };
    Ok(Box::new(admit(app, socket, (sign_in, handshake, identity), permit).await))
}

/// Reads until the client has said who it is and that is true.
async fn shake_hands(
    app: &App,
    socket: &mut Socket,
    origin: &Origin,
    leave: &mut Leave,
) -> Result<(SignIn, ServerHandshake, Identity), End> {
    let mut handshake = ServerHandshake::new(clock::now_ms(), &app.peer);
    loop {
        let patience = handshake.deadline().saturating_sub(clock::now_ms());
        let incoming = tokio::select! {
            incoming = socket.next(true, false) => incoming,
            () = leave.turn(app, true) => return Err(End::Silent),
            () = tokio::time::sleep(Duration::from_millis(patience)) => {
                match handshake.tick(clock::now_ms()) {
                    Tick::TimedOut => return Err(End::Silent),
                    Tick::Ping | Tick::Nothing => continue,
                }
            }
        };
        let event = match incoming {
            Incoming::Frame(frame) => handshake.on_frame(&frame, clock::now_ms()),
            Incoming::TooLong(limit) => Err(WireError::WrongFormat(limit)),
            Incoming::Malformed(breach) => return Err(End::Malformed(breach)),
            Incoming::Closed => return Err(End::Silent),
            Incoming::Room => continue,
        };
        match event {
            Ok(HandshakeEvent::Wait) => {}
            Ok(HandshakeEvent::SignIn(sign_in)) => {
                wait_in_line(app, origin, handshake.deadline()).await?;
                return match sign_in_by(app, &sign_in, origin, handshake.deadline()).await {
                    Ok(identity) => Ok((sign_in, handshake, identity)),
                    // The token may be good: a client that is told otherwise does not come again.
                    Err(Refusal::NotNow) => Err(End::Silent),
                    // It was not looked at, and may be good: whoever else fails behind the same
                    // address must not make the client give up. On this word it comes again.
                    Err(Refusal::TooManyFailures) => {
                        Err(refuse(socket, handshake, WireError::Bruteforce))
                    }
                    Err(Refusal::Credentials | Refusal::Revoked) => {
                        Err(refuse(socket, handshake, WireError::WrongCredentials))
                    }
                };
            }
            Err(error) => return Err(refuse(socket, handshake, error)),
        }
    }
}

fn refuse(socket: &mut Socket, handshake: ServerHandshake, error: WireError) -> End {
    socket.send(handshake.refuse(&error));
    End::Error(error)
}

/// Holds an attempt from an address where too many have failed, and ends it without a word when
/// its turn does not come in time: a client that is told `wrong-credentials` does not come again.
async fn wait_in_line(app: &App, origin: &Origin, deadline_ms: u64) -> Result<(), End> {
    let now = clock::now_ms();
    let wait = app.auth.delay(origin.address, now);
    if wait.is_zero() {
        return Ok(());
    }
    let patience = Duration::from_millis(deadline_ms.saturating_sub(now));
    tokio::select! {
        () = app.stopping() => Err(End::Silent),
        () = tokio::time::sleep(wait.min(patience)) => {
            if wait <= patience { Ok(()) } else { Err(End::Silent) }
        }
    }
}

/// Checks the token, which may take keys that have to be fetched; that ends with the handshake.
async fn sign_in_by(
    app: &App,
    sign_in: &SignIn,
    origin: &Origin,
    deadline_ms: u64,
) -> Result<Identity, Refusal> {
    let attempt = Attempt {
        claim: Claim::Node(&sign_in.node),
        token: sign_in.token.as_deref(),
        cookies: origin.cookies.as_deref(),
        origin: origin.page.as_deref(),
        host: origin.host.as_deref(),
        address: origin.address,
    };
    let now = clock::now_ms();
    let patience = Duration::from_millis(deadline_ms.saturating_sub(now));
    let result = tokio::select! {
        result = app.auth.admit(&attempt, now) => result,
        () = tokio::time::sleep(patience) => Err(Refusal::NotNow),
        () = app.stopping() => Err(Refusal::NotNow),
    };
    app.metrics.signed_in(result.as_ref().err().copied());
    result
}

/// Gives the client its place, and answers `connected`.
async fn admit(
    app: &App,
    socket: &mut Socket,
    (sign_in, handshake, identity): (SignIn, ServerHandshake, Identity),
    permit: Permit,
) -> Guest {
    let inbox = Inbox::behind();
    let client = sign_in.node.client();
    let presence = app.auth.enter(&identity, Some(&client), &inbox, clock::now_ms());
    let expires_ms = identity.expires_ms;
    let mut subject = Subject::new(&identity, sign_in.node.clone(), sign_in.subprotocol);
    if let Some(headers) = &sign_in.headers {
        subject.set_headers(headers.json().clone());
    }
    enter(app, &identity.user, &sign_in, &inbox).await;
    let node = remembered(app, &sign_in).await;
    let now = clock::now_ms();
    let accept = Accept {
        node: app.node.clone(),
        // Without a version of its own the application is of the version that its client is of.
        subprotocol: if app.subprotocol == 0 { sign_in.subprotocol } else { app.subprotocol },
        headers: app.headers.clone(),
        now,
    };
    let Accepted { connection, frames, queued } = handshake.accept(&sign_in, accept);
    for frame in frames {
        socket.send(frame);
    }
    socket.set_message_max(app.peer.limits.frame_bytes);
    // Anonymous clients share a user, and are strangers to each other: they stay who they were.
    if !identity.anonymous {
        socket.set_owner(Owner::User(identity.user.clone()));
    }
    let (head, compacted) = (app.log.head(), app.log.compacted());
    let start = Start { subject, synced: sign_in.synced, node, head, compacted };
    let (session, claim_failed) = Session::start(connection, Arc::clone(&app.session), start, now);
    if claim_failed {
        app.metrics.claims_failed.inc();
    }
    let session = Box::new(session);
    let (user, SignIn { node, version, .. }) = (identity.user, sign_in);
    Guest { user, node, version, session, inbox, queued, expires_ms, presence, permit }
}

/// From `connected` to the end.
async fn run(app: &App, socket: &mut Socket, guest: Box<Guest>) -> End {
    let Guest { user, node, version, session, inbox, queued, expires_ms, presence, permit } =
        *guest;
    let _open = (app.metrics.connection(Some(version)), app.door.session());
    let mut driver = Driver::new(app, session, inbox.clone(), permit);
    let end = driver.run(socket, queued, expires_ms).await;
    let (state, followed) = driver.end();
    app.hub.leave((&user, &node), &inbox, followed.iter());
    app.leave_node(&node, state, presence, clock::now_ms());
    inbox.leave();
    end
}

/// Takes the client's place in the hub, once its earlier connection has left it.
async fn enter(app: &App, user: &UserId, sign_in: &SignIn, inbox: &Arc<Inbox>) {
    let earlier = app.hub.enter((user, &sign_in.node), inbox, app.sessions_per_user);
    if let Some(earlier) = earlier {
        let left = tokio::time::timeout(LEAVE, earlier.left()).await;
        if left.is_err() {
            tracing::warn!(node = %sign_in.node, "the client's earlier connection has not left yet");
        }
    }
}

/// What is remembered of the node; if that cannot be read, it costs repeats and no more.
async fn remembered(app: &App, sign_in: &SignIn) -> NodeState {
    match app.node_state(sign_in.node.clone()).await {
        Ok(state) => state,
        Err(error) => {
            tracing::warn!(%error, node = %sign_in.node, "cannot read what is remembered of a node");
            NodeState::default()
        }
    }
}
