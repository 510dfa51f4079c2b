//! Executing operations: ZooKeeper's rules, in the order in which its `PrepRequestProcessor` checks
//! them, so that a request that breaks two of them is refused with the same code.

use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{SessionId, Zxid};
use crate::tree::acl::{Acl, Perms};
use crate::tree::digest::PathDigest;
use crate::tree::op::{ANY_VERSION, Change, ChangeKind, Create, Done, Naming, Op};
use crate::tree::path::Path;
use crate::tree::quota::Growth;
use crate::tree::slab::{SLAB_MAX, Slot};
use crate::tree::tree::{CONFIG, Context, RESERVED, Tree};
use crate::tree::undo::{Undo, Undone};
use crate::tree::znode::{Content, Past, Znode};

impl Tree {
    /// Executes one operation, checking its ACLs; a refused one changes nothing. What watches may
    /// have to tell is appended to `changes`.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn execute(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        changes: &mut Vec<Change>,
    ) -> Result<Done, Code> {
        self.execute_undoably(context, op, changes)
            .map(|(done, _)| done)
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
        let totals = (self.digest, self.bytes);
        let told = changes.len();
        let mut all_done = Vec::with_capacity(ops.len());
        let mut undos = Vec::with_capacity(ops.len());
        for (index, op) in ops.iter().enumerate() {
            match self.execute_undoably(context, op, changes) {
                Ok((done, undo)) => {
                    all_done.push(done);
                    undos.extend(undo);
                }
                Err(code) => {
                    for undo in undos.into_iter().rev() {
                        self.undo(undo);
                    }
                    (self.digest, self.bytes) = totals;
                    changes.truncate(told);
                    return Err((index, code));
                }
            }
        }
        Ok(all_done)
    }

    /// Deletes the ephemeral znodes of `session`, whatever their ACLs; tells how many there were.
    pub fn delete_ephemerals_of(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        changes: &mut Vec<Change>,
    ) -> usize {
        let paths = self.ephemerals_of(session);
        for path in &paths {
            let slot = self.find(path.as_str()).expect("an owned znode is there");
            let parent = self.znodes[slot].parent.expect("the root is nobody's");
            self.remove(zxid, parent, slot, path, changes);
        }
        paths.len()
    }

    fn execute_undoably(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        changes: &mut Vec<Change>,
    ) -> Result<(Done, Option<Undo>), Code> {
        match op {
            Op::Create(create) => self.create(context, create, changes),
            Op::Delete { path, version } => self.delete(context, path, *version, changes),
            Op::SetData {
                path,
                data,
                version,
            } => self.set_data(context, path, data.as_deref(), *version, changes),
            Op::SetAcl { path, acl, version } => self.set_acl(context, path, acl, *version),
            Op::Check { path, version } => {
                let slot = self.find(path.as_str()).ok_or(Code::NoNode)?;
                self.check_permitted(context, slot, Perms::READ)?;
                check_version(*version, self.znodes[slot].version)?;
                Ok((Done::Checked(self.stat_at(slot)), None))
            }
        }
    }

    fn create(
        &mut self,
        context: &Context<'_>,
        create: &Create,
        changes: &mut Vec<Change>,
    ) -> Result<(Done, Option<Undo>), Code> {
        check_size(context, create.data.as_deref())?;
        let owner = create.lifetime.owner(context.session)?;
        let acl = context.listed(&create.acl)?;
        let parent_path = create.place.parent();
        let parent = self.find(parent_path.as_str()).ok_or(Code::NoNode)?;
        self.check_permitted(context, parent, Perms::CREATE)?;
        let past = self.past_at(parent);
        let creations = past.map_or(0, |past| past.creations);
        let path = match create.naming {
            Naming::Exact => create.place.path(),
            Naming::Sequential => create.place.completed(creations),
        };
        let hash = self.hash(path.as_str());
        if self.find_hashed(hash, path.as_str()).is_some() {
            return Err(Code::NodeExists);
        }
        if self.is_ephemeral(parent) {
            return Err(Code::NoChildrenForEphemerals);
        }
        let growth = Growth {
            count: 1,
            bytes: create.data.as_deref().map_or(0, <[u8]>::len) as i64,
        };
        self.check_quotas(context, path.as_str(), parent, growth)?;
        if self.count() >= SLAB_MAX {
            return Err(Code::SystemError);
        }
        let remembered = Past {
            creations: creations.wrapping_add(1),
            pzxid: context.zxid,
        };
        self.remember(parent, PathDigest::of(parent_path.as_str()), remembered);
        let content = Content::new(path.name(), create.data.as_deref());
        let owner = owner.map(|owner| SessionId(owner.number()));
        let slot = self.bring_in(context, parent, &path, hash, content, &acl, owner);
        changes.push(Change {
            zxid: context.zxid,
            path: path.clone(),
            kind: ChangeKind::Created,
            acl,
            parent_acl: Some(self.acl_at(parent).clone()),
        });
        let mut stats = Vec::new();
        self.count_in(path.as_str(), slot, &mut stats);
        let done = Done::Created {
            path,
            stat: self.stat_at(slot),
            telling: create.telling,
        };
        let change = Undone::Create { slot, hash, past };
        Ok((done, Some(Undo { change, stats })))
    }

    /// Adds the youngest child of `parent`.
    #[expect(clippy::too_many_arguments, reason = "what a znode is made of")]
    fn bring_in(
        &mut self,
        context: &Context<'_>,
        parent: Slot,
        path: &Path,
        hash: u64,
        content: Content,
        acl: &Acl,
        owner: Option<SessionId>,
    ) -> Slot {
        let bytes = path.as_str().len() + content.data_or_empty().len();
        let acl = self.acls.take(acl);
        let older = self.family_at(parent).and_then(|family| family.newest);
        let znode = Znode {
            content,
            czxid: context.zxid,
            mzxid: context.zxid,
            ctime: context.wall,
            mtime: context.wall,
            version: 0,
            aversion: 0,
            acl,
            lease: None,
            family: None,
            parent: Some(parent),
            older,
            newer: None,
        };
        let slot = self.attach(hash, znode);
        if let Some(session) = owner {
            self.znodes[slot].lease = Some(self.ephemerals.grant(session, slot));
        }
        let added = self.digest_at(slot, PathDigest::of(path.as_str()));
        self.digest = self.digest.wrapping_add(added);
        self.bytes += bytes as u64;
        slot
    }

    fn delete(
        &mut self,
        context: &Context<'_>,
        path: &Path,
        version: i32,
        changes: &mut Vec<Change>,
    ) -> Result<(Done, Option<Undo>), Code> {
        if RESERVED.contains(&path.as_str()) {
            return Err(Code::BadArguments);
        }
        let parent_text = path.parent_str().ok_or(Code::BadArguments)?;
        let parent = self.find(parent_text).ok_or(Code::NoNode)?;
        self.check_permitted(context, parent, Perms::DELETE)?;
        let slot = self.find(path.as_str()).ok_or(Code::NoNode)?;
        check_version(version, self.znodes[slot].version)?;
        if self.family_at(slot).is_some_and(|family| family.count > 0) {
            return Err(Code::NotEmpty);
        }
        let undo = self.remove(context.zxid, parent, slot, path, changes);
        Ok((Done::Deleted, Some(undo)))
    }

    /// Removes a childless znode.
    pub(super) fn remove(
        &mut self,
        zxid: Zxid,
        parent: Slot,
        slot: Slot,
        path: &Path,
        changes: &mut Vec<Change>,
    ) -> Undo {
        let mut stats = Vec::new();
        self.count_out(path.as_str(), slot, &mut stats);
        let digest = PathDigest::of(path.as_str());
        let gone = self.digest_at(slot, digest);
        let owner = self.owner_at(slot);
        let own_past = self.past_at(slot);
        self.forget(slot, digest);
        self.digest = self.digest.wrapping_sub(gone);
        let past = self.past_at(parent).expect("a parent has a past");
        let parent_text = path.parent_str().expect("the root stays");
        let remembered = Past {
            pzxid: zxid,
            ..past
        };
        self.remember(parent, PathDigest::of(parent_text), remembered);
        let hash = self.hash(path.as_str());
        let znode = self.detach(hash, slot);
        if let Some(lease) = znode.lease {
            self.ephemerals.end(lease);
        }
        let acl = self.acls.give_back(znode.acl);
        self.bytes -= (path.as_str().len() + znode.content.data_or_empty().len()) as u64;
        changes.push(Change {
            zxid,
            path: path.clone(),
            kind: ChangeKind::Deleted,
            acl: acl.clone(),
            parent_acl: Some(self.acl_at(parent).clone()),
        });
        let change = Undone::Delete {
            slot,
            hash,
            znode,
            acl,
            owner,
            own_past,
            past,
        };
        Undo { change, stats }
    }

    fn set_data(
        &mut self,
        context: &Context<'_>,
        path: &Path,
        data: Option<&[u8]>,
        version: i32,
        changes: &mut Vec<Change>,
    ) -> Result<(Done, Option<Undo>), Code> {
        check_size(context, data)?;
        let slot = self.find(path.as_str()).ok_or(Code::NoNode)?;
        self.check_permitted(context, slot, Perms::WRITE)?;
        if path.as_str() == CONFIG && self.is_kept(slot) {
            return Err(Code::BadArguments);
        }
        let bytes_before = self.znodes[slot].content.data_or_empty().len();
        let growth = Growth {
            count: 0,
            bytes: data.map_or(0, <[u8]>::len) as i64 - bytes_before as i64,
        };
        self.check_quotas(context, path.as_str(), slot, growth)?;
        check_version(version, self.znodes[slot].version)?;
        let mut stats = Vec::new();
        self.charge(slot, growth, &mut stats);
        let are_kept_stats = self.are_kept_stats(path.as_str());
        let digest = PathDigest::of(path.as_str());
        let before = self.digest_at(slot, digest);
        let znode = &mut self.znodes[slot];
        let content = match are_kept_stats {
            true => znode.content.clone(),
            false => Content::new(znode.content.name(), data),
        };
        let bytes_after = content.data_or_empty().len();
        let change = Undone::SetData {
            slot,
            mzxid: znode.mzxid,
            mtime: znode.mtime,
            version: znode.version,
            content: core::mem::replace(&mut znode.content, content),
        };
        znode.mzxid = context.zxid;
        znode.mtime = context.wall;
        znode.version = znode.version.wrapping_add(1);
        self.bytes -= bytes_before as u64;
        self.bytes += bytes_after as u64;
        let after = self.digest_at(slot, digest);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        changes.push(Change {
            zxid: context.zxid,
            path: path.clone(),
            kind: ChangeKind::DataSet,
            acl: self.acl_at(slot).clone(),
            parent_acl: None,
        });
        let undo = Undo { change, stats };
        Ok((Done::DataSet(self.stat_at(slot)), Some(undo)))
    }

    fn set_acl(
        &mut self,
        context: &Context<'_>,
        path: &Path,
        acl: &Acl,
        version: i32,
    ) -> Result<(Done, Option<Undo>), Code> {
        let acl = context.listed(acl)?;
        let slot = self.find(path.as_str()).ok_or(Code::NoNode)?;
        self.check_permitted(context, slot, Perms::ADMIN)?;
        check_version(version, self.znodes[slot].aversion)?;
        let digest = PathDigest::of(path.as_str());
        let before = self.digest_at(slot, digest);
        let taken = self.acls.take(&acl);
        let znode = &mut self.znodes[slot];
        let aversion = znode.aversion;
        znode.aversion = aversion.wrapping_add(1);
        let given = core::mem::replace(&mut znode.acl, taken);
        let acl = self.acls.give_back(given);
        let after = self.digest_at(slot, digest);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        let change = Undone::SetAcl {
            slot,
            acl,
            aversion,
        };
        let stats = Vec::new();
        let undo = Undo { change, stats };
        Ok((Done::AclSet(self.stat_at(slot)), Some(undo)))
    }

    fn check_permitted(
        &self,
        context: &Context<'_>,
        slot: Slot,
        wanted: Perms,
    ) -> Result<(), Code> {
        if context.session.is_none() || self.acl_at(slot).permits(wanted, context.identities) {
            Ok(())
        } else {
            Err(Code::NoAuth)
        }
    }
}

