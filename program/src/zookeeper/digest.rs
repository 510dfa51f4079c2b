//! ZooKeeper's digest of its tree (version 2): by it a replayed state is held against what
//! ZooKeeper itself had.

use crc32fast::Hasher;

use crate::zookeeper::tree::{Node, Tree};

/// What is below here is not part of the digest: each server counts quotas by itself.
const LEFT_OUT: &str = "/zookeeper/";

/// The digest of all znodes.
pub fn digest(tree: &Tree) -> u64 {
    let nodes = tree.nodes().iter();
    let counted = nodes.filter(|(path, _)| !path.starts_with(LEFT_OUT));
    counted.fold(0, |sum: u64, (path, node)| {
        sum.wrapping_add(of_node(path, node))
    })
}

fn of_node(path: &str, node: &Node) -> u64 {
    let mut hash = Hasher::new();
    // ZooKeeper's root has two names, of which the empty one counts.
    if path != "/" {
        hash.update(path.as_bytes());
    }
    hash.update(node.data.as_deref().unwrap_or_default());
    let stat = &node.stat;
    for long in [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime] {
        hash.update(&long.to_be_bytes());
    }
    for int in [stat.version, stat.cversion, stat.aversion] {
        hash.update(&int.to_be_bytes());
    }
    hash.update(&stat.owner.to_be_bytes());
    u64::from(hash.finalize())
}
