//! Key sets from a server that the tests run.

use crate::auth::tests::{Keys, NOW_S, http};
use crate::auth::{Authenticator, Identity, Refusal};
use crate::clock;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A server of a key set.
struct Provider {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    /// Each answer takes one; without one it is held.
    answers: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Provider {
    async fn start(answer: (u16, String)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let mut provider = Self {
            url,
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            answers: Arc::new(Semaphore::new(1000)),
            tasks: JoinSet::new(),
        };
        let (answer, asked, answers) =
            (provider.answer.clone(), provider.asked.clone(), provider.answers.clone());
        provider.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, asked, answers) = (answer.clone(), asked.clone(), answers.clone());
                connections.spawn(async move {
                    let service = service_fn(|_: Request<Incoming>| async {
                        asked.fetch_add(1, Ordering::SeqCst);
                        answers.acquire().await.unwrap().forget();
                        let (status, body) = answer.lock().unwrap().clone();
                        let response = Response::builder().status(status).header("location", "/x");
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        provider
    }

    fn says(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const NAMES: [&str; 2] = ["ec.private.pem", "ed.private.pem"];

fn signing(keys: &Keys, name: &str) -> (EncodingKey, jsonwebtoken::Algorithm) {
    let pem = std::fs::read(keys.file(name)).unwrap();
    match name {
        "ec.private.pem" => {
            (EncodingKey::from_ec_pem(&pem).unwrap(), jsonwebtoken::Algorithm::ES256)
        }
        _ => (EncodingKey::from_ed_pem(&pem).unwrap(), jsonwebtoken::Algorithm::EdDSA),
    }
}

/// A set of these keys, each called by its place in [`NAMES`].
fn set(keys: &Keys, names: &[&str]) -> String {
    let jwks = names.iter().map(|name| {
        let (key, algorithm) = signing(keys, name);
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        jwk["kid"] = kid(name).into();
        jwk
    });
    json!({ "keys": jwks.collect::<Vec<Value>>() }).to_string()
}

fn kid(name: &str) -> String {
    NAMES.iter().position(|it| *it == name).unwrap().to_string()
}

/// A token of user 10.
fn token(keys: &Keys, name: &str, kid: Option<String>) -> String {
    token_of("10", keys, name, kid)
}

fn token_of(user: &str, keys: &Keys, name: &str, kid: Option<String>) -> String {
    let (key, algorithm) = signing(keys, name);
    let header = jsonwebtoken::Header { kid, ..jsonwebtoken::Header::new(algorithm) };
    let exp = NOW_S + 1_000_000_000;
    jsonwebtoken::encode(&header, &json!({ "sub": user, "exp": exp }), &key).unwrap()
}

/// An authenticator whose sets are kept fresh.
struct Site {
    authenticator: Arc<Authenticator>,
    _keeper: JoinSet<Infallible>,
}

fn site(keys: &Keys, url: &str, settings: &str) -> Site {
    let text = format!("[auth.jwks]\n{settings}\n[[auth.jwt]]\njwks_url = \"{url}\"");
    let authenticator = Arc::new(keys.authenticator(&text).unwrap());
    let mut keeper = JoinSet::new();
    let kept = authenticator.clone();
    keeper.spawn(async move { kept.keep_keys().await });
    Site { authenticator, _keeper: keeper }
}

impl Site {
    async fn admit(&self, token: &str) -> Result<Identity, Refusal> {
        self.authenticator.admit(&http(Some(token), None), clock::now_ms()).await
    }

    /// Admits until a set was fetched for it; the floor may be in the way.
    async fn admit_soon(&self, token: &str) -> Result<Identity, Refusal> {
        loop {
            match self.admit(token).await {
                Err(Refusal::NotNow) => tokio::task::yield_now().await,
                settled => return settled,
            }
        }
    }
}

#[tokio::test]
async fn keys_come_by_the_network_and_change_without_a_restart() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    let site = site(&keys, &provider.url, "floor = \"1ms\"");
    let [old, new] = NAMES.map(|name| token(&keys, name, Some(kid(name))));
    assert_eq!(site.admit(&old).await.unwrap().user.as_str(), "10");
    assert_eq!(provider.asked(), 1);
    site.admit(&old).await.unwrap();
    assert_eq!(provider.asked(), 1, "a known key asks for nothing");
    provider.says(200, set(&keys, &NAMES[1..]));
    site.admit_soon(&new).await.expect("the new key is fetched");
    assert_eq!(site.admit_soon(&old).await.unwrap_err(), Refusal::Credentials, "it was withdrawn");
}

#[tokio::test]
async fn a_token_that_names_no_key_is_tried_with_a_new_set_once() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    let site = site(&keys, &provider.url, "floor = \"1ms\"");
    site.admit(&token(&keys, NAMES[0], None)).await.expect("it need not name one");
    provider.says(200, set(&keys, &NAMES));
    site.admit_soon(&token(&keys, NAMES[1], None)).await.expect("another algorithm, a new set");
}

#[tokio::test]
async fn however_many_ask_there_is_one_fetch_and_then_none_before_the_floor() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    // Who waited for a fetch that does not come would wait for an hour.
    let site = Arc::new(site(&keys, &provider.url, "floor = \"1h\"\ntimeout = \"1h\""));
    provider.answers.forget_permits(1000);
    let mut asking = JoinSet::new();
    for number in 0..50 {
        let (user, kid) = (number.to_string(), Some(format!("no {number}")));
        let (site, token) = (site.clone(), token_of(&user, &keys, NAMES[1], kid));
        asking.spawn(async move { site.admit(&token).await });
    }
    while provider.asked() == 0 {
        tokio::task::yield_now().await;
    }
    provider.answers.add_permits(1000);
    for outcome in asking.join_all().await {
        // For good only by a set that was asked for after the token came.
        assert!(matches!(outcome, Err(Refusal::Credentials | Refusal::NotNow)), "{outcome:?}");
    }
    let unknown = token(&keys, NAMES[1], Some("other".to_owned()));
    for _ in 0..10 {
        let refused = tokio::time::timeout(Duration::from_secs(30), site.admit(&unknown)).await;
        assert_eq!(refused.expect("at once").unwrap_err(), Refusal::NotNow, "it may come again");
    }
    let nameless = token(&keys, NAMES[0], None);
    let (start, _) = nameless.rsplit_once('.').unwrap();
    let forged = format!("{start}.AAAA");
    assert_eq!(site.admit(&forged).await.unwrap_err(), Refusal::Credentials);
    site.admit(&token(&keys, NAMES[0], Some("0".to_owned())))
        .await
        .expect("no failure was counted");
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn an_operator_who_asks_again_and_again_gets_no_fetch_before_the_floor() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES))).await;
    let site = site(&keys, &provider.url, "floor = \"1h\"");
    site.admit(&token(&keys, NAMES[0], None)).await.unwrap();
    for _ in 0..10 {
        site.authenticator.reload();
        // A fetch that it led to would have been asked for when another one has been answered.
        let after = Provider::start((200, set(&keys, &NAMES))).await;
        let other = self::site(&keys, &after.url, "");
        other.admit(&token(&keys, NAMES[0], None)).await.unwrap();
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_set_that_was_asked_for_before_the_token_came_refuses_nobody_for_good() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    provider.answers.forget_permits(1000);
    let site = Arc::new(site(&keys, &provider.url, "floor = \"1h\""));
    while provider.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let began_ms = clock::now_ms();
    while clock::now_ms() == began_ms {
        tokio::task::yield_now().await;
    }
    let [good, new] = NAMES.map(|name| token(&keys, name, Some(kid(name))));
    let mut asking = JoinSet::new();
    for token in [good, new.clone()] {
        let site = site.clone();
        asking.spawn(async move { site.admit(&token).await.map(drop) });
    }
    tokio::task::yield_now().await;
    provider.answers.add_permits(1000);
    let mut outcomes = asking.join_all().await;
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes, [Ok(()), Err(Refusal::NotNow)]);
    assert_eq!(provider.asked(), 1, "the floor holds");
}

