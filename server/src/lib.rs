//! Tidelog, the server. The modules in the order in which an action meets them: it comes in through
//! `listen`, by `ws` or `http`, a session or a request judges it by the rules and ingests it into the log, and the
//! hub hands it to other sessions, which send it.

pub mod cli;
pub mod config;
pub mod serve;
pub mod trace;

mod admission;
mod app;
mod auth;
mod connection;
mod http;
mod leaving;
mod listen;
pub mod rules;
mod tls;
mod ws;

pub mod ingest;
pub mod session;

pub mod catch_up;
mod documents;
pub mod hub;
pub mod log;
mod sync_map;
pub mod wake;

mod epochs;
mod erasures;
mod nodes;
mod numbers;
mod outgoing;

pub mod admin;
pub mod backup;
pub mod compaction;
pub mod doc;
pub mod log_export;
mod metrics;
pub mod replica;
pub mod revocations;
mod service;
pub mod users;

mod aside;
mod clock;
mod turns;
