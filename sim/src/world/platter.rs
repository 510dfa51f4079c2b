//! What a simulated disk holds: what processes see, what is durable, and what stands between the
//! two. A plain value without time; [`crate::world::disk`] lets time and faults pass over it.
//!
//! # The model
//!
//! - A process's death loses nothing: the page cache belongs to the machine.
//! - At a power loss every write that was not synced falls apart into its sectors of 512 bytes, and
//!   any subset of them, in any order, may have reached the disk. A sector is written whole or not
//!   at all: that is what disks promise. So a write may be kept, lost or torn between sectors.
//! - A file's length is journaled apart from its bytes: after a power loss it is the length after
//!   some beginning of the un-synced changes. What the length covers and no sector reached is zero.
//! - Creations, renames and removals that no sync of the directory has covered are journaled in
//!   their order: some beginning of them is kept. A file whose name is lost is lost.
//! - A failed sync leaves any subset of the sectors on disk and calls the others clean: they are
//!   never written again. The page cache goes on showing them, until power is lost or the pages
//!   are given up and read back.

use std::collections::BTreeMap;

use crate::random::Stream;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// A file, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Inode(u64);

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Clone, Debug)]
enum Naming {
    Create(String, Inode),
    Rename(String, String),
    Remove(String),
}

#[derive(Clone, Default, Debug)]
struct Content {
    /// What processes see.
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// How many changes came before those in `unsynced`.
    synced: u64,
}

type Names = BTreeMap<String, Inode>;

/// The content of one disk.
#[derive(Clone, Default, Debug)]
pub struct Platter {
    contents: BTreeMap<Inode, Content>,
    names: Names,
    durable_names: Names,
    unsynced_names: Vec<Naming>,
    created: u64,
}

/// Which part of what was not synced survives.
#[derive(Clone, Copy, Debug)]
struct Survival {
    share: f64,
}

impl Survival {
    /// Often nothing or all of it, else any share.
    fn draw(random: &mut Stream) -> Survival {
        let share = match random.below(8) {
            0 | 1 => 0.0,
            2 => 1.0,
            _ => random.unit(),
        };
        Survival { share }
    }

    fn keeps(self, random: &mut Stream) -> bool {
        random.chance(self.share)
    }

    /// How many of `count` changes that are kept in order.
    fn beginning(self, count: usize, random: &mut Stream) -> usize {
        (0..count).take_while(|_| self.keeps(random)).count()
    }
}

impl Platter {
    /// The names of all files, sorted.
    pub fn list(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The file with this name.
    pub fn find(&self, name: &str) -> Option<Inode> {
        self.names.get(name).copied()
    }

    /// Creates an empty file; `None` if there is one.
    pub fn create(&mut self, name: &str) -> Option<Inode> {
        if self.names.contains_key(name) {
            return None;
        }
        self.created += 1;
        let inode = Inode(self.created);
        self.contents.insert(inode, Content::default());
        self.change_name(Naming::Create(name.to_owned(), inode));
        Some(inode)
    }

    /// Renames a file; `None` if there is none.
    pub fn rename(&mut self, from: &str, to: &str) -> Option<()> {
        self.find(from)?;
        self.change_name(Naming::Rename(from.to_owned(), to.to_owned()));
        Some(())
    }

    /// Removes a file; `None` if there is none.
    pub fn remove(&mut self, name: &str) -> Option<()> {
        self.find(name)?;
        self.change_name(Naming::Remove(name.to_owned()));
        Some(())
    }

    /// A mark for [`Platter::finish_names`]: all changes of names so far.
    pub fn begin_names(&self) -> usize {
        self.unsynced_names.len()
    }

    /// Makes the changes of names before the mark durable.
    pub fn finish_names(&mut self, mark: usize) {
        let mark = mark.min(self.unsynced_names.len());
        for naming in self.unsynced_names.drain(..mark) {
            naming.apply(&mut self.durable_names);
        }
        self.forget_nameless();
    }

    /// The bytes that processes see; `None` if the file is gone.
    pub fn seen(&self, inode: Inode) -> Option<&[u8]> {
        self.contents.get(&inode).map(|content| &content.seen[..])
    }

    /// Writes; `None` if the file is gone.
    pub fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> Option<()> {
        let content = self.contents.get_mut(&inode)?;
        let change = Change::Write {
            offset,
            bytes: bytes.to_vec(),
        };
        change.apply(&mut content.seen);
        content.unsynced.push(change);
        Some(())
    }

    /// Cuts or extends; `None` if the file is gone.
    pub fn set_len(&mut self, inode: Inode, len: u64) -> Option<()> {
        let content = self.contents.get_mut(&inode)?;
        let change = Change::Length(len);
        change.apply(&mut content.seen);
        content.unsynced.push(change);
        Some(())
    }

    /// A mark for [`Platter::finish_sync`]: all changes of the file so far.
    pub fn begin_sync(&self, inode: Inode) -> Option<u64> {
        let content = self.contents.get(&inode)?;
        Some(content.synced + content.unsynced.len() as u64)
    }

    /// Makes the changes before the mark durable.
    pub fn finish_sync(&mut self, inode: Inode, mark: u64) {
        if let Some(content) = self.contents.get_mut(&inode) {
            for change in content.take_before(mark) {
                change.apply(&mut content.durable);
            }
        }
    }

    /// A sync fails: any part of the changes before the mark has reached the disk, and the rest
    /// never will.
    pub fn fail_sync(&mut self, inode: Inode, mark: u64, random: &mut Stream) {
        if let Some(content) = self.contents.get_mut(&inode) {
            let changes = content.take_before(mark);
            let survival = Survival::draw(random);
            apply_part(&changes, survival, &mut content.durable, random);
            if content.unsynced.is_empty() && random.chance(0.5) {
                content.seen = content.durable.clone();
            }
        }
    }

    /// The machine loses power.
    pub fn lose_power(&mut self, random: &mut Stream) {
        let survival = Survival::draw(random);
        let kept = survival.beginning(self.unsynced_names.len(), random);
        for naming in self.unsynced_names.drain(..).take(kept) {
            naming.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        self.forget_nameless();
        for content in self.contents.values_mut() {
            let changes = content.take_before(u64::MAX);
            apply_part(&changes, survival, &mut content.durable, random);
            content.seen = content.durable.clone();
        }
    }

    /// Writes everything back, as a machine does when it has time.
    pub fn settle(&mut self) {
        self.finish_names(usize::MAX);
        for content in self.contents.values_mut() {
            content.unsynced.clear();
            content.durable = content.seen.clone();
        }
    }

    /// Flips one bit of a file, durably.
    ///
    /// # Panics
    /// If the file is not so long.
    pub fn flip(&mut self, inode: Inode, offset: u64, bit: u8) {
        let content = self.contents.get_mut(&inode).expect("a file of this disk");
        let offset = usize::try_from(offset).expect("files fit the memory");
        content.seen[offset] ^= 1 << bit;
        content.durable[offset] ^= 1 << bit;
    }

    fn change_name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced_names.push(naming);
    }

    fn forget_nameless(&mut self) {
        if !self.unsynced_names.is_empty() {
            // A name that is still to come or to go may be kept after all.
            return;
        }
        let named: Vec<Inode> = (self.names.values())
            .chain(self.durable_names.values())
            .copied()
            .collect();
        self.contents.retain(|inode, _| named.contains(inode));
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Naming::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Naming::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write {
                offset,
                bytes: written,
            } => put(bytes, *offset, written),
            Change::Length(len) => bytes.resize(*len as usize, 0),
        }
    }

