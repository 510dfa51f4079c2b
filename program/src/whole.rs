//! Reading a whole snapshot of ours to make something of it, and what an exit code tells of that.

use std::path::Path;
use std::process::ExitCode;

use althing_core::store::store::Store;
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::founding::FoundingError;
use crate::inspect::findings::{Finding, Trouble};
use crate::inspect::place::Place;
use crate::inspect::snapshots;

/// The exit code where the snapshot is damaged.
const BAD: u8 = 1;

/// The exit code where there was nothing to read, or nowhere to write; clap's, too.
const TROUBLE: u8 = 2;

/// Why nothing is made of a snapshot.
#[derive(Debug, Error)]
pub enum Failure {
    /// It is damaged.
    #[error("{}", .0.text())]
    Damaged(Finding),
    /// It cannot be read.
    #[error(transparent)]
    Source(#[from] Trouble),
    /// There is nowhere to write.
    #[error(transparent)]
    Into(#[from] FoundingError),
}

impl Failure {
    /// Tells that `command` has failed, and how to exit.
    pub fn told_by(&self, command: &str) -> ExitCode {
        eprintln!("althing {command}: {self}");
        ExitCode::from(match self {
            Failure::Damaged(_) => BAD,
            Failure::Source(_) | Failure::Into(_) => TROUBLE,
        })
    }
}

/// Reads the snapshot in `file`.
///
/// # Errors
/// If it is damaged, or cannot be read.
pub fn read(runtime: &Runtime, file: &Path) -> Result<Store, Failure> {
    let place = Place::of(file)?;
    let store = runtime.block_on(snapshots::read(&place))?;
    store.map_err(Failure::Damaged)
}

/// A runtime for files.
pub fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without timers and sockets needs nothing")
}
