//! `tidelog-sim`.

fn main() {}
