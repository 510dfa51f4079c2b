//! The tree of znodes: copy-on-write, with an incremental digest.
//!
//! Znodes lie in a slab of pages that clones share; an index leads from the hash of a whole path to
//! its place, and the names up the chain of parents confirm it. docs/tree.md has the measurements
//! behind this choice. Execution is in `execute`, reading and writing it whole in `walk`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::iter;

use crate::code::Code;
use crate::config::HardLimits;
use crate::ids::{SessionId, Zxid};
use crate::time::WallTime;
use crate::tree::acl::{ACL_ENTRIES_MAX, Acl, Identity, Perms};
use crate::tree::acls::Acls;
use crate::tree::data::Data;
use crate::tree::digest::{PathDigest, index_hash, of_past, of_znode};
use crate::tree::ephemerals::Ephemerals;
use crate::tree::index::Index;
use crate::tree::owner::Owner;
use crate::tree::path::Path;
use crate::tree::quotas::Quotas;
use crate::tree::slab::{Slab, Slot};
use crate::tree::stat::Stat;
use crate::tree::znode::{Content, Family, Past, Znode};

/// What is always there and cannot be deleted, parents first.
pub const RESERVED: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", CONFIG];

/// The znode with the configuration of the ensemble.
pub const CONFIG: &str = "/zookeeper/config";

/// The key of the index of a tree that was given none: good enough where no stranger names znodes.
const KEY_DEFAULT: u64 = 0x5eed_a17b_1d60_2026;

/// The place of the root, the first znode of every tree.
pub(super) const ROOT: Slot = Slot::FIRST;

/// What an operation's outcome depends on besides the tree and the operation.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The transaction that executes.
    pub zxid: Zxid,
    /// The wall clock of its proposer.
    pub wall: WallTime,
    /// The session that asks; `None` if a server asks for itself, which every ACL permits.
    pub session: Option<SessionId>,
    /// As whom it asks.
    pub identities: &'a [Identity],
    /// Largest number of bytes in one znode's data.
    pub data_bytes_max: u32,
    /// What becomes of a change that exceeds the hard limit of a quota.
    pub hard_limits: HardLimits,
}

impl Context<'_> {
    /// A list as it is to be stored. What a server sets back to an earlier state was judged when it
    /// was given, perhaps by another service whose schemes are not known here.
    ///
    /// # Errors
    /// As those of [`Acl::expanded`]; of what is set back, only those of its length.
    pub(super) fn listed(&self, acl: &Acl) -> Result<Acl, Code> {
        match self.session {
            Some(_) => acl.expanded(self.identities),
            None if (1..=ACL_ENTRIES_MAX).contains(&acl.0.len()) => Ok(acl.clone()),
            None => Err(Code::InvalidACL),
        }
    }
}

/// Do the servers keep the stats of quotas?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    /// Yes.
    Kept,
    /// They are left as whoever wrote them: it is a level of the semantics that knew no quotas.
    Left,
}

/// The tree of znodes. Cloning it is cheap; the clones share what neither of them changes.
#[derive(Clone)]
pub struct Tree {
    pub(super) znodes: Slab<Znode>,
    pub(super) families: Slab<Family>,
    pub(super) index: Index,
    pub(super) acls: Acls,
    pub(super) ephemerals: Ephemerals,
    pub(super) digest: u128,
    pub(super) bytes: u64,
    pub(super) quotas: Arc<Quotas>,
    pub(super) upkeep: Upkeep,
    key: u64,
}

impl Tree {
    /// The tree of a new ensemble: `/`, `/zookeeper`, `/zookeeper/quota`, `/zookeeper/config`.
    pub fn new() -> Tree {
        let mut tree = Tree::bare();
        let acl = Acl::open();
        for path in RESERVED {
            tree.plant(path, &acl);
        }
        tree
    }

    /// Not even a root, which whoever asks must plant first.
    pub(super) fn bare() -> Tree {
        Tree {
            znodes: Slab::new(),
            families: Slab::new(),
            index: Index::new(),
            acls: Acls::new(KEY_DEFAULT),
            ephemerals: Ephemerals::new(),
            digest: 0,
            bytes: 0,
            quotas: Arc::new(Quotas::default()),
            upkeep: Upkeep::Kept,
            key: KEY_DEFAULT,
        }
    }

