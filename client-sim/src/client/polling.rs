//! A device without a WebSocket: every so often it sends what it has and asks for what is new, in one request.

use super::device::{Device, State};
use crate::http::{Answer, Http};
use crate::plan::Behaviour;
use crate::tape::Side;
use crate::world::{Phase, Signal};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use tidelog_protocol::Meta;
use tidelog_protocol::http::{Cursor, PulledMeta, PushedMeta, Status, SyncRequest, SyncResponse};
use tokio::sync::watch;
use tokio::time::timeout;

/// What one request carries each way, at most.
const AT_ONCE: usize = 1000;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(70);
/// In the end devices ask more often.
const IN_THE_END: Duration = Duration::from_millis(200);

/// What says where to go on at a server that does not know the cursor.
#[derive(Deserialize)]
struct Foreign {
    cursor: Cursor,
}

impl Device {
    /// One turn: an exchange, if it is time for one.
    pub(super) async fn poll(&mut self, signal: &mut watch::Receiver<Signal>) {
        if !self.wants() || self.world.clock.micros() < self.retry_at {
            return self.rest(signal).await;
        }
        self.count(|stats| stats.attempts += 1);
        let back_at = signal.borrow().back_at;
        if self.world.clock.micros() < back_at {
            return self.failed("no network", None);
        }
        let (body, count) = match self.request() {
            Ok(request) => request,
            Err(error) => return self.failed(&format!("{error:#}"), None),
        };
        let http = self.http.take();
        let answered = tokio::select! {
            answered = timeout(PATIENCE, Box::pin(self.exchange(http, body))) => answered,
            () = self.broken(signal) => return,
        };
        match answered {
            Ok(Ok((http, answer))) => {
                self.http = Some(http);
                self.on_answer(&answer, count);
            }
            Ok(Err(_)) => self.gone("no connection"),
            Err(_) => self.gone("no answer within 70 s"),
        }
    }

    /// There is no way to the server.
    fn gone(&mut self, why: &str) {
        self.world.stats.borrow_mut().error(self.group, why);
        self.lose(why);
    }

    async fn exchange(
        &self,
        http: Option<Box<Http>>,
        body: Bytes,
    ) -> anyhow::Result<(Box<Http>, Answer)> {
        let target = self.target();
        let latency = self.spec().map_or(0.0, |group| group.network.latency.max(0.0));
        let mut http = if let Some(http) = http {
            http
        } else {
            let token = target.token.as_deref().unwrap_or_default().to_owned();
            Box::new(Http::connect(&target, self.node.client_str(), &token).await?)
        };
        tokio::time::sleep(Duration::from_secs_f64(latency * 2.0 / 1000.0)).await;
        let answer = http.post("/v1/sync", body).await?;
        Ok((http, answer))
    }

    /// The body of the next request, and how many actions are in it.
    fn request(&self) -> anyhow::Result<(Bytes, usize)> {
        let ledger = self.world.ledger.borrow();
        let mut request = SyncRequest { since: self.cursor.clone(), ..SyncRequest::default() };
        if let Some(own) = ledger.of(self.own) {
            let first = own.acknowledged();
            let last = own.made().min(first + AT_ONCE);
            request.actions = (first..last)
                .map(|at| {
                    let id = Some(own.meta(at).id);
                    (own.body(at).clone(), PushedMeta { id, ..PushedMeta::default() })
                })
                .collect();
        }
        request.limit = u32::try_from(AT_ONCE).ok();
        request.channels = self.spec().and_then(|group| group.follow.clone()).into_iter().collect();
        let count = request.actions.len();
        Ok((Bytes::from(serde_json::to_vec(&request)?), count))
    }

    fn on_answer(&mut self, answer: &Answer, count: usize) {
        if let Some(tape) = &mut self.tape {
            let beginning = answer.body.get(..160.min(answer.body.len())).unwrap_or_default();
            let text = format!("{} {}", answer.status, String::from_utf8_lossy(beginning));
            tape.remark(Side::In, &text, crate::now_ms());
        }
        match answer.status {
            StatusCode::OK => match serde_json::from_slice::<SyncResponse>(&answer.body) {
                Ok(response) => self.on_response(response, count),
                Err(error) => self.failed(&format!("an answer that is none: {error}"), None),
            },
            StatusCode::GONE => match serde_json::from_slice::<Foreign>(&answer.body) {
                Ok(foreign) => {
                    self.cursor = Some(foreign.cursor);
                    self.retry_at = self.world.clock.micros();
                }
                Err(_) => self.failed("410 without a cursor", None),
            },
            status => {
                self.failed(&format!("answered {}", status.as_u16()), answer.retry_after);
            }
        }
    }

    fn on_response(&mut self, response: SyncResponse, count: usize) {
        if self.state != State::Online {
            self.let_in();
        }
        for result in response.results.iter().filter(|result| result.status == Status::Undone) {
            let reason = result.reason.as_deref().unwrap_or_default();
            self.undone(&result.id.to_string(), reason);
        }
        self.acknowledged(response.results.len().min(count));
        for (action, PulledMeta { id, time, subprotocol, .. }) in response.actions {
            self.on_action(&action, &Meta { id, time, subprotocol });
        }
        self.cursor = Some(response.cursor);
        if !response.more {
            self.look_whether_current();
        }
        let now = self.world.clock.micros();
        let ledger = self.world.ledger.borrow();
        let has_more = ledger.of(self.own).is_some_and(|own| own.acknowledged() < own.made());
        drop(ledger);
        self.retry_at = if response.more || has_more { now } else { now + self.pause() };
    }

    /// How long until the next exchange: stock devices ask at a beat, better ones do not meet.
    fn pause(&mut self) -> u64 {
        let (poll, behaviour) =
            self.spec().map_or((1.0, Behaviour::Stock), |group| (group.poll, group.behaviour));
        let part = if behaviour == Behaviour::Better { 0.5 + self.chance.part() } else { 1.0 };
        let pause = Duration::from_secs_f64(poll * part);
        let pause = if self.world.phase() >= Phase::Settle { pause.min(IN_THE_END) } else { pause };
        u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)
    }
}
