//! Which ephemeral znodes belong to which session; and which znodes belong to the marks that
//! containers and znodes with a time to live have in place of a session.

use alloc::vec::Vec;
use core::iter;

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::SessionId;
use crate::tree::index::Index;
use crate::tree::owner;
use crate::tree::slab::{Slab, Slot};

/// A session, or a mark in its place, that owns at least one znode.
#[derive(Clone)]
struct Owner {
    session: SessionId,
    newest: Slot,
}

/// A session's hold on one znode; the holds of a session are a chain from the newest to the oldest.
#[derive(Clone)]
struct Lease {
    owner: Slot,
    znode: Slot,
    newer: Option<Slot>,
    older: Option<Slot>,
}

/// The leases of all sessions. Cloning is cheap, whatever their number.
#[derive(Clone)]
pub(super) struct Ephemerals {
    owners: Slab<Owner>,
    leases: Slab<Lease>,
    by_session: Index,
    /// The znodes that belong to marks.
    reapable: usize,
}

impl Ephemerals {
    pub(super) const fn new() -> Ephemerals {
        Ephemerals {
            owners: Slab::new(),
            leases: Slab::new(),
            by_session: Index::new(),
            reapable: 0,
        }
    }

    /// The znodes of sessions.
    pub(super) fn count(&self) -> usize {
        self.leases.count() - self.reapable
    }

    /// The znodes of marks.
    pub(super) fn reapable_count(&self) -> usize {
        self.reapable
    }

    /// The znodes that belong to anybody, by the numbers of their leases, above this one.
    pub(super) fn leases_after(&self, number: u32) -> impl Iterator<Item = (u32, Slot)> {
        self.leases
            .iter_after(number)
            .map(|(lease, known)| (lease.number(), known.znode))
    }

    /// `session` owns `znode` from here on, under the lease that is returned.
    pub(super) fn grant(&mut self, session: SessionId, znode: Slot) -> Slot {
        self.reapable += usize::from(is_mark(session));
        let known = self.owner(session);
        let older = known.map(|owner| self.owners[owner].newest);
        let lease = self.leases.insert(Lease {
            owner: known.unwrap_or(Slot::FIRST),
            znode,
            newer: None,
            older,
        });
        match known {
            Some(owner) => self.owners[owner].newest = lease,
            None => {
                let newest = lease;
                let owner = self.owners.insert(Owner { session, newest });
                self.by_session.insert(hash(session), owner);
                self.leases[lease].owner = owner;
            }
        }
        if let Some(older) = older {
            self.leases[older].newer = Some(lease);
        }
        lease
    }

    /// Ends a lease.
    pub(super) fn end(&mut self, lease: Slot) {
        self.reapable -= usize::from(is_mark(self.session(lease)));
        let ended = self.leases.remove(lease);
        if let Some(older) = ended.older {
            self.leases[older].newer = ended.newer;
        }
        match (ended.newer, ended.older) {
            (Some(newer), older) => self.leases[newer].older = older,
            (None, Some(older)) => self.owners[ended.owner].newest = older,
            (None, None) => {
                let owner = self.owners.remove(ended.owner);
                self.by_session.remove(hash(owner.session), ended.owner);
            }
        }
    }

    /// Whose lease it is.
    pub(super) fn session(&self, lease: Slot) -> SessionId {
        self.owners[self.leases[lease].owner].session
    }

    /// The znodes of `session`, in no order that means anything.
    pub(super) fn of(&self, session: SessionId) -> impl Iterator<Item = Slot> {
        let newest = self.owner(session).map(|owner| self.owners[owner].newest);
        iter::successors(newest, |lease| self.leases[*lease].older)
            .map(|lease| self.leases[lease].znode)
    }

    /// The sessions that own znodes, in the order of their ids.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        let mut sessions: Vec<SessionId> = self
            .owners
            .iter()
            .map(|(_, owner)| owner.session)
            .filter(|owner| !is_mark(*owner))
            .collect();
        sessions.sort_unstable();
        sessions
    }

    fn owner(&self, session: SessionId) -> Option<Slot> {
        self.by_session
            .candidates(hash(session))
            .find(|owner| self.owners[*owner].session == session)
    }
}

fn is_mark(session: SessionId) -> bool {
    !owner::Owner::from_number(session.0).is_session()
}

/// Session ids are positions or drawn by servers, not chosen by clients, so no key is needed.
fn hash(session: SessionId) -> u64 {
    xxh3_64(&session.0.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_map(steps in prop::collection::vec((1..6i64, 1..30u32), 1..200)) {
            let mut ephemerals = Ephemerals::new();
            let mut twin: BTreeMap<u32, (SessionId, Slot)> = BTreeMap::new();
            for (session, znode) in steps {
                if let Some((owner, lease)) = twin.remove(&znode) {
                    prop_assert_eq!(ephemerals.session(lease), owner);
                    ephemerals.end(lease);
                } else {
                    let session = SessionId(session);
                    let lease = ephemerals.grant(session, Slot::from_number(znode));
                    twin.insert(znode, (session, lease));
                }
                prop_assert_eq!(ephemerals.count(), twin.len());
                let mut owners: Vec<SessionId> = twin.values().map(|(owner, _)| *owner).collect();
                owners.sort_unstable();
                owners.dedup();
                prop_assert_eq!(ephemerals.sessions(), owners);
                for session in (1..6).map(SessionId) {
                    let mut owned: Vec<u32> = ephemerals.of(session).map(Slot::number).collect();
                    owned.sort_unstable();
                    let expected: Vec<u32> = twin.iter()
                        .filter(|(_, (owner, _))| *owner == session)
                        .map(|(znode, _)| *znode)
                        .collect();
                    prop_assert_eq!(owned, expected);
                }
            }
        }
    }
}
