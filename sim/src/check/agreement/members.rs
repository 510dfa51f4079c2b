//! Who belongs to the ensemble, by what its log says, and whether some servers are a quorum of it.

use std::collections::BTreeMap;

use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::membership::Membership;
use althing_core::store::txn::Txn;

use crate::check::agreement::entries::Chain;
use crate::quorums::{Quorums, of_membership};

/// The memberships that entries of any log bring about.
#[derive(Debug)]
pub struct Members {
    /// By the positions of their entries; in force from there on in the logs that hold them.
    known: BTreeMap<Zxid, Known>,
    /// Those that are agreed, in order.
    agreed: Vec<Zxid>,
    /// Who decides before anything is known.
    first: Quorums,
}

/// A membership, and who decides by it.
#[derive(Debug)]
struct Known {
    membership: Membership,
    quorums: Vec<Quorums>,
}

impl Known {
    fn knows(&self, server: ServerId, directory: DirectoryId) -> bool {
        self.membership.knows(server, directory)
    }

    fn decide(&self, there: impl Fn(ServerId) -> bool) -> bool {
        self.quorums.iter().all(|quorums| quorums.has(&there))
    }
}

impl Members {
    /// Before an ensemble is founded, of which these will decide.
    pub fn new(first: Quorums) -> Members {
        Members {
            known: BTreeMap::new(),
            agreed: Vec::new(),
            first,
        }
    }

    /// A server was asked to save this.
    pub fn saved(&mut self, zxid: Zxid, txn: &Txn) {
        if let Some(membership) = txn.action.membership()
            && !membership.is_empty()
        {
            let known = Known {
                membership: membership.clone(),
                quorums: of_membership(membership),
            };
            self.known.insert(zxid, known);
        }
    }

    /// This position was agreed.
    pub fn agreed(&mut self, zxid: Zxid) {
        if self.known.contains_key(&zxid) {
            self.agreed.push(zxid);
        }
    }

    /// Do the servers whose directories `has` gives make a quorum for `zxid`?
    ///
    /// A leader counts by the newest membership of its log, which may be one after `zxid`; but
    /// never by one that was in force before `zxid`.
    pub fn is_quorum_for(&self, zxid: Zxid, has: &BTreeMap<ServerId, DirectoryId>) -> bool {
        let before = self.agreed.partition_point(|at| *at <= zxid);
        let Some(in_force) = before.checked_sub(1).map(|index| self.agreed[index]) else {
            return self.is_first_quorum(has);
        };
        let mut later = self.known.range(in_force..);
        later.any(|(at, known)| {
            let admitted = |server: ServerId| {
                has.get(&server).is_some_and(|directory| {
                    known.knows(server, *directory)
                        && (*at < zxid || !self.replaces(*at, server, *directory))
                })
            };
            known.decide(admitted)
        })
    }

    /// Does the membership at `at` put this directory in another's place? Then it counts only for
    /// what comes after it.
    fn replaces(&self, at: Zxid, server: ServerId, directory: DirectoryId) -> bool {
        let before = self.known.range(..at).next_back();
        let before = before.and_then(|(_, known)| known.membership.directories.get(&server));
        before.is_some_and(|before| *before != directory)
    }

    /// Did a quorum vote? By the newest membership of the candidate's log.
    pub fn is_quorum_of(&self, log: &Chain, voted: &BTreeMap<ServerId, DirectoryId>) -> bool {
        let of_log = self.known.range(..=log.last()).rev();
        let newest = of_log.into_iter().find(|(at, _)| log.contains(**at));
        let Some((_, known)) = newest else {
            return self.is_first_quorum(voted);
        };
        known.decide(|server| {
            let directory = voted.get(&server);
            directory.is_some_and(|directory| known.knows(server, *directory))
        })
    }

    fn is_first_quorum(&self, has: &BTreeMap<ServerId, DirectoryId>) -> bool {
        self.first.has(|server| has.contains_key(&server))
    }
}

#[cfg(test)]
mod tests {
    use althing_core::store::txn::Action;

    use super::*;
    use std::sync::Arc;

    use althing_core::ids::Epoch;
    use althing_core::time::WallTime;
    use althing_core::voters::{Share, Voters};

    fn at(counter: u32) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    fn directory(server: u8) -> DirectoryId {
        DirectoryId(u128::from(server))
    }

    fn founding(servers: &[u8]) -> Membership {
        let all = servers.iter();
        Membership::founding(all.map(|id| (ServerId(*id), directory(*id))).collect())
    }

