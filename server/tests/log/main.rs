//! The log as its users see it: against a model, through crashes, and with damaged files.

mod model;
mod support;
