//! Appends to the log: groups of records, one write and one sync each.
//!
//! While a group is synced the next one forms in the channel. After want of space the log is what
//! it was before the group, durably, and all saves are refused until [`LogJob::Resume`].

use std::collections::VecDeque;

use althing_core::ids::{Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::quorum::message::Extent;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::disk::{Disk, DiskFile};
use crate::storage::error::{Failure, StorageError};
use crate::storage::names::{self, Name};
use crate::storage::sector::{self, Kind, SECTOR_BYTES, Span};
use crate::storage::segment;
use crate::storage::settings::{GROUP_BYTES_MAX, StorageSettings};

/// What the log is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogJob {
    /// Append the record, make it durable and answer `Saved(ticket)`, or `Refused(ticket)`.
    Save {
        /// Names the save in its answer.
        ticket: Ticket,
        /// What to append.
        record: Record,
    },
    /// The node has stepped a `Refused`: what is asked for from here on no longer builds on what
    /// was refused. Until this arrives every save after a refused one is refused too. Whoever
    /// steps the node sends it after each `Refused` that was stepped, before the saves that this
    /// step asks for; one too many does no harm.
    Resume,
    /// Store a piece of another server's snapshot; see
    /// [`althing_core::node::effect::Effect::TakeChunk`].
    Take {
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot before the piece.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
        /// Is it the last one?
        extent: Extent,
    },
    /// A snapshot at this position is durable: what only older snapshots need may go.
    Prune {
        /// The snapshot's position.
        up_to: Zxid,
    },
}

/// Appends to the log.
pub struct LogWriter<D: Disk> {
    disk: D,
    settings: StorageSettings,
    /// The positions that the segments follow, the oldest first.
    segments: VecDeque<Zxid>,
    /// The last segment; `None` until the first record is saved.
    current: Option<Current<D::File>>,
    durable: Durable,
    saves: Saves,
}

/// The segment that is written to.
pub struct Current<F> {
    /// The position that it follows.
    pub base: Zxid,
    /// The file.
    pub file: F,
    /// The sector behind the last group and its seal.
    pub end: u32,
    /// Is that group sealed?
    pub seal: Seal,
}

/// How far the last group is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seal {
    /// Not yet.
    Missing,
    /// A seal stands behind it, and need not be synced.
    Written,
    /// There was no space for one.
    Refused,
}

/// The end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durable {
    /// The last ballot.
    pub ballot: Ballot,
    /// The position of the last entry.
    pub tail: Zxid,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Saves {
    Accepted,
    /// They may build on one that was refused.
    Refused,
}

/// Saves that are made durable together, and what the log's end is after them.
struct Group {
    payload: Vec<u8>,
    tickets: Vec<Ticket>,
    after: Durable,
}

impl<D: Disk> LogWriter<D> {
    pub(super) fn new(
        disk: D,
        settings: StorageSettings,
        segments: VecDeque<Zxid>,
        current: Option<Current<D::File>>,
        durable: Durable,
    ) -> LogWriter<D> {
        LogWriter {
            disk,
            settings,
            segments,
            current,
            durable,
            saves: Saves::Accepted,
        }
    }

