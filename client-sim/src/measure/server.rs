//! What the run costs the server: from `/proc`, or from its own `/metrics`.

use crate::process::Process;
use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long metrics may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// CPU time so far, and memory now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct ServerWatch {
    pid: Cell<Option<u32>>,
    metrics: Option<Uri>,
    /// What processes used that are over, and the newest one when last looked at.
    over: Cell<Duration>,
    last: Cell<Duration>,
}

impl ServerWatch {
    pub(crate) fn new(pid: Option<u32>, metrics: Option<Uri>) -> Self {
        let zero = || Cell::new(Duration::ZERO);
        Self { pid: Cell::new(pid), metrics, over: zero(), last: zero() }
    }

    /// From now on it is this process.
    pub(crate) fn set_pid(&self, pid: u32) {
        self.pid.set(Some(pid));
    }

    /// What it has used so far; none when it cannot be seen.
    pub(crate) async fn read(&self) -> Option<Reading> {
        let mut reading = self.now().await?;
        // A process that was started again counts from nothing.
        if reading.cpu < self.last.get() {
            self.over.set(self.over.get() + self.last.get());
        }
        self.last.set(reading.cpu);
        reading.cpu += self.over.get();
        Some(reading)
    }

    /// The most memory that the process ever had; none where only metrics are seen.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        Process::new(self.pid.get()?).peak_kib().ok()
    }

    async fn now(&self) -> Option<Reading> {
        if let Some(pid) = self.pid.get() {
            let process = Process::new(pid);
            return Some(Reading {
                cpu: process.cpu().ok()?,
                resident_kib: process.resident_kib().ok()?,
            });
        }
        let text =
            tokio::time::timeout(PATIENCE, fetch(self.metrics.as_ref()?)).await.ok()?.ok()?;
        let cpu = Duration::try_from_secs_f64(sample(&text, "process_cpu_seconds_total")?).ok()?;
        let bytes = sample(&text, "process_resident_memory_bytes")?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes of memory"
        )]
        let resident_kib = (bytes / 1024.0) as u64;
        Some(Reading { cpu, resident_kib })
    }
}

async fn fetch(uri: &Uri) -> anyhow::Result<String> {
    let host = uri.host().context("the URL of the metrics has no host")?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    let (mut requests, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async { drop(connection.await) });
    let path = uri.path_and_query().map_or("/metrics", |path| path.as_str());
    let request =
        Request::get(path).header(hyper::header::HOST, host).body(Empty::<Bytes>::new())?;
    let answer = requests.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(answer.to_vec())?)
}

/// The value of a metric without labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    let rest = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    text.lines().find_map(rest)?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total_x 3\nprocess_cpu_seconds_total 1.5\n";
        assert_eq!(sample(text, "process_cpu_seconds_total"), Some(1.5));
        assert_eq!(sample(text, "process_cpu_seconds"), None);
    }

    #[tokio::test]
    async fn a_process_is_read_and_one_that_is_gone_is_not() {
        let watch = ServerWatch::new(Some(std::process::id()), None);
        assert!(watch.read().await.unwrap().resident_kib > 100);
        assert!(watch.peak_kib().unwrap() > 100);
        assert_eq!(ServerWatch::new(None, None).read().await, None);
        watch.set_pid(u32::MAX);
        assert_eq!(watch.read().await, None);
    }
}
