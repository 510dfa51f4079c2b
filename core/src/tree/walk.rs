//! The tree as a list of znodes, parents first and siblings in the order of their creation: how it
//! is written whole, and made again from what was written.

use alloc::string::String;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{SessionId, Zxid};
use crate::time::WallTime;
use crate::tree::acl::{Acl, Identity, Perms};
use crate::tree::digest::{PathDigest, of_past};
#[cfg(test)]
use crate::tree::path::Path;
use crate::tree::path::{PATH_BYTES_MAX, is_element};
use crate::tree::slab::{SLAB_MAX, Slot};
use crate::tree::tree::{RESERVED, ROOT, Tree};
use crate::tree::znode::{Content, Past, Znode};

/// Where a walk stands. It stays valid for as long as the tree is not changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    slot: Slot,
    depth: u16,
}

/// One znode, whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// The number of its ancestors. A znode is a child of the last one before it that is less deep.
    pub depth: u16,
    /// The last element of its path; empty for the root.
    pub name: &'a str,
    /// Its data; `None` is ZooKeeper's null.
    pub data: Option<&'a [u8]>,
    /// The number of its ACL, see [`Builder::add_acl`].
    pub acl: u32,
    /// Whose it is, as an [`crate::tree::owner::Owner`] is numbered.
    pub owner: Option<SessionId>,
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last changed its data.
    pub mzxid: Zxid,
    /// When it was created.
    pub ctime: WallTime,
    /// When its data last changed.
    pub mtime: WallTime,
    /// How often its data changed.
    pub version: i32,
    /// How often its ACL changed.
    pub aversion: i32,
    /// How many children were ever created, and the transaction that last created or deleted one.
    pub past: Option<(u64, Zxid)>,
}

impl Tree {
    /// The ACL with the smallest number above `number`, of all that znodes have. No number is 0.
    pub(crate) fn acl_after(&self, number: u32) -> Option<(u32, &Acl)> {
        self.acls
            .after(number)
            .map(|(slot, acl)| (slot.number(), acl))
    }

    /// Where every walk begins: the root.
    pub(crate) fn first(&self) -> Position {
        Position {
            slot: ROOT,
            depth: 0,
        }
    }

    /// The znode after that at `position`: its oldest child, else the next sibling of the nearest
    /// of itself and its ancestors that has one.
    pub(crate) fn after(&self, position: Position) -> Option<Position> {
        let Position { slot, mut depth } = position;
        if let Some(child) = self.family_at(slot).and_then(|family| family.oldest) {
            depth += 1;
            return Some(Position { slot: child, depth });
        }
        let mut znode = &self.znodes[slot];
        loop {
            if let Some(slot) = znode.newer {
                return Some(Position { slot, depth });
            }
            znode = &self.znodes[znode.parent?];
            depth -= 1;
        }
    }

    /// The znode at `position`.
    pub(crate) fn record(&self, position: Position) -> Record<'_> {
        let znode = &self.znodes[position.slot];
        Record {
            depth: position.depth,
            name: znode.content.name(),
            data: znode.content.data(),
            acl: znode.acl.number(),
            owner: self.owner_at(position.slot),
            czxid: znode.czxid,
            mzxid: znode.mzxid,
            ctime: znode.ctime,
            mtime: znode.mtime,
            version: znode.version,
            aversion: znode.aversion,
            past: self
                .past_at(position.slot)
                .map(|past| (past.creations, past.pzxid)),
        }
    }

    /// The number of znodes below this one. Takes time in proportion to it, but for the root.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ.
    pub fn count_below(&self, path: &str, asker: &[Identity]) -> Result<usize, Code> {
        let slot = self.find_for(path, asker, Perms::READ)?;
        if slot == ROOT {
            return Ok(self.count() - 1);
        }
        let (mut count, mut open) = (0, Vec::from([slot]));
        while let Some(parent) = open.pop() {
            for child in self.children_at(parent) {
                count += 1;
                if self.znodes[child].family.is_some() {
                    open.push(child);
                }
            }
        }
        Ok(count)
    }

    /// The paths of all znodes, in the order of a walk.
    #[cfg(test)]
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::with_capacity(self.count());
        self.each_path(|_, path| {
            paths.push(Path::parse(path).expect("names were checked when they were kept"));
        });
        paths
    }

    /// Calls `each` with every place and its path, the root's being `/`.
    pub(super) fn each_path(&self, mut each: impl FnMut(Slot, &str)) {
        let mut trail = Trail::default();
        let mut next = Some(self.first());
        while let Some(position) = next {
            trail.enter(
                usize::from(position.depth),
                self.znodes[position.slot].content.name(),
            );
            each(position.slot, trail.path());
            next = self.after(position);
        }
    }
}

/// The path of the znode at which a walk stands.
#[derive(Debug, Default)]
struct Trail {
    path: String,
    /// Where in `path` each ancestor's ends, the root's first, and the znode's own last.
    ends: Vec<usize>,
}

impl Trail {
    fn depth(&self) -> usize {
        self.ends.len()
    }

