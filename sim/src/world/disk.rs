//! A server's disk: a [`Platter`] over which time and faults pass. It outlives its server's
//! processes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use althing::disk::{Disk, DiskFile};

use crate::plan::DiskSpeed;
use crate::random::Stream;
use crate::world::agenda::Agenda;
use crate::world::platter::{Inode, Platter};

/// How likely a write takes as long as a sync: the machine is short of clean pages.
const WRITE_STALLS: f64 = 0.01;

struct State {
    platter: Platter,
    random: Stream,
    speed: DiskSpeed,
    slower: Duration,
    /// How many faults leave no space.
    full: u32,
    /// How many of the next syncs fail.
    failing: u32,
}

/// One disk. A handle: all clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    agenda: Agenda,
    state: Arc<Mutex<State>>,
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(agenda: Agenda, speed: &DiskSpeed, random: Stream) -> SimDisk {
        SimDisk {
            agenda,
            state: Arc::new(Mutex::new(State {
                platter: Platter::default(),
                random,
                speed: speed.clone(),
                slower: Duration::ZERO,
                full: 0,
                failing: 0,
            })),
        }
    }

    /// The machine loses power.
    pub fn lose_power(&self) {
        let mut state = self.state();
        let State {
            platter, random, ..
        } = &mut *state;
        platter.lose_power(random);
    }

    /// From now on there is no space.
    pub fn fill(&self) {
        self.state().full += 1;
    }

    /// Takes one [`SimDisk::fill`] back.
    pub fn make_room(&self) {
        self.state().full -= 1;
    }

    /// From now on every operation takes longer.
    pub fn slow(&self, by: Duration) {
        self.state().slower += by;
    }

    /// Takes one [`SimDisk::slow`] back.
    pub fn hasten(&self, by: Duration) {
        self.state().slower -= by;
    }

    /// The next sync fails.
    pub fn fail_next_sync(&self) {
        self.state().failing += 1;
    }

    /// No sync fails any more.
    pub fn fail_no_sync(&self) {
        self.state().failing = 0;
    }

    /// Does something to the platter while no process uses it.
    pub fn operate<T>(&self, operation: impl FnOnce(&mut Platter, &mut Stream) -> T) -> T {
        let mut state = self.state();
        let State {
            platter, random, ..
        } = &mut *state;
        operation(platter, random)
    }

    /// The time that an operation takes that only goes to the page cache.
    async fn linger(&self) {
        let slower = self.state().slower;
        if !slower.is_zero() {
            self.agenda.sleep(slower).await;
        }
    }

    async fn sync_lasts(&self) {
        let lasts = {
            let mut state = self.state();
            let median = state.speed.sync_median.0;
            state.random.lognormal(median) + state.slower
        };
        self.agenda.sleep(lasts).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic within a disk")
    }

    fn file(&self, inode: Option<Inode>, name: &str) -> io::Result<SimFile> {
        let inode = inode.ok_or_else(|| not_found(name))?;
        Ok(SimFile {
            disk: self.clone(),
            inode,
        })
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn list(&self) -> io::Result<Vec<String>> {
        self.linger().await;
        Ok(self.state().platter.list())
    }

    async fn open(&self, name: &str) -> io::Result<SimFile> {
        self.linger().await;
        let inode = self.state().platter.find(name);
        self.file(inode, name)
    }

    async fn create(&self, name: &str) -> io::Result<SimFile> {
        self.linger().await;
        let inode = {
            let mut state = self.state();
            if state.full > 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let created = state.platter.create(name);
            created.ok_or(io::ErrorKind::AlreadyExists)?
        };
        self.file(Some(inode), name)
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.linger().await;
        let renamed = self.state().platter.rename(from, to);
        renamed.ok_or_else(|| not_found(from))
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.linger().await;
        let removed = self.state().platter.remove(name);
        removed.ok_or_else(|| not_found(name))
    }

    async fn sync_directory(&self) -> io::Result<()> {
        let mark = self.state().platter.begin_names();
        self.sync_lasts().await;
        self.state().platter.finish_names(mark);
        Ok(())
    }
}

impl DiskFile for SimFile {
    async fn len(&self) -> io::Result<u64> {
        self.disk.linger().await;
        let state = self.disk.state();
        let bytes = state.platter.seen(self.inode).ok_or_else(removed)?;
        Ok(bytes.len() as u64)
    }

    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.disk.linger().await;
        let state = self.disk.state();
        let seen = state.platter.seen(self.inode).ok_or_else(removed)?;
        let begin = seen
            .len()
            .min(usize::try_from(offset).unwrap_or(usize::MAX));
        let end = seen.len().min(begin.saturating_add(bytes));
        Ok(seen[begin..end].to_vec())
    }

    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.linger().await;
        let stalls = self.disk.state().random.chance(WRITE_STALLS);
        if stalls {
            self.disk.sync_lasts().await;
        }
        let mut state = self.disk.state();
        let State {
            platter,
            random,
            full,
            ..
        } = &mut *state;
        let len = platter.seen(self.inode).ok_or_else(removed)?.len() as u64;
        let there = bytes.len().min(len.saturating_sub(offset) as usize);
        if *full > 0 && there < bytes.len() {
            let more = random.index(bytes.len() - there);
            let part = &bytes[..there + more];
            if !part.is_empty() {
                platter
                    .write(self.inode, offset, part)
                    .ok_or_else(removed)?;
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        platter.write(self.inode, offset, bytes).ok_or_else(removed)
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.linger().await;
        let mut state = self.disk.state();
        let now = state.platter.seen(self.inode).ok_or_else(removed)?.len() as u64;
        if state.full > 0 && len > now {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.platter.set_len(self.inode, len).ok_or_else(removed)
    }

    async fn sync(&self) -> io::Result<()> {
        let mark = self.disk.state().platter.begin_sync(self.inode);
        let mark = mark.ok_or_else(removed)?;
        self.disk.sync_lasts().await;
        let mut state = self.disk.state();
        let State {
            platter,
            random,
            failing,
            ..
        } = &mut *state;
        if *failing > 0 {
            *failing -= 1;
            platter.fail_sync(self.inode, mark, random);
            return Err(io::Error::other("the disk failed to write"));
        }
        platter.finish_sync(self.inode, mark);
        Ok(())
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"))
}

fn removed() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the file was removed")
}
