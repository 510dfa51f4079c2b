//! Changes of the members, as the leader proposes them: by joint consensus when the voters change,
//! so that no two quorums can decide without each other.

use alloc::collections::BTreeSet;

use crate::ids::ServerId;
use crate::membership::Membership;
use crate::quorum::log::Standing;
use crate::quorum::replica::Replica;
use crate::time::Now;
use crate::voters::Voters;

/// Beats that a server may leave unanswered and still be taken for reachable: the answers to the
/// last one or two are on their way.
const BEATS_UNANSWERED_MAX: u64 = 5;

impl Replica {
    /// The members that are wanted; `None` if a change is under way, if this server does not lead,
    /// or if the wanted voters could not decide anything at present (ZooKeeper's
    /// `NewConfigNoQuorum`). One who joins and whose data directory is not known yet is admitted
    /// with whatever blank one it comes with, and counts from then on.
    pub fn reconfigured(
        &self,
        voters: &Voters,
        learners: &BTreeSet<ServerId>,
    ) -> Option<Membership> {
        if self.reign.is_none() || self.members.is_changing() || voters.is_empty() {
            return None;
        }
        let current = self.members.newest();
        let mut directories = current.directories.clone();
        for server in voters.iter().chain(learners) {
            if let (false, Some(peer)) = (directories.contains_key(server), self.peers.get(server))
            {
                directories.insert(*server, peer.directory);
            }
        }
        let changes = *voters != current.voters;
        if changes && !self.could_decide(voters) {
            return None;
        }
        Some(Membership {
            voters: current.voters.clone(),
            incoming: changes.then(|| voters.clone()),
            learners: learners.difference(voters.servers()).copied().collect(),
            directories,
            addresses: current.addresses.clone(),
        })
    }

    /// Does a quorum of them hear this leader, and have the beginning of its epoch? From the
    /// first half of a change on, nothing is agreed without them. One who has nothing may not even
    /// vote before it has learned, and if the leader dies before it has taught that one, there may
    /// be no quorum ever again. So who is to decide joins as a learner first.
    fn could_decide(&self, voters: &Voters) -> bool {
        let Some(reign) = &self.reign else {
            return false;
        };
        let members = self.members.newest();
        voters.is_quorum(|server| match reign.others.get(&server) {
            Some(progress) => {
                progress.matched.epoch() == self.ballot.epoch
                    && progress.counts_for(server, members)
                    && progress.round + BEATS_UNANSWERED_MAX >= reign.round
            }
            None => server == self.server,
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

    /// A leader whose vote no longer counts leaves.
    pub fn leave_if_removed(&mut self, now: Now) {
        let members = self.members.newest();
        if self.reign.is_some() && !self.members.is_changing() && !members.has_vote(self.server) {
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
