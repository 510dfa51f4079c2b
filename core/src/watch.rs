//! What this server's clients wait for: one-shot watches.
//!
//! `exists` and `getData` leave data watches, `getChildren` leaves child watches. A watch belongs
//! to the connection that left it; a client sets its watches again when it reconnects.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{ConnectionId, Zxid};
use crate::tree::acl::Acl;
use crate::tree::op::{Change, ChangeKind};
use crate::tree::path::Path;

/// What a watch tells: ZooKeeper's event types.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum EventKind {
    /// The znode was created.
    NodeCreated = 1,
    /// The znode was deleted.
    NodeDeleted = 2,
    /// The znode's data changed.
    NodeDataChanged = 3,
    /// A child of the znode was created or deleted.
    NodeChildrenChanged = 4,
}

impl EventKind {
    /// The kind with this number on the wire, if it is one that a server sends.
    pub const fn from_number(number: i32) -> Option<EventKind> {
        match number {
            1 => Some(EventKind::NodeCreated),
            2 => Some(EventKind::NodeDeleted),
            3 => Some(EventKind::NodeDataChanged),
            4 => Some(EventKind::NodeChildrenChanged),
            _ => None,
        }
    }
}

/// A watch has fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchEvent {
    /// The transaction that fired it; for a watch that was set again after the change, the newest
    /// transaction that this server had executed.
    pub zxid: Zxid,
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: Path,
}

/// What a watch waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchKind {
    /// The znode's creation, deletion or new data.
    Data,
    /// The znode's deletion, or a change of its set of children.
    Child,
}

/// All watches of one server.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    by_path: BTreeMap<(Path, WatchKind), BTreeSet<ConnectionId>>,
    by_connection: BTreeMap<ConnectionId, BTreeSet<(Path, WatchKind)>>,
    count: usize,
}

impl Watches {
    /// None.
    pub fn new() -> Watches {
        Watches::default()
    }

    /// Leaves a watch; one that is there already stays as it is.
    pub fn leave(&mut self, connection: ConnectionId, path: &Path, kind: WatchKind) {
        let of_connection = self.by_connection.entry(connection).or_default();
        if of_connection.insert((path.clone(), kind)) {
            self.by_path
                .entry((path.clone(), kind))
                .or_default()
                .insert(connection);
            self.count += 1;
        }
    }

    /// Forgets all watches of a connection that is gone.
    pub fn forget(&mut self, connection: ConnectionId) {
        for key in self.by_connection.remove(&connection).unwrap_or_default() {
            self.count -= 1;
            let watchers = self
                .by_path
                .get_mut(&key)
                .expect("a watch stands in both tables");
            watchers.remove(&connection);
            if watchers.is_empty() {
                self.by_path.remove(&key);
            }
        }
    }

    /// Fires what waits for this change, in the order of ZooKeeper: the znode's own watches before
    /// its parent's, and each connection is told once of the znode's deletion. `tell` also takes
    /// the access control list of the znode: a watch is gone when it fires, but only who may read
    /// the znode is to be told (ZOOKEEPER-4799).
    pub fn fire(&mut self, change: &Change, mut tell: impl FnMut(ConnectionId, WatchEvent, &Acl)) {
        let zxid = change.zxid;
        let mut tell_all =
            |watchers: &BTreeSet<ConnectionId>, path: &Path, kind: EventKind, acl: &Acl| {
                for connection in watchers {
                    let path = path.clone();
                    tell(*connection, WatchEvent { zxid, kind, path }, acl);
                }
            };
        let path = &change.path;
        let own = match change.kind {
            ChangeKind::Created => EventKind::NodeCreated,
            ChangeKind::Deleted => EventKind::NodeDeleted,
            ChangeKind::DataSet => EventKind::NodeDataChanged,
        };
        let mut watchers = self.take(path, WatchKind::Data);
        if change.kind == ChangeKind::Deleted {
            watchers.append(&mut self.take(path, WatchKind::Child));
        }
        tell_all(&watchers, path, own, &change.acl);
        if let Some(acl) = &change.parent_acl
            && let Some(parent) = path.parent()
        {
            let watchers = self.take(&parent, WatchKind::Child);
            tell_all(&watchers, &parent, EventKind::NodeChildrenChanged, acl);
        }
    }

    fn take(&mut self, path: &Path, kind: WatchKind) -> BTreeSet<ConnectionId> {
        if self.by_path.is_empty() {
            return BTreeSet::new();
        }
        let key = (path.clone(), kind);
        let watchers = self.by_path.remove(&key).unwrap_or_default();
        self.count -= watchers.len();
        for connection in &watchers {
            let of_connection = self
                .by_connection
                .get_mut(connection)
                .expect("a watch stands in both tables");
            of_connection.remove(&key);
            if of_connection.is_empty() {
                self.by_connection.remove(connection);
            }
        }
        watchers
    }

