//! Plays the node for the storage: asks for saves and snapshots, and keeps books of the answers.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};

use althing_core::config::Settings;
use althing_core::ids::{Epoch, ServerId, Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::store::Store;
use althing_core::store::txn::{Action, Entry, Txn};
use althing_core::time::WallTime;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::path::Path;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::yield_now;

use crate::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::log::LogJob;
use crate::storage::settings::StorageSettings;
use crate::storage::storage::{Opened, open};

/// What the node asks for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To save a new ballot.
    Ballot,
    /// To save the first entry of a new epoch.
    Epoch,
    /// To save an entry with this many bytes.
    Entry(usize),
    /// To make a snapshot of all that is saved.
    Snapshot,
    /// To wait a little.
    Rest,
}

/// The node's books, over all its lives.
#[derive(Debug, Default)]
pub struct Books {
    /// The records that were saved, in their order.
    pub saved: Vec<Record>,
    /// Those that were asked for and not answered when the last life ended.
    pub maybe: Vec<Record>,
    pub refused: usize,
    pub snapshots_made: usize,
    pub snapshots_refused: usize,
    pub found_torn: usize,
    incarnation: u64,
    epoch: u32,
}

/// Runs `future` to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers")
        .block_on(future)
}

/// The position of the last entry among `records`.
pub fn tail(records: &[Record]) -> Zxid {
    let zxid = |record: &Record| match record {
        Record::Entry(entry) => Some(entry.zxid),
        Record::Ballot(_) => None,
    };
    records.iter().rev().find_map(zxid).unwrap_or(Zxid::ZERO)
}

/// The last ballot among `records`.
pub fn ballot(records: &[Record]) -> Ballot {
    let ballot = |record: &Record| match record {
        Record::Ballot(ballot) => Some(*ballot),
        Record::Entry(_) => None,
    };
    records.iter().rev().find_map(ballot).unwrap_or_default()
}

/// The entries among `records` that stand after `after`.
pub fn entries(records: &[Record], after: Zxid) -> Vec<Entry> {
    let entry = |record: &Record| match record {
        Record::Entry(entry) if entry.zxid > after => Some(entry.clone()),
        _ => None,
    };
    records.iter().filter_map(entry).collect()
}

/// The state after all of `records`.
pub fn state(records: &[Record]) -> Store {
    let mut store = Store::new();
    for entry in entries(records, Zxid::ZERO) {
        store.execute(&entry, &mut Vec::new());
    }
    store
}

/// An entry at `zxid` with `bytes` bytes of data.
pub fn entry(zxid: Zxid, bytes: usize) -> Record {
    let action = match zxid.counter() {
        0 => Action::OpenEpoch {
            leader: ServerId(1),
            settings: Settings::default(),
        },
        counter => Action::Write(Op::SetData {
            path: Path::root(),
            data: Some(vec![counter as u8; bytes].into()),
            version: ANY_VERSION,
        }),
    };
    Record::Entry(Entry {
        zxid,
        txn: Arc::new(Txn {
            wall: WallTime(1),
            origin: None,
            identities: Arc::from([]),
            action,
        }),
    })
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
        let opened = open(disk, settings).await?;
        self.compare(&opened);
        self.incarnation += 1;
        let Opened { log, snapshots, .. } = opened;
        let answers: Arc<Mutex<Vec<Input>>> = Arc::default();
        let answer = || {
            let answers = answers.clone();
            move |input| answers.lock().expect("not poisoned").push(input)
        };
        let (to_log, log_jobs) = mpsc::unbounded_channel();
        let (to_snapshots, snapshot_jobs) = mpsc::unbounded_channel();
        let mut feeder = Feeder {
            incarnation: self.incarnation,
            number: 0,
            tail: tail(&self.saved),
            unanswered: VecDeque::new(),
            refusing: false,
            to_log,
            to_snapshots,
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
            feeder
        };
        let both = async {
            let (logged, made, feeder) = tokio::join!(
                log.run(log_jobs, answer()),
                snapshots.run(snapshot_jobs, answer()),
                async {
                    let mut feeder = feed.await;
                    feeder.close();
                    feeder
                },
            );
            (logged.and(made), feeder)
        };
        let (result, mut feeder) = both.await;
        feeder.read(self);
        let unanswered = mem::take(&mut feeder.unanswered);
        self.maybe = unanswered.into_iter().map(|(_, record)| record).collect();
        assert!(
            result.is_err() || self.maybe.is_empty(),
            "a save without answer"
        );
        result
    }

    /// What was found must be all that was saved, and of the rest only a beginning.
    fn compare<D: Disk>(&mut self, opened: &Opened<D>) {
        let recovered = &opened.recovered;
        let applied = recovered.store.applied();
        let maybe = mem::take(&mut self.maybe);
        for more in (0..=maybe.len()).rev() {
            let mut records = self.saved.clone();
            records.extend_from_slice(&maybe[..more]);
            if recovered.entries == entries(&records, applied)
                && recovered.ballot == ballot(&records)
                && tail(&records).max(applied) == tail(&records)
            {
                let at = records.iter().position(|record| match record {
                    Record::Entry(entry) => entry.zxid > applied,
                    Record::Ballot(_) => false,
                });
                let executed = &records[..at.unwrap_or(records.len())];
                let expected = state(executed);
                assert_eq!(recovered.store.applied(), expected.applied());
                let digest = recovered.store.tree().digest();
                assert_eq!(digest, expected.tree().digest());
                self.found_torn += usize::from(more < maybe.len());
                self.saved = records;
                return;
            }
        }
        panic!(
            "recovered {:?}, entries {:?} after {applied}; saved up to {}, {:?}; perhaps {maybe:?}",
            recovered.ballot,
            recovered
                .entries
                .iter()
                .map(|entry| entry.zxid)
                .collect::<Vec<_>>(),
            tail(&self.saved),
            ballot(&self.saved),
        );
    }
}

