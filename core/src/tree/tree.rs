//! The tree of znodes: copy-on-write, with an incremental digest.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{SessionId, Zxid};
use crate::time::WallTime;
use crate::tree::acl::{Acl, Identity};
use crate::tree::data::Data;
use crate::tree::op::{Change, Done, Op};
use crate::tree::path::Path;
use crate::tree::stat::Stat;

/// What an operation's outcome depends on besides the tree and the operation.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The transaction that executes.
    pub zxid: Zxid,
    /// The wall clock of its proposer.
    pub wall: WallTime,
    /// The session that asks; `None` if a server asks for itself, which every ACL permits.
    pub session: Option<SessionId>,
    /// As whom it asks.
    pub identities: &'a [Identity],
    /// Largest number of bytes in one znode's data.
    pub data_bytes_max: u32,
}

/// The tree of znodes. Cloning it is cheap; the clones share what neither of them changes.
#[derive(Clone, Debug)]
pub struct Tree {}

impl Tree {
    /// The tree of a new ensemble: `/`, `/zookeeper`, `/zookeeper/quota`, `/zookeeper/config`.
    pub fn new() -> Tree {
        todo!()
    }

    /// Executes one operation, checking its ACLs; a refused one changes nothing. What watches may
    /// have to tell is appended to `changes`.
    pub fn execute(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        changes: &mut Vec<Change>,
    ) -> Result<Done, Code> {
        let _ = (context, op, changes);
        todo!()
    }

    /// Executes all operations, each seeing the effects of those before it, or none of them.
    ///
    /// # Errors
    /// The index of the operation that was refused, and why; then nothing has changed.
    pub fn execute_all(
        &mut self,
        context: &Context<'_>,
        ops: &[Op],
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Done>, (usize, Code)> {
        let _ = (context, ops, changes);
        todo!()
    }

    /// Deletes the ephemeral znodes of `session`, whatever their ACLs; tells how many there were.
    pub fn delete_ephemerals_of(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        changes: &mut Vec<Change>,
    ) -> usize {
        let _ = (zxid, session, changes);
        todo!()
    }

    /// The Stat of a znode, if it is there.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        let _ = path;
        todo!()
    }

    /// Data and Stat of a znode.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ.
    pub fn data(&self, path: &str, asker: &[Identity]) -> Result<(Option<Data>, Stat), Code> {
        let _ = (path, asker);
        todo!()
    }

    /// Names of a znode's children, in an order that is the same on every server, and its Stat.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ.
    pub fn children(&self, path: &str, asker: &[Identity]) -> Result<(Vec<Arc<str>>, Stat), Code> {
        let _ = (path, asker);
        todo!()
    }

    /// ACL and Stat of a znode; the ACL is redacted for who may not administer the znode.
    ///
    /// # Errors
    /// `NoNode`; `NoAuth` without READ or ADMIN.
    pub fn acl(&self, path: &str, asker: &[Identity]) -> Result<(Acl, Stat), Code> {
        let _ = (path, asker);
        todo!()
    }

    /// A digest of the whole tree, kept up to date by every change: equal trees have equal digests,
    /// whatever the order in which they came about.
    pub fn digest(&self) -> u128 {
        todo!()
    }

    /// The number of znodes, the root included.
    pub fn count(&self) -> usize {
        todo!()
    }

    /// The number of bytes of all paths and data: ZooKeeper's `approximate_data_size`.
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// The sessions that own ephemeral znodes, in the order of their ids, with the paths in order.
    pub fn ephemerals(&self) -> impl Iterator<Item = (SessionId, Vec<Path>)> {
        core::iter::empty()
    }

    /// The number of ephemeral znodes.
    pub fn ephemeral_count(&self) -> usize {
        todo!()
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}
