//! Takes a snapshot of another server, piece by piece, into a temporary file, and verifies it.

use althing_core::ids::Zxid;
use althing_core::quorum::message::Extent;
use althing_core::store::store::Store;

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{Failure, StorageError};
use crate::storage::names;
use crate::storage::snapshot_file;

/// A piece of another server's snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The snapshot's position.
    pub zxid: Zxid,
    /// Bytes of the snapshot before the piece.
    pub offset: u64,
    /// The piece.
    pub bytes: Vec<u8>,
    /// Is it the last one?
    pub extent: Extent,
}

/// What came of a piece.
pub enum Taken {
    /// It is stored, though not durable, and more follows.
    Stored {
        /// Bytes of the snapshot that are stored.
        offset: u64,
    },
    /// The snapshot is complete, sound and synced, under its temporary name.
    Whole(Box<Store>),
    /// It was not taken, and nothing of the snapshot is left.
    Refused,
}

/// Takes pieces.
pub struct Taker<D: Disk> {
    disk: D,
    partial: Option<Partial<D::File>>,
}

/// A snapshot of which the first pieces are stored.
struct Partial<F> {
    zxid: Zxid,
    file: F,
    bytes: u64,
}

/// Why a piece was not taken.
enum Refusal {
    /// It does not follow what is stored.
    Elsewhere,
    /// There is no space.
    Full,
    /// The whole is no sound snapshot.
    Damaged(StorageError),
}

impl<D: Disk> Taker<D> {
    pub(super) fn new(disk: D) -> Taker<D> {
        let partial = None;
        Taker { disk, partial }
    }

    /// Stores a piece.
    ///
    /// # Errors
    /// If anything but want of space goes wrong.
    pub(super) async fn take(&mut self, piece: &Piece) -> Result<Taken, StorageError> {
        let refusal = match self.store(piece).await {
            Ok(Some(offset)) => match piece.extent {
                Extent::More => return Ok(Taken::Stored { offset }),
                Extent::Last => match self.verify(piece.zxid).await? {
                    Ok(store) => return Ok(Taken::Whole(store)),
                    Err(refusal) => refusal,
                },
            },
            Ok(None) => Refusal::Elsewhere,
            Err(Failure::Full) => Refusal::Full,
            Err(Failure::Fatal(error)) => return Err(error),
        };
        let Piece { zxid, offset, .. } = piece;
        match refusal {
            Refusal::Elsewhere => {
                tracing::warn!(%zxid, offset, "a piece of a snapshot does not follow the last");
            }
            Refusal::Full => tracing::warn!(%zxid, "no space for another server's snapshot"),
            Refusal::Damaged(error) => {
                let finding = error.finding();
                tracing::warn!(finding, "another server's snapshot is of no use");
            }
        }
        self.discard().await?;
        Ok(Taken::Refused)
    }

    /// Forgets what is stored.
    pub(super) async fn discard(&mut self) -> Result<(), StorageError> {
        match self.partial.take() {
            Some(Partial { zxid, file, .. }) => {
                drop(file);
                directory::discard(&self.disk, &temporary(zxid)).await
            }
            None => Ok(()),
        }
    }

    /// The snapshot that was whole has another name from here on.
    pub(super) fn forget(&mut self) {
        self.partial = None;
    }

    /// How much is stored then; `None` if the piece belongs elsewhere.
    async fn store(&mut self, piece: &Piece) -> Result<Option<u64>, Failure> {
        let name = temporary(piece.zxid);
        if piece.offset == 0 {
            self.discard().await?;
            let created = self.disk.create(&name).await;
            self.partial = Some(Partial {
                zxid: piece.zxid,
                file: created.map_err(Failure::io(&name, "create"))?,
                bytes: 0,
            });
        }
        let next = (piece.zxid, piece.offset);
        let partial = match &mut self.partial {
            Some(partial) if (partial.zxid, partial.bytes) == next => partial,
            _ => return Ok(None),
        };
        let written = partial.file.write_at(partial.bytes, &piece.bytes).await;
        written.map_err(Failure::io(&name, "write"))?;
        partial.bytes += piece.bytes.len() as u64;
        Ok(Some(partial.bytes))
    }

    /// Reads all of it back, as a start would.
    async fn verify(&mut self, zxid: Zxid) -> Result<Result<Box<Store>, Refusal>, StorageError> {
        let name = temporary(zxid);
        let partial = self.partial.as_ref().expect("its last piece is stored");
        match partial
            .file
            .sync()
            .await
            .map_err(Failure::io(&name, "sync"))
        {
            Ok(()) => {}
            Err(Failure::Full) => return Ok(Err(Refusal::Full)),
            Err(Failure::Fatal(error)) => return Err(error),
        }
        match snapshot_file::read(&self.disk, &name, zxid).await {
            Ok(store) => Ok(Ok(Box::new(store))),
            Err(error @ (StorageError::Damaged { .. } | StorageError::Unsupported { .. })) => {
                Ok(Err(Refusal::Damaged(error)))
            }
            Err(error) => Err(error),
        }
    }
}

/// The snapshot at `zxid` while its pieces come.
fn temporary(zxid: Zxid) -> String {
    names::temporary(&names::received_snapshot(zxid))
}
