//! What a service manager such as systemd is told: that the server is ready, that it stops, and that
//! it is alive. Where there is none, nothing happens.

use sd_notify::NotifyState;
use std::convert::Infallible;
use std::net::SocketAddr;

/// The server accepts connections.
pub(crate) fn ready(address: SocketAddr) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listens on {address}"))]);
}

/// The server finishes what it has accepted.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells again and again that the runtime turns, twice as often as is asked for.
pub(crate) async fn stay_alive() -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return std::future::pending().await;
    };
    let mut beat = tokio::time::interval(patience / 2);
    loop {
        beat.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot reach the service manager at $NOTIFY_SOCKET");
    }
}
