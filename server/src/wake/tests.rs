//! Devices that are told, by doubles of the push services that speak their protocols.

mod apns;
mod book;
mod double;
mod fcm;
mod had;
mod lanes;
mod web;
pub(super) mod world;