    /// Does the jobs in their order; ends well when their channel closes.
    ///
    /// # Errors
    /// If anything but want of space goes wrong: then nobody knows what is durable, and the server
    /// must stop.
    pub async fn run(
        mut self,
        mut jobs: UnboundedReceiver<LogJob>,
        mut answer: impl FnMut(Input) + Send,
    ) -> Result<(), StorageError> {
        loop {
            let first = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty) => {
                    self.seal().await?;
                    match jobs.recv().await {
                        Some(job) => job,
                        None => break,
                    }
                }
                Err(TryRecvError::Disconnected) => break,
            };
            let (group, prune) = self.gather(first, &mut jobs, &mut answer);
            self.append(group, &mut answer).await?;
            if let Some(up_to) = prune {
                self.prune(up_to).await?;
            }
        }
        self.seal().await?;
        self.sync_seal().await
    }

    /// Takes `job` and what waits behind it, as far as one group may go; also how far to prune.
    fn gather(
        &mut self,
        job: LogJob,
        jobs: &mut UnboundedReceiver<LogJob>,
        answer: &mut impl FnMut(Input),
    ) -> (Group, Option<Zxid>) {
        let mut group = Group {
            payload: Vec::new(),
            tickets: Vec::new(),
            after: self.durable,
        };
        let mut prune = None;
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                LogJob::Save { ticket, record } => match self.saves {
                    Saves::Accepted => group.push(ticket, &record),
                    Saves::Refused => answer(Input::Refused(ticket)),
                },
                LogJob::Resume => self.saves = Saves::Accepted,
                LogJob::Prune { up_to } => prune = prune.max(Some(up_to)),
            }
            next = match group.payload.len() < GROUP_BYTES_MAX {
                true => jobs.try_recv().ok(),
                false => None,
            };
        }
        (group, prune)
    }

    /// Makes the group durable, or takes it back, and answers its tickets.
    async fn append(
        &mut self,
        group: Group,
        answer: &mut impl FnMut(Input),
    ) -> Result<(), StorageError> {
        if group.tickets.is_empty() {
            return Ok(());
        }
        match self.write(&group.payload).await {
            Ok(()) => {
                self.durable = group.after;
                group.tickets.into_iter().map(Input::Saved).for_each(answer);
            }
            Err(Failure::Full) => {
                tracing::warn!(saves = group.tickets.len(), "no space in the log");
                self.saves = Saves::Refused;
                group
                    .tickets
                    .into_iter()
                    .map(Input::Refused)
                    .for_each(answer);
            }
            Err(Failure::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    /// Writes and syncs one group. If there is no space, the log is durably what it was before.
    async fn write(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut current = match self.current.take() {
            Some(current) if !self.is_to_be_followed(&current) => current,
            followed => match self.create().await {
                Ok(created) => created,
                Err(failure) => {
                    self.current = followed;
                    return Err(failure);
                }
            },
        };
        let written = current.append(payload).await;
        self.current = Some(current);
        written
    }

    /// Is the segment so long that another one shall follow? One that holds no entry yet goes on,
    /// since the next one would have its name.
    fn is_to_be_followed(&self, current: &Current<D::File>) -> bool {
        sector::offset(current.end) >= self.settings.segment_bytes
            && current.base != self.durable.tail
    }

    /// Creates the segment that follows what is durable.
    async fn create(&mut self) -> Result<Current<D::File>, Failure> {
        let base = self.durable.tail;
        let name = names::segment(base);
        let created = self.disk.create(&name).await;
        let file = created.map_err(Failure::io(&name, "create the segment"))?;
        let header = segment::header(base, self.durable.ballot);
        let written = file.write_at(0, &header).await;
        match written.map_err(Failure::io(&name, "write the header")) {
            Ok(()) => {}
            Err(Failure::Full) => {
                drop(file);
                let removed = self.disk.remove(&name).await;
                removed.map_err(StorageError::io(&name, "remove the segment"))?;
                self.sync_directory().await?;
                return Err(Failure::Full);
            }
            Err(fatal) => return Err(fatal),
        }
        let synced = file.sync().await;
        synced.map_err(StorageError::io(&name, "sync the header"))?;
        self.sync_directory().await?;
        self.segments.push_back(base);
        Ok(Current {
            base,
            file,
            end: 1,
            seal: Seal::Missing,
        })
    }

    async fn sync_directory(&self) -> Result<(), StorageError> {
        let synced = self.disk.sync_directory().await;
        synced.map_err(StorageError::io(".", "sync the directory"))
    }

    async fn seal(&mut self) -> Result<(), StorageError> {
        match &mut self.current {
            Some(current) => current.seal().await,
            None => Ok(()),
        }
    }

    async fn sync_seal(&self) -> Result<(), StorageError> {
        match &self.current {
            Some(current) => current.sync_seal().await,
            None => Ok(()),
        }
    }

    /// Removes the segments that hold nothing newer than the oldest snapshot that is kept. As long
    /// as there are fewer snapshots than shall be kept, the log from its beginning replaces those
    /// that are missing.
    async fn prune(&mut self, up_to: Zxid) -> Result<(), StorageError> {
        let listed = self.disk.list().await;
        let names = listed.map_err(StorageError::io(".", "list the directory"))?;
        let snapshots: Vec<Zxid> = names
            .iter()
            .filter_map(|name| match Name::parse(name) {
                Some(Name::Snapshot(zxid)) => Some(zxid),
                _ => None,
            })
            .collect();
        let Some(oldest) = snapshots.iter().min() else {
            return Ok(());
        };
        if snapshots.len() < self.settings.snapshots_kept {
            return Ok(());
        }
        let needless = up_to.min(*oldest);
        let before = self.segments.len();
        while let Some(next) = self.segments.get(1)
            && *next <= needless
        {
            let name = names::segment(self.segments[0]);
            let removed = self.disk.remove(&name).await;
            removed.map_err(StorageError::io(&name, "remove the segment"))?;
            self.segments.pop_front();
        }
        if self.segments.len() < before {
            self.sync_directory().await?;
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, ticket: Ticket, record: &Record) {
        match record {
            Record::Ballot(ballot) => self.after.ballot = *ballot,
            Record::Entry(entry) => {
                assert!(
                    follows(self.after.tail, entry.zxid),
                    "the entry {} does not follow {}",
                    entry.zxid,
                    self.after.tail,
                );
                self.after.tail = entry.zxid;
            }
        }
        segment::append_record(record, &mut self.payload);
        self.tickets.push(ticket);
    }
}

/// May an entry at `zxid` come right after the one at `tail`?
pub(super) fn follows(tail: Zxid, zxid: Zxid) -> bool {
    let dense = tail.next() == Some(zxid);
    let opens = zxid.epoch() > tail.epoch() && zxid.counter() == 0;
    dense || opens
}

impl<F: DiskFile> Current<F> {
    /// Writes and syncs a group behind the last one.
    async fn append(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let name = names::segment(self.base);
        let mut bytes = Vec::new();
        sector::write(self.base, self.span(), Kind::Group, payload, &mut bytes);
        let offset = sector::offset(self.end);
        let written = self.file.write_at(offset, &bytes).await;
        match written.map_err(Failure::io(&name, "write")) {
            Ok(()) => {}
            Err(Failure::Full) => {
                self.cut(offset).await?;
                return Err(Failure::Full);
            }
            Err(fatal) => return Err(fatal),
        }
        let synced = self.file.sync().await;
        synced.map_err(StorageError::io(&name, "sync"))?;
        self.end += (bytes.len() / SECTOR_BYTES) as u32;
        self.seal = Seal::Missing;
        Ok(())
    }

    /// Where the next group belongs.
    fn span(&self) -> Span {
        let start = self.end;
        let synced = match self.seal {
            Seal::Missing | Seal::Refused => start,
            Seal::Written => start - 1,
        };
        Span { start, synced }
    }

    /// Takes back what was written from `offset` on, durably.
    async fn cut(&self, offset: u64) -> Result<(), StorageError> {
        let name = names::segment(self.base);
        let cut = self.file.set_len(offset).await;
        cut.map_err(StorageError::io(&name, "cut"))?;
        let synced = self.file.sync().await;
        synced.map_err(StorageError::io(&name, "sync"))
    }

    /// Says behind the last group that it was synced.
    async fn seal(&mut self) -> Result<(), StorageError> {
        if self.seal != Seal::Missing {
            return Ok(());
        }
        let name = names::segment(self.base);
        let mut bytes = Vec::new();
        sector::write(self.base, Span::at(self.end), Kind::Seal, &[], &mut bytes);
        let offset = sector::offset(self.end);
        let written = self.file.write_at(offset, &bytes).await;
        match written.map_err(Failure::io(&name, "write the seal")) {
            Ok(()) => {
                self.end += 1;
                self.seal = Seal::Written;
            }
            Err(Failure::Full) => {
                // The log is whole without it.
                self.cut(offset).await?;
                self.seal = Seal::Refused;
            }
            Err(Failure::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    async fn sync_seal(&self) -> Result<(), StorageError> {
        if self.seal != Seal::Written {
            return Ok(());
        }
        let name = names::segment(self.base);
        let synced = self.file.sync().await;
        synced.map_err(StorageError::io(&name, "sync the seal"))
    }
}