    /// Hashes paths with this key from here on. A secret key keeps clients from choosing paths that
    /// collide; it cannot be observed. Takes time in proportion to the tree.
    pub fn rekey(&mut self, key: u64) {
        self.key = key;
        self.acls.rekey(key);
        let mut index = Index::new();
        self.each_path(|slot, path| {
            if slot != ROOT {
                index.insert(index_hash(path, key), slot);
            }
        });
        self.index = index;
    }

    /// The Stat of a znode, if it is there.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        self.find(path).map(|slot| self.stat_at(slot))
    }

    /// The Stat of a znode, for who asks whether it is there.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ, as in ZooKeeper since 3.9.2.
    pub fn stat_for(&self, path: &str, asker: &[Identity]) -> Result<Stat, Code> {
        self.find_for(path, asker, Perms::READ)
            .map(|slot| self.stat_at(slot))
    }

    /// Data and Stat of a znode.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ.
    pub fn data(&self, path: &str, asker: &[Identity]) -> Result<(Option<Data>, Stat), Code> {
        let slot = self.find_for(path, asker, Perms::READ)?;
        let data = self.znodes[slot].content.shared_data();
        Ok((data, self.stat_at(slot)))
    }

    /// Names of a znode's children, in the order of their creation, which is the same on every
    /// server, and its Stat.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ.
    pub fn children(&self, path: &str, asker: &[Identity]) -> Result<(Vec<Arc<str>>, Stat), Code> {
        let slot = self.find_for(path, asker, Perms::READ)?;
        let stat = self.stat_at(slot);
        let mut names = Vec::with_capacity(stat.num_children as usize);
        names.extend(
            self.children_at(slot)
                .map(|child| Arc::from(self.znodes[child].content.name())),
        );
        Ok((names, stat))
    }

    /// ACL and Stat of a znode; the ACL is redacted for who may not administer the znode.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ or ADMIN.
    pub fn acl(&self, path: &str, asker: &[Identity]) -> Result<(Acl, Stat), Code> {
        let slot = self.find_for(path, asker, Perms::READ | Perms::ADMIN)?;
        let acl = self.acl_at(slot);
        let shown = match acl.permits(Perms::ADMIN, asker) {
            true => acl.clone(),
            false => acl.redacted(),
        };
        Ok((shown, self.stat_at(slot)))
    }

    /// A digest of the whole tree, kept up to date by every change: equal trees have equal digests,
    /// whatever the order in which they came about.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The number of znodes, the root included.
    pub fn count(&self) -> usize {
        self.znodes.count()
    }

    /// The number of bytes of all paths and data: ZooKeeper's `approximate_data_size`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sessions that own ephemeral znodes, in the order of their ids, with the paths in order.
    pub fn ephemerals(&self) -> impl Iterator<Item = (SessionId, Vec<Path>)> {
        self.ephemerals
            .sessions()
            .into_iter()
            .map(|session| (session, self.ephemerals_of(session)))
    }

    /// The paths of the ephemeral znodes of `session`, in order.
    pub fn ephemerals_of(&self, session: SessionId) -> Vec<Path> {
        let mut paths: Vec<Path> = self
            .ephemerals
            .of(session)
            .map(|slot| self.path_at(slot))
            .collect();
        paths.sort_unstable();
        paths
    }

    /// The number of ephemeral znodes.
    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.count()
    }
}

/// Finding, and what is known of a place.
impl Tree {
    pub(super) fn hash(&self, path: &str) -> u64 {
        index_hash(path, self.key)
    }

    pub(super) fn find(&self, path: &str) -> Option<Slot> {
        match path {
            "/" => Some(ROOT),
            _ => self.find_hashed(self.hash(path), path),
        }
    }

    /// Finds a znode other than the root.
    pub(super) fn find_hashed(&self, hash: u64, path: &str) -> Option<Slot> {
        self.index
            .candidates(hash)
            .find(|slot| self.is_at(*slot, path))
    }

    pub(super) fn find_for(
        &self,
        path: &str,
        asker: &[Identity],
        wanted: Perms,
    ) -> Result<Slot, Code> {
        let slot = self.find(path).ok_or(Code::NoNode)?;
        match self.acl_at(slot).permits(wanted, asker) {
            true => Ok(slot),
            false => Err(Code::NoAuth),
        }
    }

