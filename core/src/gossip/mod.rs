//! Gossip: a machine of its own beside the node, which tells which servers answer and what each
//! says about itself. It is advisory: nothing that is agreed depends on it.
//!
//! | file | what it is |
//! |---|---|
//! | [`gossip`] | the machine: [`gossip::Gossip::step`] is its only door |
//! | [`swim`] | who answers: the SWIM protocol, by the crate `foca` |
//! | [`peers`] | the newest news of each server |
//! | [`replay`] | datagrams that were heard before |
//! | [`datagram`], [`key`] | the bytes between two servers, and who may have written them |
//! | [`news`], [`incarnation`] | what a server says about itself, and in which of its lives |
//! | [`pace`] | how often, how long, how much |
//!
//! The way of a datagram: [`datagram::open`] drops what has not the key's mark; what a server that
//! does not belong here is said to be or do is left out; what is left of the part of SWIM is given
//! to foca, and of the news those that are newer than ours are kept.

pub mod datagram;
pub mod gossip;
#[cfg(test)]
mod gossip_tests;
pub mod incarnation;
pub mod key;
pub mod news;
pub mod pace;
pub mod peers;
#[cfg(test)]
mod rehearsal;
pub mod replay;
mod swim;
