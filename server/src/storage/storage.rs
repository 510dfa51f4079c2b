//! Opens a data directory: finds the state that is durable, and refuses what is damaged.

use althing_core::node::node::Recovered;

use crate::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::log::LogWriter;
use crate::storage::settings::StorageSettings;
use crate::storage::snapshots::SnapshotWriter;

/// A data directory in use.
#[derive(Debug)]
pub struct Opened<D: Disk> {
    /// What it held.
    pub recovered: Recovered,
    /// To be run, on a thread that may block.
    pub log: LogWriter<D>,
    /// To be run, on a thread that may block.
    pub snapshots: SnapshotWriter<D>,
}

/// Opens the data directory.
///
/// # Errors
/// If something that was durable is damaged or missing, or the disk fails.
pub async fn open<D: Disk>(disk: D, settings: StorageSettings) -> Result<Opened<D>, StorageError> {
    let _ = (disk, settings);
    todo!()
}
