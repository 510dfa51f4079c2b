//! The log and the snapshots of one server, over a [`crate::disk::Disk`]; production and the
//! simulator run this very code.
//!
//! [`storage::open`] finds what an earlier life has left, [`log::LogWriter`] appends to the log,
//! [`snapshots::SnapshotWriter`] writes snapshots and reads them for other servers, whose own
//! [`install`] puts them in the place of the log. [`founding`] fills a new directory with a state.
//! What damage is detected, and what cannot be, is told in [`segment`]; whose a directory is, in
//! [`identity`].

mod directory;
pub mod error;
pub mod founding;
pub mod identity;
pub mod install;
pub mod log;
pub mod names;
pub mod reader;
pub mod sector;
pub mod segment;
pub mod settings;
pub mod snapshot_file;
pub mod snapshots;
pub mod storage;
pub mod taker;

#[cfg(test)]
mod tests;
