//! The explorer: every state that an ensemble can come to, within bounds, and what must hold in
//! each.
//!
//! An ensemble is a plain value here ([`world::World`]): the shipping `Node`s, their disks, the
//! messages in flight, the clients. Nothing is random: what can happen next is a list
//! ([`choices`]), and the search tries all of it ([`search`]), remembering states by their digests.
//! Where there are too many, [`walk`] takes random ways. docs/explorer.md tells how to read it.

pub mod action;
pub mod bounds;
pub mod choices;
pub mod client;
pub mod configurations;
pub mod demand;
pub mod digest;
pub mod disk;
pub mod invariant;
pub mod lab;
pub mod ledger;
pub mod local;
pub mod mark;
pub mod notes;
pub mod options;
pub mod played;
pub mod search;
pub mod server;
pub mod settle;
pub mod show;
pub mod story;
pub mod telling;
pub mod trace;
pub mod violation;
pub mod visited;
pub mod walk;
pub mod wire;
pub mod words;
pub mod world;
