//! Writes snapshots, keeps the newest few, and lets other servers have them.

use std::future::Future;
use std::pin::Pin;

use althing_core::ids::Zxid;
use althing_core::node::input::Input;
use althing_core::store::store::Store;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::disk::Disk;
use crate::storage::directory;
use crate::storage::error::{Failure, StorageError};
use crate::storage::names::{self, Name};
use crate::storage::reader::{ReadJob, SnapshotReader};
use crate::storage::settings::StorageSettings;
use crate::storage::snapshot_file;

/// Writes snapshots, and reads them.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    settings: StorageSettings,
    reader: SnapshotReader<D>,
}

/// A snapshot that is being written.
struct Making {
    zxid: Zxid,
    work: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>,
}

/// What there is to do.
enum Turn {
    Read(ReadJob),
    Made(Zxid, Result<(), Failure>),
    Make(Option<Box<Store>>),
}

impl<D: Disk> SnapshotWriter<D> {
    pub(super) fn new(disk: D, settings: StorageSettings) -> SnapshotWriter<D> {
        SnapshotWriter {
            reader: SnapshotReader::new(disk.clone()),
            disk,
            settings,
        }
    }

    /// Writes each state that comes as a snapshot and answers `SnapshotMade` or `SnapshotRefused`;
    /// meanwhile reads the pieces that are asked for. Ends well when the channel of states closes.
    ///
    /// # Errors
    /// If anything but want of space goes wrong.
    pub async fn run(
        mut self,
        mut stores: UnboundedReceiver<Store>,
        mut reads: UnboundedReceiver<ReadJob>,
        mut answer: impl FnMut(Input) + Send,
    ) -> Result<(), StorageError> {
        let mut making = None;
        loop {
            let turn = tokio::select! {
                biased;
                Some(job) = reads.recv() => Turn::Read(job),
                turn = made(&mut making), if making.is_some() => turn,
                store = stores.recv(), if making.is_none() => Turn::Make(store.map(Box::new)),
            };
            match turn {
                Turn::Read(job) => answer(self.reader.read(job).await?),
                Turn::Made(zxid, result) => {
                    making = None;
                    answer(self.settle(zxid, result).await?);
                }
                Turn::Make(Some(store)) => {
                    let zxid = store.applied();
                    let work = Box::pin(make(self.disk.clone(), *store));
                    making = Some(Making { zxid, work });
                }
                Turn::Make(None) => return Ok(()),
            }
        }
    }

    /// What is to be answered when a snapshot was made, or could not be.
    async fn settle(
        &mut self,
        zxid: Zxid,
        result: Result<(), Failure>,
    ) -> Result<Input, StorageError> {
        match result {
            Ok(()) => {
                self.remove_old().await?;
                Ok(Input::SnapshotMade { zxid })
            }
            Err(Failure::Full) => {
                tracing::warn!(%zxid, "no space for a snapshot");
                let temporary = names::temporary(&names::snapshot(zxid));
                directory::discard(&self.disk, &temporary).await?;
                Ok(Input::SnapshotRefused { zxid })
            }
            Err(Failure::Fatal(error)) => Err(error),
        }
    }

    /// Removes the snapshots that are more than shall be kept; but not yet those that another
    /// server was reading since the last time.
    async fn remove_old(&mut self) -> Result<(), StorageError> {
        let lent = self.reader.lent();
        let names = directory::list(&self.disk).await?;
        let mut snapshots: Vec<Zxid> = names
            .iter()
            .filter_map(|name| match Name::parse(name) {
                Some(Name::Snapshot(zxid)) => Some(zxid),
                _ => None,
            })
            .collect();
        snapshots.sort();
        let needless = snapshots.len().saturating_sub(self.settings.snapshots_kept);
        snapshots.truncate(needless);
        snapshots.retain(|zxid| !lent.contains(zxid));
        for zxid in &snapshots {
            directory::remove(&self.disk, &names::snapshot(*zxid)).await?;
        }
        match snapshots.is_empty() {
            true => Ok(()),
            false => directory::sync(&self.disk).await,
        }
    }
}

/// Goes on with what is being made, until it is.
async fn made(making: &mut Option<Making>) -> Turn {
    let Making { zxid, work } = making.as_mut().expect("something is being made");
    Turn::Made(*zxid, work.await)
}

/// Makes one snapshot durable.
async fn make<D: Disk>(disk: D, store: Store) -> Result<(), Failure> {
    let name = names::snapshot(store.applied());
    snapshot_file::write(&disk, store).await?;
    let temporary = names::temporary(&name);
    let renamed = disk.rename(&temporary, &name).await;
    renamed.map_err(Failure::io(&temporary, "rename"))?;
    Ok(directory::sync(&disk).await?)
}