    fn has(servers: &[u8]) -> BTreeMap<ServerId, DirectoryId> {
        let all = servers.iter();
        all.map(|id| (ServerId(*id), directory(*id))).collect()
    }

    fn agree(members: &mut Members, zxid: Zxid, membership: Membership) {
        let txn = Txn {
            wall: WallTime(0),
            origin: None,
            identities: Arc::from([]),
            action: Action::Reconfigure { membership },
        };
        members.saved(zxid, &txn);
        members.agreed(zxid);
    }

    #[test]
    fn a_majority_of_the_voters_is_a_quorum() {
        let mut members = Members::new(Quorums::most_of(3));
        assert!(!members.is_quorum_for(at(0), &has(&[1])));
        assert!(members.is_quorum_for(at(0), &has(&[1, 3])));
        agree(&mut members, at(0), founding(&[1, 2, 3]));
        assert!(members.is_quorum_for(at(5), &has(&[2, 3])));
        assert!(!members.is_quorum_for(at(5), &has(&[2])));
        assert!(!members.is_quorum_for(at(5), &has(&[2, 4, 5])));
    }

    #[test]
    fn learners_never_count() {
        let mut members = Members::new(Quorums::most_of(3));
        let mut membership = founding(&[1, 2, 3, 4]);
        membership.voters.remove(&ServerId(4));
        membership.learners.insert(ServerId(4));
        agree(&mut members, at(0), membership);
        assert!(!members.is_quorum_for(at(1), &has(&[1, 4])));
        assert!(members.is_quorum_for(at(1), &has(&[1, 2])));
    }

    #[test]
    fn both_voter_sets_count_while_they_change() {
        let mut members = Members::new(Quorums::most_of(3));
        agree(&mut members, at(0), founding(&[1, 2, 3]));
        let mut joint = founding(&[1, 2, 3, 4, 5]);
        joint.voters = founding(&[1, 2, 3]).voters;
        joint.incoming = Some(founding(&[3, 4, 5]).voters);
        agree(&mut members, at(4), joint);
        assert!(members.is_quorum_for(at(3), &has(&[1, 2])));
        assert!(!members.is_quorum_for(at(4), &has(&[1, 2])));
        assert!(!members.is_quorum_for(at(4), &has(&[3, 4])));
        assert!(members.is_quorum_for(at(4), &has(&[1, 3, 4])));
        agree(&mut members, at(9), founding(&[3, 4, 5]));
        assert!(!members.is_quorum_for(at(9), &has(&[1, 2, 3])));
        assert!(members.is_quorum_for(at(9), &has(&[4, 5])));
    }

    #[test]
    fn groups_count_as_they_are_agreed() {
        let mut members = Members::new(Quorums::most_of(3));
        let mut grouped = founding(&[1, 2, 3]);
        let share = |(id, group, weight)| (ServerId(id), Share { group, weight });
        let shares = [(1, 1, 2), (2, 1, 1), (3, 2, 1)].map(share);
        grouped.voters = Voters::in_groups(shares.into());
        agree(&mut members, at(2), grouped);
        assert!(members.is_quorum_for(at(1), &has(&[1, 2])));
        assert!(!members.is_quorum_for(at(2), &has(&[1, 2])));
        assert!(members.is_quorum_for(at(2), &has(&[1, 3])));
    }

    #[test]
    fn a_new_directory_counts_only_after_its_admission() {
        let mut members = Members::new(Quorums::most_of(3));
        agree(&mut members, at(0), founding(&[1, 2, 3]));
        let blank = DirectoryId(77);
        let mut have = has(&[1]);
        have.insert(ServerId(2), blank);
        assert!(!members.is_quorum_for(at(3), &have));
        let mut admitting = founding(&[1, 2, 3]);
        admitting.directories.insert(ServerId(2), blank);
        agree(&mut members, at(4), admitting);
        assert!(!members.is_quorum_for(at(4), &have));
        assert!(members.is_quorum_for(at(5), &have));
    }

    #[test]
    fn a_vote_counts_by_the_candidates_own_log() {
        let mut members = Members::new(Quorums::most_of(3));
        agree(&mut members, at(0), founding(&[1, 2, 3]));
        agree(&mut members, at(4), founding(&[3, 4, 5]));
        let mut log = Chain::default();
        assert!(members.is_quorum_of(&log, &has(&[1, 2])));
        log.push(at(3));
        assert!(members.is_quorum_of(&log, &has(&[1, 2])));
        log.push(at(5));
        assert!(!members.is_quorum_of(&log, &has(&[1, 2])));
        assert!(members.is_quorum_of(&log, &has(&[4, 5])));
    }
}