    /// The number of watches: a znode that two connections watch counts twice.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of znodes that are watched (for their data or for their children).
    pub fn path_count(&self) -> usize {
        let mut paths = 0;
        let mut before: Option<&Path> = None;
        for (path, _) in self.by_path.keys() {
            paths += usize::from(before != Some(path));
            before = Some(path);
        }
        paths
    }

    /// The number of connections that watch something.
    pub fn connection_count(&self) -> usize {
        self.by_connection.len()
    }

    /// Every watch, in the order of the connections.
    pub fn all(&self) -> impl Iterator<Item = (ConnectionId, &Path, WatchKind)> {
        self.by_connection.iter().flat_map(|(connection, keys)| {
            keys.iter().map(|(path, kind)| (*connection, path, *kind))
        })
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        let by_path: usize = self.by_path.values().map(BTreeSet::len).sum();
        let by_connection: usize = self.by_connection.values().map(BTreeSet::len).sum();
        assert!(by_path == self.count, "watches by path");
        assert!(by_connection == self.count, "watches by connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn fire(watches: &mut Watches, kind: ChangeKind, at: &str) -> String {
        let mut told = Vec::new();
        let change = Change {
            zxid: Zxid(7),
            path: path(at),
            kind,
            acl: Acl::open(),
            parent_acl: (kind != ChangeKind::DataSet).then(Acl::open),
        };
        watches.fire(&change, |who, event, _| {
            told.push(format!("{who} {:?} {}", event.kind, event.path));
        });
        watches.check();
        told.join(", ")
    }

    #[test]
    fn each_change_tells_whom_it_concerns_once() {
        let mut watches = Watches::new();
        for connection in [A, B] {
            watches.leave(connection, &path("/a"), WatchKind::Data);
            watches.leave(connection, &path("/a"), WatchKind::Data);
        }
        watches.leave(A, &path("/a"), WatchKind::Child);
        watches.leave(B, &path("/"), WatchKind::Child);
        assert_eq!((watches.count(), watches.path_count()), (4, 2));
        assert_eq!(fire(&mut watches, ChangeKind::DataSet, "/b"), "");
        assert_eq!(
            fire(&mut watches, ChangeKind::DataSet, "/a"),
            "c1 NodeDataChanged /a, c2 NodeDataChanged /a"
        );
        watches.leave(A, &path("/a"), WatchKind::Data);
        assert_eq!(
            fire(&mut watches, ChangeKind::Deleted, "/a"),
            "c1 NodeDeleted /a, c2 NodeChildrenChanged /"
        );
        assert_eq!(fire(&mut watches, ChangeKind::Created, "/a"), "");
        assert_eq!(watches.count(), 0);
    }

    #[test]
    fn a_connection_that_is_gone_is_not_told() {
        let mut watches = Watches::new();
        watches.leave(A, &path("/a"), WatchKind::Data);
        watches.leave(B, &path("/a"), WatchKind::Data);
        watches.forget(A);
        watches.check();
        assert_eq!(
            fire(&mut watches, ChangeKind::Created, "/a"),
            "c2 NodeCreated /a"
        );
    }

    #[test]
    fn new_data_is_nothing_to_who_waits_for_children() {
        let mut watches = Watches::new();
        watches.leave(A, &path("/a"), WatchKind::Child);
        assert_eq!(fire(&mut watches, ChangeKind::DataSet, "/a"), "");
        assert_eq!(watches.count(), 1);
        assert_eq!(
            fire(&mut watches, ChangeKind::Deleted, "/a"),
            "c1 NodeDeleted /a"
        );
    }

    #[test]
    fn all_watches_are_listed_by_connection() {
        let mut watches = Watches::new();
        watches.leave(B, &path("/a"), WatchKind::Data);
        watches.leave(A, &path("/b"), WatchKind::Child);
        watches.leave(A, &path("/a"), WatchKind::Data);
        let listed: Vec<String> = watches
            .all()
            .map(|(who, path, kind)| format!("{who} {path} {kind:?}"))
            .collect();
        assert_eq!(listed, ["c1 /a Data", "c1 /b Child", "c2 /a Data"]);
        assert_eq!(watches.connection_count(), 2);
        watches.forget(A);
        assert_eq!((watches.all().count(), watches.connection_count()), (1, 1));
    }
}
