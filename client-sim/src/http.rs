//! A device without a WebSocket: one kept-alive connection, one request at a time.

use crate::client::Target;
use crate::line::Line;
use crate::secure::Pipe;
use crate::socket;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;

const CLIENT: HeaderName = HeaderName::from_static("tidelog-client");

/// A device of one user.
pub(crate) struct Http {
    requests: SendRequest<Full<Bytes>>,
    client: HeaderValue,
    authorization: HeaderValue,
    host: HeaderValue,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<HeaderValue>,
    /// After how many seconds to come again.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Bytes,
}

impl Http {
    /// Connects as `client`, which is `user:client`. A server in development takes the user's name for a
    /// token.
    pub(crate) async fn connect(
        target: &Target,
        client: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let stream =
            socket::connect(target.server, target.source).await.context("cannot connect")?;
        let pipe = Pipe::over(Line::new(stream, None), target.tls.as_ref()).await;
        let pipe = pipe.context("cannot shake hands")?;
        let (requests, connection) = handshake(TokioIo::new(pipe)).await?;
        // A connection that breaks shows in the request that was under way.
        tokio::task::spawn_local(async { drop(connection.await) });
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        authorization.set_sensitive(true);
        let host = HeaderValue::try_from(target.server.to_string())?;
        Ok(Self { requests, client: HeaderValue::try_from(client)?, authorization, host })
    }

    /// `GET path`; with a tag, only if there is something else.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        tag: Option<&HeaderValue>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_NONE_MATCH, tag.clone());
        }
        self.ask(request).await
    }

    /// `POST path` with JSON.
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let mut request = self.request(Method::POST, path, body)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.ask(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(path).body(Full::new(body))?;
        let headers = request.headers_mut();
        headers.insert(hyper::header::HOST, self.host.clone());
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CLIENT, self.client.clone());
        Ok(request)
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        let (status, etag) = (response.status(), response.headers().get(ETAG).cloned());
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = after.and_then(|text| text.parse().ok());
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, etag, retry_after, body })
    }
}
