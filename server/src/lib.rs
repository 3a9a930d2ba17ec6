//! Tidelog, the server. The modules in the order in which an action meets them.

pub mod cli;
pub mod config;

mod auth;
pub mod rules;

pub mod session;

mod ingest;
pub mod log;
mod hub;

mod epochs;
mod numbers;
mod sync_map;

mod clock;
