//! Opens a data directory: finds the state that is durable, and refuses what is damaged.
//!
//! The newest snapshot that is whole and the log after it are the state. The log must reach from
//! that snapshot, without a gap, at least to the newest snapshot that there is, damaged or not.
//! What an earlier life may have written but not synced is made durable before anybody sees it.

use std::collections::VecDeque;

use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::node::node::Recovered;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{RESTORE, StorageError};
use crate::storage::identity;
use crate::storage::install;
use crate::storage::log::{Current, Durable, LogWriter, Seal, follows};
use crate::storage::names::{self, Name};
use crate::storage::sector::{self, SECTOR_BYTES};
use crate::storage::segment::{self, Scanned, Standing};
use crate::storage::settings::StorageSettings;
use crate::storage::snapshot_file;
use crate::storage::snapshots::SnapshotWriter;

/// A data directory in use.
pub struct Opened<D: Disk> {
    /// What it held.
    pub recovered: Recovered,
    /// To be run, on a thread that may block.
    pub log: LogWriter<D>,
    /// To be run, on a thread that may block.
    pub snapshots: SnapshotWriter<D>,
}

/// Opens the data directory of `server`; one that was never used gets the id `fresh`.
///
/// # Errors
/// If it is another server's, if something that was durable is damaged or missing, or if the disk
/// fails.
pub async fn open<D: Disk>(
    disk: D,
    settings: StorageSettings,
    server: ServerId,
    fresh: DirectoryId,
) -> Result<Opened<D>, StorageError> {
    assert!(settings.snapshots_kept >= 1, "no snapshot would be kept");
    assert!(settings.segment_bytes > 0, "segments would hold nothing");
    let id = identity::establish(&disk, server, fresh).await?;
    let mut directory = Directory::installed(disk).await?;
    directory.remove_unborn().await?;
    let Base { store, mut damaged } = directory.newest_whole().await?;
    let applied = store.applied();
    let replayed = directory.replay(applied).await;
    let log = match replayed {
        Ok(log) => log,
        // The damage of the snapshot is the cause, and the log's gap only what it led to.
        Err(StorageError::Gap { .. }) if !damaged.is_empty() => {
            let (_, cause) = damaged.remove(0);
            return Err(cause);
        }
        Err(error) => return Err(error),
    };
    let current = match log.last {
        Some((base, file, scanned)) => Some(make_durable(base, file, scanned).await?),
        None => None,
    };
    directory.sync().await?;
    directory.set_aside(&damaged, applied).await?;
    directory.remove_temporaries().await?;
    let Directory { disk, segments, .. } = directory;
    Ok(Opened {
        recovered: Recovered {
            directory: id,
            ballot: log.durable.ballot,
            store,
            entries: log.entries,
        },
        log: LogWriter::new(
            disk.clone(),
            settings,
            segments,
            current,
            log.durable,
            applied,
        ),
        snapshots: SnapshotWriter::new(disk, settings),
    })
}

/// What the log is replayed upon.
struct Base {
    store: Store,
    /// The newer snapshots that are damaged, the newest first.
    damaged: Vec<(Zxid, StorageError)>,
}

/// What the log holds.
struct Log<F> {
    durable: Durable,
    /// Those after the snapshot.
    entries: Vec<Entry>,
    /// The segment to append to.
    last: Option<(Zxid, F, Scanned)>,
}

/// The files of a data directory.
struct Directory<D: Disk> {
    disk: D,
    /// The positions that the segments follow, the oldest first.
    segments: VecDeque<Zxid>,
    /// Was the last of them followed by one whose creation was interrupted?
    standing: Standing,
    /// The oldest first.
    snapshots: Vec<Zxid>,
    /// A snapshot of another server that is about to replace the log.
    received: Option<Zxid>,
    /// What was never finished.
    temporaries: Vec<String>,
}

impl<D: Disk> Directory<D> {
    /// The files, once a snapshot of another server that was about to replace the log has done so.
    async fn installed(disk: D) -> Result<Directory<D>, StorageError> {
        let directory = Directory::list(disk).await?;
        let Some(zxid) = directory.received else {
            return Ok(directory);
        };
        tracing::warn!(%zxid, "another server's snapshot replaces the log, as was begun");
        install::finish(&directory.disk, zxid).await?;
        Directory::list(directory.disk).await
    }