#[tokio::test]
async fn what_could_not_be_of_the_set_asks_for_nothing() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES))).await;
    let site = site(&keys, &provider.url, "floor = \"1ms\"");
    site.admit(&token(&keys, NAMES[0], None)).await.unwrap();
    let secret = keys.sign("secret", &json!({ "sub": "10" }));
    assert_eq!(site.admit(&secret).await.unwrap_err(), Refusal::Credentials);
    let named = token(&keys, NAMES[0], Some("0".to_owned()));
    let (start, _) = named.rsplit_once('.').unwrap();
    assert_eq!(site.admit(&format!("{start}.AAAA")).await.unwrap_err(), Refusal::Credentials);
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_set_is_kept_for_a_start_without_a_link() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    let good = token(&keys, NAMES[0], Some(kid(NAMES[0])));
    site(&keys, &provider.url, "").admit(&good).await.unwrap();
    let folder = keys.file("tidelog-data/jwks");
    let kept = || {
        let files = std::fs::read_dir(&folder).into_iter().flatten().map(|file| file.unwrap());
        files
            .filter(|file| file.path().extension().is_some_and(|it| it == "json"))
            .collect::<Vec<_>>()
    };
    // It is written after the sign-in that waited for it.
    while kept().is_empty() {
        tokio::task::yield_now().await;
    }
    let [file] = &kept()[..] else { panic!("one set, one file") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    provider.says(500, "");
    let offline = site(&keys, &provider.url, "");
    offline.admit(&good).await.expect("what was kept counts");
    // Half a file, or one of another set, is as none.
    let content = std::fs::read_to_string(file.path()).unwrap();
    for bad in [&content[..content.len() / 2], &content.replace("/keys", "/other")] {
        std::fs::write(file.path(), bad).unwrap();
        let offline = site(&keys, &provider.url, "timeout = \"5s\"");
        assert_eq!(offline.admit(&good).await.unwrap_err(), Refusal::NotNow);
    }
}

