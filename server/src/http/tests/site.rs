//! A server without a socket, and what its clients say to it.

use super::contract;
use crate::app::App;
use crate::config::{Config, Source};
use crate::http::{Peer, router};
use crate::serve;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

pub(super) const RULES: &str = r#"
    [auth]
    anonymous = ["guest"]
    [[action]]
    type = "note"
    [[action]]
    type = "posts/*"
    channels = ["posts/{action.post}"]
    [[action]]
    type = "both"
    channels = ["posts/1", "posts/2"]
    [[channel]]
    pattern = "posts/:id"
    [[channel]]
    pattern = "news"
    load = "none"
    [[action]]
    type = "news"
    channels = ["news"]
    [[channel]]
    pattern = "secret"
    allow = "false"
    [[sync_map]]
    name = "tasks"
"#;

/// A server in a directory of its own.
pub(super) struct Site {
    pub(super) app: App,
    pub(super) router: Router,
    pub(super) stop: watch::Sender<bool>,
    pub(super) dir: TempDir,
    rules: String,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Site {
    /// A server for development under `rules`.
    pub(super) fn open(rules: &str) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), rules, true)
    }

    pub(super) fn open_in(dir: TempDir, rules: &str, dev: bool) -> Self {
        let source = Source::new(&dir.path().join("tidelog.toml"), rules.to_owned());
        let mut config = Config::parse(source).unwrap();
        config.dev = dev;
        config.server.data = dir.path().join("data");
        let (stop, stopping) = watch::channel(false);
        let app = serve::build(&config, stopping).unwrap();
        Self { router: router(app.clone()), app, stop, dir, rules: rules.to_owned() }
    }

    /// The same server after a restart.
    pub(super) async fn restart(self) -> Self {
        let Self { app, router, dir, rules, .. } = self;
        app.log.close().await.unwrap();
        drop((app, router));
        Self::open_in(dir, &rules, true)
    }

    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    /// The answer to a request, whose body may go on.
    pub(super) async fn begin(&self, mut request: Request<Body>) -> axum::response::Response {
        request.extensions_mut().insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = self.begin(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        contract::check(&method, &path, &answer);
        answer
    }

    /// `who` is a user, or a device as `user:client`.
    pub(super) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(get(who, path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        self.send(post(who, path).body(Body::from(body.to_string())).unwrap()).await
    }

    /// Pushes actions as `who`; all must be processed. Returns their ids.
    pub(super) async fn push(&self, who: &str, actions: &[Value]) -> Vec<String> {
        let pairs: Vec<_> = actions.iter().map(|action| json!([action, {}])).collect();
        let answer = self.post(who, "/v1/log", &json!({ "actions": pairs })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.json()["results"].as_array().unwrap().clone();
        assert!(results.iter().all(|result| result["status"] == "processed"), "{results:?}");
        results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Pushes notes to the user's own log.
    pub(super) async fn notes(&self, who: &str, texts: &[&str]) -> Vec<String> {
        let actions: Vec<_> = texts.iter().map(|text| json!({"type": "note", "x": text})).collect();
        self.push(who, &actions).await
    }

    /// Pulls; it must succeed.
    pub(super) async fn pull(&self, who: &str, query: &str) -> Pulled {
        let answer = self.get(who, &format!("/v1/log?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Pulled::of(&answer.json())
    }

    /// Pulls page after page until there is no more.
    pub(super) async fn pull_all(&self, who: &str, query: &str, mut since: String) -> Pulled {
        let mut all = Vec::new();
        loop {
            let since_query =
                if since.is_empty() { String::new() } else { format!("&since={since}") };
            let mut page = self.pull(who, &format!("{query}{since_query}")).await;
            all.append(&mut page.actions);
            if !page.more {
                return Pulled { actions: all, ..page };
            }
            since = page.cursor;
        }
    }
}

/// What a pull brought.
#[derive(Debug, Clone)]
pub(super) struct Pulled {
    /// Pairs of action and meta.
    pub(super) actions: Vec<Value>,
    pub(super) cursor: String,
    pub(super) more: bool,
}

impl Pulled {
    pub(super) fn of(body: &Value) -> Self {
        Self {
            actions: body["actions"].as_array().unwrap().clone(),
            cursor: body["cursor"].as_str().unwrap().to_owned(),
            more: body["more"].as_bool().unwrap(),
        }
    }

    /// What stands under `x` in each action.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.actions.iter().map(|pair| pair[0]["x"].as_str().unwrap_or("?")).collect()
    }

    pub(super) fn kinds(&self) -> Vec<&str> {
        self.actions.iter().map(|pair| pair[0]["type"].as_str().unwrap()).collect()
    }

    pub(super) fn ids(&self) -> Vec<&str> {
        self.actions.iter().map(|pair| pair[1]["id"].as_str().unwrap()).collect()
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is the problem called `name`, and returns it.
    pub(super) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:tidelog:problem:{name}"));
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        problem
    }
}

pub(super) fn request(who: &str, path: &str) -> axum::http::request::Builder {
    let request = Request::builder().uri(path);
    let request = match who.split_once(':') {
        Some(_) => request.header("tidelog-client", who),
        None => request,
    };
    let user = who.split(':').next().unwrap_or_default();
    request.header(header::AUTHORIZATION, format!("Bearer {user}"))
}

pub(super) fn get(who: &str, path: &str) -> axum::http::request::Builder {
    request(who, path)
}

pub(super) fn post(who: &str, path: &str) -> axum::http::request::Builder {
    request(who, path).method("POST").header(header::CONTENT_TYPE, "application/json")
}

/// An action for `posts/…`.
pub(super) fn post_to(post: &str, text: &str) -> Value {
    json!({"type": "posts/add", "post": post, "x": text})
}
