//! A server's disk as a value: what is saved, and what was asked for and is not saved yet.

use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::codec::record::encode_record;
use althing_core::ids::{DirectoryId, Ticket, Zxid};
use althing_core::node::node::Recovered;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::quorum::message::Extent;
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;

use crate::explore::digest::{Digest, both};

/// A position with the digest of everything that the log holds up to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// The position.
    pub zxid: Zxid,
    /// Of all entries up to it. Equal ones mean equal logs.
    pub chain: u128,
}

/// An entry at its place in a log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The entry.
    pub entry: Entry,
    /// Its position, and what the log holds up to it.
    pub mark: Mark,
}

/// A state with its place in the log.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The state.
    pub store: Arc<Store>,
    /// Up to where it has executed.
    pub mark: Mark,
}

/// A log without its beginning.
#[derive(Clone, Debug, Default)]
pub struct Log {
    base: Mark,
    entries: Vec<Logged>,
}

impl Log {
    fn after(base: Mark) -> Log {
        Log {
            base,
            entries: Vec::new(),
        }
    }

    /// Its end.
    pub fn last(&self) -> Mark {
        self.entries.last().map_or(self.base, |logged| logged.mark)
    }

    /// Where it begins.
    pub fn base(&self) -> Mark {
        self.base
    }

    /// What it holds.
    pub fn entries(&self) -> &[Logged] {
        &self.entries
    }

    /// The log up to this position, if that is one of its positions or where it begins.
    pub fn at(&self, zxid: Zxid) -> Option<Mark> {
        if zxid == self.base.zxid {
            return Some(self.base);
        }
        let found = self
            .entries
            .binary_search_by_key(&zxid, |logged| logged.mark.zxid);
        found.ok().map(|index| self.entries[index].mark)
    }

    /// The entry at this position.
    pub fn entry(&self, zxid: Zxid) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by_key(&zxid, |logged| logged.mark.zxid);
        found.ok().map(|index| &self.entries[index].entry)
    }

    fn push(&mut self, entry: Entry) {
        let mut bytes = Vec::new();
        let record = Record::Entry(entry);
        encode_record(&record, &mut bytes);
        let Record::Entry(entry) = record else {
            unreachable!("it was made an entry above");
        };
        let mut digest = Digest::new();
        digest.bytes(&bytes);
        let mark = Mark {
            zxid: entry.zxid,
            chain: both(self.last().chain, digest.finish()),
        };
        self.entries.push(Logged { entry, mark });
    }

    fn cut(&mut self, after: Zxid) {
        self.entries.retain(|logged| logged.mark.zxid <= after);
    }

    /// Forgets the beginning, up to a snapshot.
    fn shorten(&mut self, base: Mark) {
        self.entries.retain(|logged| logged.mark.zxid > base.zxid);
        self.base = base;
    }

    fn take(&mut self, record: &Record) {
        match record {
            Record::Ballot(_) => {}
            Record::Entry(entry) => self.push(entry.clone()),
            Record::Cut(after) => self.cut(*after),
        }
    }
}

/// A piece of a snapshot of another server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The snapshot's position.
    pub zxid: Zxid,
    /// What the snapshot is known by.
    pub bytes: Vec<u8>,
    /// Bytes before it.
    pub offset: u64,
    /// Is it the last one?
    pub extent: Extent,
}

/// Something that the disk was asked for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// To save a record.
    Save {
        /// How the answer is named.
        ticket: Ticket,
        /// What.
        record: Record,
        /// Of the log as it is meant to be then.
        chain: u128,
    },
    /// To store a piece of a snapshot.
    Take(Piece),
}

/// What came of the oldest thing that the disk was asked for.
#[derive(Clone, Debug)]
pub enum Stored {
    /// The record is durable.
    Record(Ticket),
    /// The piece is stored.
    Piece(Piece),
}

/// Does a disk keep what it says is saved? Those that do not are for the test of the explorer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Honesty {
    /// It does.
    Honest,
    /// It loses ballots.
    LosesBallots,
    /// It loses entries.
    LosesEntries,
}

/// A server's disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its identity.
    pub directory: DirectoryId,
    /// The last ballot that was saved.
    pub ballot: Ballot,
    /// The newest snapshot that is complete.
    pub snapshot: Option<Snapshot>,
    /// The entries that are saved.
    pub log: Log,
    /// The entries as its server sees them: what is asked for counts.
    pub wished: Log,
    /// How many bytes of a snapshot of another server are stored, and of which.
    pub stored: Option<(Zxid, u64)>,
    asked: VecDeque<Asked>,
}

