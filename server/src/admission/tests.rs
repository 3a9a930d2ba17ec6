//! The order in which clients come in, and the door as a whole.

mod door;
mod minute;
mod order;
