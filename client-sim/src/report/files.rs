//! What a run leaves behind: JSON, a page, and the transcripts of what was wrong.

use super::outcome::Outcome;
use super::page;
use crate::oracle::Found;
use anyhow::Context;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes all of it into a directory; the paths.
pub fn write(outcome: &Outcome, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let wrong = || format!("cannot write into {}", directory.display());
    fs::create_dir_all(directory).with_context(wrong)?;
    let mut written = Vec::new();
    let mut put = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(wrong)?;
        written.push(path);
        anyhow::Ok(())
    };
    put("report.json", serde_json::to_string_pretty(outcome)?)?;
    put("report.html", page::html(outcome)?)?;
    put("scenario.toml", outcome.spec.to_toml()?)?;
    if !outcome.found.is_empty() {
        put("violations.txt", transcripts(outcome))?;
    }
    Ok(written)
}

/// Reads what was written.
pub fn read(path: &Path) -> anyhow::Result<Outcome> {
    let path = if path.is_dir() { path.join("report.json") } else { path.to_owned() };
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of `tidelog-sim run`", path.display()))
}

fn transcripts(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}, seed {}, run {}\n{}\n{} violations\n",
        outcome.scenario, outcome.spec.seed, outcome.run, outcome.command, outcome.violations
    );
    for found in &outcome.found {
        let Found { node, violation, transcript } = found;
        // Writing into a string does not fail.
        let _ = write!(text, "\n{node}: {violation}\n{transcript}");
    }
    text
}
