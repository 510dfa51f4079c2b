//! Tests of the watches, and a twin that is slow and obvious.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::strategies;

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn change(kind: ChangeKind, path: Path) -> Change {
    Change {
        zxid: Zxid(7),
        path,
        kind,
        acl: Acl::open(),
        parent_acl: (kind != ChangeKind::DataSet).then(Acl::open),
    }
}

fn fire(watches: &mut Watches, kind: ChangeKind, at: &str) -> String {
    let mut told = Vec::new();
    watches.fire(&change(kind, path(at)), |who, event, _| {
        told.push(format!("{who} {:?} {}", event.kind, event.path));
    });
    watches.check();
    told.join(", ")
}

/// A watch stands in two tables, by its path and by its connection: 48 bytes where one watches a
/// znode, 25 where many do, beside a path's text. The trees of the standard library have eleven
/// places in a leaf and take five at least, but for the first: docs/performance.md has the sum.
#[test]
fn a_watch_is_small() {
    assert_eq!(size_of::<Path>() + size_of::<Watchers>(), 32);
    assert_eq!(size_of::<ConnectionId>() + size_of::<Kinds>(), 9);
    assert_eq!(size_of::<Path>(), 16);
}

#[test]
fn a_path_is_kept_once() {
    let mut watches = Watches::new();
    for connection in [A, B] {
        watches.leave(connection, &path("/a"), WatchKind::Data);
    }
    let kept = watches
        .by_path
        .keys()
        .chain(watches.by_connection.values().flatten());
    let texts: BTreeSet<*const u8> = kept.map(|path| path.as_str().as_ptr()).collect();
    assert_eq!(texts.len(), 1);
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

#[test]
#[should_panic(expected = "watches are counted")]
fn a_wrong_count_is_noticed() {
    let mut watches = Watches::default();
    watches.count += 1;
    watches.check();
}

#[test]
fn watches_that_stay_are_told_again_and_again() {
    let mut watches = Watches::new();
    watches.leave(A, &path("/a"), WatchKind::Persistent);
    watches.leave(B, &path("/"), WatchKind::Recursive);
    for _ in 0..2 {
        assert_eq!(
            fire(&mut watches, ChangeKind::Created, "/a/b"),
            "c2 NodeCreated /a/b, c1 NodeChildrenChanged /a"
        );
        assert_eq!(
            fire(&mut watches, ChangeKind::DataSet, "/a"),
            "c1 NodeDataChanged /a, c2 NodeDataChanged /a"
        );
        assert_eq!(
            fire(&mut watches, ChangeKind::Deleted, "/a"),
            "c1 NodeDeleted /a, c2 NodeDeleted /a"
        );
    }
    assert_eq!(watches.count(), 2);
}

#[test]
fn one_change_is_told_once_to_a_connection_with_many_watches() {
    let mut watches = Watches::new();
    for kind in WatchKind::ALL {
        watches.leave(A, &path("/a"), kind);
    }
    watches.leave(A, &path("/"), WatchKind::Recursive);
    assert_eq!((watches.count(), watches.path_count()), (5, 2));
    assert_eq!(
        fire(&mut watches, ChangeKind::Deleted, "/a"),
        "c1 NodeDeleted /a"
    );
    assert_eq!(watches.count(), 3, "those that fire once are gone");
    watches.leave(A, &path("/a"), WatchKind::Data);
    let only = Whichever::Only;
    assert!(!watches.has(A, &path("/a"), only(WatchKind::Child)));
    assert!(watches.remove(A, &path("/a"), only(WatchKind::Persistent)));
    assert!(!watches.remove(A, &path("/a"), only(WatchKind::Persistent)));
    assert!(watches.has(A, &path("/a"), only(WatchKind::Data)));
    assert!(!watches.has(B, &path("/a"), Whichever::Any));
    assert!(watches.remove(A, &path("/a"), Whichever::Any));
    watches.check();
    assert_eq!((watches.count(), watches.path_count()), (1, 1));
    watches.forget(A);
    watches.check();
    assert_eq!((watches.count(), watches.connection_count()), (0, 0));
}

/// What a server would have that kept its watches in one list.
#[derive(Debug, Default)]
struct Twin(BTreeSet<(ConnectionId, Path, WatchKind)>);

impl Twin {
    /// Who is told what: by ZooKeeper's rules, one watch after another.
    fn fire(&mut self, kind: ChangeKind, at: &Path) -> BTreeSet<(ConnectionId, EventKind, Path)> {
        use WatchKind::{Child, Data, Persistent, Recursive};
        let parent = at.parent().filter(|_| kind != ChangeKind::DataSet);
        let own = match kind {
            ChangeKind::Created => EventKind::NodeCreated,
            ChangeKind::Deleted => EventKind::NodeDeleted,
            ChangeKind::DataSet => EventKind::NodeDataChanged,
        };
        let mut told = BTreeSet::new();
        self.0.retain(|(who, path, waits)| {
            let below = path.is_root() || at.as_str().starts_with(&format!("{path}/"));
            let of_znode = match waits {
                Data | Persistent => path == at,
                Child => path == at && kind == ChangeKind::Deleted,
                Recursive => path == at || below,
            };
            let of_children = matches!(waits, Child | Persistent) && parent.as_ref() == Some(path);
            if of_znode {
                told.insert((*who, own, at.clone()));
            }
            if of_children {
                told.insert((*who, EventKind::NodeChildrenChanged, path.clone()));
            }
            !(of_znode || of_children) || matches!(waits, Persistent | Recursive)
        });
        told
    }
}

/// One thing that happens to watches.
#[derive(Clone, Debug)]
enum Step {
    Leave(ConnectionId, Path, WatchKind),
    Remove(ConnectionId, Path, Whichever),
    Forget(ConnectionId),
    Fire(ChangeKind, Path),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || (1..5u64).prop_map(ConnectionId);
    let kind = select(WatchKind::ALL.to_vec());
    let which = (1..=5).prop_map(|number| Whichever::from_number(number).unwrap());
    let change = select(vec![
        ChangeKind::Created,
        ChangeKind::Deleted,
        ChangeKind::DataSet,
    ]);
    prop_oneof![
        6 => (who(), strategies::path(), kind).prop_map(|(who, at, kind)| Step::Leave(who, at, kind)),
        1 => (who(), strategies::path(), which)
            .prop_map(|(who, at, which)| Step::Remove(who, at, which)),
        1 => who().prop_map(Step::Forget),
        4 => (change, strategies::path()).prop_map(|(change, at)| Step::Fire(change, at)),
    ]
}

proptest! {
    #[test]
    fn equals_a_list_of_watches(steps in prop::collection::vec(step(), 1..80)) {
        let mut watches = Watches::new();
        let mut twin = Twin::default();
        for step in steps {
            match step {
                Step::Leave(who, at, kind) => {
                    watches.leave(who, &at, kind);
                    twin.0.insert((who, at, kind));
                }
                Step::Remove(who, at, which) => {
                    let meant = |(one, path, kind): &(ConnectionId, Path, WatchKind)| {
                        *one == who && *path == at && which.means(*kind)
                    };
                    let were_there = twin.0.iter().any(meant);
                    prop_assert_eq!(watches.has(who, &at, which), were_there);
                    prop_assert_eq!(watches.remove(who, &at, which), were_there);
                    twin.0.retain(|watch| !meant(watch));
                }
                Step::Forget(who) => {
                    watches.forget(who);
                    twin.0.retain(|(one, ..)| *one != who);
                }
                Step::Fire(kind, at) => {
                    let change = change(kind, at.clone());
                    let mut told = Vec::new();
                    watches.fire(&change, |who, event, _| {
                        told.push((who, event.kind, event.path));
                    });
                    let count = told.len();
                    let told: BTreeSet<_> = told.into_iter().collect();
                    prop_assert_eq!(told.len(), count, "nobody is told twice");
                    prop_assert_eq!(told, twin.fire(kind, &at));
                }
            }
            watches.check();
            let all: BTreeSet<_> = watches
                .all()
                .map(|(who, path, kind)| (who, path.clone(), kind))
                .collect();
            prop_assert_eq!(&all, &twin.0);
            prop_assert_eq!(watches.count(), twin.0.len());
        }
    }
}
