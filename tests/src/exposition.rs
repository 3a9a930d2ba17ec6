//! What `/metrics` says, read as strictly as the two formats are written down.

use anyhow::{Context, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// All families, in order.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// The families.
    pub families: Vec<Family>,
}

/// Samples that belong together.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name that its samples begin with.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name, with its suffix.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Exposition {
    /// Reads `OpenMetrics` 1.0, or with `older` the text format 0.0.4 of Prometheus.
    pub fn read(text: &str, older: bool) -> anyhow::Result<Self> {
        let body = if older { Some(text) } else { text.strip_suffix("# EOF\n") };
        let body = body.context("OpenMetrics ends with # EOF")?;
        ensure!(body.ends_with('\n'), "the last line ends");
        let mut exposition = Self::default();
        for line in body.lines() {
            exposition.take(line, older).with_context(|| line.to_owned())?;
        }
        exposition.check()?;
        Ok(exposition)
    }

    fn take(&mut self, line: &str, older: bool) -> anyhow::Result<()> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').context("help without a text")?;
            ensure!(is_name(name), "no name");
            let (name, help) = (name.to_owned(), help.to_owned());
            self.families.push(Family { name, kind: String::new(), help, samples: Vec::new() });
            return Ok(());
        }
        let family = self.families.last_mut().context("a line before the first family")?;
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("no type")?;
            ensure!(name == family.name && family.kind.is_empty(), "a type of another family");
            ensure!(["counter", "gauge", "histogram"].contains(&kind), "an unknown type");
            kind.clone_into(&mut family.kind);
            return Ok(());
        }
        ensure!(!line.starts_with('#') && !line.is_empty(), "neither HELP, TYPE nor a sample");
        let sample = Sample::read(line)?;
        let expected: &[&str] = match family.kind.as_str() {
            "counter" if older => &[""],
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => bail!("a sample before the type"),
        };
        let suffix = sample.name.strip_prefix(family.name.as_str()).context("another family's")?;
        ensure!(expected.contains(&suffix), "{suffix:?} is no suffix of a {}", family.kind);
        family.samples.push(sample);
        Ok(())
    }

    /// What is true of the whole.
    fn check(&self) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        for family in &self.families {
            ensure!(names.insert(&family.name), "{} comes twice", family.name);
            ensure!(!family.kind.is_empty() && !family.help.is_empty(), "{}", family.name);
            let mut seen = BTreeSet::new();
            for sample in &family.samples {
                let labels = &sample.labels;
                ensure!(seen.insert((&sample.name, labels)), "{sample:?} comes twice");
                let counts = family.kind != "gauge";
                ensure!(!counts || sample.value >= 0.0, "{sample:?} counts below zero");
            }
            if family.kind == "histogram" {
                family.check_buckets()?;
            }
        }
        Ok(())
    }

    /// The family called `name`.
    pub fn family(&self, name: &str) -> anyhow::Result<&Family> {
        let family = self.families.iter().find(|family| family.name == name);
        family.with_context(|| format!("there is no {name}"))
    }

    /// The sum of the samples called `name` whose labels have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            let fits =
                |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|it| it == value);
            sample.name == name && labels.iter().all(fits)
        };
        self.families.iter().flat_map(|family| &family.samples).filter(has).map(|it| it.value).sum()
    }
}

impl Family {
    /// Of each series: buckets do not fall, and the last has everything.
    fn check_buckets(&self) -> anyhow::Result<()> {
        let mut all: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            all.entry(labels).or_default().push(sample);
        }
        all.into_values().try_for_each(|series| self.check_series(&series))
    }

    fn check_series(&self, series: &[&Sample]) -> anyhow::Result<()> {
        let of = |suffix: &str| {
            let name = format!("{}{suffix}", self.name);
            series.iter().filter(move |sample| sample.name == name).collect::<Vec<_>>()
        };
        let buckets = of("_bucket");
        let rising = buckets.windows(2).all(|pair| matches!(pair, [a, b] if a.value <= b.value));
        ensure!(rising, "the buckets of {} fall", self.name);
        let last = buckets.last().context("no buckets")?;
        ensure!(last.labels.get("le").is_some_and(|le| le == "+Inf"), "{last:?}");
        let count = of("_count").first().map(|sample| sample.value);
        ensure!(count == Some(last.value), "{}: {count:?} and {last:?}", self.name);
        ensure!(of("_sum").len() == 1, "no sum of {}", self.name);
        Ok(())
    }
}

impl Sample {
    fn read(line: &str) -> anyhow::Result<Self> {
        let (series, value) = line.rsplit_once(' ').context("no value")?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').context("no closing brace")?),
            None => (series, ""),
        };
        ensure!(is_name(name), "no name");
        let mut read = BTreeMap::new();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').context("no label")?;
            ensure!(is_name(key), "no name of a label");
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            // No value of a label has anything that would have to be escaped.
            let value = value.filter(|value| !value.contains(['"', '\\'])).context("no value")?;
            ensure!(read.insert(key.to_owned(), value.to_owned()).is_none(), "{key} comes twice");
        }
        Ok(Self { name: name.to_owned(), labels: read, value: value.parse()? })
    }
}

fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