impl Disk {
    /// A blank one.
    pub fn blank(directory: DirectoryId) -> Disk {
        Disk {
            directory,
            ballot: Ballot::default(),
            snapshot: None,
            log: Log::default(),
            wished: Log::default(),
            stored: None,
            asked: VecDeque::new(),
        }
    }

    /// What the disk was asked for and is not done yet.
    pub fn asked(&self) -> &VecDeque<Asked> {
        &self.asked
    }

    /// Asks to save a record.
    pub fn ask_save(&mut self, ticket: Ticket, record: Record) {
        self.wished.take(&record);
        let chain = self.wished.last().chain;
        self.asked.push_back(Asked::Save {
            ticket,
            record,
            chain,
        });
    }

    /// Asks to store a piece of a snapshot.
    pub fn ask_take(&mut self, piece: Piece) {
        self.asked.push_back(Asked::Take(piece));
    }

    /// The oldest thing that it was asked for becomes durable; `None` if there is nothing.
    pub fn save(&mut self, honesty: Honesty) -> Option<Stored> {
        match self.asked.pop_front()? {
            Asked::Save { ticket, record, .. } => {
                match (&record, honesty) {
                    (Record::Ballot(_), Honesty::LosesBallots) => {}
                    (Record::Entry(_), Honesty::LosesEntries) => {}
                    (Record::Ballot(ballot), _) => self.ballot = *ballot,
                    (Record::Entry(_) | Record::Cut(_), _) => self.log.take(&record),
                }
                Some(Stored::Record(ticket))
            }
            Asked::Take(piece) => {
                let end = piece.offset + piece.bytes.len() as u64;
                let follows = self.stored == Some((piece.zxid, piece.offset));
                if piece.offset == 0 || follows {
                    self.stored = Some((piece.zxid, end));
                }
                Some(Stored::Piece(piece))
            }
        }
    }

    /// A whole snapshot of another server is there: the log goes on from it.
    pub fn install(&mut self, snapshot: Snapshot) {
        self.log = Log::after(snapshot.mark);
        // What was asked for after the last piece follows the snapshot.
        self.wished = self.log.clone();
        for asked in &self.asked {
            if let Asked::Save { record, .. } = asked {
                self.wished.take(record);
            }
        }
        self.snapshot = Some(snapshot);
        self.stored = None;
    }

    /// No space: everything that is not done is refused. Gives the tickets, in their order.
    pub fn refuse(&mut self) -> Vec<Asked> {
        self.wished = self.log.clone();
        self.asked.drain(..).collect()
    }

    /// A snapshot of the server's own state is complete; the log before it goes.
    pub fn keep(&mut self, snapshot: Snapshot) {
        self.log.shorten(snapshot.mark);
        self.wished.shorten(snapshot.mark);
        self.snapshot = Some(snapshot);
    }

    /// The power goes. Of what was not done the first `kept` reach the disk nevertheless.
    pub fn crash(&mut self, kept: usize) {
        for _ in 0..kept {
            self.save(Honesty::Honest);
        }
        self.asked.clear();
        self.wished = self.log.clone();
        self.stored = None;
    }

    /// What a server finds at its start.
    pub fn recover(&self) -> Recovered {
        let store = self
            .snapshot
            .as_ref()
            .map_or_else(Store::new, |snapshot| (*snapshot.store).clone());
        let entries = self.log.entries.iter().map(|logged| logged.entry.clone());
        Recovered {
            directory: self.directory,
            ballot: self.ballot,
            store,
            entries: entries.collect(),
        }
    }

    /// Does the saved log hold this?
    pub fn holds(&self, mark: Mark) -> bool {
        // What a snapshot took the place of was executed, and so it was agreed.
        mark.zxid < self.log.base.zxid || self.log.at(mark.zxid) == Some(mark)
    }

    /// Feeds everything that matters.
    pub fn fingerprint(&self, digest: &mut Digest) {
        let last = self.log.last();
        digest
            .digest(self.directory.0)
            .debug(&self.ballot)
            .number(self.log.base.zxid.0)
            .number(last.zxid.0)
            .digest(last.chain)
            .number(self.wished.last().zxid.0)
            .digest(self.wished.last().chain);
        if let Some((zxid, offset)) = self.stored {
            digest.number(zxid.0).number(offset);
        }
        digest.number(self.asked.len() as u64);
        for asked in &self.asked {
            match asked {
                Asked::Save { record, chain, .. } => match record {
                    Record::Entry(entry) => digest.number(entry.zxid.0).digest(*chain),
                    Record::Ballot(_) | Record::Cut(_) => digest.debug(record),
                },
                Asked::Take(piece) => digest.debug(piece),
            };
        }
    }
}
