//! Devices that are told, by doubles of the push services that speak their protocols.

mod answers;
mod apns;
mod book;
mod damaged;
mod double;
mod encrypted;
mod fcm;
mod had;
mod lanes;
mod tls;
mod told;
mod web;
pub(super) mod world;
