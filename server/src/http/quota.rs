//! Quotas of a push: what is over one is refused as a whole, before anything of it is judged, because
//! a request can come again.

use super::caller::Caller;
use super::problem::{Kind, Problem};
use super::push::Groups;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::ingest::Wait;
use tidelog_protocol::Pair;

/// Only cleaning makes room; when to ask again is a guess.
const ROOM_AFTER_S: u64 = 3_600;

/// Refuses what would take the user over one of its quotas.
pub(super) async fn check(app: &App, caller: &Caller, groups: &Groups) -> Result<(), Problem> {
    // Whoever of its devices made them, one user pays.
    let Some((client, _)) = groups.first() else { return Ok(()) };
    let subject = caller.subject(client)?;
    let count = groups.iter().map(|(_, group)| group.len()).sum();
    match app.ingest.wait(&subject, count, clock::now_ms()) {
        Wait::None => {}
        Wait::Ms(ms) => {
            let detail = "send the push again as a whole after Retry-After seconds; nothing of it \
                          was taken";
            let problem = Problem::new(Kind::TooManyActions, detail);
            return Err(problem.retry_after(ms.div_ceil(1_000)));
        }
        Wait::TooMany(most) => {
            let detail = format!("a push has at most {most} actions: send the rest in another");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
    }
    if !app.ingest.limits_kept_bytes() {
        return Ok(());
    }
    let (ingest, pairs) = (app.ingest.clone(), pairs(groups));
    match blocking(move || ingest.is_too_much(&subject, &pairs)).await {
        Ok(false) => Ok(()),
        Ok(true) => {
            let detail = "the user has as many bytes here as may be kept: take some out with \
                          0/clean, in a push of its own, and send this one again; nothing of it \
                          was taken";
            Err(Problem::new(Kind::OverQuota, detail).retry_after(ROOM_AFTER_S))
        }
        Err(error) => Err(Problem::log_unreadable(&error)),
    }
}

fn pairs(groups: &Groups) -> Vec<Pair> {
    groups.iter().flat_map(|(_, group)| group).map(|(_, pair)| pair.clone()).collect()
}
