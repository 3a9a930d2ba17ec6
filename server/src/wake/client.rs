//! The way to push services: over TLS, within a time and a size, without following anybody elsewhere.

use super::endpoint::is_public;
use super::outcome::{Answer, Outcome, retry_after};
use crate::clock;
use crate::config::Wake;
use crate::tls::client::{authorities, trusting};
use anyhow::Context;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{RETRY_AFTER, USER_AGENT};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::task::{Context as Polling, Poll};
use std::time::Duration;
use tower::Service;

/// What is read of an answer.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Connections that are kept ready for one service.
const IDLE_MAX: usize = 8;
const IDLE: Duration = Duration::from_secs(90);
/// How often a connection of HTTP/2 is asked whether it is still there.
const ALIVE: Duration = Duration::from_secs(60);

type Inner = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Whom requests are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Where a client said: nobody that only the server can reach.
    Stranger,
    /// Where the operator said.
    Known,
    /// The same, by HTTP/2 alone.
    KnownByHttp2,
}

/// Sends requests.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    inner: Inner,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(settings: &Wake, whom: Whom) -> anyhow::Result<Self> {
        let roots = authorities(&settings.ca_file).map_err(anyhow::Error::msg)?;
        let config = trusting(roots)?;
        let allow_private = whom != Whom::Stranger || settings.allow_private;
        let mut http = HttpConnector::new_with_resolver(Resolver { allow_private });
        http.enforce_http(false);
        http.set_connect_timeout(Some(settings.timeout));
        http.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let by_http2 = whom == Whom::KnownByHttp2;
        let connector = if by_http2 {
            connector.enable_http2().wrap_connector(http)
        } else {
            connector.enable_http1().enable_http2().wrap_connector(http)
        };
        let inner = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .http2_keep_alive_interval(ALIVE)
            .http2_only(by_http2)
            .build(connector);
        Ok(Self { inner, timeout: settings.timeout })
    }

    /// Sends a request; without an answer, what is to be done about it.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Outcome> {
        const AGENT: &str = concat!("tidelog/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, AGENT.parse().map_err(|_| nothing("agent"))?);
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_forbidden(error.as_ref()) => Err(Outcome::Inside),
            Ok(Err(error)) => Err(nothing(&format!("{error:#}"))),
            Err(_) => Err(nothing("no answer in time")),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let response = self.inner.request(request).await?;
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| retry_after(text, clock::now_ms()));
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error)).context("its answer broke off")?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status, after, body })
    }
}

fn nothing(reason: &str) -> Outcome {
    Outcome::Later { reason: reason.to_owned(), after: None, all: true, ours: false }
}

/// What the resolver says. A firewall of this machine may refuse connections as well, which is no fault of a device.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NoPublicAddress;

/// Whether nothing was sent because of where it would have gone.
fn is_forbidden(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io
            .and_then(io::Error::get_ref)
            .is_some_and(<dyn Error + Send + Sync>::is::<NoPublicAddress>)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Looks names up; the connection is made to what it gives, and to nothing else.
#[derive(Clone, Copy, Debug)]
struct Resolver {
    allow_private: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Polling<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fits = |address: &SocketAddr| allow_private || is_public(address.ip());
            let found: Vec<_> = found.filter(fits).collect();
            if found.is_empty() {
                return Err(io::Error::other(NoPublicAddress));
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(settings: &Wake, whom: Whom, url: &str) -> Result<Answer, Outcome> {
        let sender = Sender::new(settings, whom).unwrap();
        sender.send(Request::post(url).body(Full::default()).unwrap()).await
    }

    /// `localhost` stands for any name that leads inside.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let settings = Wake { timeout: Duration::from_secs(20), ..Wake::default() };
        let refused = ask(&settings, Whom::Stranger, &url).await.unwrap_err();
        assert_eq!(refused, Outcome::Inside);
        // With the setting, and for the operator's own, somebody comes.
        let private = Wake { allow_private: true, ..settings.clone() };
        for (settings, whom) in [(private, Whom::Stranger), (settings, Whom::Known)] {
            let asking = tokio::spawn({
                let url = url.clone();
                async move { ask(&settings, whom, &url).await }
            });
            drop(listener.accept().await.unwrap());
            let failed = asking.await.unwrap().unwrap_err();
            assert!(matches!(failed, Outcome::Later { all: true, .. }), "{failed:?}");
        }
    }
}
