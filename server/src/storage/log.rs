//! Appends to the log: groups of records, one write and one sync each.
//!
//! While a group is synced the next one forms in the channel. After want of space the log is what
//! it was before the group, durably, and all saves are refused until [`LogJob::Resume`].
//!
//! Pieces of another server's snapshot are stored in the order of the saves; the last one puts the
//! snapshot in the place of the log ([`install`]).

use std::collections::VecDeque;
use std::io;

use althing_core::ids::{Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{Failure, StorageError};
use crate::storage::install;
use crate::storage::names::{self, Name};
use crate::storage::sector::{self, Kind, SECTOR_BYTES, Span};
use crate::storage::segment;
use crate::storage::settings::{GROUP_BYTES_MAX, StorageSettings};
use crate::storage::taker::{Piece, Taken, Taker};

/// Room for a group; most are no longer.
const GROUP_BYTES: usize = 256;

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
    /// step asks for. One that comes after the disk was full again, for a ticket before that, does
    /// nothing.
    Resume {
        /// Of the save that was refused.
        ticket: Ticket,
    },
    /// Store a piece of another server's snapshot; see
    /// [`althing_core::node::effect::Effect::TakeChunk`].
    Take(Piece),
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
    /// What a snapshot holds stays: nothing up to here is cut.
    floor: Zxid,
    saves: Saves,
    taker: Taker<D>,
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
    /// They may build on one that was refused, or on one after it.
    Refused {
        /// The first one.
        since: Ticket,
    },
}

