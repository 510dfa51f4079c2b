//! Since when znodes could go by themselves, and until when they did not: containers that have lost
//! their last child, and childless znodes whose time to live is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::node::reply::EventKind;
use althing_core::store::txn::Action;
use althing_core::tree::path::Path;

use crate::check::log::Agreed;
use crate::reference::tree::{Goes, RefTree, Table, Telling};

/// A stretch of time in which a znode could go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lapse {
    /// Which.
    pub path: Path,
    /// What makes it go.
    pub goes: Goes,
    /// From when on; in true time, at the latest.
    pub since: Duration,
    /// Until it was decided that it goes, or that it has a reason to stay; `None` if neither was.
    pub until: Option<Duration>,
}

/// What is known of a znode that goes by itself.
#[derive(Clone, Copy)]
struct Known {
    /// When its data was set.
    set_at: Duration,
    /// When it was created, or lost its last child.
    childless_at: Duration,
}

/// The lapses so far.
#[derive(Default)]
pub struct Lapses {
    known: BTreeMap<Path, Known>,
    open: BTreeMap<Path, (Goes, Duration)>,
    ended: Vec<Lapse>,
}

impl Lapses {
    /// What a transaction told watches, and the znodes after it.
    pub fn see(&mut self, agreed: &Agreed, told: &[Telling], tree: &RefTree) {
        let at = agreed.executed_at;
        for telling in told {
            let known = self.known.entry(telling.path.clone()).or_insert(Known {
                set_at: at,
                childless_at: at,
            });
            match (telling.table, telling.kind) {
                (Table::Data, EventKind::NodeDataChanged) => known.set_at = at,
                (_, EventKind::NodeChildrenChanged) => known.childless_at = at,
                _ => {
                    *known = Known {
                        set_at: at,
                        childless_at: at,
                    };
                }
            }
        }
        let mut paths: BTreeSet<&Path> = told.iter().map(|telling| &telling.path).collect();
        // From here on a container may have had children, and nobody is told.
        if let Action::Restore(part) = &agreed.txn.action {
            for (path, _) in &part.counts {
                let known = self.known.entry(path.clone()).or_insert(Known {
                    set_at: at,
                    childless_at: at,
                });
                if !self.open.contains_key(path) {
                    known.childless_at = at;
                }
                paths.insert(path);
            }
        }
        for path in paths {
            self.settle(agreed.saved_at, path, tree);
        }
    }

    /// What the znode is now, after a change that was decided at this hour.
    fn settle(&mut self, decided: Duration, path: &Path, tree: &RefTree) {
        let znode = tree.get(path.as_str());
        let Some(znode) = znode.filter(|znode| znode.goes != Goes::Never) else {
            self.known.remove(path);
            self.close(decided, path);
            return;
        };
        let known = self.known.get(path).expect("it was noted with the change");
        let since = match znode.goes {
            _ if znode.children > 0 => None,
            Goes::Never => None,
            Goes::AfterChildren => (znode.creations > 0).then_some(known.childless_at),
            Goes::After(ms) => {
                let ttl = Duration::from_millis(u64::try_from(ms).expect("times are positive"));
                Some((known.set_at + ttl).max(known.childless_at))
            }
        };
        if self.open.get(path).map(|(_, since)| *since) != since {
            self.close(decided, path);
            if let Some(since) = since {
                self.open.insert(path.clone(), (znode.goes, since));
            }
        }
    }

    fn close(&mut self, at: Duration, path: &Path) {
        if let Some((goes, since)) = self.open.remove(path)
            && since < at
        {
            self.ended.push(Lapse {
                path: path.clone(),
                goes,
                since,
                until: Some(at),
            });
        }
    }

    /// All of them, those last that never ended.
    pub fn into_all(self) -> Vec<Lapse> {
        let open = self.open.into_iter().map(|(path, (goes, since))| Lapse {
            path,
            goes,
            since,
            until: None,
        });
        self.ended.into_iter().chain(open).collect()
    }
}
