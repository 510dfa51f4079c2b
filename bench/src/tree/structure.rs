//! What the measured structures have in common.

use std::sync::Arc;

use althing_core::ids::Zxid;
use althing_core::time::WallTime;
use althing_core::tree::data::Data;
use althing_core::tree::op::Op;
use althing_core::tree::stat::Stat;

/// A tree of znodes that is cheap to clone.
pub trait Structure: Clone + Default {
    /// Executes an operation that must succeed.
    fn execute(&mut self, op: &Op);
    /// Data and Stat.
    fn get(&self, path: &str) -> (Option<Data>, Stat);
    /// The names of all children, in an order that is the same on every server.
    fn children(&self, path: &str) -> Vec<Arc<str>>;
    fn count_children(&self, path: &str) -> i32 {
        self.get(path).1.num_children
    }
}

/// What the two prototypes keep of a znode, beside its place. They keep no digest, check no ACL and
/// tell no watch, which the real tree does while it is measured.
#[derive(Clone)]
pub struct Kept {
    pub data: Data,
    pub acl: u32,
    pub owner: i64,
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub pzxid: Zxid,
    pub ctime: WallTime,
    pub mtime: WallTime,
    pub version: i32,
    pub aversion: i32,
    pub creations: u64,
    pub count: u32,
}

impl Kept {
    pub fn new(data: &[u8]) -> Kept {
        Kept {
            data: Data::copy_of(data),
            acl: 1,
            owner: 0,
            czxid: Zxid(1),
            mzxid: Zxid(1),
            pzxid: Zxid(1),
            ctime: WallTime(1),
            mtime: WallTime(1),
            version: 0,
            aversion: 0,
            creations: 0,
            count: 0,
        }
    }

    pub fn set_data(&mut self, data: &[u8]) {
        self.data = Data::copy_of(data);
        self.version += 1;
        self.mzxid = Zxid(2);
        self.mtime = WallTime(2);
    }

    pub fn gain_child(&mut self) {
        self.creations += 1;
        self.count += 1;
        self.pzxid = Zxid(2);
    }

    pub fn lose_child(&mut self) {
        self.count -= 1;
        self.pzxid = Zxid(3);
    }

    pub fn stat(&self) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: (self.creations * 2) as i32 - self.count as i32,
            aversion: self.aversion + (self.acl - 1) as i32,
            ephemeral_owner: self.owner,
            data_length: self.data.len() as i32,
            num_children: self.count as i32,
            pzxid: self.pzxid,
        }
    }
}

/// The bytes of an operation's data.
pub fn bytes(data: &Option<Data>) -> &[u8] {
    data.as_deref().unwrap_or_default()
}
