//! `tidelog`: the server and its tools.

fn main() {}
