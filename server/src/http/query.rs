//! What a pull asks for.

use super::problem::{Kind, Problem};
use crate::log::Channel;
use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use std::time::Duration;

/// Channels that one request may name.
pub(super) const CHANNELS_MAX: usize = 100;

/// The query string of `GET /v1/log`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pull {
    pub(super) since: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) wait: Duration,
    pub(super) channels: Vec<Channel>,
    /// Whether actions say what is known of who had seen what.
    pub(super) causality: bool,
}

impl Pull {
    /// Reads the query string. A name that is not known is refused, since a misspelt `channel`
    /// would be missing in silence.
    pub(super) fn read(uri: &Uri) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(pairs) = pairs.map_err(|error| malformed(&error.body_text()))?;
        let mut pull = Self::default();
        let mut names = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "since" if pull.since.is_none() => pull.since = Some(value),
                "limit" if pull.limit.is_none() => {
                    let limit = number(&name, &value)?;
                    pull.limit = Some(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                "wait" if pull.wait.is_zero() => {
                    pull.wait = Duration::from_secs(number(&name, &value)?.into());
                }
                "channel" => names.push(value),
                "causality" if !pull.causality => pull.causality = flag(&name, &value)?,
                "since" | "limit" | "wait" | "causality" => {
                    return Err(malformed(&format!("`{name}` stands twice")));
                }
                _ => return Err(malformed(&format!("`{name}` is unknown"))),
            }
        }
        pull.channels = channels(&names)?;
        Ok(pull)
    }
}

/// The query string of `GET /v1/docs/NAME`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) since: Option<String>,
    /// Whose document; that of the caller's own log if there is none.
    pub(super) channel: Option<Channel>,
}

impl Document {
    /// Reads the query string.
    pub(super) fn read(uri: &Uri) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let fault = |what: String| {
            let detail = format!("{what}; a document has `channel` and `since`, once each");
            Problem::new(Kind::MalformedQuery, detail)
        };
        let Query(pairs) = pairs.map_err(|error| fault(error.body_text()))?;
        let mut document = Self::default();
        let mut names = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "since" if document.since.is_none() => document.since = Some(value),
                "channel" if names.is_empty() => names.push(value),
                "since" | "channel" => return Err(fault(format!("`{name}` stands twice"))),
                _ => return Err(fault(format!("`{name}` is unknown"))),
            }
        }
        document.channel = channels(&names)?.pop();
        Ok(document)
    }
}

/// The query string of the demo's `GET /demo/why`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    pub(super) channel: String,
    pub(super) document: String,
    /// Keys, as a JSON array.
    pub(super) path: String,
}

impl Why {
    /// Reads the query string.
    pub(super) fn read(uri: &Uri) -> Result<Self, Problem> {
        let read = Query::<Self>::try_from_uri(uri);
        read.map(|Query(why)| why).map_err(|error| {
            let detail = format!("{}; why has `channel`, `document`, `path`", error.body_text());
            Problem::new(Kind::MalformedQuery, detail)
        })
    }
}

/// Channels by their names, each once, in order.
pub(super) fn channels(names: &[String]) -> Result<Vec<Channel>, Problem> {
    let channels = names.iter().map(|name| {
        Channel::new(name).map_err(|error| {
            Problem::new(Kind::UnknownChannel, format!("name another channel: {error}"))
                .of_channel(name)
        })
    });
    let mut channels = channels.collect::<Result<Vec<_>, _>>()?;
    channels.sort_unstable();
    channels.dedup();
    if channels.len() > CHANNELS_MAX {
        let detail =
            format!("name at most {CHANNELS_MAX} channels, in several requests if need be");
        return Err(Problem::new(Kind::TooMany, detail));
    }
    Ok(channels)
}

/// How many actions a page may have, when `wanted` are asked for and `most` are allowed.
pub(super) fn limit(wanted: Option<usize>, most: usize) -> Result<usize, Problem> {
    match wanted {
        Some(0) => Err(malformed("`limit` is at least 1")),
        Some(wanted) => Ok(wanted.min(most)),
        None => Ok(most),
    }
}

fn number(name: &str, value: &str) -> Result<u32, Problem> {
    value.parse().map_err(|_| malformed(&format!("`{name}` is a whole number up to {}", u32::MAX)))
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| malformed(&format!("`{name}` is true or false")))
}

fn malformed(what: &str) -> Problem {
    let detail = format!(
        "{what}; a pull has `since`, `limit`, `wait`, `causality` and any number of `channel`"
    );
    Problem::new(Kind::MalformedQuery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Pull, Kind> {
        let uri = format!("/v1/log?{query}").parse().unwrap();
        Pull::read(&uri).map_err(|problem| problem.kind())
    }

    #[test]
    fn a_pull_names_its_channels_once_each_in_any_order() {
        let query = "channel=b&since=x&channel=a%2F1&wait=5&channel=b&limit=3&causality=true";
        let pull = read(query).unwrap();
        let channels = ["a/1", "b"].map(|name| Channel::new(name).unwrap()).to_vec();
        let wait = Duration::from_secs(5);
        let since = Some("x".into());
        assert_eq!(pull, Pull { since, limit: Some(3), wait, channels, causality: true });
        assert_eq!(read(""), Ok(Pull::default()));
    }

    #[test]
    fn what_is_misspelt_repeated_or_no_number_is_refused() {
        for bad in [
            "chanel=a",
            "limit=x",
            "limit=-1",
            "wait=1.5",
            "wait=4294967296",
            "since=a&since=b",
            "limit=1&limit=1",
            "causality=1",
            "causality=true&causality=true",
        ] {
            assert_eq!(read(bad), Err(Kind::MalformedQuery), "{bad}");
        }
        assert_eq!(read("channel="), Err(Kind::UnknownChannel));
        let many: Vec<_> = (0..=CHANNELS_MAX).map(|n| format!("channel={n}")).collect();
        assert_eq!(read(&many.join("&")), Err(Kind::TooMany));
    }

    #[test]
    fn a_limit_is_cut_to_what_is_allowed_and_is_never_nothing() {
        assert_eq!(limit(None, 10).unwrap(), 10);
        assert_eq!(limit(Some(3), 10).unwrap(), 3);
        assert_eq!(limit(Some(30), 10).unwrap(), 10);
        assert!(limit(Some(0), 10).is_err());
    }
}