    async fn list(disk: D) -> Result<Directory<D>, StorageError> {
        let names = directory::list(&disk).await?;
        let mut directory = Directory {
            disk,
            segments: VecDeque::new(),
            standing: Standing::Last,
            snapshots: Vec::new(),
            received: None,
            temporaries: Vec::new(),
        };
        for name in names {
            match Name::parse(&name) {
                Some(Name::Segment(base)) => directory.segments.push_back(base),
                Some(Name::Snapshot(zxid)) => directory.snapshots.push(zxid),
                Some(Name::ReceivedSnapshot(zxid)) => directory.received = Some(zxid),
                // Without its snapshot the segment is one that was never finished.
                Some(Name::ReceivedSegment(_) | Name::Temporary) => {
                    directory.temporaries.push(name);
                }
                Some(Name::Identity) | None => {}
            }
        }
        directory.segments.make_contiguous().sort();
        directory.snapshots.sort();
        Ok(directory)
    }

    /// Removes a last segment whose creation was interrupted: it never held anything.
    async fn remove_unborn(&mut self) -> Result<(), StorageError> {
        let Some(base) = self.segments.back().copied() else {
            return Ok(());
        };
        let file = self.open(base).await?;
        if !segment::is_unborn(&file, base).await? {
            return Ok(());
        }
        drop(file);
        let name = names::segment(base);
        tracing::warn!(
            file = name,
            "removed a segment whose creation was interrupted"
        );
        directory::remove(&self.disk, &name).await?;
        self.sync().await?;
        self.segments.pop_back();
        self.standing = Standing::Followed;
        Ok(())
    }

    /// Reads the newest snapshot that is whole. The empty state is the oldest of all, if the log
    /// goes back to it.
    async fn newest_whole(&self) -> Result<Base, StorageError> {
        let mut damaged = Vec::new();
        for zxid in self.snapshots.iter().rev() {
            match snapshot_file::read(&self.disk, &names::snapshot(*zxid), *zxid).await {
                Ok(store) => return Ok(Base { store, damaged }),
                Err(error @ StorageError::Damaged { .. }) => damaged.push((*zxid, error)),
                Err(error) => return Err(error),
            }
        }
        let store = Store::new();
        Ok(Base { store, damaged })
    }

    /// Reads the log from the segment that holds what follows `applied`.
    async fn replay(&self, applied: Zxid) -> Result<Log<D::File>, StorageError> {
        let first = self.segments.iter().rposition(|base| *base <= applied);
        let needed = match first {
            Some(first) => self.segments.range(first..),
            None => self.segments.range(..),
        };
        let mut replay = Replay::new(applied);
        let mut last = None;
        for (rest, base) in (0..needed.len()).rev().zip(needed) {
            replay.begin(*base)?;
            let file = self.open(*base).await?;
            let standing = match rest {
                0 => self.standing,
                _ => Standing::Followed,
            };
            let name = names::segment(*base);
            let mut each = |offset, record| replay.take(&name, offset, record);
            let scanned = segment::scan(&file, *base, standing, &mut each).await?;
            last = Some((*base, file, scanned));
        }
        replay.finish(self.snapshots.last().copied())?;
        Ok(Log {
            durable: replay.durable,
            entries: replay.entries,
            last,
        })
    }

    /// Takes damaged snapshots out of use, so that they do not count as kept.
    async fn set_aside(
        &mut self,
        damaged: &[(Zxid, StorageError)],
        instead: Zxid,
    ) -> Result<(), StorageError> {
        for (zxid, error) in damaged {
            tracing::warn!(%error, %instead, "an older state and the log replace a snapshot");
            let name = names::snapshot(*zxid);
            directory::rename(&self.disk, &name, &names::damaged(*zxid)).await?;
        }
        match damaged {
            [] => Ok(()),
            _ => self.sync().await,
        }
    }

    async fn remove_temporaries(&mut self) -> Result<(), StorageError> {
        for name in self.temporaries.drain(..) {
            directory::remove(&self.disk, &name).await?;
        }
        Ok(())
    }

    async fn open(&self, base: Zxid) -> Result<D::File, StorageError> {
        let name = names::segment(base);
        let opened = self.disk.open(&name).await;
        opened.map_err(StorageError::io(&name, "open"))
    }

    async fn sync(&self) -> Result<(), StorageError> {
        directory::sync(&self.disk).await
    }
}

/// Takes the records of a log in their order, and makes sure that none is missing or repeated.
pub struct Replay {
    /// The position of the snapshot.
    applied: Zxid,
    /// The end of what was read.
    pub durable: Durable,
    /// The entries after the snapshot that stand, in their order.
    pub entries: Vec<Entry>,
    /// The segment that was read last.
    file: Option<String>,
    /// Does the log go through the position of the snapshot?
    meets: bool,
}

impl Replay {
    /// Replays upon the state at `applied`.
    pub fn new(applied: Zxid) -> Replay {
        Replay {
            applied,
            durable: Durable {
                ballot: Ballot::default(),
                tail: Zxid::ZERO,
            },
            entries: Vec::new(),
            file: None,
            meets: applied == Zxid::ZERO,
        }
    }

