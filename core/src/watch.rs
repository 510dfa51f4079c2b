//! What this server's clients wait for: watches that fire once, and watches that stay.
//!
//! `exists` and `getData` leave data watches, `getChildren` leaves child watches; each fires once.
//! `addWatch` leaves watches that stay: a persistent one is told what both of these would be told,
//! a recursive one of every creation, deletion and new data at its znode and below. A watch belongs
//! to the connection that left it; a client sets its watches again when it reconnects.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::ids::{ConnectionId, Zxid};
use crate::tree::acl::Acl;
use crate::tree::op::{Change, ChangeKind};
use crate::tree::path::{Path, parent_of};

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
    /// The znode's creation, deletion or new data; once.
    Data,
    /// The znode's deletion, or a change of its set of children; once.
    Child,
    /// All of these, and it stays.
    Persistent,
    /// The creation, deletion or new data of the znode and of all znodes below it; it stays.
    Recursive,
}

impl WatchKind {
    /// Every kind.
    pub const ALL: [WatchKind; 4] = [
        WatchKind::Data,
        WatchKind::Child,
        WatchKind::Persistent,
        WatchKind::Recursive,
    ];
}

/// Which watch `addWatch` leaves: ZooKeeper's `AddWatchMode`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum WatchMode {
    /// [`WatchKind::Persistent`].
    Persistent = 0,
    /// [`WatchKind::Recursive`].
    Recursive = 1,
}

impl WatchMode {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The mode with this number.
    pub const fn from_number(number: i32) -> Option<WatchMode> {
        match number {
            0 => Some(WatchMode::Persistent),
            1 => Some(WatchMode::Recursive),
            _ => None,
        }
    }

    /// The kind of the watch.
    pub const fn kind(self) -> WatchKind {
        match self {
            WatchMode::Persistent => WatchKind::Persistent,
            WatchMode::Recursive => WatchKind::Recursive,
        }
    }
}

/// Which watches are asked for or removed: ZooKeeper's `WatcherType`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Whichever {
    /// Those of every kind.
    Any,
    /// Those of this kind.
    Only(WatchKind),
}

impl Whichever {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            Whichever::Only(WatchKind::Child) => 1,
            Whichever::Only(WatchKind::Data) => 2,
            Whichever::Any => 3,
            Whichever::Only(WatchKind::Persistent) => 4,
            Whichever::Only(WatchKind::Recursive) => 5,
        }
    }

    /// The choice with this number.
    pub const fn from_number(number: i32) -> Option<Whichever> {
        match number {
            1 => Some(Whichever::Only(WatchKind::Child)),
            2 => Some(Whichever::Only(WatchKind::Data)),
            3 => Some(Whichever::Any),
            4 => Some(Whichever::Only(WatchKind::Persistent)),
            5 => Some(Whichever::Only(WatchKind::Recursive)),
            _ => None,
        }
    }

    /// Is this kind meant?
    pub fn means(self, kind: WatchKind) -> bool {
        match self {
            Whichever::Any => true,
            Whichever::Only(only) => only == kind,
        }
    }
}

/// Kinds of watches, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kinds(u8);

impl Kinds {
    const NONE: Kinds = Kinds(0);
    const DATA: Kinds = Kinds(1);
    const CHILD: Kinds = Kinds(2);
    const PERSISTENT: Kinds = Kinds(4);
    const RECURSIVE: Kinds = Kinds(8);
    const ONCE: Kinds = Kinds(Kinds::DATA.0 | Kinds::CHILD.0);
    /// Who hears of the creation, deletion and new data of the znode itself.
    const OF_ZNODE: Kinds = Kinds(Kinds::DATA.0 | Kinds::PERSISTENT.0 | Kinds::RECURSIVE.0);
    /// Who hears that the set of the znode's children is another one, or that there is none.
    const OF_CHILDREN: Kinds = Kinds(Kinds::CHILD.0 | Kinds::PERSISTENT.0);

    fn of(kind: WatchKind) -> Kinds {
        match kind {
            WatchKind::Data => Kinds::DATA,
            WatchKind::Child => Kinds::CHILD,
            WatchKind::Persistent => Kinds::PERSISTENT,
            WatchKind::Recursive => Kinds::RECURSIVE,
        }
    }

    fn meant(whichever: Whichever) -> Kinds {
        match whichever {
            Whichever::Any => Kinds(Kinds::OF_ZNODE.0 | Kinds::OF_CHILDREN.0),
            Whichever::Only(kind) => Kinds::of(kind),
        }
    }

    fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// The connections that watch one znode. Most znodes are watched by one, and a map of one would
/// take ten times the memory.
#[derive(Clone, Debug)]
#[expect(
    clippy::box_collection,
    reason = "one watcher takes 16 bytes so, and 32 beside a map"
)]
enum Watchers {
    One(ConnectionId, Kinds),
    Many(Box<BTreeMap<ConnectionId, Kinds>>),
}

impl Watchers {
    fn of(&self, connection: ConnectionId) -> Kinds {
        match self {
            Watchers::One(one, kinds) if *one == connection => *kinds,
            Watchers::One(..) => Kinds::NONE,
            Watchers::Many(many) => many.get(&connection).copied().unwrap_or(Kinds::NONE),
        }
    }

    /// What a connection waits for from here on; nothing forgets it.
    fn set(&mut self, connection: ConnectionId, kinds: Kinds) {
        match self {
            Watchers::One(one, before) if *one == connection => *before = kinds,
            Watchers::One(one, before) => {
                let others = [(*one, *before), (connection, kinds)];
                *self = Watchers::Many(Box::new(BTreeMap::from(others)));
            }
            Watchers::Many(many) if kinds == Kinds::NONE => drop(many.remove(&connection)),
            Watchers::Many(many) => drop(many.insert(connection, kinds)),
        }
    }

    fn are_gone(&self) -> bool {
        match self {
            Watchers::One(_, kinds) => *kinds == Kinds::NONE,
            Watchers::Many(many) => many.is_empty(),
        }
    }

    /// In the order of the connections.
    fn iter(&self) -> impl Iterator<Item = (ConnectionId, Kinds)> {
        let (one, many) = match self {
            Watchers::One(connection, kinds) => (Some((*connection, *kinds)), None),
            Watchers::Many(many) => (None, Some(many)),
        };
        let many = many.into_iter().flat_map(|many| many.iter());
        one.into_iter().chain(many.map(|(id, kinds)| (*id, *kinds)))
    }
}

/// All watches of one server. A path is kept once, however many connections watch it.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    by_path: BTreeMap<Path, Watchers>,
    by_connection: BTreeMap<ConnectionId, BTreeSet<Path>>,
    count: usize,
    recursive: usize,
}

impl Watches {
    /// None.
    pub fn new() -> Watches {
        Watches::default()
    }

    /// Leaves a watch; one that is there already stays as it is.
    pub fn leave(&mut self, connection: ConnectionId, path: &Path, kind: WatchKind) {
        let kind = Kinds::of(kind);
        let entry = self.by_path.entry(path.clone());
        let path = entry.key().clone();
        let watchers = entry.or_insert(Watchers::One(connection, Kinds::NONE));
        let before = watchers.of(connection);
        if before == Kinds::NONE {
            self.by_connection
                .entry(connection)
                .or_default()
                .insert(path);
        }
        watchers.set(connection, before.with(kind));
        let added = kind.without(before);
        self.count += added.count();
        self.recursive += added.and(Kinds::RECURSIVE).count();
    }

    /// Has this connection a watch of such a kind on exactly this path?
    pub fn has(&self, connection: ConnectionId, path: &Path, kinds: Whichever) -> bool {
        let known = self.by_path.get(path);
        let known = known.map_or(Kinds::NONE, |watchers| watchers.of(connection));
        known.and(Kinds::meant(kinds)) != Kinds::NONE
    }

    /// Forgets the watches of such kinds that this connection has on exactly this path. Were there
    /// any?
    pub fn remove(&mut self, connection: ConnectionId, path: &Path, kinds: Whichever) -> bool {
        let was_there = self.has(connection, path, kinds);
        self.lessen(connection, path.as_str(), Kinds::meant(kinds));
        was_there
    }

    /// Forgets all watches of a connection that is gone.
    pub fn forget(&mut self, connection: ConnectionId) {
        let paths = self.by_connection.get(&connection).cloned();
        for path in paths.unwrap_or_default() {
            self.lessen(connection, path.as_str(), Kinds::meant(Whichever::Any));
        }
    }

