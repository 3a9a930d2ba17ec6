//! The log as its users see it: against a model, through crashes, and with damaged files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod checking;
mod cleaning;
mod crash;
mod damage;
mod erasing;
mod limits;
mod model;
mod story;
mod support;
