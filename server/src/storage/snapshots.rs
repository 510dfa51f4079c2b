//! Writes snapshots, and keeps the newest few.

use althing_core::node::input::Input;
use althing_core::store::store::Store;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::settings::StorageSettings;

/// Writes snapshots.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    settings: StorageSettings,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Writes each state that comes as a snapshot and answers `SnapshotMade` or `SnapshotRefused`;
    /// ends well when their channel closes.
    ///
    /// # Errors
    /// If anything but want of space goes wrong.
    pub async fn run(
        self,
        jobs: UnboundedReceiver<Store>,
        answer: impl FnMut(Input) + Send,
    ) -> Result<(), StorageError> {
        let _ = (jobs, answer, &self.disk, self.settings);
        todo!()
    }
}
