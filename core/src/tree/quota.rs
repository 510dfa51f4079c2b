//! Quotas as they are written down: which znodes one consists of, and ZooKeeper's texts in them.
//!
//! A quota on `/a` consists of `/zookeeper/quota/a/zookeeper_limits` and `zookeeper_stats` there.
//! It holds while both are there. The limits are the clients'; the stats are the servers', which
//! keep them in the transaction that changes what they count.

use alloc::format;
use alloc::string::String;
use core::fmt;

/// Below which the znodes of quotas are.
pub const QUOTAS: &str = "/zookeeper/quota";

/// The name of the znode with a quota's limits.
pub const LIMITS: &str = "zookeeper_limits";

/// The name of the znode with what a quota's subtree has.
pub const STATS: &str = "zookeeper_stats";

/// Where the servers' own znodes are: no quota governs them.
const OWN: &str = "/zookeeper";

/// One of the two znodes that a quota consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Its limits.
    Limits,
    /// What its subtree has.
    Stats,
}

/// Where the znode with the limits of a quota on `path` is.
pub fn limits_path(path: &str) -> String {
    format!("{QUOTAS}{path}/{LIMITS}")
}

/// Where the znode with the stats of a quota on `path` is.
pub fn stats_path(path: &str) -> String {
    format!("{QUOTAS}{path}/{STATS}")
}

/// What the znode at this valid path is for a quota, and on which path that one is; `None` if it is
/// no part of any. As in ZooKeeper, the root has no quota; nor has what is the servers' own.
pub fn part_at(path: &str) -> Option<(&str, Part)> {
    let (governed, name) = path.strip_prefix(QUOTAS)?.rsplit_once('/')?;
    let part = match name {
        LIMITS => Part::Limits,
        STATS => Part::Stats,
        _ => return None,
    };
    let is_own = governed
        .strip_prefix(OWN)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (governed.starts_with('/') && !is_own).then_some((governed, part))
}

/// The limits of a quota; `None` is no limit, ZooKeeper's -1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// More znodes than this are told of.
    pub count: Option<u64>,
    /// More bytes of data than this are told of.
    pub bytes: Option<u64>,
    /// More znodes than this are refused, where that is enforced.
    pub count_hard: Option<u64>,
    /// More bytes of data than this are refused, where that is enforced.
    pub bytes_hard: Option<u64>,
}

impl Limits {
    /// Reads what a client has written, in the format of 3.4 or of 3.9. What cannot be read limits
    /// nothing.
    pub fn parse(text: &[u8]) -> Limits {
        let limit = |key| value(text, key).and_then(|value| u64::try_from(value).ok());
        Limits {
            count: limit("count"),
            bytes: limit("bytes"),
            count_hard: limit("countHardLimit"),
            bytes_hard: limit("byteHardLimit"),
        }
    }
}

/// As ZooKeeper's shell writes it: a parser of 3.4 reads the soft limits and stops at the second
/// `=` after the bytes.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit =
            |limit: Option<u64>| limit.map_or(-1, |limit| limit.min(i64::MAX as u64) as i64);
        write!(
            f,
            "count={},bytes={}=;byteHardLimit={};countHardLimit={}",
            limit(self.count),
            limit(self.bytes),
            limit(self.bytes_hard),
            limit(self.count_hard)
        )
    }
}

/// What a subtree has, its root included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// How many znodes.
    pub count: u64,
    /// How many bytes of data; names do not count.
    pub bytes: u64,
}

impl Usage {
    /// Reads what a server has written.
    pub fn parse(text: &[u8]) -> Usage {
        let number = |key| value(text, key).and_then(|value| u64::try_from(value).ok());
        Usage {
            count: number("count").unwrap_or_default(),
            bytes: number("bytes").unwrap_or_default(),
        }
    }

    /// What it is after a change.
    pub fn after(self, change: Growth) -> Usage {
        Usage {
            count: self.count.saturating_add_signed(change.count),
            bytes: self.bytes.saturating_add_signed(change.bytes),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)
    }
}

/// By how much a change makes a subtree larger, or smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    /// Znodes.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
}