    /// Goes back up to the parent of a znode at `depth`, and down to that znode.
    fn enter(&mut self, depth: usize, name: &str) {
        self.ends.truncate(depth);
        self.path.truncate(self.ends.last().copied().unwrap_or(0));
        if depth > 0 {
            self.path.push('/');
            self.path.push_str(name);
        }
        self.ends.push(self.path.len());
    }

    fn path(&self) -> &str {
        match self.path.as_str() {
            "" => "/",
            path => path,
        }
    }
}

/// Makes a tree of its records, in the order of a walk. What it is given may be damaged: each
/// refusal names what was wrong.
#[derive(Debug)]
pub struct Builder {
    tree: Tree,
    trail: Trail,
    /// The places along the trail.
    slots: Vec<Slot>,
    /// The numbers of the lists as they were written, ascending, and their places here.
    acls: Vec<(u32, Slot)>,
}

impl Builder {
    /// Nothing yet, not even a root.
    #[allow(
        clippy::new_without_default,
        reason = "what is empty is no tree: it needs its root first"
    )]
    pub fn new() -> Builder {
        Builder {
            tree: Tree::bare(),
            trail: Trail::default(),
            slots: Vec::new(),
            acls: Vec::new(),
        }
    }

    /// Adds an ACL under the number by which records name it; numbers ascend.
    ///
    /// # Errors
    /// If the number does not ascend, or the list stands already.
    pub fn add_acl(&mut self, number: u32, acl: &Acl) -> Result<(), &'static str> {
        if self.acls.last().is_some_and(|(last, _)| *last >= number) {
            return Err("order of ACLs");
        }
        if self.tree.acls.find(acl).is_some() {
            return Err("ACL that stands once");
        }
        self.acls.push((number, self.tree.acls.take(acl)));
        Ok(())
    }

    /// Adds the next znode of the walk.
    ///
    /// # Errors
    /// If it cannot stand there.
    pub fn add(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        let depth = usize::from(record.depth);
        let parent = self.parent_of(record)?;
        let at = self
            .acls
            .binary_search_by_key(&record.acl, |(number, _)| *number)
            .map_err(|_| "number of an ACL")?;
        self.trail.enter(depth, record.name);
        let path = self.trail.path();
        if path.len() > PATH_BYTES_MAX {
            return Err("length of a path");
        }
        let tree = &mut self.tree;
        let hash = tree.hash(path);
        if tree.find_hashed(hash, path).is_some() {
            return Err("znode that stands once");
        }
        let acl = self.acls[at].1;
        tree.acls.take_again(acl);
        let older = parent.and_then(|parent| tree.family_at(parent)?.newest);
        let slot = tree.attach(
            hash,
            Znode {
                content: Content::new(record.name, record.data),
                czxid: record.czxid,
                mzxid: record.mzxid,
                ctime: record.ctime,
                mtime: record.mtime,
                version: record.version,
                aversion: record.aversion,
                acl,
                lease: None,
                family: None,
                parent,
                older,
                newer: None,
            },
        );
        if let Some(session) = record.owner {
            tree.znodes[slot].lease = Some(tree.ephemerals.grant(session, slot));
        }
        let past = record
            .past
            .map(|(creations, pzxid)| Past { creations, pzxid });
        tree.set_past(slot, past);
        let digest = PathDigest::of(path);
        let added = tree
            .digest_at(slot, digest)
            .wrapping_add(of_past(digest, past));
        tree.digest = tree.digest.wrapping_add(added);
        tree.bytes += (path.len() + record.data.map_or(0, <[u8]>::len)) as u64;
        self.slots.truncate(depth);
        self.slots.push(slot);
        Ok(())
    }

    /// Finds the parent of the next znode, and judges whether it can have this child.
    fn parent_of(&self, record: &Record<'_>) -> Result<Option<Slot>, &'static str> {
        let depth = usize::from(record.depth);
        if depth == 0 {
            return match self.tree.count() {
                0 if record.name.is_empty() && record.owner.is_none() => Ok(None),
                _ => Err("root that stands first"),
            };
        }
        if depth > self.trail.depth() {
            return Err("depth of a znode");
        }
        if !is_element(record.name) {
            return Err("name of a znode");
        }
        if self.tree.count() >= SLAB_MAX {
            return Err("number of znodes");
        }
        let parent = self.slots[depth - 1];
        // The reserved znodes are children that no creation counts.
        let planted = RESERVED.len() as u64;
        match self.tree.family_at(parent) {
            Some(family)
                if u64::from(family.count) < family.past.creations.saturating_add(planted) => {}
            _ => return Err("count of children"),
        }
        match self.tree.is_ephemeral(parent) {
            false => Ok(Some(parent)),
            true => Err("childless ephemeral"),
        }
    }

    /// The tree, if it is the one with this count and digest.
    pub(crate) fn finish(self, count: u64, digest: u128) -> Result<Tree, &'static str> {
        if self.tree.count() as u64 != count {
            return Err("count of znodes");
        }
        let tree = self.whole()?;
        match tree.digest() == digest {
            true => Ok(tree),
            false => Err("digest of the tree"),
        }
    }

    /// The tree, for whoever has no digest to hold it against: it was kept by another program. What
    /// its quotas govern is counted.
    ///
    /// # Errors
    /// If a reserved znode is missing.
    pub fn finish_unsealed(self) -> Result<Tree, &'static str> {
        let mut tree = self.whole()?;
        tree.recount();
        Ok(tree)
    }

    fn whole(mut self) -> Result<Tree, &'static str> {
        let count = self.tree.count();
        if RESERVED
            .iter()
            .any(|path| count == 0 || self.tree.find(path).is_none())
        {
            return Err("reserved znodes");
        }
        // Each list was counted once more than it has users, so that it stayed until here.
        for (_, slot) in self.acls {
            self.tree.acls.give_back(slot);
        }
        self.tree.index_quotas();
        Ok(self.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A root under which one child was created besides the reserved ones.
    fn parent() -> Record<'static> {
        Record {
            past: Some((1, Zxid(1))),
            ..record(0, "")
        }
    }

    fn record(depth: u16, name: &str) -> Record<'_> {
        Record {
            depth,
            name,
            data: None,
            acl: 1,
            owner: None,
            czxid: Zxid(1),
            mzxid: Zxid(1),
            ctime: WallTime(0),
            mtime: WallTime(0),
            version: 0,
            aversion: 0,
            past: None,
        }
    }

    /// What a builder says of these records, which all have the ACL with the number 1.
    fn added(records: &[Record<'_>]) -> Result<Builder, &'static str> {
        let mut builder = Builder::new();
        builder.add_acl(1, &Acl::open())?;
        records.iter().try_for_each(|record| builder.add(record))?;
        Ok(builder)
    }

    #[test]
    fn a_tree_begins_with_one_root_that_nobody_owns() {
        assert!(added(&[record(0, "")]).is_ok());
        let owned = Record {
            owner: Some(SessionId(7)),
            ..record(0, "")
        };
        for wrong in [
            vec![record(0, "a")],
            vec![owned],
            vec![record(0, ""), record(0, "")],
        ] {
            assert_eq!(added(&wrong).err(), Some("root that stands first"));
        }
        let orphan = added(&[record(0, ""), record(2, "a")]);
        assert_eq!(orphan.err(), Some("depth of a znode"));
    }

    #[test]
    fn a_path_is_as_long_as_paths_may_be_and_no_longer() {
        let longest = "n".repeat(PATH_BYTES_MAX - 1);
        assert!(added(&[parent(), record(1, &longest)]).is_ok());
        let longer = "n".repeat(PATH_BYTES_MAX);
        let refused = added(&[parent(), record(1, &longer)]);
        assert_eq!(refused.err(), Some("length of a path"));
    }

    #[test]
    fn a_parent_has_no_more_children_than_were_created() {
        let names = ["a", "b", "c", "d", "e"];
        let mut records = vec![parent()];
        records.extend(names.map(|name| record(1, name)));
        assert!(added(&records).is_ok());
        records.push(record(1, "f"));
        assert_eq!(added(&records).err(), Some("count of children"));
    }

    #[test]
    fn a_znode_is_found_by_its_whole_path_and_has_all_below_it() {
        let family = |depth, name, children| Record {
            past: Some((children, Zxid(1))),
            ..record(depth, name)
        };
        let records = [
            parent(),
            family(1, "a", 2),
            family(2, "b", 1),
            record(3, "c"),
            record(2, "d"),
            record(1, "e"),
        ];
        let tree = added(&records).expect("a tree").tree;
        for (path, count) in [("/", 5), ("/a", 3), ("/a/b", 1), ("/a/b/c", 0), ("/e", 0)] {
            assert_eq!(tree.count_below(path, &[]), Ok(count), "{path}");
        }
        assert_eq!(tree.count_below("/b", &[]), Err(Code::NoNode));
        // Two paths may have the same hash.
        let hash = tree.hash("/a/b");
        assert!(tree.find_hashed(hash, "/a/b").is_some());
        for other in ["/a", "/b", "/e/b", "/a/a/b", "/a/b/c"] {
            assert_eq!(tree.find_hashed(hash, other), None, "{other}");
        }
    }

    #[test]
    fn acls_ascend_and_stand_once() {
        let mut builder = Builder::new();
        assert_eq!(builder.add_acl(2, &Acl::open()), Ok(()));
        let refused = builder.add_acl(2, &Acl::read_only());
        assert_eq!(refused, Err("order of ACLs"));
        let refused = builder.add_acl(3, &Acl::open());
        assert_eq!(refused, Err("ACL that stands once"));
        assert_eq!(builder.add(&record(0, "")), Err("number of an ACL"));
    }

    #[test]
    fn a_tree_without_its_reserved_znodes_is_none() {
        let nothing = added(&[]).expect("nothing wrong so far");
        assert_eq!(nothing.finish(0, 0).err(), Some("reserved znodes"));
        let root = added(&[record(0, "")]).expect("a root");
        let digest = root.tree.digest();
        assert_eq!(root.finish(1, digest).err(), Some("reserved znodes"));
    }
}
