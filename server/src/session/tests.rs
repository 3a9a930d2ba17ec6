//! Transcripts: what a page and its session say to each other, story by story.

mod answers;
mod causality;
mod fuzz;
mod hiding;
mod history;
mod lists;
mod loads;
mod own;
mod page;
mod resuming;
mod states;
mod versions;
mod world;
