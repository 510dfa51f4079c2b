//! The machine behind Althing: values in, values out. No I/O, no clock, no threads, no async.
//!
//! One server is a [`node::node::Node`]; [`node::node::Node::step`] is its only door. The same type
//! runs in production on tokio, in the deterministic simulator and in the model checker.
//!
//! The floors, from the top; a file imports only from lower floors or from its own folder:
//!
//! | floor | what it is |
//! |---|---|
//! | [`gossip`] | beside the node: which servers answer, and what each says about itself |
//! | [`codec`] | bytes to values and back: the jute alphabet, the client protocol, what servers say to each other, log and snapshot records |
//! | [`node`] | one server, whole: requests, replies, a connection's FIFO |
//! | [`quorum`] | agreement on one sequence of transactions |
//! | [`store`], [`watch`], [`session`] | what all servers agree on; what this server's clients wait for; who is alive |
//! | [`tree`] | the znodes |
//! | [`membership`], [`config`], [`digest_md5`], [`voters`], [`listed`], [`code`], [`ids`], [`time`], [`prng`] | the ground |
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod code;
pub mod codec;
pub mod config;
pub mod digest_md5;
#[cfg(test)]
mod ensemble_tests;
pub mod gossip;
pub mod ids;
pub mod listed;
#[cfg(test)]
mod local_tests;
pub mod membership;
pub mod node;
pub mod prng;
pub mod quorum;
#[cfg(test)]
mod read_only_tests;
pub mod session;
pub mod store;
#[cfg(test)]
mod strategies;
pub mod time;
pub mod tree;
#[cfg(test)]
mod trio;
pub mod voters;
pub mod watch;
