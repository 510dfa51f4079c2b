//! Taking back the operations of a `multi` that failed, the last one first.
//!
//! Clones are cheap, but executing beside one copies the pages that it shares; an undo that is not
//! needed costs next to nothing.

use crate::ids::{SessionId, Zxid};
use crate::time::WallTime;
use crate::tree::acl::Acl;
use crate::tree::slab::Slot;
use crate::tree::tree::Tree;
use crate::tree::usage::Before;
use crate::tree::znode::{Content, Past, Znode};

/// What has to be known to take one operation back. Digest and bytes are restored as totals.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) change: Undone,
    /// What stood in the stats of quotas.
    pub(super) stats: Before,
}

/// The change itself.
#[derive(Debug)]
pub(super) enum Undone {
    Create {
        slot: Slot,
        hash: u64,
        /// What the parent remembered.
        past: Option<Past>,
    },
    Delete {
        slot: Slot,
        hash: u64,
        znode: Znode,
        acl: Acl,
        owner: Option<SessionId>,
        /// What the znode itself remembered.
        own_past: Option<Past>,
        /// What the parent remembered.
        past: Past,
    },
    SetData {
        slot: Slot,
        content: Content,
        mzxid: Zxid,
        mtime: WallTime,
        version: i32,
    },
    SetAcl {
        slot: Slot,
        acl: Acl,
        aversion: i32,
    },
}

impl Tree {
    /// Takes back the last operation that was not taken back yet.
    pub(super) fn undo(&mut self, undo: Undo) {
        self.restore_stats(undo.stats);
        match undo.change {
            Undone::Create { slot, hash, past } => {
                self.note_undone(slot);
                let znode = self.detach(hash, slot);
                assert!(znode.family.is_none(), "creating its children was undone");
                self.acls.give_back(znode.acl);
                if let Some(lease) = znode.lease {
                    self.ephemerals.end(lease);
                }
                self.set_past(znode.parent.expect("the root stays"), past);
            }
            Undone::Delete {
                slot,
                hash,
                mut znode,
                acl,
                owner,
                own_past,
                past,
            } => {
                let parent = znode.parent.expect("the root stays");
                znode.acl = self.acls.take(&acl);
                znode.lease = owner.map(|session| self.ephemerals.grant(session, slot));
                let again = self.attach(hash, znode);
                assert_eq!(again, slot, "places are given out in reverse");
                self.set_past(slot, own_past);
                self.set_past(parent, Some(past));
                let path = self.path_at(slot);
                self.note_attached(path.as_str(), slot);
            }
            Undone::SetData {
                slot,
                content,
                mzxid,
                mtime,
                version,
            } => {
                let znode = &mut self.znodes[slot];
                znode.content = content;
                znode.mzxid = mzxid;
                znode.mtime = mtime;
                znode.version = version;
            }
            Undone::SetAcl {
                slot,
                acl,
                aversion,
            } => {
                let taken = self.acls.take(&acl);
                let znode = &mut self.znodes[slot];
                znode.aversion = aversion;
                let given = core::mem::replace(&mut znode.acl, taken);
                self.acls.give_back(given);
            }
        }
    }

    /// The znode at this place, whose creation is taken back, is about to go.
    fn note_undone(&mut self, slot: Slot) {
        if !self.quotas.is_empty() {
            let path = self.path_at(slot);
            self.note_detached(path.as_str(), slot);
        }
    }
}