/// What is done in one turn, in this order.
struct Batch {
    group: Group,
    piece: Option<Piece>,
    prune: Option<Zxid>,
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
        floor: Zxid,
    ) -> LogWriter<D> {
        LogWriter {
            taker: Taker::new(disk.clone()),
            disk,
            settings,
            segments,
            current,
            durable,
            floor,
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
            let batch = self.gather(first, &mut jobs, &mut answer);
            self.append(batch.group, &mut answer).await?;
            if let Some(piece) = batch.piece {
                answer(self.take(&piece).await?);
            }
            if let Some(up_to) = batch.prune {
                self.prune(up_to).await?;
            }
        }
        self.seal().await?;
        self.sync_seal().await
    }

    /// Takes `job` and what waits behind it, as far as one group may go.
    fn gather(
        &mut self,
        job: LogJob,
        jobs: &mut UnboundedReceiver<LogJob>,
        answer: &mut impl FnMut(Input),
    ) -> Batch {
        let mut group = Group {
            payload: Vec::with_capacity(GROUP_BYTES),
            tickets: Vec::new(),
            after: self.durable,
        };
        let (mut piece, mut prune) = (None, None);
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                LogJob::Save { ticket, record } => match self.saves {
                    Saves::Accepted => group.push(ticket, &record, self.floor),
                    Saves::Refused { .. } => answer(Input::Refused(ticket)),
                },
                LogJob::Resume { ticket } => self.resume(ticket),
                LogJob::Take(taken) => piece = Some(taken),
                LogJob::Prune { up_to } => {
                    self.floor = self.floor.max(up_to);
                    prune = prune.max(Some(up_to));
                }
            }
            // What comes behind a piece stays behind it.
            next = match group.payload.len() < GROUP_BYTES_MAX && piece.is_none() {
                true => jobs.try_recv().ok(),
                false => None,
            };
        }
        Batch {
            group,
            piece,
            prune,
        }
    }

    /// The node knows that this ticket was refused, and what was asked for after it.
    fn resume(&mut self, ticket: Ticket) {
        if let Saves::Refused { since } = self.saves
            && ticket.number >= since.number
        {
            self.saves = Saves::Accepted;
        }
    }

    /// Makes the group durable, or takes it back, and answers its tickets.
    async fn append(
        &mut self,
        group: Group,
        answer: &mut impl FnMut(Input),
    ) -> Result<(), StorageError> {
        let Some(first) = group.tickets.first().copied() else {
            return Ok(());
        };
        match self.write(&group.payload).await {
            Ok(()) => {
                self.durable = group.after;
                group.tickets.into_iter().map(Input::Saved).for_each(answer);
            }
            Err(Failure::Full) => {
                tracing::warn!(saves = group.tickets.len(), "no space in the log");
                self.saves = Saves::Refused { since: first };
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

    /// Stores a piece of another server's snapshot, and installs it if it is the last; its answer.
    async fn take(&mut self, piece: &Piece) -> Result<Input, StorageError> {
        let zxid = piece.zxid;
        let taken = match self.saves {
            Saves::Accepted => self.taker.take(piece).await?,
            // There is no space; and what is asked for builds on what was refused.
            Saves::Refused { .. } => {
                self.taker.discard().await?;
                Taken::Refused
            }
        };
        match taken {
            Taken::Stored { offset } => Ok(Input::ChunkTaken { zxid, offset }),
            Taken::Refused => Ok(Input::ChunkRefused { zxid }),
            Taken::Whole(store) => match self.install(zxid).await {
                Ok(()) => {
                    tracing::info!(%zxid, "another server's snapshot has replaced the log");
                    Ok(Input::Installed { store })
                }
                Err(Failure::Full) => {
                    tracing::warn!(%zxid, "no space for the log after another server's snapshot");
                    self.taker.discard().await?;
                    Ok(Input::ChunkRefused { zxid })
                }
                Err(Failure::Fatal(error)) => Err(error),
            },
        }
    }

    /// Puts the snapshot at `zxid`, which was taken, in the place of the log.
    async fn install(&mut self, zxid: Zxid) -> Result<(), Failure> {
        assert!(zxid > self.floor, "the snapshot {zxid} is an old one");
        install::decide(&self.disk, zxid, self.durable.ballot).await?;
        self.taker.forget();
        self.current = None;
        install::finish(&self.disk, zxid).await?;
        let name = names::segment(zxid);
        let opened = self.disk.open(&name).await;
        self.current = Some(Current {
            base: zxid,
            file: opened.map_err(StorageError::io(&name, "open"))?,
            end: 1,
            seal: Seal::Missing,
        });
        self.segments = VecDeque::from([zxid]);
        self.durable.tail = zxid;
        self.floor = zxid;
        Ok(())
    }

    /// Is the segment so long that another one shall follow? One that holds no newer entry goes on,
    /// so that the names of the segments are in the order in which they were written.
    fn is_to_be_followed(&self, current: &Current<D::File>) -> bool {
        sector::offset(current.end) >= self.settings.segment_bytes
            && self.durable.tail > current.base
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
                directory::remove(&self.disk, &name).await?;
                directory::sync(&self.disk).await?;
                return Err(Failure::Full);
            }
            Err(fatal) => return Err(fatal),
        }
        let synced = file.sync().await;
        synced.map_err(StorageError::io(&name, "sync the header"))?;
        directory::sync(&self.disk).await?;
        self.segments.push_back(base);
        Ok(Current {
            base,
            file,
            end: 1,
            seal: Seal::Missing,
        })
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
        let names = directory::list(&self.disk).await?;
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
            directory::remove(&self.disk, &names::segment(self.segments[0])).await?;
            self.segments.pop_front();
        }
        if self.segments.len() < before {
            directory::sync(&self.disk).await?;
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, ticket: Ticket, record: &Record, floor: Zxid) {
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
            Record::Cut(after) => {
                assert!(
                    (floor..=self.after.tail).contains(after),
                    "a cut after {after} of a log that ends at {} and has a snapshot at {floor}",
                    self.after.tail
                );
                self.after.tail = *after;
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
        let mut bytes = Vec::new();
        sector::write(self.base, self.span(), Kind::Group, payload, &mut bytes);
        let offset = sector::offset(self.end);
        let written = self.file.write_at(offset, &bytes).await;
        match written.map_err(|error| self.failure("write", error)) {
            Ok(()) => {}
            Err(Failure::Full) => {
                self.cut(offset).await?;
                return Err(Failure::Full);
            }
            Err(fatal) => return Err(fatal),
        }
        let synced = self.file.sync().await;
        synced.map_err(|error| self.error("sync", error))?;
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
        let cut = self.file.set_len(offset).await;
        cut.map_err(|error| self.error("cut", error))?;
        let synced = self.file.sync().await;
        synced.map_err(|error| self.error("sync", error))
    }

    /// Says behind the last group that it was synced.
    async fn seal(&mut self) -> Result<(), StorageError> {
        if self.seal != Seal::Missing {
            return Ok(());
        }
        let mut bytes = Vec::new();
        sector::write(self.base, Span::at(self.end), Kind::Seal, &[], &mut bytes);
        let offset = sector::offset(self.end);
        let written = self.file.write_at(offset, &bytes).await;
        match written.map_err(|error| self.failure("write the seal", error)) {
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
        let synced = self.file.sync().await;
        synced.map_err(|error| self.error("sync the seal", error))
    }

    /// What the operating system says about this segment. Its name is made only for that.
    fn error(&self, doing: &'static str, error: io::Error) -> StorageError {
        StorageError::io(&names::segment(self.base), doing)(error)
    }

    /// As [`Current::error`], but want of space is told apart.
    fn failure(&self, doing: &'static str, error: io::Error) -> Failure {
        Failure::io(&names::segment(self.base), doing)(error)
    }
}