    /// Begins with the segment that follows `base`.
    ///
    /// # Errors
    /// [`StorageError::Gap`] if something is missing before it.
    pub fn begin(&mut self, base: Zxid) -> Result<(), StorageError> {
        let name = names::segment(base);
        let expected = match self.file {
            Some(_) => self.durable.tail,
            None => self.applied,
        };
        let continues = match self.file {
            Some(_) => base == expected,
            None => base <= expected,
        };
        if !continues {
            return Err(StorageError::Gap {
                file: name,
                expected_after: expected,
                found: format!("this file begins after {base}"),
            });
        }
        self.durable.tail = base;
        self.meets |= base == self.applied;
        self.file = Some(name);
        Ok(())
    }

    /// Takes the next record, which stands in `file` at `offset`.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] if it does not follow what was taken before.
    pub fn take(&mut self, file: &str, offset: u64, record: Record) -> Result<(), StorageError> {
        let entry = match record {
            Record::Ballot(ballot) => {
                self.durable.ballot = ballot;
                return Ok(());
            }
            Record::Entry(entry) => entry,
            Record::Cut(after) => {
                return match self.cut(after) {
                    true => Ok(()),
                    false => Err(self.misplaced(file, offset, format!("a cut after {after}"))),
                };
            }
        };
        if !follows(self.durable.tail, entry.zxid) {
            return Err(self.misplaced(file, offset, format!("the entry {}", entry.zxid)));
        }
        self.durable.tail = entry.zxid;
        self.meets |= entry.zxid == self.applied;
        if entry.zxid > self.applied {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Takes back what stands after `after`; false if there is no such position. One before the
    /// first segment that was read is not known, but what comes next must follow it.
    fn cut(&mut self, after: Zxid) -> bool {
        if after > self.durable.tail {
            return false;
        }
        let kept = self.entries.partition_point(|entry| entry.zxid <= after);
        self.entries.truncate(kept);
        let last = self.entries.last().map(|entry| entry.zxid);
        if after > self.applied && last != Some(after) {
            return false;
        }
        self.meets &= after >= self.applied;
        self.durable.tail = after;
        true
    }

    fn misplaced(&self, file: &str, offset: u64, what: String) -> StorageError {
        StorageError::Damaged {
            file: file.to_owned(),
            offset,
            what: format!(
                "{what} stands after {}, which it does not follow",
                self.durable.tail
            ),
            remedy: RESTORE.to_owned(),
        }
    }

    /// The log must go through the snapshot that is used and reach the newest one.
    fn finish(&self, newest: Option<Zxid>) -> Result<(), StorageError> {
        let newest = newest.unwrap_or(Zxid::ZERO);
        if self.meets && self.durable.tail >= newest {
            return Ok(());
        }
        let snapshot = names::snapshot(newest.max(self.applied));
        Err(StorageError::Gap {
            file: self.file.clone().unwrap_or_else(|| ".".to_owned()),
            expected_after: self.durable.tail,
            found: match self.file {
                Some(_) => format!("the log does not go through {snapshot}"),
                None => format!("there is no log, although there is {snapshot}"),
            },
        })
    }
}

/// Cuts the tail of the log if it is torn. Unless a seal says that the last group was synced, it is
/// written once more and synced: after a sync that failed, what can be read need not be on disk.
async fn make_durable<F: DiskFile>(
    base: Zxid,
    file: F,
    scanned: Scanned,
) -> Result<Current<F>, StorageError> {
    let name = names::segment(base);
    let Scanned {
        last,
        end,
        sealed,
        torn,
    } = scanned;
    if torn {
        let keep = sector::offset(end);
        tracing::warn!(
            file = name,
            keep,
            "cut a torn tail, which was never acknowledged"
        );
        let cut = file.set_len(keep).await;
        cut.map_err(StorageError::io(&name, "cut"))?;
    }
    if !sealed {
        let offset = sector::offset(last);
        let bytes = (end - last) as usize * SECTOR_BYTES;
        let read = file.read_at(offset, bytes).await;
        let read = read.map_err(StorageError::io(&name, "read"))?;
        let written = file.write_at(offset, &read).await;
        written.map_err(StorageError::io(&name, "write"))?;
    }
    if torn || !sealed {
        let synced = file.sync().await;
        synced.map_err(StorageError::io(&name, "sync"))?;
    }
    Ok(Current {
        base,
        file,
        end,
        seal: match sealed {
            true => Seal::Written,
            false => Seal::Missing,
        },
    })
}
