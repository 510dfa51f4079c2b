//! Our state as ZooKeeper's.

use althing_core::ids::{SessionId, Zxid};
use althing_core::store::store::Store;
use althing_core::tree::owner::Owner;
use althing_core::tree::tree::CONFIG;
use althing_core::tree::whole::Whole;

use crate::zookeeper::tree::{Node, Stat};

/// A state of ZooKeeper's.
pub struct Carried {
    /// The position.
    pub zxid: Zxid,
    /// The znodes, parents first.
    pub nodes: Vec<(String, Node)>,
    /// How many sessions have ended.
    pub sessions: usize,
    /// The ephemeral znodes that went with them.
    pub ephemerals: Vec<String>,
}

/// Carries a state over; the sessions end first.
pub fn carry(mut store: Store) -> Carried {
    let mut zxid = store.applied();
    let sessions: Vec<SessionId> = store.sessions().keys().copied().collect();
    let owned = store.tree().ephemerals();
    let ephemerals: Vec<String> = owned
        .filter(|(session, _)| Owner::from_number(session.0).is_session())
        .flat_map(|(_, paths)| paths)
        .map(|path| path.as_str().to_owned())
        .collect();
    if !sessions.is_empty() {
        zxid = zxid
            .next()
            .unwrap_or_else(|| Zxid::new(zxid.epoch().next(), 0));
        store = store.without_sessions(zxid);
    }
    let mut nodes = Vec::new();
    store.tree().each_whole(|whole| nodes.push(node(whole)));
    Carried {
        zxid,
        nodes,
        sessions: sessions.len(),
        ephemerals,
    }
}

fn node(whole: Whole<'_>) -> (String, Node) {
    let Whole {
        path,
        data,
        acl,
        stat,
    } = whole;
    let is_config = path == CONFIG;
    let node = Node {
        data: match is_config {
            // ZooKeeper's own ensemble is another one, and says so when it has a leader.
            true => Some(Vec::new()),
            false => data.map(|data| data.to_vec()),
        },
        acl: acl.clone(),
        stat: Stat {
            czxid: stat.czxid.to_wire(),
            mzxid: stat.mzxid.to_wire(),
            ctime: stat.ctime.0,
            mtime: stat.mtime.0,
            version: match is_config {
                true => 0,
                false => stat.version,
            },
            // What clients see is twice the count of creations without the children there are.
            cversion: (stat.cversion.wrapping_add(stat.num_children) as u32 / 2) as i32,
            aversion: stat.aversion,
            owner: stat.ephemeral_owner,
            pzxid: stat.pzxid.to_wire(),
        },
    };
    (path.to_owned(), node)
}
