//! Which servers together are a quorum, said once more, apart from the core: what the world spares
//! when it strikes, and what the checkers ask for, goes by this.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::voters::{Share, Voters, WEIGHT_DEFAULT};

use crate::plan::Plan;

/// The servers that decide together. Where there are no groups, everybody is a group of one: then
/// most of the groups are most of the servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorums {
    /// The weights of each group; all of them more than nothing.
    groups: Vec<BTreeMap<ServerId, u64>>,
}

impl Quorums {
    /// Of an ensemble that this plan founds.
    pub fn of_plan(plan: &Plan) -> Quorums {
        Quorums::of(&founders(plan))
    }

    /// Of these voters.
    pub fn of(voters: &Voters) -> Quorums {
        let mut groups: BTreeMap<(u32, u8), BTreeMap<ServerId, u64>> = BTreeMap::new();
        for server in voters.iter() {
            let (group, weight) = match voters.shares().get(server) {
                Some(Share { group, weight }) => ((*group, 0), u64::from(*weight)),
                None => ((0, server.0), 1),
            };
            if weight > 0 {
                groups.entry(group).or_default().insert(*server, weight);
            }
        }
        let groups = groups.into_values().collect();
        Quorums { groups }
    }

    /// Most of the servers 1 to `count`.
    pub fn most_of(count: u8) -> Quorums {
        Quorums::of(&(1..=count).map(ServerId).collect())
    }

    /// Do these servers decide? They do unless the others could keep them from it: a group is kept
    /// by who holds half of its weight, the ensemble by who keeps half of its groups.
    pub fn has(&self, there: impl Fn(ServerId) -> bool) -> bool {
        let is_kept = |group: &&BTreeMap<ServerId, u64>| {
            let (mut here, mut away) = (0, 0);
            for (server, weight) in *group {
                match there(*server) {
                    true => here += weight,
                    false => away += weight,
                }
            }
            away >= here
        };
        let kept = self.groups.iter().filter(is_kept).count();
        kept < self.groups.len() - kept
    }

    /// Do all but these decide?
    pub fn spare(&self, lost: &BTreeSet<u8>) -> bool {
        self.has(|server| !lost.contains(&server.0))
    }
}

/// The voters of an ensemble that the plan founds.
pub fn founders(plan: &Plan) -> Voters {
    let voters = plan.voters().into_iter().map(ServerId);
    if plan.groups.is_empty() {
        return voters.collect();
    }
    let group_of = |server: ServerId| {
        let mut groups = plan.groups.iter();
        groups.position(|group| group.contains(&server.0))
    };
    let share = |server: ServerId| {
        let group = group_of(server).expect("a sound plan has a group for every voter");
        let weights = plan.weights.get(usize::from(server.0) - 1);
        let share = Share {
            group: u32::try_from(group + 1).expect("few groups"),
            weight: weights.copied().unwrap_or(WEIGHT_DEFAULT),
        };
        (server, share)
    };
    Voters::in_groups(voters.map(share).collect())
}

/// Can one server at least be lost, and the others go on?
pub fn spares_somebody(plan: &Plan) -> bool {
    let quorums = Quorums::of_plan(plan);
    let mut voters = plan.voters().into_iter();
    voters.any(|voter| quorums.spare(&BTreeSet::from([voter])))
}

/// Can any one server be lost, and the others go on?
pub fn spares_anybody(plan: &Plan) -> bool {
    let quorums = Quorums::of_plan(plan);
    let mut voters = plan.voters().into_iter();
    voters.all(|voter| quorums.spare(&BTreeSet::from([voter])))
}

/// Both halves of a change, or the one of a membership that does not change.
pub fn of_membership(membership: &Membership) -> Vec<Quorums> {
    let incoming = membership.incoming.iter();
    let voters = [&membership.voters].into_iter().chain(incoming);
    voters.map(Quorums::of).collect()
}

/// Do these servers decide by this membership: by the voters that were, and by those that come?
pub fn decide(membership: &Membership, there: impl Fn(ServerId) -> bool) -> bool {
    of_membership(membership)
        .iter()
        .all(|quorums| quorums.has(&there))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;

    use super::*;
    use crate::check::tests::plan_with;

    fn there(quorums: &Quorums, servers: &[u8]) -> bool {
        quorums.has(|server| servers.contains(&server.0))
    }

    fn sites() -> Plan {
        let mut plan = plan_with(9, Vec::new());
        plan.groups = vec![vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]];
        plan
    }

    #[test]
    fn of_three_sites_two_decide() {
        let plan = sites();
        let quorums = Quorums::of_plan(&plan);
        assert!(there(&quorums, &[1, 3, 8, 9]));
        assert!(!there(&quorums, &[1, 2, 3, 4, 7]));
        assert!(quorums.spare(&[4, 5, 6].into()));
        assert!(!quorums.spare(&[4, 5, 7, 8].into()));
        assert!(spares_somebody(&plan) && spares_anybody(&plan));
    }

    #[test]
    fn weights_count() {
        let mut plan = plan_with(3, Vec::new());
        plan.groups = vec![vec![1, 2, 3]];
        plan.weights = vec![3, 1, 0];
        let quorums = Quorums::of_plan(&plan);
        assert!(there(&quorums, &[1]) && !there(&quorums, &[2, 3]));
        assert!(spares_somebody(&plan) && !spares_anybody(&plan));
    }

    #[test]
    fn without_groups_it_is_a_majority() {
        for servers in 1..=5 {
            let quorums = Quorums::of_plan(&plan_with(servers, Vec::new()));
            for count in 0..=servers {
                let is_quorum = quorums.has(|server| server.0 <= count);
                assert_eq!(is_quorum, count * 2 > servers, "{count} of {servers}");
            }
        }
        assert!(!spares_somebody(&plan_with(2, Vec::new())));
        assert!(spares_anybody(&plan_with(3, Vec::new())));
    }

    fn server() -> impl Strategy<Value = ServerId> {
        (1..=7_u8).prop_map(ServerId)
    }

    fn voters() -> impl Strategy<Value = Voters> {
        let share = (0..4_u32, 0..4_u32).prop_map(|(group, weight)| Share { group, weight });
        prop_oneof![
            btree_set(server(), 0..7).prop_map(Voters::from),
            btree_map(server(), share, 0..7).prop_map(Voters::in_groups),
        ]
    }

    proptest! {
        /// Two ways to say it: by what is there, and by what is missing.
        #[test]
        fn the_core_means_the_same(
            voters in voters(),
            incoming in proptest::option::of(voters()),
            there in btree_set(server(), 0..7),
        ) {
            let membership = Membership { voters, incoming, ..Membership::default() };
            let has = |server: ServerId| there.contains(&server);
            prop_assert_eq!(decide(&membership, has), membership.is_quorum(has));
        }
    }
}
