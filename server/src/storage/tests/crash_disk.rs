//! A disk in memory that can die: it keeps apart what was written and what was synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};
use crate::storage::sector::SECTOR_BYTES;

/// A directory in memory.
#[derive(Clone, Debug, Default)]
pub struct CrashDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    contents: BTreeMap<u64, Content>,
    /// What the running system sees.
    names: BTreeMap<String, u64>,
    /// What is on disk.
    durable_names: BTreeMap<String, u64>,
    /// What is between the two.
    name_changes: Vec<NameChange>,
    /// Operations that change something, so far.
    changes: u64,
    dead: bool,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Debug)]
enum NameChange {
    Put(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

/// What shall go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The system dies within the how manieth change from now.
    pub dies_after: Option<u64>,
    /// The how manieth sync from now fails, and what it should have synced never is.
    pub sync_fails_after: Option<u64>,
    /// All files together may hold this many bytes.
    pub space: Option<usize>,
}

/// The source of what is left to chance.
pub struct Chance(pub u64);

impl Chance {
    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

impl CrashDisk {
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// How many operations have changed something.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The process ends, the system goes on; a new process finds a disk without faults.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.dead = false;
        state.faults = Faults::default();
    }

    /// The power goes: each sector and each name that was not synced is kept or lost.
    pub fn lose_power(&self, chance: &mut Chance) {
        let mut state = self.lock();
        let state = &mut *state;
        for content in state.contents.values_mut() {
            for change in content.changes.drain(..) {
                change.perhaps(&mut content.durable, chance);
            }
            content.now.clone_from(&content.durable);
        }
        for change in state.name_changes.drain(..) {
            if chance.below(2) == 0 {
                change.apply(&mut state.durable_names);
            }
        }
        state.names.clone_from(&state.durable_names);
        state.dead = false;
        state.faults = Faults::default();
    }

    /// A copy of all files, by name.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let content = |id| state.contents[id].now.clone();
        state
            .names
            .iter()
            .map(|(name, id)| (name.clone(), content(id)))
            .collect()
    }

    /// A disk that holds these files, durably.
    pub fn with_files(files: &BTreeMap<String, Vec<u8>>) -> CrashDisk {
        let disk = CrashDisk::default();
        for (id, (name, bytes)) in (0..).zip(files) {
            let mut state = disk.lock();
            state.names.insert(name.clone(), id);
            state.durable_names.insert(name.clone(), id);
            let content = Content {
                now: bytes.clone(),
                durable: bytes.clone(),
                changes: Vec::new(),
            };
            state.contents.insert(id, content);
        }
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }
}

impl State {
    fn live(&self) -> io::Result<()> {
        match self.dead {
            true => Err(io::Error::other("the system is dead")),
            false => Ok(()),
        }
    }

    /// Counts a change; an error if the system dies in it.
    fn change(&mut self) -> io::Result<()> {
        self.live()?;
        self.changes += 1;
        if let Some(left) = &mut self.faults.dies_after {
            if *left == 0 {
                self.dead = true;
            } else {
                *left -= 1;
            }
        }
        self.live()
    }

    fn sync(&mut self) -> io::Result<Synced> {
        self.change()?;
        if let Some(left) = &mut self.faults.sync_fails_after {
            if *left == 0 {
                self.faults.sync_fails_after = None;
                return Ok(Synced::Not);
            }
            *left -= 1;
        }
        Ok(Synced::All)
    }

    fn used(&self) -> usize {
        let used = |id| self.contents[id].now.len();
        self.names.values().map(used).sum()
    }

    /// How many more bytes there is space for.
    fn free(&self) -> usize {
        match self.faults.space {
            Some(space) => space.saturating_sub(self.used()),
            None => usize::MAX,
        }
    }

    fn id(&self, name: &str) -> io::Result<u64> {
        let id = self.names.get(name).copied();
        id.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

enum Synced {
    All,
    Not,
}

fn failed_sync() -> io::Error {
    io::Error::other("the sync has failed")
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => put(to, *offset, bytes),
            Change::SetLen(len) => to.resize(*len, 0),
        }
    }

