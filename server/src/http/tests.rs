//! The routes, as a client sees them, over a log in a temporary directory.

mod causality;
mod channels;
mod contract;
mod demo;
mod devices;
mod documents;
mod etags;
mod formats;
mod limits;
mod maps;
mod pull;
mod push;
mod quotas;
mod readers;
mod sign_in;
mod site;
mod states;
mod status;
mod stream;
mod sync;
mod wait;
