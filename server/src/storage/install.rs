//! Puts a snapshot of another server in the place of the log.
//!
//! The log that a server has may end before such a snapshot, or differ from it, so it goes, and
//! another one begins at the snapshot's position. In between a server may die anywhere. Therefore,
//! each step durable before the next:
//!
//! 1. The snapshot is complete under a temporary name, and verified.
//! 2. The segment with which the log will go on, which carries the ballot, is complete as
//!    `received.log.<position>`. Alone it means nothing.
//! 3. The snapshot becomes `received.snapshot.<position>`. From here on it is the state, whatever
//!    the log says; what follows is done, or done again, by the next start too.
//! 4. The segments of the old log go.
//! 5. The new segment becomes `log.<position>`.
//! 6. The snapshot becomes `snapshot.<position>`.
//!
//! So a log that ends before a `snapshot` has lost its tail, which is refused, while one beside a
//! `received.snapshot` is obsolete.

use althing_core::ids::Zxid;
use althing_core::quorum::log::Ballot;

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{Failure, StorageError};
use crate::storage::names::{self, Name};
use crate::storage::segment;

/// Steps 2 and 3; the latter is not durable yet.
///
/// # Errors
/// For want of space nothing has changed.
pub async fn decide<D: Disk>(disk: &D, zxid: Zxid, ballot: Ballot) -> Result<(), Failure> {
    match begin_segment(disk, zxid, ballot).await {
        Ok(()) => {}
        Err(Failure::Full) => {
            directory::discard(disk, &names::received_segment(zxid)).await?;
            return Err(Failure::Full);
        }
        Err(fatal) => return Err(fatal),
    }
    directory::sync(disk).await?;
    let snapshot = names::received_snapshot(zxid);
    let renamed = directory::rename(disk, &names::temporary(&snapshot), &snapshot).await;
    Ok(renamed?)
}

async fn begin_segment<D: Disk>(disk: &D, zxid: Zxid, ballot: Ballot) -> Result<(), Failure> {
    let name = names::received_segment(zxid);
    let created = disk.create(&name).await;
    let file = created.map_err(Failure::io(&name, "create"))?;
    let written = file.write_at(0, &segment::header(zxid, ballot)).await;
    written.map_err(Failure::io(&name, "write"))?;
    file.sync().await.map_err(Failure::io(&name, "sync"))
}

/// What remains to be done, whether by the life that decided it or by a later one.
///
/// # Errors
/// If the new segment is not there, or the disk fails.
pub async fn finish<D: Disk>(disk: &D, zxid: Zxid) -> Result<(), StorageError> {
    // An earlier life may have been killed before it made durable what can be seen.
    directory::sync(disk).await?;
    let names = directory::list(disk).await?;
    let is_there = |wanted: &str| names.iter().any(|name| name == wanted);
    let (received, segment) = (names::received_segment(zxid), names::segment(zxid));
    if is_there(&received) {
        for name in &names {
            if let Some(Name::Segment(_)) = Name::parse(name) {
                directory::remove(disk, name).await?;
            }
        }
        directory::sync(disk).await?;
        directory::rename(disk, &received, &segment).await?;
        directory::sync(disk).await?;
    } else if !is_there(&segment) {
        return Err(StorageError::Gap {
            file: names::received_snapshot(zxid),
            expected_after: zxid,
            found: format!("there is neither {received} nor {segment}"),
        });
    }
    let snapshot = names::snapshot(zxid);
    directory::rename(disk, &names::received_snapshot(zxid), &snapshot).await?;
    directory::sync(disk).await
}