    /// Applies what chance keeps of it.
    fn perhaps(self, to: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Change::Write { offset, bytes } => {
                let torn = chance.below(3);
                let mut at = 0;
                while at < bytes.len() {
                    let sector_end = (offset + at) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
                    let until = bytes.len().min(sector_end - offset);
                    if torn == 0 || torn == 1 && chance.below(2) == 0 {
                        put(to, offset + at, &bytes[at..until]);
                    }
                    at = until;
                }
            }
            Change::SetLen(_) => {
                if chance.below(2) == 0 {
                    self.apply(to);
                }
            }
        }
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Put(name, id) => {
                names.insert(name, id);
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
            NameChange::Rename(from, to, id) => {
                names.remove(&from);
                names.insert(to, id);
            }
        }
    }
}

impl Disk for CrashDisk {
    type File = CrashFile;

    async fn list(&self) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.live()?;
        Ok(state.names.keys().cloned().collect())
    }

    async fn open(&self, name: &str) -> io::Result<CrashFile> {
        let state = self.lock();
        state.live()?;
        let id = state.id(name)?;
        Ok(CrashFile {
            disk: self.clone(),
            id,
        })
    }

    async fn create(&self, name: &str) -> io::Result<CrashFile> {
        let mut state = self.lock();
        state.change()?;
        if state.free() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.contents.len() as u64;
        state.contents.insert(id, Content::default());
        state.names.insert(name.to_owned(), id);
        state
            .name_changes
            .push(NameChange::Put(name.to_owned(), id));
        drop(state);
        Ok(CrashFile {
            disk: self.clone(),
            id,
        })
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        let id = state.id(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), id);
        let change = NameChange::Rename(from.to_owned(), to.to_owned(), id);
        state.name_changes.push(change);
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.change()?;
        state.id(name)?;
        state.names.remove(name);
        state.name_changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    async fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        match state.sync()? {
            Synced::All => {
                state.name_changes.clear();
                state.durable_names = state.names.clone();
                Ok(())
            }
            // A directory, unlike a file, is journalled: what failed is tried with the next sync.
            Synced::Not => Err(failed_sync()),
        }
    }
}

/// One of its files.
#[derive(Debug)]
pub struct CrashFile {
    disk: CrashDisk,
    id: u64,
}

impl CrashFile {
    fn change(state: &mut State, id: u64, change: Change) {
        let content = state.contents.get_mut(&id).expect("it was opened");
        change.apply(&mut content.now);
        content.changes.push(change);
    }
}

impl DiskFile for CrashFile {
    async fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        state.live()?;
        Ok(state.contents[&self.id].now.len() as u64)
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.disk.lock();
        state.live()?;
        let content = &state.contents[&self.id].now;
        let from = content.len().min(offset as usize);
        let until = content.len().min(from + bytes);
        Ok(content[from..until].to_vec())
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let died = state.change();
        let offset = offset as usize;
        let len = state.contents[&self.id].now.len();
        let room = len.saturating_sub(offset).saturating_add(state.free());
        let fits = bytes.len().min(room);
        let written = match died {
            Ok(()) => fits,
            // The process was killed within the write.
            Err(_) => fits / 2,
        };
        let bytes_written = bytes[..written].to_vec();
        let change = Change::Write {
            offset,
            bytes: bytes_written,
        };
        CrashFile::change(&mut state, self.id, change);
        died?;
        match written == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.change()?;
        CrashFile::change(&mut state, self.id, Change::SetLen(len as usize));
        Ok(())
    }

    async fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let synced = state.sync()?;
        let content = state.contents.get_mut(&self.id).expect("it was opened");
        match synced {
            Synced::All => {
                for change in content.changes.drain(..) {
                    change.apply(&mut content.durable);
                }
                Ok(())
            }
            Synced::Not => {
                // The pages are called clean, and never written.
                content.changes.clear();
                Err(failed_sync())
            }
        }
    }
}
