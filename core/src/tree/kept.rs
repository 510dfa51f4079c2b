//! The znode whose data the servers keep themselves, [`CONFIG`]: nobody's request can set it.
//!
//! As in ZooKeeper, the version of its data is -1 from then on.

use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::Zxid;
use crate::time::WallTime;
use crate::tree::acl::{Acl, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::digest::PathDigest;
use crate::tree::op::{Change, ChangeKind};
use crate::tree::path::Path;
use crate::tree::slab::Slot;
use crate::tree::stat::Stat;
use crate::tree::tree::{CONFIG, Tree};
use crate::tree::znode::Content;

/// The version of the data, and of the list, of what is kept.
const KEPT: i32 = -1;

impl Tree {
    /// Sets the data. From the first time on it is kept, and then everybody may read it, and nobody
    /// but the super user may do more, unless that one says otherwise.
    pub(crate) fn keep_config(
        &mut self,
        zxid: Zxid,
        wall: WallTime,
        data: &[u8],
        changes: &mut Vec<Change>,
    ) {
        let slot = self.find(CONFIG).expect("it is always there");
        let path = Path::parse(CONFIG).expect("reserved paths are paths");
        let digest = PathDigest::of(CONFIG);
        let before = self.digest_at(slot, digest);
        if !self.is_kept(slot) {
            let acl = self.acls.take(&Acl::read_only());
            let znode = &mut self.znodes[slot];
            znode.version = KEPT;
            znode.aversion = KEPT;
            let given = core::mem::replace(&mut znode.acl, acl);
            self.acls.give_back(given);
        }
        let znode = &mut self.znodes[slot];
        self.bytes -= znode.content.data_or_empty().len() as u64;
        self.bytes += data.len() as u64;
        znode.content = Content::new(znode.content.name(), Some(data));
        znode.mzxid = zxid;
        znode.mtime = wall;
        let after = self.digest_at(slot, digest);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        changes.push(Change {
            zxid,
            path,
            kind: ChangeKind::DataSet,
            acl: self.acl_at(slot).clone(),
            parent_acl: None,
        });
    }

    pub(super) fn is_kept(&self, slot: Slot) -> bool {
        self.znodes[slot].version == KEPT
    }

    /// Data and Stat, whoever asks; `None` before it was kept.
    pub(crate) fn kept_config(&self) -> Option<(Option<Data>, Stat)> {
        let slot = self.find(CONFIG).filter(|slot| self.is_kept(*slot))?;
        Some((self.znodes[slot].content.shared_data(), self.stat_at(slot)))
    }

    /// May somebody with these identities wish for another configuration?
    ///
    /// # Errors
    /// `NoAuth`, as for one who sets the data.
    pub(crate) fn may_write_config(&self, asker: &[Identity]) -> Result<(), Code> {
        self.find_for(CONFIG, asker, Perms::WRITE).map(|_| ())
    }
}
