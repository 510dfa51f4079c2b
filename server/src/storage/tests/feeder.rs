//! Plays the node for the storage: asks for saves and snapshots, and keeps books of the answers.

use std::collections::VecDeque;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use althing_core::ids::{DirectoryId, Epoch, ServerId, Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record, Standing};
use althing_core::quorum::message::Extent;
use althing_core::store::store::Store;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::yield_now;

use crate::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::log::LogJob;
use crate::storage::names;
use crate::storage::reader::ReadJob;
use crate::storage::settings::StorageSettings;
use crate::storage::snapshot_file;
use crate::storage::storage::{Opened, open};
use crate::storage::taker::Piece;
use crate::storage::tests::books::{Books, Log, Step, entry};
use crate::storage::tests::crash_disk::CrashDisk;

/// Whose directories the tests use.
pub const SERVER: ServerId = ServerId(1);

/// A directory that was never used gets this id.
pub const FRESH: DirectoryId = DirectoryId(0x0123_4567_89ab_cdef);

/// What the node asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To save a new ballot.
    Ballot,
    /// To save the first entry of a new epoch.
    Epoch,
    /// To save an entry with this many bytes.
    Entry(usize),
    /// To take back so many entries, as far as no snapshot may hold them.
    Cut(usize),
    /// To make a snapshot of all that is saved, and is not being taken back.
    Snapshot,
    /// To read the beginning of the snapshot that was asked for last.
    Read,
    /// To take a snapshot from another server.
    Install(Reach, Shipment),
    /// To wait a little.
    Rest,
}

/// How far another server's snapshot is ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Behind the end of the log.
    Beyond,
    /// One step beyond what a snapshot holds, where the log may have something else.
    Within,
}

/// How another server's snapshot arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shipment {
    /// As it is.
    Sound,
    /// With one bit flipped, somewhere around this part in a thousand.
    Damaged(usize),
    /// Without its first pieces but one, or without its end.
    Incomplete,
    /// Only its beginning, and then no more.
    Abandoned,
}

/// Pieces are so long here.
const PIECE_BYTES: usize = 200;

/// Runs `future` to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers")
        .block_on(future)
}

/// The bytes of a snapshot of `store`.
pub fn snapshot_bytes(store: &Store) -> Vec<u8> {
    let disk = CrashDisk::default();
    // Its pauses wake themselves, and a test may be within a runtime already.
    let mut context = Context::from_waker(Waker::noop());
    let mut written = pin!(snapshot_file::write(&disk, store.clone()));
    while written.as_mut().poll(&mut context).is_pending() {}
    let name = names::temporary(&names::snapshot(store.applied()));
    disk.files().remove(&name).expect("written")
}

/// A state as another server has it, at a position after all that this one can have.
fn foreign(log: &Log, from: Zxid, to: Zxid) -> Store {
    let mut store = log.state(from);
    if to.counter() > 0 && to.epoch() > store.applied().epoch() {
        store.execute(&entry(Zxid::new(to.epoch(), 0), 0), &mut Vec::new());
    }
    store.execute(&entry(to, 900), &mut Vec::new());
    store
}

/// The snapshot in pieces, in the way of `shipment`.
fn shipped(store: &Store, shipment: Shipment) -> Vec<Piece> {
    let mut bytes = snapshot_bytes(store);
    if let Shipment::Damaged(part) = shipment {
        let at = bytes.len() * part / 1000;
        bytes[at] ^= 1 << (part % 8);
    }
    let count = bytes.len().div_ceil(PIECE_BYTES);
    let pieces = (0..).zip(bytes.chunks(PIECE_BYTES));
    let mut pieces: Vec<Piece> = pieces
        .map(|(at, bytes)| Piece {
            zxid: store.applied(),
            offset: at * PIECE_BYTES as u64,
            bytes: bytes.to_vec(),
            extent: match at as usize + 1 == count {
                true => Extent::Last,
                false => Extent::More,
            },
        })
        .collect();
    match shipment {
        Shipment::Sound | Shipment::Damaged(_) => {}
        Shipment::Incomplete if count.is_multiple_of(2) => drop(pieces.drain(1..count - 1)),
        Shipment::Incomplete => {
            pieces.pop();
            pieces.last_mut().expect("several").extent = Extent::Last;
        }
        Shipment::Abandoned => pieces.truncate(2),
    }
    pieces
}

