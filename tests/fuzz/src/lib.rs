//! What the fuzz targets share: who feeds a target, with what, and how much memory it may take.
//!
//! A target is a test that calls [`run`] with [`bolero::check!`]. As a test it is fed the same inputs
//! each time: its seeds, and what `mutate` makes of them. By `tests/fuzz/run` libFuzzer feeds it,
//! guided by what the inputs reach. `docs/fuzzing.md` has the targets and the commands.

mod engine;
mod memory;
mod mutate;

pub use bolero;
pub use engine::{Feed, Target, run};
pub use memory::{held, within};
