//! What a client is told about a znode: ZooKeeper's Stat.

use crate::ids::Zxid;
use crate::time::WallTime;

/// The eleven fields of ZooKeeper's Stat, in their order on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The transaction that created the znode.
    pub czxid: Zxid,
    /// The transaction that last changed its data.
    pub mzxid: Zxid,
    /// When it was created, in milliseconds since 1970.
    pub ctime: WallTime,
    /// When its data last changed, in milliseconds since 1970.
    pub mtime: WallTime,
    /// How often its data changed. Wraps to the negative after 2^31 - 1, as in ZooKeeper.
    pub version: i32,
    /// How often its children changed: 2 x creations - children that are there.
    pub cversion: i32,
    /// How often its access control list changed.
    pub aversion: i32,
    /// The session that owns it, if it is ephemeral; zero otherwise, also for containers and znodes
    /// with a time to live.
    pub ephemeral_owner: i64,
    /// The number of bytes of its data.
    pub data_length: i32,
    /// The number of its children.
    pub num_children: i32,
    /// The transaction that last created or deleted a child of it.
    pub pzxid: Zxid,
}
