//! What earlier pages of a client had when they acted.
//!
//! A page that is closed may leave actions in a store that the next one of its client sends from. Those have
//! the name of the page that made them, and what that page had had is remembered under this name.

use crate::app::App;
use crate::ingest::Submission;
use crate::session::known_by;
use std::collections::HashMap;
use tidelog_protocol::NodeId;

/// Pages that are looked for at a time.
const NODES_MAX: usize = 8;

/// Adds what other nodes are remembered to have had to those of `submissions` that they made before
/// `connected_ms`; `node` sends them.
pub(super) async fn add(
    app: &App,
    node: &NodeId,
    connected_ms: u64,
    mut submissions: Vec<Submission>,
) -> Vec<Submission> {
    let mut found = HashMap::new();
    for Submission { pair, known } in &mut submissions {
        let author = &pair.meta.id.node;
        let of_client = author.client_str() == node.client_str();
        if author == node || !of_client || known.time >= connected_ms {
            continue;
        }
        if !found.contains_key(author) && found.len() < NODES_MAX {
            // What cannot be read now is not known.
            let state = app.known_node(author).await.unwrap_or_default();
            let state = state.in_history(&app.log.epochs(), app.log.head());
            found.insert(author.clone(), known_by(&state));
        }
        if let Some(earlier) = found.get(author) {
            known.extend(earlier);
        }
    }
    submissions
}