impl Books {
    /// One life: opens the directory, checks what it holds, and asks. Ends early if the disk does.
    pub async fn live<D: Disk>(
        &mut self,
        disk: D,
        settings: StorageSettings,
        asks: &[Ask],
        mut halfway: impl FnMut(),
    ) -> Result<(), StorageError> {
        self.opens += 1;
        let opened = open(disk, settings, SERVER, DirectoryId(self.opens)).await?;
        self.compare(&opened.recovered);
        self.incarnation += 1;
        let Opened { log, snapshots, .. } = opened;
        let answers: Arc<Mutex<Vec<Input>>> = Arc::default();
        let answer = || {
            let answers = answers.clone();
            move |input| answers.lock().expect("not poisoned").push(input)
        };
        let (to_log, log_jobs) = mpsc::unbounded_channel();
        let (to_snapshots, stores) = mpsc::unbounded_channel();
        let (to_reader, reads) = mpsc::unbounded_channel();
        let mut feeder = Feeder {
            incarnation: self.incarnation,
            number: 0,
            unanswered: VecDeque::new(),
            refused_up_to: 0,
            installing: false,
            to_log,
            to_snapshots,
            to_reader,
            answers: answers.clone(),
        };
        let feed = async {
            for (at, ask) in asks.iter().enumerate() {
                if at == asks.len() / 2 {
                    halfway();
                }
                feeder.ask(self, ask);
                if let Ask::Rest = ask {
                    yield_now().await;
                    feeder.read(self);
                }
            }
            feeder.close();
            feeder
        };
        let (logged, made, mut feeder) = tokio::join!(
            log.run(log_jobs, answer()),
            snapshots.run(stores, reads, answer()),
            feed,
        );
        let result = logged.and(made);
        feeder.read(self);
        assert!(
            result.is_err() || feeder.unanswered.is_empty(),
            "no answer: {:?}",
            feeder.unanswered
        );
        self.maybe = feeder.pending().cloned().collect();
        result
    }
}

/// What the log was asked to do.
#[derive(Debug)]
enum Job {
    Save(Ticket, Record),
    /// A piece, and how many bytes are stored with it.
    Piece(u64),
    /// The last piece of a sound snapshot.
    Install(Box<Store>),
    /// The last piece of one that is none.
    Vain,
}

struct Feeder {
    incarnation: u64,
    number: u64,
    unanswered: VecDeque<(Job, Option<Step>)>,
    /// The number of the last save that was asked for when one was refused.
    refused_up_to: u64,
    /// Nothing builds on the log before it is known whether a snapshot has taken its place.
    installing: bool,
    to_log: UnboundedSender<LogJob>,
    to_snapshots: UnboundedSender<Store>,
    to_reader: UnboundedSender<ReadJob>,
    answers: Arc<Mutex<Vec<Input>>>,
}

impl Feeder {
    fn ask(&mut self, books: &mut Books, ask: &Ask) {
        match ask {
            Ask::Rest => {}
            Ask::Read => {
                let (to, zxid, offset) = (ServerId(2), books.floor, 0);
                let _ = self.to_reader.send(ReadJob { to, zxid, offset });
            }
            Ask::Ballot => {
                books.epoch += 1;
                self.save(Record::Ballot(Ballot {
                    epoch: Epoch(books.epoch),
                    voted_for: Some(ServerId(books.epoch as u8)),
                    standing: match books.epoch % 2 {
                        0 => Standing::Stranger,
                        _ => Standing::Admitted,
                    },
                }));
            }
            _ if self.installing || self.is_refusing() => {}
            Ask::Snapshot => {
                let until = self.surely_kept(books);
                books.floor = books.floor.max(until);
                // A writer that has ended answers nothing.
                let _ = self.to_snapshots.send(books.log().state(until));
            }
            Ask::Cut(count) => {
                let asked = self.asked(books);
                let stays = asked.entries.len().saturating_sub(*count);
                let after = match asked.entries[..stays].last() {
                    Some(entry) => entry.zxid,
                    None => asked.base.applied(),
                };
                if after >= books.floor && after < asked.tail() {
                    self.save(Record::Cut(after));
                }
            }
            Ask::Epoch => self.save_entry(books, 0),
            Ask::Entry(bytes) => match self.asked(books).tail() {
                Zxid::ZERO => self.save_entry(books, 0),
                tail => self.save(Record::Entry(entry(
                    tail.next().expect("few entries"),
                    *bytes,
                ))),
            },
            Ask::Install(reach, shipment) => self.install(books, *reach, *shipment),
        }
    }

    /// Saves the first entry of a new epoch.
    fn save_entry(&mut self, books: &mut Books, bytes: usize) {
        books.epoch += 1;
        let zxid = Zxid::new(Epoch(books.epoch), 0);
        self.save(Record::Entry(entry(zxid, bytes)));
    }

    fn save(&mut self, record: Record) {
        self.number += 1;
        let ticket = Ticket {
            incarnation: self.incarnation,
            number: self.number,
        };
        let step = Step::Save(record.clone());
        let job = Job::Save(ticket, record.clone());
        self.unanswered.push_back((job, Some(step)));
        let _ = self.to_log.send(LogJob::Save { ticket, record });
    }

