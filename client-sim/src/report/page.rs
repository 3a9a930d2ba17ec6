//! An outcome as one page that needs nothing else.

use super::outcome::{GoalOutcome, GroupOutcome, Outcome};
use super::plot::short;
use super::plots;
use super::table::{duration, mib};
use crate::measure::{Latency, float};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn html(outcome: &Outcome) -> anyhow::Result<String> {
    let title = format!("{}: {} devices", outcome.scenario, outcome.devices);
    let spec = outcome.spec.to_toml()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(outcome))
                main {
                    (cards(outcome))
                    @if !outcome.goals.is_empty() { (goals(&outcome.goals)) }
                    section { div.plots { @for plot in plots::of(outcome) { (plot.figure()) } } }
                    (groups(outcome))
                    (errors(outcome))
                    @if !outcome.found.is_empty() { (violations(outcome)) }
                    (meaning())
                    details { summary { "The scenario" } pre { (spec) } }
                }
                footer {
                    p { (outcome.date) " · " (outcome.machine.processor) ", " (outcome.machine.cores) " cores, "
                        (outcome.machine.memory_mib) " MiB · Linux " (outcome.machine.kernel) }
                    p { code { (outcome.command) } }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn head(outcome: &Outcome) -> Markup {
    let good = outcome.holds();
    html! {
        header {
            p.kind { "tidelog-sim" }
            h1 { (outcome.scenario) }
            p.about { (outcome.spec.about) }
            p class={ "verdict " (if good { "good" } else { "bad" }) } {
                @if good {
                    "Nothing was lost, doubled or out of order."
                } @else if outcome.violations > 0 {
                    (outcome.violations) " times the server did what it must not do."
                } @else {
                    "Not everything came to everybody in the time there was."
                }
            }
            p.facts { (outcome.devices) " devices · " (format!("{:.1}", outcome.seconds)) " s · seed " (outcome.spec.seed)
                " · " (outcome.audited) " logs read back by new devices" }
        }
    }
}

fn card(name: &str, value: &str, more: &str) -> Markup {
    html! { div.card { p.name { (name) } p.value { (value) } p.more { (more) } } }
}

fn cards(outcome: &Outcome) -> Markup {
    let rate = |count: u64| short(float(count) / outcome.seconds.max(0.001));
    let worst = |of: fn(&GroupOutcome) -> Option<Latency>| {
        let all = outcome.groups.iter().filter_map(|group| Some((of(group)?, &group.name)));
        all.max_by(|(a, _), (b, _)| a.p99_ms.total_cmp(&b.p99_ms))
    };
    html! {
        section.cards {
            (card("Acknowledged", &(rate(outcome.acknowledged) + "/s"), &format!("{} actions", outcome.acknowledged)))
            (card("Delivered", &(rate(outcome.deliveries) + "/s"), &format!("{} to other devices", outcome.deliveries)))
            @if let Some((latency, name)) = worst(|group| group.acknowledged) {
                (card("Acknowledgement, p99", &duration(latency.p99_ms), &format!("p50 {}, {name}", duration(latency.p50_ms))))
            }
            @if let Some((latency, name)) = worst(|group| group.caught_up) {
                (card("Caught up, p99", &duration(latency.p99_ms), &format!("at most {}, {name}", duration(latency.max_ms))))
            }
            @if let Some(fairness) = outcome.groups.iter().find_map(|group| group.fairness) {
                (card("Fairness", &format!("{:.3}", fairness.mean), &format!("Jain's index; {:.3} in the worst second", fairness.worst)))
            }
            @if let Some(server) = &outcome.server {
                (card("Server CPU", &format!("{:.1} µs", server.cpu_us_each), &format!("an operation; {:.2} cores", server.cores)))
                (card("Server memory", &mib(server.peak_kib.unwrap_or(server.after_kib)), &format!("{} before", mib(server.before_kib))))
            }
        }
    }
}

fn goals(goals: &[GoalOutcome]) -> Markup {
    html! {
        section {
            h2 { "Goals" }
            div.scroll { table {
                thead { tr { th { "figure" } th { "of" } th.number { "found" } th.number { "meant to be" } th { "" } } }
                tbody {
                    @for GoalOutcome { goal, found, reached } in goals {
                        tr {
                            td { (goal.figure.name()) }
                            td { (goal.group.as_deref().unwrap_or("all")) }
                            td.number { (found.map_or("not measured".to_owned(), |found| format!("{found:.2}"))) }
                            td.number {
                                @if let Some(most) = goal.at_most { "at most " (most) }
                                @if let Some(least) = goal.at_least { "at least " (least) }
                            }
                            td { span class={ "verdict " (if *reached { "good" } else { "bad" }) } {
                                (if *reached { "reached" } else { "missed" })
                            } }
                        }
                    }
                }
            } }
        }
    }
}

fn groups(outcome: &Outcome) -> Markup {
    let cells = |latency: Option<Latency>| {
        html! {
            @match latency {
                Some(latency) => {
                    @for ms in [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms] {
                        td.number { (duration(ms)) }
                    }
                    td.number { (latency.count) }
                }
                None => { td colspan="6" { "–" } }
            }
        }
    };
    html! {
        section {
            h2 { "Groups" }
            div.scroll { table {
                thead { tr {
                    th { "group" } th { "time" }
                    @for name in ["p50", "p90", "p99", "p99.9", "max", "count"] { th.number { (name) } }
                } }
                tbody {
                    @for group in &outcome.groups {
                        @for (what, latency) in [
                            ("acknowledged", group.acknowledged),
                            ("backlog acknowledged", group.backlog),
                            ("delivered", group.delivered),
                            ("caught up", group.caught_up),
                        ] {
                            @if latency.is_some() { tr { td { (group.name) } td { (what) } (cells(latency)) } }
                        }
                    }
                }
            } }
        }
    }
}

fn errors(outcome: &Outcome) -> Markup {
    let all: Vec<_> = outcome
        .groups
        .iter()
        .flat_map(|group| {
            group.errors.iter().map(move |(error, count)| (&group.name, error, count))
        })
        .collect();
    html! {
        @if !all.is_empty() {
            section {
                h2 { "Tried again" }
                p { "What went wrong on the way, and was tried again until it worked." }
                div.scroll { table {
                    thead { tr { th { "group" } th { "what" } th.number { "times" } } }
                    tbody { @for (group, error, count) in all {
                        tr { td { (group) } td { (error) } td.number { (count) } }
                    } }
                } }
            }
        }
    }
}

fn violations(outcome: &Outcome) -> Markup {
    html! {
        section {
            h2 { "What must not be" }
            @for found in &outcome.found {
                details {
                    summary { (found.node) ": " (found.violation) }
                    pre { (found.transcript) }
                }
            }
        }
    }
}

fn meaning() -> Markup {
    html! {
        section {
            h2 { "What the figures mean" }
            dl {
                dt { "acknowledged" }
                dd { "From the moment at which the plan has an action made until the server says that it is kept. An action that waits because \
                      the one before it was slow has waited, and that counts (there is no coordinated omission)." }
                dt { "backlog acknowledged" }
                dd { "For what was made offline: from the moment at which the device wanted to be online." }
                dt { "delivered" }
                dd { "From the moment at which an action was meant to be made until another device has it that had everything before." }
                dt { "caught up" }
                dd { "From wanting to be online, or losing a connection, until all that a device had made is acknowledged and all that it had missed is there." }
                dt { "Fairness" }
                dd { "Jain's index of the throughputs of devices that were let in within the same second: 1 if all got on equally fast, 1/n if one of n got all." }
                dt { "Server CPU" }
                dd { "User and system time of the server for each acknowledgement and each delivery." }
                dt { "p99" }
                dd { "99 of 100 took at most this long." }
            }
        }
    }
}
