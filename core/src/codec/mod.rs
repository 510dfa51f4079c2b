//! Bytes to values and back. Every length is bounded; arbitrary bytes are [`malformed::Malformed`],
//! never a panic.

pub mod client;
pub(crate) mod compact;
pub(crate) mod cursor;
pub mod handshake;
mod jute;
pub mod malformed;
mod membership;
mod op;
mod opcode;
pub mod peer;
pub mod record;
mod reply;
mod request;
pub mod snapshot;
mod value;
