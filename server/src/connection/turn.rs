//! A client that has signed in waits for its turn: it is not told `connected` before, because a stock
//! client sends all that it has as soon as it is.

use super::End;
use crate::admission::{Class, Name, Permit, Turned, Who};
use crate::app::App;
use crate::auth::Identity;
use crate::clock;
use crate::leaving::Leave;
use crate::log::LogName;
use crate::metrics::Stage;
use crate::ws::{Incoming, Owner, Socket};
use std::net::IpAddr;
use tidelog_crdt::Position;
use tidelog_protocol::WireError;
use tidelog_protocol::peer::{ServerHandshake, SignIn};

/// How waiting ends that does not end with a turn.
pub(super) enum Out {
    /// The connection ends.
    End(End),
    /// The client is told why.
    Refused(WireError),
}

/// Waits. Little is kept meanwhile; what the client sends is queued by the handshake, which has limits.
pub(super) async fn wait(
    app: &App,
    socket: &mut Socket,
    (handshake, leave): (&mut ServerHandshake, &mut Leave),
    (sign_in, identity, address): (&SignIn, &Identity, IpAddr),
) -> Result<Permit, Out> {
    let owner = if identity.anonymous {
        Owner::Address(address)
    } else {
        Owner::User(identity.user.clone())
    };
    // Anonymous clients call themselves what they like.
    let name = (!identity.anonymous).then(|| Name::Socket(sign_in.node.client()));
    let class = missed(app, sign_in, identity);
    let mut turn = Box::pin(app.door.enter(Who { owner, name }, class));
    loop {
        let incoming = tokio::select! {
            biased;
            turn = &mut turn => return turn.map_err(|turned| {
                if turned != Turned::Replaced {
                    app.door.told().shed(Stage::Turn);
                }
                Out::End(End::Silent)
            }),
            () = leave.turn(app, true) => return Err(Out::End(End::Silent)),
            incoming = socket.next(true, false) => incoming,
        };
        match incoming {
            Incoming::Frame(frame) => {
                handshake.on_frame(&frame, clock::now_ms()).map_err(Out::Refused)?;
            }
            Incoming::TooLong(limit) => return Err(Out::Refused(WireError::WrongFormat(limit))),
            Incoming::Malformed(breach) => return Err(Out::End(End::Malformed(breach))),
            Incoming::Closed => return Err(Out::End(End::Silent)),
            Incoming::Room => {}
        }
    }
}

/// How much the client has missed of its user's log. What it is subscribed to, it has not said yet.
fn missed(app: &App, sign_in: &SignIn, identity: &Identity) -> Class {
    if identity.anonymous {
        return Class::Light;
    }
    let (user, head) = (&identity.user, app.log.head());
    let from = app.session.epochs.claim(user.as_str(), sign_in.synced, head);
    let log = LogName::User(user.clone());
    let page = app.log.read_cached(&log, from.unwrap_or(Position::ZERO), head, app.page);
    if page.is_some_and(|page| !page.more) { Class::Light } else { Class::Heavy }
}
