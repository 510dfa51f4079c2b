//! The watches that one link has left: which changes each is told of, and which are there at any
//! time.

use std::collections::BTreeMap;

use althing_core::ids::Zxid;
use althing_core::node::reply::EventKind;
use althing_core::node::request::Request;
use althing_core::tree::acl::Acl;
use althing_core::tree::path::Path;
use althing_core::watch::{WatchKind, Whichever};

use crate::check::replay::Replayed;
use crate::check::wire::Link;
use crate::reference::tree::Table;

/// An event by all that it says.
pub type Told = (Zxid, Path, EventKind);

/// One watch.
#[derive(Clone, Debug)]
pub struct Registered<'a> {
    kind: WatchKind,
    path: Path,
    /// The changes that it is told of, in the order of the positions. One transaction can make the
    /// same change several times.
    pub changes: BTreeMap<Told, Vec<&'a Acl>>,
    /// The request that removed it.
    removed: Option<usize>,
}

impl<'a> Registered<'a> {
    /// A watch that request `index` of `link` left when `since` was executed.
    pub fn new(
        replayed: &'a Replayed,
        link: &Link<'_>,
        index: usize,
        (kind, path): (WatchKind, &Path),
        since: Zxid,
    ) -> Registered<'a> {
        let removal = link
            .asked
            .iter()
            .enumerate()
            .skip(index + 1)
            .find(|(_, asked)| {
                let removes = match asked.request {
                    Request::RemoveWatches { path: at, kinds } => at == path && kinds.means(kind),
                    _ => false,
                };
                removes && asked.answer.is_some_and(|answer| answer.result.is_ok())
            });
        let until = removal.and_then(|(_, asked)| Some(asked.answer?.zxid));
        let within = |zxid: Zxid| zxid > since && until.is_none_or(|until| zxid <= until);
        let changes = match kind {
            WatchKind::Data => first(replayed, Table::Data, path, since, within),
            WatchKind::Child => first(replayed, Table::Child, path, since, within),
            WatchKind::Persistent => {
                let mut changes = all_at(replayed, Table::Data, path, within);
                // A deletion stands in both tables and is told once.
                changes.extend(all_at(replayed, Table::Child, path, within));
                changes
            }
            WatchKind::Recursive => below(replayed, path, within),
        };
        Registered {
            kind,
            path: path.clone(),
            changes,
            removed: removal.map(|(index, _)| index),
        }
    }

    /// Is it such a watch, that stays and is there when request `index` leaves it again?
    pub fn is_left_again(&self, kind: WatchKind, path: &Path, index: usize) -> bool {
        let stays = matches!(kind, WatchKind::Persistent | WatchKind::Recursive);
        stays
            && self.kind == kind
            && self.path == *path
            && self.removed.is_none_or(|removed| removed > index)
    }

    /// Is it one of those that request `index` asks for, and still there at `zxid`?
    pub fn is_found(&self, path: &Path, kinds: Whichever, index: usize, zxid: Zxid) -> bool {
        let fires_once = matches!(self.kind, WatchKind::Data | WatchKind::Child);
        let has_fired = || self.changes.keys().any(|(of, ..)| *of <= zxid);
        self.path == *path
            && kinds.means(self.kind)
            && self.removed.is_none_or(|removed| removed >= index)
            && !(fires_once && has_fired())
    }
}

/// What the first change after `since` tells, if the watch is there by then.
fn first<'a>(
    replayed: &'a Replayed,
    table: Table,
    path: &Path,
    since: Zxid,
    within: impl Fn(Zxid) -> bool,
) -> BTreeMap<Told, Vec<&'a Acl>> {
    let changes = replayed.told.get(&(table, path.clone()));
    let first = changes.and_then(|changes| {
        let first = changes.partition_point(|(zxid, ..)| *zxid <= since);
        changes.get(first).filter(|(zxid, ..)| within(*zxid))
    });
    let told = first.map(|(zxid, kind, acl)| ((*zxid, path.clone(), *kind), vec![acl]));
    told.into_iter().collect()
}

fn all_at<'a>(
    replayed: &'a Replayed,
    table: Table,
    path: &Path,
    within: impl Fn(Zxid) -> bool,
) -> BTreeMap<Told, Vec<&'a Acl>> {
    let mut all: BTreeMap<Told, Vec<&'a Acl>> = BTreeMap::new();
    let changes = replayed.told.get(&(table, path.clone()));
    for (zxid, kind, acl) in changes.into_iter().flatten() {
        if within(*zxid) {
            let told = (*zxid, path.clone(), *kind);
            all.entry(told).or_default().push(acl);
        }
    }
    all
}

/// What happens to a znode and to those below it, but for changes of sets of children.
fn below<'a>(
    replayed: &'a Replayed,
    path: &Path,
    within: impl Fn(Zxid) -> bool,
) -> BTreeMap<Told, Vec<&'a Acl>> {
    let above = format!("{}/", path.as_str().trim_end_matches('/'));
    let from = (Table::Data, path.clone());
    let near = replayed.told.range(from..).map(|(key, _)| key);
    near.take_while(|(table, at)| *table == Table::Data && at.as_str().starts_with(path.as_str()))
        .filter(|(_, at)| at == path || at.as_str().starts_with(&above))
        .flat_map(|(_, at)| all_at(replayed, Table::Data, at, &within))
        .collect()
}
