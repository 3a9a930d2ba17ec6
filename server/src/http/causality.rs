//! What is known of who had seen what, for readers that merge by themselves: the names of an entry, and what its
//! author had seen, in the form that the shared histories of `tidelog-crdt` have.

use crate::aside::blocking;
use crate::log::{Entry, Log, PageLimit, ReadError};
use serde_json::{Value, json};
use tidelog_crdt::{Context, Position};
use tidelog_protocol::http::{PushResult, SeenBefore};

const ONE: PageLimit = PageLimit { entries: 1, bytes: usize::MAX };

/// The names of `entry`.
pub(super) fn dots(entry: &Entry) -> Vec<String> {
    let names = std::iter::once(&entry.dot).chain(&entry.aliases);
    names.map(ToString::to_string).collect()
}

/// What its author had seen.
pub(super) fn context(context: &Context) -> SeenBefore {
    let of_store = |(incarnation, seen): (tidelog_crdt::Incarnation, &tidelog_crdt::Seen)| {
        let prefix = json!(seen.prefix.get());
        let own = seen.own.iter().map(|(first, last)| json!([first.get(), last.get()]));
        (incarnation.to_string(), Value::Array([prefix].into_iter().chain(own).collect()))
    };
    context.iter().map(of_store).collect()
}

/// Adds to the results of a push what was stored with each action.
pub(super) async fn tell(
    log: &Log,
    results: Vec<PushResult>,
) -> Result<Vec<PushResult>, ReadError> {
    let log = log.clone();
    blocking(move || {
        let told = results.into_iter().map(|mut result| {
            if let Some(entry) = stored(&log, result.added)? {
                result.dots = dots(&entry);
                result.context = Some(context(&entry.causes.context()));
            }
            Ok(result)
        });
        told.collect()
    })
    .await
}

/// The entry at this position. May wait for the disk.
fn stored(log: &Log, added: Option<u64>) -> Result<Option<std::sync::Arc<Entry>>, ReadError> {
    let before = added.and_then(|added| Position::new(added.checked_sub(1)?));
    let Some(before) = before else { return Ok(None) };
    let page = log.feed(before, ONE)?;
    Ok(page.entries.into_iter().find(|entry| Some(entry.position.get()) == added))
}
