//! Althing's client: sessions, watches, and recipes built on them.
#![warn(missing_docs)]

pub mod client;
pub mod config;
pub mod error;
pub mod recipes;
pub mod runtime;
mod session;
pub mod sessions;
pub mod state;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod watcher;
pub mod znode;
