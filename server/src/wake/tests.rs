//! Devices that are told, by doubles of the push services that speak their protocols.

mod apns;
mod double;
mod fcm;
mod had;
mod lanes;
mod web;
mod world;