    /// The file's length after this change.
    fn length(&self, before: u64) -> u64 {
        match self {
            Change::Write { offset, bytes } => before.max(offset + bytes.len() as u64),
            Change::Length(len) => *len,
        }
    }
}

impl Content {
    fn take_before(&mut self, mark: u64) -> Vec<Change> {
        let count = mark.saturating_sub(self.synced);
        let count = self
            .unsynced
            .len()
            .min(count.try_into().unwrap_or(usize::MAX));
        self.synced += count as u64;
        self.unsynced.drain(..count).collect()
    }
}

/// Applies some sectors of the changes' writes, and some beginning of what they did to the length.
fn apply_part(changes: &[Change], survival: Survival, durable: &mut Vec<u8>, random: &mut Stream) {
    let lengths = survival.beginning(changes.len(), random);
    let mut len = durable.len() as u64;
    for (index, change) in changes.iter().enumerate() {
        let counts = index < lengths;
        if counts {
            len = change.length(len);
        }
        match change {
            Change::Write { offset, bytes } => {
                for (at, sector) in sectors(*offset, bytes) {
                    if survival.keeps(random) {
                        put(durable, at, sector);
                    }
                }
            }
            Change::Length(_) if counts => change.apply(durable),
            Change::Length(_) => {}
        }
    }
    durable.resize(len as usize, 0);
}

/// The parts of a write that lie in different sectors.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut at = offset;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let room = (SECTOR_BYTES - at % SECTOR_BYTES) as usize;
        let (sector, later) = rest.split_at(room.min(rest.len()));
        let begins = at;
        at += sector.len() as u64;
        rest = later;
        (!sector.is_empty()).then_some((begins, sector))
    })
}

fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let offset = offset as usize;
    if bytes.len() < offset {
        bytes.resize(offset, 0);
    }
    // What lies within the file is replaced, the rest makes it longer.
    let within = written.len().min(bytes.len() - offset);
    bytes[offset..offset + within].copy_from_slice(&written[..within]);
    bytes.extend_from_slice(&written[within..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, usize, u8),
        Length(u64),
        Sync,
        Fail,
        Kill,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0u64..4000, 1usize..2000, 1u8..).prop_map(|(at, len, byte)| {
                Step::Write(at, len, byte)
            }),
            1 => (0u64..5000).prop_map(Step::Length),
            3 => Just(Step::Sync),
            1 => Just(Step::Fail),
            1 => Just(Step::Kill),
        ];
        prop::collection::vec(step, 1..30)
    }

    proptest! {
        #[test]
        fn what_was_synced_survives(steps in steps(), seed: u64) {
            let mut random = Stream::named(seed, "platter");
            let mut platter = Platter::default();
            let file = platter.create("file").unwrap();
            platter.finish_names(platter.begin_names());
            for step in steps {
                match step {
                    Step::Write(at, len, byte) => {
                        platter.write(file, at, &vec![byte; len]).unwrap();
                    }
                    Step::Length(len) => platter.set_len(file, len).unwrap(),
                    Step::Sync => {
                        let mark = platter.begin_sync(file).unwrap();
                        platter.finish_sync(file, mark);
                        let before = platter.seen(file).unwrap().to_vec();
                        let mut other = platter.clone();
                        other.lose_power(&mut random);
                        prop_assert_eq!(other.find("file"), Some(file));
                        prop_assert_eq!(other.seen(file).unwrap(), &before[..]);
                    }
                    Step::Fail => {
                        // From here on nothing is promised for what was not synced before.
                        return Ok(());
                    }
                    Step::Kill => platter.settle(),
                }
            }
        }

        #[test]
        fn each_sector_is_old_new_or_blank(old in 0usize..3000, new in 1usize..3000, seed: u64) {
            let mut random = Stream::named(seed, "platter");
            let mut platter = Platter::default();
            let file = platter.create("file").unwrap();
            platter.finish_names(usize::MAX);
            platter.write(file, 0, &vec![1; old]).unwrap();
            platter.finish_sync(file, platter.begin_sync(file).unwrap());
            platter.write(file, 100, &vec![2; new]).unwrap();
            platter.lose_power(&mut random);
            let bytes = platter.seen(file).unwrap();
            prop_assert!(bytes.len() == old.max(100 + new) || bytes.len() == old);
            for (at, sector) in sectors(0, bytes) {
                let whole = |from: usize, byte: u8| sector[from..].iter().all(|b| *b == byte);
                let head = (100usize.saturating_sub(at as usize)).min(sector.len());
                prop_assert!(old < at as usize + sector.len() || sector[..head].iter().all(|b| *b == 1));
                // Where old and new both end within the sector there are more than two parts.
                if old >= at as usize + sector.len() && 100 + new >= at as usize + sector.len() {
                    prop_assert!(whole(head, 1) || whole(head, 2));
                }
            }
        }
    }

    #[test]
    fn power_losses_tear_lose_and_keep() {
        let (mut kept, mut lost, mut torn, mut unnamed, mut cut) = (0, 0, 0, 0, 0);
        for seed in 0..500 {
            let mut random = Stream::named(seed, "platter");
            let mut platter = Platter::default();
            let file = platter.create("old").unwrap();
            platter.set_len(file, 4096).unwrap();
            platter.finish_sync(file, platter.begin_sync(file).unwrap());
            platter.finish_names(usize::MAX);
            platter.write(file, 0, &[7; 4096]).unwrap();
            platter.create("new").unwrap();
            let grown = platter.find("new").unwrap();
            platter.write(grown, 0, &[9; 2048]).unwrap();
            platter.lose_power(&mut random);
            let sevens = platter
                .seen(file)
                .unwrap()
                .iter()
                .filter(|b| **b == 7)
                .count();
            kept += u32::from(sevens == 4096);
            lost += u32::from(sevens == 0);
            torn += u32::from(sevens > 0 && sevens < 4096);
            match platter.find("new") {
                None => unnamed += 1,
                Some(grown) => cut += u32::from(platter.seen(grown).unwrap().is_empty()),
            }
        }
        for count in [kept, lost, torn, unnamed, cut] {
            assert!(count > 20, "{kept} {lost} {torn} {unnamed} {cut}");
        }
    }

    #[test]
    fn a_failed_sync_may_lose_what_it_should_have_kept() {
        let (mut whole, mut part) = (0, 0);
        for seed in 0..200 {
            let mut random = Stream::named(seed, "platter");
            let mut platter = Platter::default();
            let file = platter.create("file").unwrap();
            platter.finish_names(usize::MAX);
            platter.write(file, 0, &[7; 4096]).unwrap();
            let mark = platter.begin_sync(file).unwrap();
            platter.fail_sync(file, mark, &mut random);
            // A second sync succeeds and changes nothing: the pages are called clean.
            platter.finish_sync(file, platter.begin_sync(file).unwrap());
            platter.lose_power(&mut random);
            match platter.seen(file).unwrap() == [7; 4096] {
                true => whole += 1,
                false => part += 1,
            }
        }
        assert!(whole > 10 && part > 100, "{whole} {part}");
    }

    #[test]
    fn a_renamed_file_is_under_one_of_its_names() {
        for seed in 0..200 {
            let mut random = Stream::named(seed, "platter");
            let mut platter = Platter::default();
            let file = platter.create("temporary").unwrap();
            platter.write(file, 0, b"whole").unwrap();
            platter.finish_sync(file, platter.begin_sync(file).unwrap());
            platter.finish_names(usize::MAX);
            platter.rename("temporary", "final").unwrap();
            platter.lose_power(&mut random);
            let names = platter.list();
            assert!(names == ["temporary"] || names == ["final"], "{names:?}");
            assert_eq!(platter.seen(file).unwrap(), b"whole");
        }
    }
}