impl Growth {
    /// Is one more than there may be, of something that this change brings more of?
    pub fn exceeds(self, usage: Usage, count: Option<u64>, bytes: Option<u64>) -> bool {
        let after = usage.after(self);
        let count = self.count > 0 && count.is_some_and(|most| after.count > most);
        let bytes = self.bytes > 0 && bytes.is_some_and(|most| after.bytes > most);
        count || bytes
    }
}

/// The number that stands behind `key`, which comes from whoever wrote the text.
fn value(text: &[u8], key: &str) -> Option<i64> {
    let text = core::str::from_utf8(text).ok()?;
    let pairs = text.split([',', ';']).rev();
    let mut values = pairs.filter_map(|pair| {
        let (name, rest) = pair.split_once('=')?;
        (name == key).then(|| rest.split('=').next().unwrap_or_default())
    });
    values.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn texts_are_those_of_zookeeper() {
        let limits = |count, bytes, count_hard, bytes_hard| Limits {
            count,
            bytes,
            count_hard,
            bytes_hard,
        };
        let text = "count=-1,bytes=7=;byteHardLimit=0;countHardLimit=5";
        let read = limits(None, Some(7), Some(5), Some(0));
        assert_eq!(Limits::parse(text.as_bytes()), read);
        assert_eq!(read.to_string(), text);
        let nothing = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=-1";
        assert_eq!(Limits::default().to_string(), nothing);
        assert_eq!(Limits::parse(nothing.as_bytes()), Limits::default());
        // As 3.4 wrote it, in other orders, and with what is no number.
        for (text, read) in [
            ("count=5,bytes=-1", limits(Some(5), None, None, None)),
            (
                "countHardLimit=3;count=+2",
                limits(Some(2), None, Some(3), None),
            ),
            ("count=1,count=2", limits(Some(2), None, None, None)),
            ("count=,bytes=8", limits(None, Some(8), None, None)),
            ("count=x,bytes=9=", limits(None, Some(9), None, None)),
            ("count = 4", Limits::default()),
            ("", Limits::default()),
            (",;=", Limits::default()),
        ] {
            assert_eq!(Limits::parse(text.as_bytes()), read, "{text}");
        }
        assert_eq!(Limits::parse(&[0xff]), Limits::default());
        let usage = Usage { count: 4, bytes: 5 };
        assert_eq!(usage.to_string(), "count=4,bytes=5");
        assert_eq!(Usage::parse(usage.to_string().as_bytes()), usage);
        let text = "count=4,bytes=5=;byteHardLimit=1";
        assert_eq!(Usage::parse(text.as_bytes()), usage);
    }

    #[test]
    fn a_quota_has_two_parts_and_governs_neither_the_root_nor_what_is_the_servers() {
        assert_eq!(part_at(&limits_path("/a")), Some(("/a", Part::Limits)));
        assert_eq!(part_at(&stats_path("/a/b")), Some(("/a/b", Part::Stats)));
        let named = limits_path("/zookeeper_limits");
        assert_eq!(part_at(&named), Some(("/zookeeper_limits", Part::Limits)));
        assert_eq!(
            part_at(&limits_path("/zookeepers")).map(|(on, _)| on),
            Some("/zookeepers")
        );
        for path in [
            "/",
            "/a",
            "/zookeeper/quota",
            "/zookeeper/quota/zookeeper_limits",
            "/zookeeper/quota/a",
            "/zookeeper/quota/a/zookeeper_limit",
            "/zookeeper/quotas/a/zookeeper_limits",
            "/zookeeper/quota/zookeeper/zookeeper_limits",
            "/zookeeper/quota/zookeeper/quota/zookeeper_stats",
        ] {
            assert_eq!(part_at(path), None, "{path}");
        }
    }

    #[test]
    fn only_growth_exceeds() {
        let usage = Usage {
            count: 5,
            bytes: 50,
        };
        let grows = |count, bytes| Growth { count, bytes };
        assert!(grows(1, 0).exceeds(usage, Some(5), None));
        assert!(!grows(1, 0).exceeds(usage, Some(6), Some(1)));
        assert!(grows(1, 1).exceeds(usage, Some(6), Some(50)));
        assert!(!grows(0, 1).exceeds(usage, Some(1), Some(51)));
        assert!(!grows(0, -1).exceeds(usage, Some(1), Some(1)));
        assert!(!grows(-1, -9).exceeds(usage, Some(0), Some(0)));
        assert_eq!(usage.after(grows(-9, -90)), Usage::default());
    }
}
