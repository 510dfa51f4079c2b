//! Quotas, by ZooKeeper's texts: the reference's own reading of limits, and its spelling of stats.

use althing_core::tree::data::Data;

/// From this level of the semantics on there are quotas.
pub const LEVEL: u32 = 3;

/// Below which their znodes are.
pub const ABOVE: &str = "/zookeeper/quota";

/// The name of the znode with the limits.
pub const LIMITS: &str = "zookeeper_limits";

/// The znode with the limits of a quota on `governed`.
pub fn limits_of(governed: &str) -> String {
    format!("{ABOVE}{governed}/{LIMITS}")
}

/// The znode with the stats of a quota on `governed`.
pub fn stats_of(governed: &str) -> String {
    format!("{ABOVE}{governed}/zookeeper_stats")
}

/// Are these stats, whoever keeps them?
pub fn are_stats(path: &str) -> bool {
    let parent = path.strip_suffix("/zookeeper_stats");
    parent.and_then(governed).is_some()
}

/// What a quota governs whose znodes lie below `parent`, if any can: neither the root nor what is
/// the servers' own.
pub fn governed(parent: &str) -> Option<&str> {
    let governed = parent.strip_prefix(ABOVE)?;
    let can_be = governed.starts_with('/') && !is_within(governed, "/zookeeper");
    can_be.then_some(governed)
}

/// Is `path` this znode or below it?
pub fn is_within(path: &str, governed: &str) -> bool {
    path == governed || path.starts_with(&format!("{governed}/"))
}

/// The limit that stands behind `key`; `None` if there is none.
pub fn limit(limits: Option<&Data>, key: &str) -> Option<i64> {
    let text = String::from_utf8(limits?.to_vec()).ok()?;
    let mut limit = None;
    for pair in text.split([',', ';']) {
        let mut halves = pair.split('=');
        if halves.next() == Some(key) && pair.contains('=') {
            limit = halves.next().and_then(|number| number.parse().ok());
        }
    }
    limit.filter(|limit| *limit >= 0)
}

/// What a subtree has, or what it would have more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Znodes.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
}

impl Size {
    /// The text of the stats.
    pub fn text(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }

    /// Would it be more than one of these limits allows, if so much comes to it?
    pub fn breaks(self, more: Size, limits: Option<&Data>) -> bool {
        let is_more = |most: &str, has: i64, gets: i64| {
            gets > 0 && limit(limits, most).is_some_and(|most| has + gets > most)
        };
        is_more("countHardLimit", self.count, more.count)
            || is_more("byteHardLimit", self.bytes, more.bytes)
    }
}