#[tokio::test]
async fn keys_count_as_long_as_the_grace_lasts() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    let site = site(&keys, &provider.url, "grace = \"1h\"");
    let good = token(&keys, NAMES[0], Some(kid(NAMES[0])));
    site.admit(&good).await.unwrap();
    let at = |ms: u64| {
        let now = clock::now_ms() + ms;
        site.authenticator.sign_in(&http(Some(&good), None), now).map(drop)
    };
    assert_eq!(at(3_599_000), Ok(()));
    assert_eq!(at(3_600_000), Err(Refusal::NotNow));
}

#[tokio::test]
async fn what_is_no_set_changes_nothing() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES[..1]))).await;
    let site = site(&keys, &provider.url, "floor = \"1ms\"\nbytes = 2000");
    let (good, new) =
        (token(&keys, NAMES[0], Some(kid(NAMES[0]))), token(&keys, NAMES[1], Some(kid(NAMES[1]))));
    site.admit(&good).await.unwrap();
    let both = set(&keys, &NAMES);
    for (status, body) in [
        (500, both.clone()),
        (302, both.clone()),
        (404, String::new()),
        (200, "<html>".to_owned()),
        (200, r#"{"keys":[]}"#.to_owned()),
        (200, format!("{both}{}", " ".repeat(2000))),
    ] {
        provider.says(status, body.as_str());
        let asked = provider.asked();
        while provider.asked() == asked {
            assert_eq!(site.admit(&new).await.unwrap_err(), Refusal::NotNow, "{status} {body}");
        }
        site.admit(&good).await.expect("the keys before still count");
    }
    provider.says(200, both);
    site.admit_soon(&new).await.expect("it was only those answers");
}

#[tokio::test]
async fn who_watches_is_told_how_fetching_goes_and_how_old_the_keys_are() {
    let keys = Keys::new();
    let provider = Provider::start((500, String::new())).await;
    let now = clock::now_ms();
    let site = site(&keys, &provider.url, "floor = \"1ms\"");
    let good = token(&keys, NAMES[0], Some(kid(NAMES[0])));
    assert_eq!(site.admit(&good).await.unwrap_err(), Refusal::NotNow);
    let watched = site.authenticator.key_sets(now + 3_600_000);
    assert!(watched.failed > 0 && watched.fetched == 0, "{watched:?}");
    assert!(
        (3_590_000..=3_600_000).contains(&watched.age_ms),
        "as old as the process: {watched:?}"
    );
    provider.says(200, set(&keys, &NAMES));
    site.admit_soon(&good).await.unwrap();
    let watched = site.authenticator.key_sets(clock::now_ms() + 60_000);
    assert_eq!(watched.fetched, 1, "{watched:?}");
    assert!((60_000..3_600_000).contains(&watched.age_ms), "{watched:?}");
}

#[tokio::test]
async fn a_sign_in_waits_for_a_slow_provider_no_longer_than_a_fetch_may_take() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES))).await;
    provider.answers.forget_permits(1000);
    let site = site(&keys, &provider.url, "timeout = \"50ms\"\nfloor = \"1ms\"");
    let token = token(&keys, NAMES[0], None);
    let waited = tokio::time::timeout(Duration::from_secs(30), site.admit(&token)).await;
    assert_eq!(waited.expect("it ends").unwrap_err(), Refusal::NotNow);
}

#[tokio::test]
async fn a_set_is_fetched_anew_from_time_to_time() {
    let keys = Keys::new();
    let provider = Provider::start((200, set(&keys, &NAMES))).await;
    let site = site(&keys, &provider.url, "refresh = \"5ms\"\nfloor = \"1ms\"");
    while provider.asked() < 3 {
        tokio::task::yield_now().await;
    }
    drop(site);
}

#[tokio::test]
async fn over_tls_the_authorities_of_the_file_count_and_no_others() {
    let keys = Keys::new();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    keys.write("cert.pem", certified.cert.pem());
    keys.write("key.pem", certified.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    keys.write("other.pem", other.cert.pem());
    let files =
        crate::config::Tls { cert_file: keys.file("cert.pem"), key_file: keys.file("key.pem") };
    let tls = crate::tls::Tls::read(&files).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
    let body = set(&keys, &NAMES);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = tls.accept(stream).await else { continue };
            let service = service_fn(|_: Request<Incoming>| {
                let body = Full::new(Bytes::from(body.clone()));
                async { Ok::<_, Infallible>(Response::new(body)) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        }
    });
    let token = token(&keys, NAMES[0], None);
    for (ca_file, admitted) in [("", false), ("other.pem", false), ("cert.pem", true)] {
        let site = site(&keys, &url, &format!("ca_file = \"{ca_file}\""));
        assert_eq!(site.admit(&token).await.is_ok(), admitted, "{ca_file}");
    }
}
