//! The log and the snapshots of one server, over a [`crate::disk::Disk`]; production and the
//! simulator run this very code.
//!
//! [`storage::open`] finds what an earlier life has left, [`log::LogWriter`] appends to the log,
//! [`snapshots::SnapshotWriter`] writes snapshots. What damage is detected, and what cannot be, is
//! told in [`segment`].

pub mod error;
pub mod log;
pub mod names;
pub mod reader;
pub mod sector;
pub mod segment;
pub mod settings;
pub mod snapshot_file;
pub mod snapshots;
pub mod storage;

#[cfg(test)]
mod tests;
