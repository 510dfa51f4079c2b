//! Changes of the members, as the leader proposes them: by joint consensus when the voters change,
//! so that no two quorums can decide without each other.

use alloc::collections::BTreeSet;

use crate::ids::ServerId;
use crate::membership::Membership;
use crate::quorum::log::Standing;
use crate::quorum::replica::Replica;
use crate::time::Now;

impl Replica {
    /// The members that the operator wants; `None` if a change is under way, if this server does
    /// not lead, or if it does not know the data directory of one who is to join.
    pub fn reconfigured(
        &self,
        voters: &BTreeSet<ServerId>,
        learners: &BTreeSet<ServerId>,
    ) -> Option<Membership> {
        if self.reign.is_none() || self.members.is_changing() || voters.is_empty() {
            return None;
        }
        let current = self.members.newest();
        let mut directories = current.directories.clone();
        for server in voters.union(learners) {
            if !directories.contains_key(server) {
                directories.insert(*server, self.peers.get(server)?.directory);
            }
        }
        let changes = *voters != current.voters;
        Some(Membership {
            voters: current.voters.clone(),
            incoming: changes.then(|| voters.clone()),
            learners: learners.difference(voters).copied().collect(),
            directories,
        })
    }

    /// What must follow when a change of the voters is executed: the second half of it.
    pub fn settled(&self) -> Option<Membership> {
        let current = self.members.newest();
        if self.reign.is_none() || !self.members.is_half_way() {
            return None;
        }
        let incoming = current.incoming.clone()?;
        Some(Membership {
            voters: incoming,
            incoming: None,
            ..current.clone()
        })
    }

    /// A leader that no longer votes leaves.
    pub fn leave_if_removed(&mut self, now: Now) {
        let members = self.members.newest();
        if self.reign.is_some() && !self.members.is_changing() && !members.is_voter(self.server) {
            self.resign(now);
        }
    }

    /// A member that lost its data directory, and came with one that was never admitted.
    pub fn replaced(&self) -> Option<Membership> {
        if self.reign.is_none() || self.members.is_changing() {
            return None;
        }
        let current = self.members.newest();
        let (server, peer) = self.peers.iter().find(|(server, peer)| {
            current.members().contains(server)
                && !current.knows(**server, peer.directory)
                && peer.standing == Some(Standing::Stranger)
        })?;
        let mut replaced = current.clone();
        replaced.directories.insert(*server, peer.directory);
        Some(replaced)
    }
}
