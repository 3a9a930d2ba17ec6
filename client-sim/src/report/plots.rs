//! The plots of an outcome.

use super::outcome::{GroupOutcome, Outcome};
use super::plot::{Axis, Plot, Scale, Series};
use crate::measure::{Point, Sample};
use crate::plan::Happening;

/// All that there is something to show in.
pub(super) fn of(outcome: &Outcome) -> Vec<Plot> {
    let over_time =
        [throughput(outcome), crowd(outcome), latency(outcome), cores(outcome), memory(outcome)];
    let mut plots: Vec<Plot> = over_time.into_iter().collect();
    plots.insert(3, percentiles(outcome));
    plots.insert(2, caught_up(outcome));
    plots
}

fn seconds() -> Axis {
    Axis { label: "time since the start, s", scale: Scale::Linear }
}

fn marks(outcome: &Outcome) -> Vec<(f64, String)> {
    let mark = |event: &crate::plan::Event| {
        let what = match event.what {
            Happening::Outage => "outage",
            Happening::Restart => "restart",
            Happening::Kill => "kill",
        };
        let end = (event.lasts > 0.0).then(|| (event.at + event.lasts, "over".to_owned()));
        [Some((event.at, what.to_owned())), end].into_iter().flatten()
    };
    outcome.spec.events.iter().flat_map(mark).collect()
}

fn over_time(
    outcome: &Outcome,
    (title, caption): (&'static str, &'static str),
    y: Axis,
    series: Vec<Series>,
) -> Plot {
    Plot { title, caption, x: seconds(), y, series, marks: marks(outcome) }
}

fn line(outcome: &Outcome, name: &str, of: impl Fn(&Sample) -> Option<f64>) -> Series {
    let points = outcome.samples.iter().filter_map(|sample| Some((sample.at, of(sample)?)));
    Series { name: name.to_owned(), points: points.collect() }
}

#[expect(clippy::cast_precision_loss, reason = "devices")]
fn crowd(outcome: &Outcome) -> Plot {
    let series = vec![
        line(outcome, "signed in", |sample| Some(sample.online as f64)),
        line(outcome, "waiting to be let in", |sample| Some(sample.waiting as f64)),
        line(outcome, "without everything yet", |sample| Some(sample.behind as f64)),
    ];
    let said = "Devices that are signed in, those that want to be and are not, and those that miss something or have \
                something that is not acknowledged. A storm is over where the third line is back at 0.";
    let y = Axis { label: "devices", scale: Scale::Linear };
    over_time(outcome, ("Who is there", said), y, series)
}

fn throughput(outcome: &Outcome) -> Plot {
    let series = vec![
        line(outcome, "acknowledged", |sample| Some(sample.acknowledged)),
        line(outcome, "delivered", |sample| Some(sample.delivered)),
    ];
    let said = "Actions that the server acknowledged, and actions that arrived at other devices. Where the first line is flat at its \
                highest, it is as much as the server could do.";
    let y = Axis { label: "actions a second", scale: Scale::Linear };
    over_time(outcome, ("Throughput", said), y, series)
}

fn latency(outcome: &Outcome) -> Plot {
    let series = vec![
        line(outcome, "half took less", |sample| sample.p50_ms),
        line(outcome, "99 % took less", |sample| sample.p99_ms),
    ];
    let said = "From the moment at which an action was meant to be made to its acknowledgement, by when that came; without \
                what was made offline. What a slow server holds up counts in full.";
    let y = Axis { label: "ms, by powers of ten", scale: Scale::Log };
    over_time(outcome, ("Latency over time", said), y, series)
}

fn cores(outcome: &Outcome) -> Plot {
    let series = vec![line(outcome, "server", |sample| sample.cores)];
    let said = "User and system time of the server's process, by the time that passed.";
    let y = Axis { label: "cores", scale: Scale::Linear };
    over_time(outcome, ("Processor of the server", said), y, series)
}

fn memory(outcome: &Outcome) -> Plot {
    let series = vec![line(outcome, "server", |sample| sample.memory_mib)];
    let said = "Memory of the server's process that is resident.";
    let y = Axis { label: "MiB", scale: Scale::Linear };
    over_time(outcome, ("Memory of the server", said), y, series)
}

fn curves<'a>(
    outcome: &'a Outcome,
    what: &str,
    of: impl Fn(&'a GroupOutcome) -> &'a [Point],
) -> Vec<Series> {
    let series = |group: &'a GroupOutcome| {
        let points = of(group).iter().map(|point| (point.share, point.ms.max(0.001))).collect();
        Series { name: format!("{}, {what}", group.name), points }
    };
    outcome.groups.iter().map(series).collect()
}

fn percentiles(outcome: &Outcome) -> Plot {
    let mut series = curves(outcome, "acknowledged", |group| &group.acknowledged_curve);
    series.extend(curves(outcome, "delivered", |group| &group.delivered_curve));
    series.retain(|series| !series.points.is_empty());
    Plot {
        title: "Latency by share",
        caption: "How long so many of the actions took at most, from the moment at which they were meant to be made. The further to the \
                  right a line stays low, the rarer are the slow ones.",
        x: Axis { label: "share of actions", scale: Scale::Nines },
        y: Axis { label: "ms, by powers of ten", scale: Scale::Log },
        series,
        marks: Vec::new(),
    }
}

fn caught_up(outcome: &Outcome) -> Plot {
    let series = |group: &GroupOutcome| Series {
        name: group.name.clone(),
        points: group.caught_up_curve.iter().map(|at| (at.ms / 1000.0, at.share * 100.0)).collect(),
    };
    Plot {
        title: "Until everything is there",
        caption: "The share of waits that were over after so long: from the moment at which a device wanted to be online until all it had was \
                  acknowledged and all it had missed was there.",
        x: Axis { label: "time, s", scale: Scale::Linear },
        y: Axis { label: "% of waits", scale: Scale::Linear },
        series: outcome.groups.iter().map(series).collect(),
        marks: Vec::new(),
    }
}
