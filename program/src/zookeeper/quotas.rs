//! What ZooKeeper counts below paths with a quota. The counts are data of znodes, but no
//! transaction sets them: each server counts anew at its start.

use crate::zookeeper::tree::Tree;

const QUOTAS: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const COUNTS: &str = "/zookeeper_stats";

/// Counts what stands below each path with limits, as ZooKeeper does when it starts.
pub fn count(tree: &mut Tree) {
    let limited: Vec<String> = tree
        .below(QUOTAS)
        .filter_map(|(path, _)| {
            let path = path.strip_prefix(QUOTAS)?.strip_suffix(LIMITS)?;
            Some(path.to_owned())
        })
        .collect();
    for path in limited {
        let top = tree.nodes().get(&path).into_iter();
        let below = tree.below(&path).map(|(_, node)| node);
        let (mut count, mut bytes) = (0_u64, 0);
        for node in top.chain(below) {
            count += 1;
            bytes += node.data.as_ref().map_or(0, Vec::len);
        }
        let text = format!("count={count},bytes={bytes}");
        tree.set_data_only(&format!("{QUOTAS}{path}{COUNTS}"), text.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use althing_core::tree::acl::Acl;

    use crate::zookeeper::tree::{Node, Stat};

    #[test]
    fn what_stands_below_limits_is_counted() {
        let mut tree = Tree::default();
        for path in [
            "/",
            "/a",
            "/a/b",
            "/ab",
            "/zookeeper",
            "/zookeeper/quota",
            "/zookeeper/quota/a",
            "/zookeeper/quota/a/zookeeper_limits",
            "/zookeeper/quota/a/zookeeper_stats",
            "/zookeeper/quota/gone/zookeeper_limits",
            "/zookeeper/quota/gone/zookeeper_stats",
        ] {
            let (data, acl, stat) = (Some(b"four".to_vec()), Acl::open(), Stat::default());
            tree.put(path.to_owned(), Node { data, acl, stat });
        }
        count(&mut tree);
        let told = |path: &str| {
            let data = tree.nodes()[&format!("{QUOTAS}/{path}{COUNTS}")]
                .data
                .clone();
            String::from_utf8(data.unwrap()).unwrap()
        };
        assert_eq!(told("a"), "count=2,bytes=8");
        assert_eq!(told("gone"), "count=0,bytes=0");
    }
}
