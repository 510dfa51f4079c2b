//! ZooKeeper's tree and sessions, as its transactions change them.
//!
//! A snapshot is taken while transactions go on: what it holds of one znode may be newer than what
//! it holds of another, and the log is replayed from where it began. So each transaction may find
//! that it was done already, in part or wholly, and is done as ZooKeeper does it then: what is
//! there is not created again, what is gone is not missed, counts and positions only grow. In one
//! case we do better: when a znode is deleted that the snapshot has with later children, ZooKeeper
//! loses them from their parent's list, and here they go with it, to be created again by the
//! transactions that follow.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::ids::SessionId;
use althing_core::tree::acl::Acl;
use althing_core::tree::owner::Owner;
use althing_core::tree::path::parent_of;

use crate::zookeeper::txn::{Change, Create, Repeated, Txn};

/// A znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its data; `None` is null.
    pub data: Option<Vec<u8>>,
    /// Its access control list.
    pub acl: Acl,
    /// What is kept of it besides.
    pub stat: Stat,
}

/// ZooKeeper's `StatPersisted`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The transaction that created the znode.
    pub czxid: i64,
    /// The transaction that last set its data.
    pub mzxid: i64,
    /// When it was created.
    pub ctime: i64,
    /// When its data was last set.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// How many children were ever created.
    pub cversion: i32,
    /// How often its list was set.
    pub aversion: i32,
    /// Whose it is; 0 is nobody's.
    pub owner: i64,
    /// The transaction that last created or deleted a child.
    pub pzxid: i64,
}

/// Znodes and sessions.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    /// The paths that belong to each session.
    owned: BTreeMap<i64, BTreeSet<String>>,
    sessions: BTreeMap<i64, i32>,
    /// How many changes found that they were done already, or that their znode is gone.
    pub repeated: u64,
}

impl Tree {
    /// By path.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// The open sessions and their time-outs in milliseconds.
    pub fn sessions(&self) -> &BTreeMap<i64, i32> {
        &self.sessions
    }

    /// The paths that belong to each session, open or not.
    pub fn owned(&self) -> &BTreeMap<i64, BTreeSet<String>> {
        &self.owned
    }

    /// Opens a session.
    pub fn open(&mut self, session: i64, timeout_ms: i32) {
        self.sessions.insert(session, timeout_ms);
    }

    /// Adds a znode, or replaces it.
    pub fn put(&mut self, path: String, node: Node) {
        let owner = node.stat.owner;
        if is_session(owner) {
            self.owned.entry(owner).or_default().insert(path.clone());
        }
        let before = self.nodes.insert(path.clone(), node);
        if let Some(before) = before
            && before.stat.owner != owner
        {
            self.disown(before.stat.owner, &path);
        }
    }

    /// Sets the data of a znode, and nothing else.
    pub fn set_data_only(&mut self, path: &str, data: Vec<u8>) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.data = Some(data);
        }
    }

    fn disown(&mut self, owner: i64, path: &str) {
        if let Some(paths) = self.owned.get_mut(&owner) {
            paths.remove(path);
            if paths.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// The paths below this one, in order.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Node)> {
        let prefix = match path {
            "/" => "/".to_owned(),
            path => format!("{path}/"),
        };
        let from = self.nodes.range(prefix.clone()..);
        from.take_while(move |(below, _)| below.starts_with(&prefix))
            .filter(|(below, _)| below.len() > 1)
    }

    /// Does what a transaction says.
    pub fn apply(&mut self, txn: Txn) {
        let Txn {
            session,
            zxid,
            time,
            change,
            digest: _,
        } = txn;
        self.change(session, zxid, time, change);
    }

    fn change(&mut self, session: i64, zxid: i64, time: i64, change: Change) {
        let was_done = match change {
            Change::Create(create) => self.create(zxid, time, create),
            Change::Delete { path } => self.delete(zxid, &path),
            Change::SetData {
                path,
                data,
                version,
            } => match self.nodes.get_mut(&path) {
                Some(node) => {
                    node.data = data;
                    node.stat.mtime = time;
                    node.stat.mzxid = zxid;
                    node.stat.version = version;
                    true
                }
                None => false,
            },
            Change::SetAcl { path, acl, version } => match self.nodes.get_mut(&path) {
                Some(node) => {
                    node.acl = acl.unwrap_or_else(Acl::open);
                    node.stat.aversion = version;
                    true
                }
                None => false,
            },
            Change::OpenSession { timeout_ms } => {
                self.open(session, timeout_ms);
                true
            }
            Change::CloseSession { paths } => {
                self.close(session, zxid, paths.unwrap_or_default());
                true
            }
            Change::Multi(changes) => {
                for change in changes {
                    self.change(session, zxid, time, change);
                }
                true
            }
            Change::Nothing => true,
        };
        self.repeated += u64::from(!was_done);
    }

    fn create(&mut self, zxid: i64, time: i64, create: Create) -> bool {
        let Create {
            path,
            data,
            acl,
            owner,
            parent_cversion,
            repeated,
        } = create;
        let acl = acl.unwrap_or_else(Acl::open);
        let Some(parent) = parent_of(&path).map(str::to_owned) else {
            return false;
        };
        if !self.nodes.contains_key(&parent) {
            return false;
        }
        if let Some(there) = self.nodes.get_mut(&path) {
            there.acl = acl;
            if repeated == Repeated::Counts {
                self.count(&parent, parent_cversion, zxid);
            }
            return false;
        }
        self.count(&parent, parent_cversion, zxid);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            ctime: time,
            mtime: time,
            owner,
            pzxid: zxid,
            ..Stat::default()
        };
        self.put(path, Node { data, acl, stat });
        true
    }

    /// A parent's count grows to `cversion`, or by one.
    fn count(&mut self, parent: &str, cversion: i32, zxid: i64) {
        let stat = &mut self.nodes.get_mut(parent).expect("it is there").stat;
        let cversion = match cversion {
            -1 => stat.cversion.wrapping_add(1),
            told => told,
        };
        if cversion > stat.cversion {
            stat.cversion = cversion;
            stat.pzxid = zxid;
        }
    }

    fn delete(&mut self, zxid: i64, path: &str) -> bool {
        let parent = parent_of(path).and_then(|parent| self.nodes.get_mut(parent));
        let Some(parent) = parent else {
            return false;
        };
        parent.stat.pzxid = parent.stat.pzxid.max(zxid);
        let below: Vec<String> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in &below {
            self.remove(path);
        }
        self.remove(path)
    }

    fn remove(&mut self, path: &str) -> bool {
        let gone = self.nodes.remove(path);
        if let Some(node) = &gone {
            self.disown(node.stat.owner, path);
        }
        gone.is_some()
    }

    /// Ends a session; what belongs to it goes, and what the transaction names.
    pub fn close(&mut self, session: i64, zxid: i64, named: Vec<String>) {
        self.sessions.remove(&session);
        let mut paths = self.owned.remove(&session).unwrap_or_default();
        paths.extend(named);
        for path in paths {
            self.delete(zxid, &path);
        }
    }
}

