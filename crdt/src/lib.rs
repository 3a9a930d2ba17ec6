//! What Tidelog knows about order and causality: stamps, dots and contexts, and the replicated
//! types that merge by them.
//!
//! Pure: no async, no IO, no clock. Nothing here knows a wire format or a store.

mod context;
mod dot;
mod register;
mod stamp;

pub use context::{Context, Ranges, Seen};
pub use dot::{Dot, Incarnation, Position};
pub use register::LwwRegister;
pub use stamp::Stamp;