struct Feeder {
    incarnation: u64,
    number: u64,
    /// Of what was asked for.
    tail: Zxid,
    unanswered: VecDeque<(Ticket, Record)>,
    refusing: bool,
    to_log: UnboundedSender<LogJob>,
    to_snapshots: UnboundedSender<Store>,
    answers: Arc<Mutex<Vec<Input>>>,
}

impl Feeder {
    fn ask(&mut self, books: &mut Books, ask: &Ask) {
        let record = match ask {
            Ask::Rest => return,
            Ask::Snapshot => {
                // A writer that has ended answers nothing.
                let _ = self.to_snapshots.send(state(&books.saved));
                return;
            }
            _ if self.refusing => return,
            Ask::Ballot => {
                books.epoch += 1;
                Record::Ballot(Ballot {
                    epoch: Epoch(books.epoch),
                    voted_for: Some(ServerId(books.epoch as u8)),
                })
            }
            Ask::Entry(bytes) if self.tail != Zxid::ZERO => {
                entry(self.tail.next().expect("few entries"), *bytes)
            }
            Ask::Epoch | Ask::Entry(_) => {
                books.epoch += 1;
                entry(Zxid::new(Epoch(books.epoch), 0), 0)
            }
        };
        if let Record::Entry(entry) = &record {
            self.tail = entry.zxid;
        }
        self.number += 1;
        let ticket = Ticket {
            incarnation: self.incarnation,
            number: self.number,
        };
        self.unanswered.push_back((ticket, record.clone()));
        let _ = self.to_log.send(LogJob::Save { ticket, record });
    }

    fn read(&mut self, books: &mut Books) {
        let answers = mem::take(&mut *self.answers.lock().expect("not poisoned"));
        for answer in answers {
            match answer {
                Input::Saved(ticket) => {
                    let (asked, record) = self.unanswered.pop_front().expect("asked for");
                    assert_eq!(ticket, asked, "answers come in the order of the tickets");
                    assert!(
                        !self.refusing,
                        "saved although it builds on what was refused"
                    );
                    books.saved.push(record);
                }
                Input::Refused(ticket) => {
                    let (asked, _) = self.unanswered.pop_front().expect("asked for");
                    assert_eq!(ticket, asked, "answers come in the order of the tickets");
                    books.refused += 1;
                    self.refusing = !self.unanswered.is_empty();
                    self.tail = tail(&books.saved);
                    let _ = self.to_log.send(LogJob::Resume);
                }
                Input::SnapshotMade { zxid } => {
                    books.snapshots_made += 1;
                    let _ = self.to_log.send(LogJob::Prune { up_to: zxid });
                }
                Input::SnapshotRefused { .. } => books.snapshots_refused += 1,
                other => panic!("no answer of the storage: {other:?}"),
            }
        }
    }

    /// Closes the channels: the writers end when they have done what was asked.
    fn close(&mut self) {
        self.to_log = mpsc::unbounded_channel().0;
        self.to_snapshots = mpsc::unbounded_channel().0;
    }
}