/// Is this owner a session?
pub fn is_session(owner: i64) -> bool {
    owner != 0 && Owner::from_number(owner) == Owner::Session(SessionId(owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let (data, acl, stat) = (None, Acl::open(), Stat::default());
        tree.put("/".to_owned(), Node { data, acl, stat });
        tree
    }

    fn create(path: &str, owner: i64, parent_cversion: i32) -> Change {
        Change::Create(Create {
            path: path.to_owned(),
            data: Some(b"data".to_vec()),
            acl: None,
            owner,
            parent_cversion,
            repeated: Repeated::Counts,
        })
    }

    fn delete(path: &str) -> Change {
        let path = path.to_owned();
        Change::Delete { path }
    }

    /// A history, and the same history upon what came of all of it: a snapshot that is as fuzzy as
    /// can be.
    fn twice(changes: &[(i64, Change)]) -> (Tree, Tree) {
        let mut once = tree();
        let play = |tree: &mut Tree| {
            for (zxid, (session, change)) in (1..).zip(changes) {
                tree.change(*session, zxid, 1000 + zxid, change.clone());
            }
        };
        play(&mut once);
        let mut twice = once.clone();
        play(&mut twice);
        (once, twice)
    }

    #[test]
    fn what_was_done_already_is_not_done_again() {
        let close = Change::CloseSession {
            paths: Some(vec!["/e".to_owned()]),
        };
        let (once, twice) = twice(&[
            (7, Change::OpenSession { timeout_ms: 4_000 }),
            (7, create("/a", 0, 1)),
            (7, create("/a/b", 0, 1)),
            (7, create("/e", 7, 2)),
            (7, delete("/a/b")),
            (7, close),
            (8, Change::OpenSession { timeout_ms: 5_000 }),
            (8, create("/e", 8, 3)),
            (8, Change::Multi(vec![create("/a/c", 0, 2), delete("/a/c")])),
        ]);
        assert_eq!(once.nodes, twice.nodes);
        assert_eq!(once.sessions, twice.sessions);
        assert_eq!(once.owned, twice.owned);
        assert_eq!(once.sessions, BTreeMap::from([(8, 5_000)]));
        assert_eq!(once.nodes["/"].stat.cversion, 3);
        assert_eq!((once.repeated, twice.repeated > 0), (0, true));
    }

    #[test]
    fn later_children_come_back_after_a_deletion_of_their_parent() {
        let (once, twice) = twice(&[
            (7, create("/a", 0, 1)),
            (7, delete("/a")),
            (7, create("/a", 0, 2)),
            (7, create("/a/c", 0, 1)),
        ]);
        assert_eq!(once.nodes, twice.nodes);
        assert!(once.nodes.contains_key("/a/c"));
    }

    #[test]
    fn what_is_below_is_found_and_nothing_else() {
        let mut tree = tree();
        for path in ["/a", "/a-b", "/a/b", "/a/b/c", "/a0", "/b"] {
            tree.change(1, 1, 1, create(path, 0, -1));
        }
        let below = |path: &str| -> Vec<String> {
            tree.below(path).map(|(path, _)| path.clone()).collect()
        };
        assert_eq!(below("/a"), ["/a/b", "/a/b/c"]);
        assert_eq!(below("/"), ["/a", "/a-b", "/a/b", "/a/b/c", "/a0", "/b"]);
        assert_eq!(tree.nodes["/"].stat.cversion, 4);
    }

    #[test]
    fn only_sessions_own() {
        let mut tree = tree();
        for (path, owner) in [("/c", Owner::Container.number()), ("/e", 9), ("/p", 0)] {
            tree.change(9, 1, 1, create(path, owner, -1));
        }
        let owned: Vec<&i64> = tree.owned.keys().collect();
        assert_eq!(owned, [&9]);
        tree.close(9, 2, Vec::new());
        assert!(tree.owned.is_empty() && !tree.nodes.contains_key("/e"));
        assert_eq!(tree.nodes["/"].stat.pzxid, 2);
    }
}
