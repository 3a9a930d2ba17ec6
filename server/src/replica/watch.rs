//! How the links are, looked at now and then: how far everybody is behind, and who has gone.

use super::Replicas;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::log::{Log, ReadError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::replica::Behind;

/// How often.
const EVERY: Duration = Duration::from_secs(5);
/// Records that are counted at a time for each link.
const AT_ONCE: u64 = 100_000;

/// Looks for as long as the server runs.
pub(crate) async fn watch(app: App) -> Infallible {
    loop {
        tokio::time::sleep(EVERY).await;
        let (log, replicas) = (app.log.clone(), Arc::clone(&app.replicas));
        let looked = blocking(move || replicas.look(&log, AT_ONCE)).await;
        let noted = app.log.keep_notes(app.replicas.desk.lag_notes()).await;
        let trouble = looked.map_err(|it| it.to_string()).and(noted.map_err(|it| it.to_string()));
        if let Err(error) = trouble {
            tracing::debug!(error, "how far replicas are is not known");
        }
        tell_of_the_gone(&app.replicas);
    }
}

fn tell_of_the_gone(replicas: &Replicas) {
    let now = clock::now_ms();
    for name in replicas.desk.gone(now) {
        replicas.desk.tell_gone(&name, now);
    }
}

/// How a replica and this server are behind each other.
pub(crate) struct LagOf {
    pub(crate) replica: String,
    /// What it lacks of this feed.
    pub(crate) lacks: Option<Behind>,
    /// What it has and has not brought.
    pub(crate) owes: Option<Behind>,
}

impl Replicas {
    /// Of each replica, as far as is known.
    pub(crate) fn lags(&self, now_ms: u64) -> Vec<LagOf> {
        let all = self.desk.registry.list().into_iter().map(|replica| {
            let (replica, lag) = (replica.name.clone(), self.desk.lag(&replica.name));
            LagOf { replica, lacks: lag.behind(now_ms), owes: lag.ahead(now_ms) }
        });
        all.collect()
    }

    /// What the server that is followed lacks, and what this one lacks of it.
    pub(crate) fn upstream_lag(&self, now_ms: u64) -> (Behind, Behind) {
        let lag = &self.desk.upstream;
        (lag.behind(now_ms).unwrap_or_default(), lag.ahead(now_ms).unwrap_or_default())
    }

    /// Looks how far everybody is behind; of what was not counted yet, at `most` records for each. May
    /// wait for the disk.
    pub(super) fn look(&self, log: &Log, most: u64) -> Result<(), ReadError> {
        for replica in self.desk.registry.list() {
            self.desk.lag(&replica.name).look(log, Some(&replica.scope()), most)?;
        }
        self.desk.upstream.look(log, None, most).map(drop)
    }
}
