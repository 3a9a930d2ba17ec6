//! A server that wakes devices.

use super::double::PATIENCE;
use crate::app::App;
use crate::config::{Config, Source};
use crate::http::{Peer, router};
use crate::log::{LogName, PageLimit};
use crate::serve;
use crate::wake::table::Done;
use crate::wake::{Device, DeviceId, Push, deliver, follow};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tidelog_protocol::UserId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

pub(in crate::wake) struct World {
    pub(in crate::wake) app: App,
    dir: TempDir,
    settings: String,
    stop: watch::Sender<bool>,
    follower: JoinHandle<()>,
}

/// A browser's secrets.
pub(super) struct Keys {
    pub(super) private: PrivateKey,
    pub(super) auth: [u8; 16],
}

impl Keys {
    pub(super) fn make() -> Self {
        Self { private: PrivateKey::generate(&ECDH_P256).unwrap(), auth: [9; 16] }
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.private.compute_public_key().unwrap().as_ref().to_vec()
    }

    /// What the browser gives the page.
    pub(super) fn registering(&self, endpoint: &str) -> Value {
        let p256dh = URL_SAFE_NO_PAD.encode(self.public());
        let keys = json!({"p256dh": p256dh, "auth": URL_SAFE_NO_PAD.encode(self.auth)});
        json!({"kind": "web", "subscription": {"endpoint": endpoint, "keys": keys}})
    }
}

/// What tests wait for comes soon.
const SOON: &str = "[wake]\nallow_private = true\ninterval = \"1ms\"\n";

impl World {
    /// `settings` come before `[wake]`, and `[wake.…]` after it.
    pub(in crate::wake) fn open(rules: &str, wake: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::open_in(dir, format!("{rules}\n{SOON}{wake}"))
    }

    /// In a directory that has the files which the settings name.
    pub(super) fn open_in(dir: TempDir, settings: String) -> Self {
        let source = Source::new(&dir.path().join("tidelog.toml"), settings.clone());
        let mut config = Config::parse(source).unwrap();
        config.dev = true;
        config.server.data = dir.path().join("data");
        let (stop, stopping) = watch::channel(false);
        let app = serve::build(&config, stopping).unwrap();
        let following = app.clone();
        let follower = tokio::spawn(async move { match follow(following).await {} });
        Self { app, dir, settings, stop, follower }
    }

    pub(super) fn with_files(files: &[(&str, &str)], wake: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        Self::open_in(dir, format!("{SOON}{wake}"))
    }

    /// Nobody follows the feed any more.
    pub(super) async fn stop_following(&mut self) {
        self.follower.abort();
        drop((&mut self.follower).await);
    }

    /// It is followed again, from where that ended.
    pub(super) fn follow_again(&mut self) {
        let following = self.app.clone();
        self.follower = tokio::spawn(async move { match follow(following).await {} });
    }

    /// The same after the process was killed: nothing was told to end.
    pub(super) async fn kill(self) -> Self {
        let Self { app, dir, settings, stop, follower } = self;
        follower.abort();
        stop.send(true).unwrap();
        let data: PathBuf = dir.path().join("data");
        // What is on disk at this moment is all that the next one has.
        let copy = tempfile::tempdir().unwrap();
        copy_all(dir.path(), copy.path());
        app.log.close().await.unwrap();
        drop((app, data));
        Self::open_in(copy, settings)
    }

    pub(super) async fn call(&self, method: &str, who: &str, path: &str, body: &Value) -> Value {
        let response = self.ask(method, who, (path, "application/json"), body).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status} {body:?}");
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// The status of the answer.
    pub(super) async fn status(&self, method: &str, who: &str, path: &str, body: &Value) -> u16 {
        self.ask(method, who, (path, "application/json"), body).await.status().as_u16()
    }

    async fn ask(
        &self,
        method: &str,
        who: &str,
        (path, accept): (&str, &str),
        body: &Value,
    ) -> Response {
        let user = who.split(':').next().unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {user}"))
            .header("tidelog-client", who)
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(Body::from(body.to_string()))
            .unwrap();
        request.extensions_mut().insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        router(self.app.clone()).oneshot(request).await.unwrap()
    }

    /// The first event of a stream, which then breaks off.
    pub(super) async fn stream(&self, who: &str, path: &str) -> String {
        let stream = self.ask("GET", who, (path, "text/event-stream"), &Value::Null).await;
        let event = stream.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(event.to_vec()).unwrap()
    }

    /// Registers; the device's id.
    pub(super) async fn register(&self, who: &str, body: &Value) -> String {
        let device = self.call("POST", who, "/v1/push/devices", body).await;
        device["id"].as_str().unwrap().to_owned()
    }

    /// Pushes an action as `who`.
    pub(super) async fn act(&self, who: &str, action: &Value) {
        let body = json!({"actions": [[action, {}]]});
        let done = self.call("POST", who, "/v1/log", &body).await;
        assert_eq!(done["results"][0]["status"], "processed", "{done}");
    }

    pub(super) fn is_registered(&self, user: &str, id: &str) -> bool {
        self.device(user, id).is_some()
    }

    pub(super) fn device(&self, user: &str, id: &str) -> Option<Device> {
        let (user, id) = (UserId::new(user).unwrap(), DeviceId::new(id).unwrap());
        self.app.wakes.book.get(&user, &id).unwrap()
    }

    /// Sends a device a silent push now; what follows from the answer.
    pub(super) async fn tell(&self, user: &str, id: &str) -> Done {
        let push = Push { head: self.app.log.head(), message: None };
        deliver::send(&self.app, &self.device(user, id).unwrap(), &push).await
    }

    /// How many pushes had this result.
    pub(super) fn pushes(&self, result: &str) -> u64 {
        let text = self.app.metrics.text(crate::metrics::Format::Text);
        let lines = text.lines().filter(|line| line.starts_with("tidelog_pushes_total{"));
        let lines = lines.filter(|line| line.contains(&format!("\"{result}\"")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits until `is_so`.
    pub(in crate::wake) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it never is so");
    }

    /// Waits until all that is in the log has been looked at.
    pub(super) async fn followed(&self) {
        let head = self.app.log.head();
        let through = || self.app.wakes.through.try_lock().is_ok_and(|through| *through >= head);
        self.until(|_| through()).await;
    }

    /// How many actions are in the user's log.
    pub(super) fn count(&self, user: &str) -> usize {
        let log = LogName::User(UserId::new(user).unwrap());
        let limit = PageLimit { entries: 100, bytes: usize::MAX };
        self.app.log.newest(&log, limit).unwrap().entries.len()
    }
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, kind) = (to.join(file.file_name()), file.file_type().unwrap());
        if kind.is_dir() {
            std::fs::create_dir(&name).unwrap();
            copy_all(&file.path(), &name);
        } else if kind.is_file() {
            std::fs::copy(file.path(), &name).unwrap();
        }
    }
}