    fn is_at(&self, slot: Slot, path: &str) -> bool {
        let mut rest = path.as_bytes();
        let mut znode = &self.znodes[slot];
        while let Some(parent) = znode.parent {
            let above = rest
                .strip_suffix(znode.content.name_as_bytes())
                .and_then(|above| above.strip_suffix(b"/"));
            match above {
                Some(above) => rest = above,
                None => return false,
            }
            znode = &self.znodes[parent];
        }
        rest.is_empty()
    }

    pub(super) fn path_at(&self, slot: Slot) -> Path {
        let chain: Vec<Slot> = iter::successors(Some(slot), |slot| self.znodes[*slot].parent)
            .filter(|slot| *slot != ROOT)
            .collect();
        let mut text = String::new();
        for slot in chain.iter().rev() {
            text.push('/');
            text.push_str(self.znodes[*slot].content.name());
        }
        match text.is_empty() {
            true => Path::root(),
            false => Path::parse(&text).expect("names were checked when they were kept"),
        }
    }

    pub(super) fn children_at(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        let oldest = self.family_at(slot).and_then(|family| family.oldest);
        iter::successors(oldest, |child| self.znodes[*child].newer)
    }

    pub(super) fn family_at(&self, slot: Slot) -> Option<&Family> {
        self.znodes[slot]
            .family
            .map(|family| &self.families[family])
    }

    pub(super) fn past_at(&self, slot: Slot) -> Option<Past> {
        self.family_at(slot).map(|family| family.past)
    }

    pub(super) fn acl_at(&self, slot: Slot) -> &Acl {
        self.acls.acl(self.znodes[slot].acl)
    }

    /// The session that it belongs to, or the mark in its place.
    pub(super) fn owner_at(&self, slot: Slot) -> Option<SessionId> {
        self.znodes[slot]
            .lease
            .map(|lease| self.ephemerals.session(lease))
    }

    /// The session that it belongs to. The marks of other lifetimes are shown to nobody, as in
    /// ZooKeeper: a client that sees an owner takes the znode for an ephemeral one.
    fn session_at(&self, slot: Slot) -> Option<SessionId> {
        self.owner_at(slot)
            .filter(|owner| Owner::from_number(owner.0).is_session())
    }

    /// Does it belong to a session?
    pub(super) fn is_ephemeral(&self, slot: Slot) -> bool {
        self.session_at(slot).is_some()
    }

    pub(super) fn stat_at(&self, slot: Slot) -> Stat {
        let znode = &self.znodes[slot];
        let family = self.family_at(slot);
        let count = family.map_or(0, |family| family.count);
        let creations = family.map_or(0, |family| family.past.creations);
        let data_bytes = znode.content.data_or_empty().len();
        Stat {
            czxid: znode.czxid,
            mzxid: znode.mzxid,
            ctime: znode.ctime,
            mtime: znode.mtime,
            version: znode.version,
            cversion: creations.wrapping_mul(2).wrapping_sub(u64::from(count)) as i32,
            aversion: znode.aversion,
            ephemeral_owner: self.session_at(slot).map_or(0, |session| session.0),
            data_length: i32::try_from(data_bytes).unwrap_or(i32::MAX),
            num_children: i32::try_from(count).unwrap_or(i32::MAX),
            pzxid: family.map_or(znode.czxid, |family| family.past.pzxid),
        }
    }

    /// What the znode adds to the digest, but for what it remembers of its children.
    pub(super) fn digest_at(&self, slot: Slot, path: PathDigest) -> u128 {
        let znode = &self.znodes[slot];
        of_znode(
            path,
            znode,
            self.acls.digest(znode.acl),
            self.owner_at(slot),
        )
    }
}

/// The structure: places, links and counts, without rules, digest or bytes.
impl Tree {
    /// Puts `znode` between the siblings that it names and into the index.
    pub(super) fn attach(&mut self, hash: u64, znode: Znode) -> Slot {
        let Znode {
            parent,
            older,
            newer,
            ..
        } = znode;
        let slot = self.znodes.insert(znode);
        let Some(parent) = parent else {
            assert_eq!(slot, ROOT, "the root is planted first");
            return slot;
        };
        self.link(parent, older, Some(slot), newer, Some(slot));
        self.family_mut(parent).count += 1;
        self.index.insert(hash, slot);
        slot
    }