    fn install(&mut self, books: &mut Books, reach: Reach, shipment: Shipment) {
        let to = match reach {
            Reach::Within if books.floor != Zxid::ZERO => books.floor.next().expect("few entries"),
            Reach::Within | Reach::Beyond => {
                books.epoch += 1;
                Zxid::new(Epoch(books.epoch), 1)
            }
        };
        let store = foreign(&books.log(), books.floor, to);
        let pieces = shipped(&store, shipment);
        for piece in pieces {
            let stored = piece.offset + piece.bytes.len() as u64;
            let (job, step) = match (piece.extent, shipment) {
                (Extent::More, _) => (Job::Piece(stored), None),
                (Extent::Last, Shipment::Sound) => {
                    let store = Box::new(store.clone());
                    (Job::Install(store.clone()), Some(Step::Install(store)))
                }
                (Extent::Last, _) => (Job::Vain, None),
            };
            self.installing |= step.is_some();
            self.unanswered.push_back((job, step));
            let _ = self.to_log.send(LogJob::Take(piece));
        }
    }

    /// Are there refusals still to come?
    fn is_refusing(&self) -> bool {
        let is_refused = |(job, _): &(Job, _)| match job {
            Job::Save(ticket, _) => ticket.number <= self.refused_up_to,
            _ => false,
        };
        self.unanswered.iter().any(is_refused)
    }

    /// What is asked for and not yet answered, as far as it changes the log.
    fn pending(&self) -> impl Iterator<Item = &Step> {
        self.unanswered.iter().filter_map(|(_, step)| step.as_ref())
    }

    /// The log when all is done that was asked for.
    fn asked(&self, books: &Books) -> Log {
        Log::of(books.done.iter().chain(self.pending()))
    }

    /// How much of what is saved no cut takes back that is asked for.
    fn surely_kept(&self, books: &Books) -> Zxid {
        let cuts = self.pending().filter_map(|step| match step {
            Step::Save(Record::Cut(after)) => Some(*after),
            _ => None,
        });
        cuts.fold(books.log().tail(), Zxid::min)
    }

    fn read(&mut self, books: &mut Books) {
        let answers = mem::take(&mut *self.answers.lock().expect("not poisoned"));
        for answer in answers {
            match answer {
                Input::SnapshotMade { zxid } => {
                    books.snapshots_made += 1;
                    let _ = self.to_log.send(LogJob::Prune { up_to: zxid });
                }
                Input::SnapshotRefused { .. } => books.snapshots_refused += 1,
                Input::ChunkRead { bytes, offset, .. } => {
                    assert!(offset == 0 && bytes.starts_with(b"ALTHSNAP"));
                    books.pieces_read += 1;
                }
                Input::ChunkMissed { .. } => books.pieces_missed += 1,
                answer => self.read_log(books, answer),
            }
        }
    }

    /// The answers of the log come in the order of what was asked.
    fn read_log(&mut self, books: &mut Books, answer: Input) {
        let (job, step) = self.unanswered.pop_front().expect("asked for");
        match (answer, job) {
            (Input::Saved(ticket), Job::Save(asked, record)) => {
                assert_eq!(ticket, asked);
                let builds_on_refused = ticket.number <= self.refused_up_to;
                assert!(!builds_on_refused, "saved, and builds on what was refused");
                books.saves += 1;
                books.cuts += usize::from(matches!(record, Record::Cut(_)));
                books.done.extend(step);
            }
            (Input::Refused(ticket), Job::Save(asked, _)) => {
                assert_eq!(ticket, asked);
                books.refused += 1;
                if ticket.number > self.refused_up_to {
                    self.refused_up_to = self.number;
                }
                let _ = self.to_log.send(LogJob::Resume { ticket });
            }
            (Input::ChunkTaken { offset, .. }, Job::Piece(stored)) => {
                assert_eq!(offset, stored);
            }
            (Input::ChunkRefused { .. }, Job::Piece(_) | Job::Vain) => books.pieces_refused += 1,
            (Input::ChunkRefused { .. }, Job::Install(_)) => {
                books.pieces_refused += 1;
                self.installing = false;
            }
            (Input::Installed { store }, Job::Install(expected)) => {
                assert_eq!(store.applied(), expected.applied());
                assert_eq!(store.tree().digest(), expected.tree().digest());
                books.installs += 1;
                books.floor = expected.applied();
                books.done.extend(step);
                self.installing = false;
            }
            (answer, job) => panic!("{answer:?} answers {job:?}"),
        }
    }

    /// Closes the channels: the writers end when they have done what was asked.
    fn close(&mut self) {
        self.to_log = mpsc::unbounded_channel().0;
        self.to_snapshots = mpsc::unbounded_channel().0;
        self.to_reader = mpsc::unbounded_channel().0;
    }
}
