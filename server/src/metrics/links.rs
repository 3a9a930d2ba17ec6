//! Links to other servers: whether they are up, and how far the two are behind each other.

use super::site::gauge;
use crate::clock;
use crate::replica::Replicas;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use tidelog_crdt::Position;
use tidelog_protocol::replica::Behind;

/// What is told of how far somebody is behind.
type Part = (&'static str, fn(&Behind) -> u64);

const PARTS: [Part; 3] = [
    ("actions", |it| it.actions),
    ("bytes", |it| it.bytes),
    ("seconds", |it| it.age_ms.unwrap_or_default() / 1000),
];

pub(super) fn encode(
    to: &mut DescriptorEncoder<'_>,
    replicas: &Replicas,
    head: Position,
) -> Result<(), fmt::Error> {
    let help = "Replicas that follow this server and have asked within the last minute and a half.";
    gauge(to, "tidelog_replicas_linked", help, replicas.linked())?;
    let now = clock::now_ms();
    let lags = replicas.lags(now);
    for (part, value) in PARTS {
        let lacking: Vec<_> =
            lags.iter().map(|it| (&it.replica, it.lacks.as_ref().map(value))).collect();
        let name = format!("tidelog_replica_lacking_{part}");
        of_each(
            to,
            &name,
            &format!("What a replica still has to get of this feed, in {part}."),
            &lacking,
        )?;
        let owing: Vec<_> =
            lags.iter().map(|it| (&it.replica, it.owes.as_ref().map(value))).collect();
        let name = format!("tidelog_replica_owing_{part}");
        of_each(
            to,
            &name,
            &format!("What a replica still has to bring, as it said last, in {part}."),
            &owing,
        )?;
    }
    upstream(to, replicas, (head, now))
}

fn upstream(
    to: &mut DescriptorEncoder<'_>,
    replicas: &Replicas,
    (head, now): (Position, u64),
) -> Result<(), fmt::Error> {
    let link = replicas.upstream.now();
    gauge(
        to,
        "tidelog_upstream_linked",
        "1 while the link to the server that is followed is up.",
        u64::from(link.since_ms.is_some()),
    )?;
    let (owed, lacking) = replicas.upstream_lag(now);
    gauge(
        to,
        "tidelog_upstream_owed_positions",
        "How much of this feed the server that is followed may still have to get.",
        if link.known { head.get().saturating_sub(link.pushed) } else { 0 },
    )?;
    gauge(
        to,
        "tidelog_upstream_lacking_positions",
        "How much of the feed that is followed may still have to come.",
        link.their_head.saturating_sub(link.pulled),
    )?;
    for (part, value) in PARTS {
        let name = format!("tidelog_upstream_owed_{part}");
        let help = format!("What the server that is followed still has to get, in {part}.");
        gauge(to, &name, &help, value(&owed))?;
        let name = format!("tidelog_upstream_lacking_{part}");
        let help = format!("What still has to come from the server that is followed, in {part}.");
        gauge(to, &name, &help, value(&lacking))?;
    }
    Ok(())
}

/// A gauge with a value for each replica of which it is known.
fn of_each(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(&String, Option<u64>)],
) -> Result<(), fmt::Error> {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.iter().filter_map(|(replica, value)| Some((replica, (*value)?))).try_for_each(
        |(replica, value)| {
            ConstGauge::new(value).encode(family.encode_family(&[("replica", replica.as_str())])?)
        },
    )
}
