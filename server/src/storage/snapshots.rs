//! Writes snapshots, and keeps the newest few.

use althing_core::ids::Zxid;
use althing_core::node::input::Input;
use althing_core::store::store::Store;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::disk::Disk;
use crate::storage::error::{Failure, StorageError};
use crate::storage::names::{self, Name};
use crate::storage::settings::StorageSettings;
use crate::storage::snapshot_file;

/// Writes snapshots.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    settings: StorageSettings,
}

impl<D: Disk> SnapshotWriter<D> {
    pub(super) fn new(disk: D, settings: StorageSettings) -> SnapshotWriter<D> {
        SnapshotWriter { disk, settings }
    }

    /// Writes each state that comes as a snapshot and answers `SnapshotMade` or `SnapshotRefused`;
    /// ends well when their channel closes.
    ///
    /// # Errors
    /// If anything but want of space goes wrong.
    pub async fn run(
        self,
        mut jobs: UnboundedReceiver<Store>,
        mut answer: impl FnMut(Input) + Send,
    ) -> Result<(), StorageError> {
        while let Some(store) = jobs.recv().await {
            let zxid = store.applied();
            match self.make(store).await {
                Ok(()) => {
                    self.remove_old().await?;
                    answer(Input::SnapshotMade { zxid });
                }
                Err(Failure::Full) => {
                    tracing::warn!(%zxid, "no space for a snapshot");
                    self.remove(&names::temporary(zxid)).await?;
                    answer(Input::SnapshotRefused { zxid });
                }
                Err(Failure::Fatal(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes one snapshot durable.
    async fn make(&self, store: Store) -> Result<(), Failure> {
        let zxid = store.applied();
        snapshot_file::write(&self.disk, store).await?;
        let temporary = names::temporary(zxid);
        let renamed = self.disk.rename(&temporary, &names::snapshot(zxid)).await;
        renamed.map_err(Failure::io(&temporary, "rename"))?;
        Ok(self.sync_directory().await?)
    }

    /// Removes the snapshots that are more than shall be kept.
    async fn remove_old(&self) -> Result<(), StorageError> {
        let mut snapshots: Vec<Zxid> = self
            .list()
            .await?
            .iter()
            .filter_map(|name| match Name::parse(name) {
                Some(Name::Snapshot(zxid)) => Some(zxid),
                _ => None,
            })
            .collect();
        snapshots.sort();
        let needless = snapshots.len().saturating_sub(self.settings.snapshots_kept);
        for zxid in &snapshots[..needless] {
            self.remove(&names::snapshot(*zxid)).await?;
        }
        if needless > 0 {
            self.sync_directory().await?;
        }
        Ok(())
    }

    /// Removes a file if it is there: want of space may have kept it from being created.
    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        if !self.list().await?.iter().any(|there| there == name) {
            return Ok(());
        }
        let removed = self.disk.remove(name).await;
        removed.map_err(StorageError::io(name, "remove"))
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        let listed = self.disk.list().await;
        listed.map_err(StorageError::io(".", "list the directory"))
    }

    async fn sync_directory(&self) -> Result<(), StorageError> {
        let synced = self.disk.sync_directory().await;
        synced.map_err(StorageError::io(".", "sync the directory"))
    }
}