fn check_version(expected: i32, version: i32) -> Result<(), Code> {
    if expected == ANY_VERSION || expected == version {
        Ok(())
    } else {
        Err(Code::BadVersion)
    }
}

fn check_size(context: &Context<'_>, data: Option<&[u8]>) -> Result<(), Code> {
    if data.map_or(0, <[u8]>::len) <= context.data_bytes_max as usize {
        Ok(())
    } else {
        Err(Code::BadArguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HardLimits;
    use crate::time::WallTime;
    use crate::tree::op::{Lifetime, Telling};
    use crate::tree::path::Place;

    /// ZooKeeper's clients and recipes meet numbers of more than ten digits, and none twice.
    #[test]
    fn sequence_numbers_count_on_beyond_what_zookeepers_can() {
        let mut tree = Tree::new();
        for (creations, number) in [
            (0, "0000000000"),
            (i32::MAX as u64, "2147483647"),
            (1 << 31, "2147483648"),
            (u64::from(u32::MAX) + 1, "4294967296"),
            (9_999_999_999, "9999999999"),
            (10_000_000_000, "10000000000"),
        ] {
            let (root, pzxid) = (tree.find("/").expect("the root"), Zxid(1));
            tree.remember(root, PathDigest::of("/"), Past { creations, pzxid });
            let context = Context {
                zxid: Zxid(1),
                wall: WallTime(0),
                session: Some(SessionId(7)),
                identities: &[],
                data_bytes_max: 100,
                hard_limits: HardLimits::Advised,
            };
            let create = Op::Create(Create {
                place: Place::prefix("/q-").expect("a place"),
                data: None,
                acl: Acl::open(),
                lifetime: Lifetime::Persistent,
                naming: Naming::Sequential,
                telling: Telling::PathAndStat,
            });
            match tree.execute(&context, &create, &mut Vec::new()) {
                Ok(Done::Created { path, .. }) => {
                    assert_eq!(path.as_str().strip_prefix("/q-"), Some(number));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
