//! Reads pieces of this server's own snapshots, for servers that lag behind.
//!
//! What is sent is the file as it is, checksums and all, and the receiver verifies it. So that a
//! damaged one is not sent again and again, its checksums are verified here before its first piece
//! is read.

use std::collections::BTreeSet;
use std::io;

use althing_core::ids::{ServerId, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::message::Extent;

use crate::disk::{Disk, DiskFile};
use crate::storage::error::StorageError;
use crate::storage::names;
use crate::storage::settings::CHUNK_BYTES;
use crate::storage::snapshot_file;

/// A piece that is to be read; the answer is `ChunkRead` or `ChunkMissed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadJob {
    /// For whom it is.
    pub to: ServerId,
    /// The snapshot's position.
    pub zxid: Zxid,
    /// Bytes of the snapshot before the piece.
    pub offset: u64,
}

/// Reads pieces.
#[derive(Debug)]
pub struct SnapshotReader<D: Disk> {
    disk: D,
    /// The snapshots of which a piece was read since the last call of [`SnapshotReader::lent`].
    lent: BTreeSet<Zxid>,
}

impl<D: Disk> SnapshotReader<D> {
    pub(super) fn new(disk: D) -> SnapshotReader<D> {
        let lent = BTreeSet::new();
        SnapshotReader { disk, lent }
    }

    /// The snapshots of which a piece was read since this was asked last.
    pub(super) fn lent(&mut self) -> BTreeSet<Zxid> {
        std::mem::take(&mut self.lent)
    }

    /// Reads a piece; its answer.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) async fn read(&mut self, job: ReadJob) -> Result<Input, StorageError> {
        let ReadJob { to, zxid, offset } = job;
        Ok(match self.piece(zxid, offset).await? {
            Some((bytes, extent)) => {
                self.lent.insert(zxid);
                Input::ChunkRead {
                    to,
                    zxid,
                    offset,
                    bytes,
                    extent,
                }
            }
            None => {
                tracing::warn!(%to, %zxid, offset, "there is no such snapshot any more");
                Input::ChunkMissed { to, zxid }
            }
        })
    }

    /// `None` if there is no such piece, or the snapshot is damaged.
    async fn piece(
        &self,
        zxid: Zxid,
        offset: u64,
    ) -> Result<Option<(Vec<u8>, Extent)>, StorageError> {
        let name = names::snapshot(zxid);
        let file = match self.disk.open(&name).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io(&name, "open")(error)),
        };
        if offset == 0 {
            match snapshot_file::check(&file, &name, zxid).await {
                Ok(()) => {}
                Err(error @ StorageError::Damaged { .. }) => {
                    let finding = error.finding();
                    tracing::error!(finding, "a snapshot is of no use to another server");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let len = file.len().await.map_err(StorageError::io(&name, "read"))?;
        if offset > len {
            return Ok(None);
        }
        let bytes = file.read_at(offset, CHUNK_BYTES).await;
        let bytes = bytes.map_err(StorageError::io(&name, "read"))?;
        let extent = match offset + bytes.len() as u64 == len {
            true => Extent::Last,
            false => Extent::More,
        };
        Ok(Some((bytes, extent)))
    }
}
