//! Tidelog, the server.

pub mod log;