    /// Takes a childless znode out from between its siblings and out of the index.
    pub(super) fn detach(&mut self, hash: u64, slot: Slot) -> Znode {
        let znode = self.znodes.remove(slot);
        let parent = znode.parent.expect("the root stays");
        self.link(parent, znode.older, znode.newer, znode.newer, znode.older);
        self.family_mut(parent).count -= 1;
        self.index.remove(hash, slot);
        znode
    }

    /// Writes what comes after `older` and before `newer`, or at the ends of the chain.
    fn link(
        &mut self,
        parent: Slot,
        older: Option<Slot>,
        after_older: Option<Slot>,
        newer: Option<Slot>,
        before_newer: Option<Slot>,
    ) {
        match older {
            Some(older) => self.znodes[older].newer = after_older,
            None => self.family_mut(parent).oldest = after_older,
        }
        match newer {
            Some(newer) => self.znodes[newer].older = before_newer,
            None => self.family_mut(parent).newest = before_newer,
        }
    }

    pub(super) fn family_mut(&mut self, parent: Slot) -> &mut Family {
        let family = self.znodes[parent].family.expect("a parent has a family");
        &mut self.families[family]
    }

    /// Sets what a znode remembers of its children; `None` is for one that never had any.
    pub(super) fn set_past(&mut self, slot: Slot, past: Option<Past>) {
        match (self.znodes[slot].family, past) {
            (Some(family), Some(past)) => self.families[family].past = past,
            (None, Some(past)) => {
                let family = self.families.insert(Family {
                    past,
                    count: 0,
                    oldest: None,
                    newest: None,
                });
                self.znodes[slot].family = Some(family);
            }
            (Some(family), None) => {
                let family = self.families.remove(family);
                assert_eq!(family.count, 0, "a family with children was forgotten");
                self.znodes[slot].family = None;
            }
            (None, None) => {}
        }
    }

    /// Sets what a znode remembers of its children, and the digest with it.
    pub(super) fn remember(&mut self, slot: Slot, path: PathDigest, past: Past) {
        let before = of_past(path, self.past_at(slot));
        self.set_past(slot, Some(past));
        let after = of_past(path, self.past_at(slot));
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// Drops what a znode remembers of children that are all gone, and the digest with it.
    pub(super) fn forget(&mut self, slot: Slot, path: PathDigest) {
        let before = of_past(path, self.past_at(slot));
        self.set_past(slot, None);
        self.digest = self.digest.wrapping_sub(before);
    }

    /// Adds a znode of the first hour, which no transaction created: it does not count as a
    /// creation either, so the first sequential child of the root is number 0, and its cversion
    /// begins at -1, as in ZooKeeper.
    fn plant(&mut self, path: &str, acl: &Acl) {
        let path = Path::parse(path).expect("reserved paths are paths");
        let parent = path.parent().map(|parent| {
            self.find(parent.as_str())
                .expect("parents are planted first")
        });
        if let (Some(parent), Some(text)) = (parent, path.parent_str()) {
            let (creations, pzxid) = (0, Zxid::ZERO);
            self.remember(parent, PathDigest::of(text), Past { creations, pzxid });
        }
        let acl = self.acls.take(acl);
        let slot = self.attach(
            self.hash(path.as_str()),
            Znode {
                content: Content::new(path.name(), Some(&[])),
                czxid: Zxid::ZERO,
                mzxid: Zxid::ZERO,
                ctime: WallTime::default(),
                mtime: WallTime::default(),
                version: 0,
                aversion: 0,
                acl,
                lease: None,
                family: None,
                parent,
                older: parent.and_then(|parent| self.family_at(parent)?.newest),
                newer: None,
            },
        );
        let added = self.digest_at(slot, PathDigest::of(path.as_str()));
        self.digest = self.digest.wrapping_add(added);
        self.bytes += path.as_str().len() as u64;
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("count", &self.count())
            .field("digest", &format_args!("{:032x}", self.digest))
            .finish_non_exhaustive()
    }
}
