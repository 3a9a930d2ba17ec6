//! How the numbers are written: `OpenMetrics`, or the older text format of Prometheus.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// What Prometheus asks for by name.
    OpenMetrics,
    /// What everything else reads.
    Text,
}

impl Format {
    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(super) fn write(self, registry: &Registry) -> String {
        let mut open_metrics = String::new();
        // Writing to a string does not fail.
        text::encode(&mut open_metrics, registry).ok();
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => older(&open_metrics),
        }
    }
}

/// In the older format a counter's family is called as its sample is, and nothing marks the end.
fn older(open_metrics: &str) -> String {
    let counters: Vec<_> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let about = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let split = about.and_then(|about| about.split_once(' '));
        match split.filter(|(name, _)| counters.contains(name)) {
            Some((name, rest)) => {
                let (mark, _) = line.split_at(7);
                text.extend([mark, name, "_total ", rest]);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_called_in_the_older_format_as_its_sample_is() {
        let open_metrics = "# HELP a_b Help of it.\n# TYPE a_b counter\na_b_total{x=\"a_b\"} 1\n\
                            # HELP a_b_c Other.\n# TYPE a_b_c gauge\na_b_c 2\n# EOF\n";
        assert_eq!(
            older(open_metrics),
            "# HELP a_b_total Help of it.\n# TYPE a_b_total counter\na_b_total{x=\"a_b\"} 1\n\
             # HELP a_b_c Other.\n# TYPE a_b_c gauge\na_b_c 2\n"
        );
    }
}
