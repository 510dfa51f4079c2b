//! Bytes to values and back. Every length is bounded; arbitrary bytes are [`malformed::Malformed`],
//! never a panic.

pub mod client;
pub mod jute;
pub mod malformed;
pub mod record;
pub mod snapshot;
