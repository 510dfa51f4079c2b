//! The trace of a server: every deed that the protocol is concerned with, as lines of JSON that
//! `cargo sim verify-trace` judges. `docs/traces.md` is the format.

pub mod line;
pub mod notation;
pub mod writer;
