//! Reads a snapshot as the server does, and shows what is in it.

use std::collections::BTreeMap;
use std::io;

use althing::storage::snapshot_file;
use althing_core::store::store::Store;
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::stat::Stat;
use serde_json::{Value, json};

use crate::inspect::arguments::Showing;
use crate::inspect::findings::{Finding, Output, Trouble};
use crate::inspect::place::Place;
use crate::inspect::spelling;

/// One znode of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Znode {
    /// Its data; `None` is ZooKeeper's null.
    pub data: Option<Data>,
    /// Its access control list.
    pub acl: Acl,
    /// Its Stat.
    pub stat: Stat,
}

/// Reads the state at `place`.
pub async fn read(place: &Place) -> Result<Result<Store, Finding>, Trouble> {
    match snapshot_file::read(&place.disk, &place.name, place.position).await {
        Ok(store) => Ok(Ok(store)),
        Err(error) => Trouble::or_finding(&place.shown, error).map(Err),
    }
}

/// The znodes at `below` and below it, by path; all, if it is none.
pub fn znodes(store: &Store, below: Option<&str>) -> BTreeMap<String, Znode> {
    let mut found = BTreeMap::new();
    store.tree().each_whole(|whole| {
        if below.is_none_or(|below| is_below(whole.path, below)) {
            let znode = Znode {
                data: whole.data,
                acl: whole.acl.clone(),
                stat: whole.stat,
            };
            found.insert(whole.path.to_owned(), znode);
        }
    });
    found
}

fn is_below(path: &str, top: &str) -> bool {
    top == "/"
        || path
            .strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Shows everything.
pub fn show(
    place: &Place,
    store: &Store,
    below: Option<&str>,
    showing: Showing,
    out: &mut Output,
) -> io::Result<()> {
    for (id, session) in store.sessions() {
        out.line(
            || {
                let (timeout_ms, sequence) = (session.timeout_ms, session.sequence);
                let attachment = session.attachment;
                format!(
                    "session {id}: {timeout_ms} ms, attached at {attachment}, {sequence} writes"
                )
            },
            || {
                json!({
                    "kind": "session",
                    "session": id.to_string(),
                    "timeout_ms": session.timeout_ms,
                    "attachment": spelling::hex(session.attachment),
                    "sequence": session.sequence,
                })
            },
        )?;
    }
    for (path, znode) in znodes(store, below) {
        out.line(
            || format!("{path}: {}", text(&znode, showing)),
            || znode_json(&path, &znode, showing),
        )?;
    }
    sum(place, store, out)
}

/// A znode in one line.
pub fn text(znode: &Znode, showing: Showing) -> String {
    let Znode { data, acl, stat } = znode;
    let owner = match stat.ephemeral_owner {
        0 => String::new(),
        owner => format!(", owner {owner:#x}"),
    };
    format!(
        "{}, version {}, created {} {}, set {} {}, {} children ({}), acl {} ({}){owner}",
        spelling::data(data.as_ref(), showing),
        stat.version,
        stat.czxid,
        spelling::time(stat.ctime),
        stat.mzxid,
        spelling::time(stat.mtime),
        stat.num_children,
        stat.cversion,
        spelling::acl(acl),
        stat.aversion,
    )
}

/// A znode as JSON.
pub fn znode_json(path: &str, znode: &Znode, showing: Showing) -> Value {
    json!({
        "kind": "znode",
        "path": path,
        "data": spelling::data_json(znode.data.as_ref(), showing),
        "acl": spelling::acl_json(&znode.acl),
        "stat": spelling::stat_json(&znode.stat),
    })
}

/// What is to be said of a snapshot that is whole.
pub fn sum(place: &Place, store: &Store, out: &mut Output) -> io::Result<()> {
    let (shown, tree) = (&place.shown, store.tree());
    let (zxid, sessions) = (store.applied(), store.sessions().len());
    let (znodes, ephemerals) = (tree.count(), tree.ephemeral_count());
    out.line(
        || {
            let members = spelling::members(store.membership());
            format!(
                "{shown}: whole, the state at {zxid}, {znodes} znodes ({ephemerals} ephemeral), \
                 {sessions} sessions, {members}, digest {:032x}",
                store.digest()
            )
        },
        || {
            json!({
                "kind": "snapshot",
                "file": shown,
                "whole": true,
                "zxid": spelling::hex(zxid),
                "znodes": znodes,
                "ephemerals": ephemerals,
                "sessions": sessions,
                "bytes_of_znodes": tree.bytes(),
                "feature_level": store.settings().feature_level,
                "members": spelling::members_json(store.membership()),
                "digest": format!("{:032x}", store.digest()),
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_is_its_top_and_what_is_below() {
        for (path, top, expected) in [
            ("/a", "/a", true),
            ("/a/b", "/a", true),
            ("/ab", "/a", false),
            ("/", "/a", false),
            ("/b", "/", true),
        ] {
            assert_eq!(is_below(path, top), expected, "{path} below {top}");
        }
    }
}
