//! What a data directory must hold: the books of all that was saved and installed.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use althing_core::config::Settings;
use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::membership::Membership;
use althing_core::node::node::Recovered;
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::store::Store;
use althing_core::store::txn::{Action, Entry, Txn};
use althing_core::time::WallTime;
use althing_core::tree::op::{ANY_VERSION, Op};
use althing_core::tree::path::Path;

/// What changes the log.
#[derive(Clone, Debug)]
pub enum Step {
    /// A record was saved.
    Save(Record),
    /// Another server's snapshot took the place of the log.
    Install(Box<Store>),
}

/// What all steps come to.
#[derive(Clone, Debug)]
pub struct Log {
    pub ballot: Ballot,
    /// The state before the first of the entries.
    pub base: Store,
    pub entries: Vec<Entry>,
}

/// The node's books, over all its lives.
#[derive(Debug, Default)]
pub struct Books {
    /// What was done, in its order.
    pub done: Vec<Step>,
    /// What was asked for and not answered when the last life ended.
    pub maybe: Vec<Step>,
    /// Nothing up to here is cut any more: a snapshot may hold it.
    pub floor: Zxid,
    pub directory: Option<DirectoryId>,
    pub saves: usize,
    pub refused: usize,
    pub cuts: usize,
    pub installs: usize,
    /// Installed, although the life that asked for it never heard so.
    pub installs_found: usize,
    pub pieces_refused: usize,
    pub pieces_read: usize,
    pub pieces_missed: usize,
    pub snapshots_made: usize,
    pub snapshots_refused: usize,
    pub found_torn: usize,
    pub opens: u128,
    pub incarnation: u64,
    pub epoch: u32,
}

impl Log {
    pub fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Log {
        let mut log = Log {
            ballot: Ballot::default(),
            base: Store::new(),
            entries: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Save(Record::Ballot(ballot)) => log.ballot = *ballot,
                Step::Save(Record::Entry(entry)) => log.entries.push(entry.clone()),
                Step::Save(Record::Cut(after)) => {
                    log.entries.retain(|entry| entry.zxid <= *after);
                    assert_eq!(log.tail(), *after, "the books cut where nothing is");
                }
                Step::Install(store) => {
                    log.base = Store::clone(store);
                    log.entries.clear();
                }
            }
        }
        log
    }

    /// The position of its end.
    pub fn tail(&self) -> Zxid {
        let last = self.entries.last().map(|entry| entry.zxid);
        last.unwrap_or(self.base.applied())
    }

    /// The entries after `after`.
    pub fn after(&self, after: Zxid) -> &[Entry] {
        let from = self.entries.partition_point(|entry| entry.zxid <= after);
        &self.entries[from..]
    }

    /// The state at `until`, or at the last position before it.
    pub fn state(&self, until: Zxid) -> Store {
        let mut store = self.base.clone();
        for entry in self.entries.iter().take_while(|entry| entry.zxid <= until) {
            store.execute(entry, &mut Vec::new());
        }
        store
    }
}

/// An entry at `zxid` with `bytes` bytes of data.
pub fn entry(zxid: Zxid, bytes: usize) -> Entry {
    let action = match zxid.counter() {
        0 => Action::OpenEpoch {
            leader: ServerId(1),
            settings: Settings::default(),
            membership: Membership::founding(BTreeMap::from([(ServerId(1), DirectoryId(1))])),
        },
        counter => Action::Write(Op::SetData {
            path: Path::root(),
            data: Some(vec![counter as u8; bytes].into()),
            version: ANY_VERSION,
        }),
    };
    Entry {
        zxid,
        txn: Arc::new(Txn {
            wall: WallTime(1),
            origin: None,
            identities: Arc::from([]),
            action,
        }),
    }
}

impl Books {
    pub fn log(&self) -> Log {
        Log::of(&self.done)
    }

    /// What was found must be all that was done, and of the rest only a beginning.
    pub fn compare(&mut self, recovered: &Recovered) {
        let directory = *self.directory.get_or_insert(recovered.directory);
        assert_eq!(directory, recovered.directory, "it is drawn once");
        let maybe = mem::take(&mut self.maybe);
        for more in (0..=maybe.len()).rev() {
            let mut done = self.done.clone();
            done.extend_from_slice(&maybe[..more]);
            if is_found(recovered, &Log::of(&done)) {
                let found = |step: &&Step| matches!(step, Step::Install(_));
                self.installs_found += maybe[..more].iter().filter(found).count();
                self.found_torn += usize::from(more < maybe.len());
                self.floor = self.floor.max(Log::of(&done).base.applied());
                self.done = done;
                return;
            }
        }
        let log = self.log();
        let zxids =
            |entries: &[Entry]| -> Vec<Zxid> { entries.iter().map(|entry| entry.zxid).collect() };
        panic!(
            "recovered {:?}, {:?} after {}; done: {:?}, {:?} after {}; perhaps {maybe:?}",
            recovered.ballot,
            zxids(&recovered.entries),
            recovered.store.applied(),
            log.ballot,
            zxids(&log.entries),
            log.base.applied(),
        );
    }
}

/// Is this what such a log and its snapshots come to?
pub fn is_found(recovered: &Recovered, log: &Log) -> bool {
    let applied = recovered.store.applied();
    if applied < log.base.applied() || applied > log.tail() {
        return false;
    }
    let state = log.state(applied);
    recovered.ballot == log.ballot
        && recovered.entries == log.after(applied)
        && state.applied() == applied
        && state.tree().digest() == recovered.store.tree().digest()
}