    /// Takes `kinds` from what a connection waits for at a path.
    fn lessen(&mut self, connection: ConnectionId, path: &str, kinds: Kinds) {
        let Some(watchers) = self.by_path.get_mut(path) else {
            return;
        };
        let before = watchers.of(connection);
        let gone = before.and(kinds);
        if gone == Kinds::NONE {
            return;
        }
        self.count -= gone.count();
        self.recursive -= gone.and(Kinds::RECURSIVE).count();
        watchers.set(connection, before.without(kinds));
        if watchers.are_gone() {
            self.by_path.remove(path);
        }
        if gone == before {
            let of_connection = self
                .by_connection
                .get_mut(&connection)
                .expect("a watch stands in both tables");
            of_connection.remove(path);
            if of_connection.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }

    /// Fires what waits for this change, in the order of ZooKeeper: the znode's own watches before
    /// its parent's. A connection is told once that the znode was created, deleted or set, however
    /// many of its watches wait for that. `tell` also takes the access control list of the znode: a
    /// watch is gone when it fires, but only who may read the znode is to be told (ZOOKEEPER-4799).
    pub fn fire(&mut self, change: &Change, mut tell: impl FnMut(ConnectionId, WatchEvent, &Acl)) {
        let zxid = change.zxid;
        let mut tell_all = |watchers: &[ConnectionId], path: &Path, kind: EventKind, acl: &Acl| {
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
        let waiting = match change.kind {
            ChangeKind::Deleted => Kinds::OF_ZNODE.with(Kinds::OF_CHILDREN),
            _ => Kinds::OF_ZNODE,
        };
        let mut watchers = self.take(path.as_str(), waiting);
        self.add_those_above(path, &mut watchers);
        tell_all(&watchers, path, own, &change.acl);
        if let Some(acl) = &change.parent_acl
            && let Some(above) = path.parent_str()
        {
            let watchers = self.take(above, Kinds::OF_CHILDREN);
            if let Some(parent) = path.parent().filter(|_| !watchers.is_empty()) {
                tell_all(&watchers, &parent, EventKind::NodeChildrenChanged, acl);
            }
        }
    }

    /// The connections that have watches of these kinds at a path, in their order; those watches
    /// that fire once are gone.
    fn take(&mut self, path: &str, kinds: Kinds) -> Vec<ConnectionId> {
        let Some(watchers) = self.by_path.get(path) else {
            return Vec::new();
        };
        let told: Vec<ConnectionId> = watchers
            .iter()
            .filter(|(_, known)| known.and(kinds) != Kinds::NONE)
            .map(|(connection, _)| connection)
            .collect();
        for connection in &told {
            self.lessen(*connection, path, kinds.and(Kinds::ONCE));
        }
        told
    }

    /// Adds the connections that have recursive watches above `path` to those that are told.
    fn add_those_above(&self, path: &Path, told: &mut Vec<ConnectionId>) {
        if self.recursive == 0 {
            return;
        }
        let before = told.len();
        let mut above = path.parent_str();
        while let Some(text) = above {
            let watchers = self.by_path.get(text).into_iter().flat_map(Watchers::iter);
            told.extend(
                watchers
                    .filter(|(_, kinds)| kinds.and(Kinds::RECURSIVE) != Kinds::NONE)
                    .map(|(connection, _)| connection),
            );
            above = parent_of(text);
        }
        if told.len() > before {
            told.sort_unstable();
            told.dedup();
        }
    }

    /// The number of watches: a znode that two connections watch counts twice.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of znodes that are watched, in whichever way.
    pub fn path_count(&self) -> usize {
        self.by_path.len()
    }

    /// The number of connections that watch something.
    pub fn connection_count(&self) -> usize {
        self.by_connection.len()
    }

    /// Every watch, in the order of the connections.
    pub fn all(&self) -> impl Iterator<Item = (ConnectionId, &Path, WatchKind)> {
        self.by_connection
            .iter()
            .flat_map(move |(connection, paths)| {
                paths.iter().flat_map(move |path| {
                    let known = self.by_path[path].of(*connection);
                    let kinds = WatchKind::ALL.into_iter();
                    let left = kinds.filter(move |kind| known.and(Kinds::of(*kind)) != Kinds::NONE);
                    left.map(move |kind| (*connection, path, kind))
                })
            })
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        let (mut entries, mut count, mut recursive) = (0, 0, 0);
        for watchers in self.by_path.values() {
            assert!(!watchers.are_gone(), "a path that is kept is watched");
            for (_, kinds) in watchers.iter() {
                entries += 1;
                count += kinds.count();
                recursive += kinds.and(Kinds::RECURSIVE).count();
            }
        }
        let listed: usize = self.by_connection.values().map(BTreeSet::len).sum();
        assert!(listed == entries, "a watch stands in both tables");
        assert!(count == self.count, "watches are counted");
        assert!(recursive == self.recursive, "recursive watches are counted");
    }
}

#[cfg(test)]
mod tests;
