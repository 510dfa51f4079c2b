//! Who votes, and which of them together decide: more than half of them, or, if they are in groups,
//! as ZooKeeper's hierarchical quorums have it.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::ids::ServerId;
use crate::listed;

/// What a voter has in its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Share {
    /// The group's number.
    pub group: u32,
    /// Its part of the group's weight. Who has none decides nothing, and does not lead.
    pub weight: u32,
}

/// The weight of a voter for which none is given; ZooKeeper's.
pub const WEIGHT_DEFAULT: u32 = 1;

/// Those who vote.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Voters {
    servers: BTreeSet<ServerId>,
    /// One for each voter, or none at all: then every vote is like every other.
    shares: BTreeMap<ServerId, Share>,
}

impl From<BTreeSet<ServerId>> for Voters {
    fn from(servers: BTreeSet<ServerId>) -> Voters {
        let shares = BTreeMap::new();
        Voters { servers, shares }
    }
}

impl<const COUNT: usize> From<[ServerId; COUNT]> for Voters {
    fn from(servers: [ServerId; COUNT]) -> Voters {
        Voters::from(BTreeSet::from(servers))
    }
}

impl FromIterator<ServerId> for Voters {
    fn from_iter<T: IntoIterator<Item = ServerId>>(servers: T) -> Voters {
        Voters::from(servers.into_iter().collect::<BTreeSet<_>>())
    }
}

impl Voters {
    /// Voters in groups; without one, nobody.
    pub fn in_groups(shares: BTreeMap<ServerId, Share>) -> Voters {
        let servers = shares.keys().copied().collect();
        Voters { servers, shares }
    }

    /// Do those for whom `has` is true decide? In groups, these are more than half of the groups
    /// that have any weight, and in each of them more than half of its weight. Any two sets that
    /// decide have a voter in common.
    pub fn is_quorum(&self, has: impl Fn(ServerId) -> bool) -> bool {
        if self.shares.is_empty() {
            let present = self.servers.iter().filter(|server| has(**server));
            return present.count() * 2 > self.servers.len();
        }
        // By group: the weight that is present, and all of it.
        let mut groups: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (server, share) in self.shares.iter().filter(|(_, share)| share.weight > 0) {
            let (present, all) = groups.entry(share.group).or_default();
            let weight = u64::from(share.weight);
            *all += weight;
            if has(*server) {
                *present += weight;
            }
        }
        let decided = groups.values().filter(|(present, all)| present * 2 > *all);
        decided.count() * 2 > groups.len()
    }

    /// Is this server one of them, and does what it says count?
    pub fn counts(&self, server: ServerId) -> bool {
        let share = self.shares.get(&server);
        self.servers.contains(&server) && share.is_none_or(|share| share.weight > 0)
    }

    /// Is this server one of them?
    pub fn contains(&self, server: &ServerId) -> bool {
        self.servers.contains(server)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &ServerId> {
        self.servers.iter()
    }

    /// All of them.
    pub fn servers(&self) -> &BTreeSet<ServerId> {
        &self.servers
    }

    /// What each has in its group; nobody, if there are no groups.
    pub fn shares(&self) -> &BTreeMap<ServerId, Share> {
        &self.shares
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Is there nobody?
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Takes one out.
    pub fn remove(&mut self, server: &ServerId) {
        self.servers.remove(server);
        self.shares.remove(server);
    }

    /// Groups and weights as ZooKeeper writes them, a line for each; nothing if there are none.
    pub fn group_lines(&self) -> String {
        let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (server, share) in &self.shares {
            groups
                .entry(share.group)
                .or_default()
                .push(server.to_string());
        }
        let groups = groups.into_iter();
        let groups =
            groups.map(|(group, servers)| format!("group.{group}={}\n", servers.join(":")));
        let weights = self.shares.iter();
        let weights = weights.map(|(server, share)| format!("weight.{server}={}\n", share.weight));
        groups.chain(weights).collect()
    }
}

impl fmt::Display for Voters {
    /// `1 2 3`; in groups `1 2*5 / 3 4*0`, with the weights that differ from the usual one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for server in &self.servers {
            let (group, text) = match self.shares.get(server) {
                None => (0, server.to_string()),
                Some(share) if share.weight == WEIGHT_DEFAULT => (share.group, server.to_string()),
                Some(share) => (share.group, format!("{server}*{}", share.weight)),
            };
            groups.entry(group).or_default().push(text);
        }
        let groups: Vec<String> = groups.values().map(|servers| servers.join(" ")).collect();
        f.write_str(&groups.join(" / "))
    }
}

/// Groups and weights as an operator gives them, line by line, in any order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Groups {
    groups: BTreeMap<ServerId, u32>,
    numbers: BTreeSet<u32>,
    weights: BTreeMap<ServerId, u32>,
}

impl Groups {
    /// Reads `group.NUMBER=SERVERS`, the servers' numbers with colons between them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn put_group(&mut self, number: &str, servers: &str) -> Result<(), String> {
        let number = number_of(number, "a group's number")?;
        if !self.numbers.insert(number) {
            return Err(format!("group {number} is given already"));
        }
        for server in servers.split(':') {
            let server = listed::id(server.trim())?;
            if self.groups.insert(server, number).is_some() {
                return Err(format!("server {server} is in a group already"));
            }
        }
        Ok(())
    }

    /// Reads `weight.SERVER=WEIGHT`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn put_weight(&mut self, server: &str, weight: &str) -> Result<(), String> {
        let (server, weight) = (listed::id(server)?, number_of(weight, "a weight")?);
        match self.weights.insert(server, weight) {
            None => Ok(()),
            Some(_) => Err(format!("server {server} has a weight already")),
        }
    }

    /// Is nothing given?
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.weights.is_empty()
    }

    /// These voters, in the groups that were given; if nothing was, in none.
    ///
    /// # Errors
    /// If not every voter is in a group, somebody else has a group or a weight, or all weights are
    /// zero.
    pub fn settle(&self, voters: BTreeSet<ServerId>) -> Result<Voters, String> {
        if self.is_empty() {
            return Ok(Voters::from(voters));
        }
        let mut given = self.groups.keys().chain(self.weights.keys());
        if let Some(server) = given.find(|server| !voters.contains(server)) {
            return Err(format!(
                "server {server} does not vote: it has no group and no weight"
            ));
        }
        let mut shares = BTreeMap::new();
        for server in voters {
            let Some(group) = self.groups.get(&server).copied() else {
                return Err(format!("server {server} votes and is in no group"));
            };
            let weight = self.weights.get(&server).copied();
            let weight = weight.unwrap_or(WEIGHT_DEFAULT);
            shares.insert(server, Share { group, weight });
        }
        match shares.values().any(|share| share.weight > 0) {
            true => Ok(Voters::in_groups(shares)),
            false => Err("all weights are 0: nobody would decide".to_owned()),
        }
    }
}

fn number_of(text: &str, what: &str) -> Result<u32, String> {
    let number = text.parse();
    number.map_err(|_| format!("`{text}` is not {what}, from 0 to {}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;

    use super::*;

    fn ids(numbers: &[u8]) -> BTreeSet<ServerId> {
        numbers.iter().copied().map(ServerId).collect()
    }

    fn groups(lines: &str) -> Result<Groups, String> {
        let mut groups = Groups::default();
        for line in lines.split_whitespace() {
            let (key, value) = line.split_once('=').expect("a line");
            match key.split_once('.').expect("a key") {
                ("group", number) => groups.put_group(number, value)?,
                (_, server) => groups.put_weight(server, value)?,
            }
        }
        Ok(groups)
    }

    fn voters(lines: &str, servers: &[u8]) -> Voters {
        let settled = groups(lines).and_then(|groups| groups.settle(ids(servers)));
        settled.expect("good groups")
    }

    fn decides(voters: &Voters, servers: &[u8]) -> bool {
        voters.is_quorum(|server| servers.contains(&server.0))
    }

    const THREE_SITES: &str = "group.1=1:2:3 group.2=4:5:6 group.3=7:8:9";

    #[test]
    fn a_majority_of_groups_decides_each_by_its_majority() {
        let sites = voters(THREE_SITES, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(decides(&sites, &[1, 2, 5, 6]), "four of nine");
        assert!(!decides(&sites, &[1, 2, 3, 4, 7]), "five of nine");
        assert!(!decides(&sites, &[1, 2, 3]), "one site");
        assert!(decides(&sites, &[1, 2, 3, 4, 5, 6]), "without a whole site");
        assert_eq!(sites.to_string(), "1 2 3 / 4 5 6 / 7 8 9");
    }

    #[test]
    fn weights_count_and_who_has_none_does_not() {
        let lines = "group.7=1:2:3 weight.1=3 weight.3=0";
        let heavy = voters(lines, &[1, 2, 3]);
        assert!(decides(&heavy, &[1]));
        assert!(!decides(&heavy, &[2, 3]));
        assert!(heavy.counts(ServerId(2)) && !heavy.counts(ServerId(3)));
        assert!(
            heavy.contains(&ServerId(3)),
            "it votes, for what it is worth"
        );
        assert!(!heavy.counts(ServerId(4)));
        assert_eq!(heavy.to_string(), "1*3 2 3*0");
        assert_eq!(
            heavy.group_lines(),
            "group.7=1:2:3\nweight.1=3\nweight.2=1\nweight.3=0\n"
        );
        let even = voters("group.1=1:2 weight.1=2 weight.2=2", &[1, 2]);
        assert!(!decides(&even, &[1]), "half is not more than half");
    }

    #[test]
    fn a_group_of_no_weight_is_no_group() {
        let lines = "group.1=1 group.2=2 group.3=3 weight.2=0 weight.3=0";
        let one = voters(lines, &[1, 2, 3]);
        assert!(decides(&one, &[1]));
        assert!(!decides(&one, &[2, 3]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (lines, servers, complaint) in [
            (
                "group.1=1:2 group.2=2:3",
                &[1, 2, 3][..],
                "server 2 is in a group already",
            ),
            (
                "group.1=1:2",
                &[1, 2, 3],
                "server 3 votes and is in no group",
            ),
            ("weight.1=2", &[1, 2], "server 1 votes and is in no group"),
            ("group.1=1:2:3", &[1, 2], "server 3 does not vote"),
            ("group.1=1:2 weight.3=1", &[1, 2], "server 3 does not vote"),
            ("group.1=1 group.1=2", &[1, 2], "group 1 is given already"),
            (
                "group.1=1 weight.1=1 weight.1=1",
                &[1],
                "server 1 has a weight already",
            ),
            ("group.1=1 weight.1=-1", &[1], "`-1` is not a weight"),
            ("group.x=1", &[1], "`x` is not a group's number"),
            ("group.1=0", &[1], "`0` is not a server's number"),
            ("group.1=1 weight.1=0", &[1], "all weights are 0"),
        ] {
            let settled = groups(lines).and_then(|groups| groups.settle(ids(servers)));
            let told = settled.expect_err(lines);
            assert!(told.starts_with(complaint), "{told}");
        }
        let none = Groups::default().settle(ids(&[1, 2]));
        assert_eq!(none, Ok(Voters::from(ids(&[1, 2]))));
    }

    fn server() -> impl Strategy<Value = ServerId> {
        (1..=9_u8).prop_map(ServerId)
    }

    fn any_voters() -> impl Strategy<Value = Voters> {
        let share = (0..4_u32, 0..4_u32).prop_map(|(group, weight)| Share { group, weight });
        prop_oneof![
            1 => btree_set(server(), 0..9).prop_map(Voters::from),
            3 => btree_map(server(), share, 0..9).prop_map(Voters::in_groups),
        ]
    }

    proptest! {
        #[test]
        fn any_two_quorums_have_a_voter_in_common(
            voters in any_voters(),
            one in btree_set(server(), 0..9),
            other in btree_set(server(), 0..9),
        ) {
            let decides = |set: &BTreeSet<ServerId>| voters.is_quorum(|id| set.contains(&id));
            let common: BTreeSet<_> = one.intersection(&other).copied().collect();
            if decides(&one) && decides(&other) {
                prop_assert!(common.iter().any(|server| voters.counts(*server)));
            }
            // The same said of one set and of all that are not in it.
            prop_assert!(!(decides(&one) && voters.is_quorum(|id| !one.contains(&id))));
        }

        #[test]
        fn with_more_voters_a_quorum_stays_one(
            voters in any_voters(),
            some in btree_set(server(), 0..9),
            more in btree_set(server(), 0..9),
        ) {
            let all: BTreeSet<_> = some.union(&more).copied().collect();
            if voters.is_quorum(|id| some.contains(&id)) {
                prop_assert!(voters.is_quorum(|id| all.contains(&id)));
            }
            prop_assert!(!voters.is_quorum(|_| false), "nobody decides nothing");
        }

        #[test]
        fn one_group_of_equal_weights_or_groups_of_one_are_a_plain_majority(
            servers in btree_set(server(), 1..9),
            weight in 1..5_u32,
            present in btree_set(server(), 0..9),
        ) {
            let shares = |group: fn(&ServerId) -> u32| {
                let share = |id: &ServerId| (*id, Share { group: group(id), weight });
                Voters::in_groups(servers.iter().map(share).collect())
            };
            let plain = Voters::from(servers.clone());
            let has = |id: ServerId| present.contains(&id);
            prop_assert_eq!(shares(|_| 1).is_quorum(has), plain.is_quorum(has));
            prop_assert_eq!(shares(|id| id.0.into()).is_quorum(has), plain.is_quorum(has));
        }

        #[test]
        fn who_has_no_weight_changes_nothing(
            voters in any_voters(),
            present in btree_set(server(), 0..9),
        ) {
            let weighty = |id: ServerId| present.contains(&id) && voters.counts(id);
            prop_assert_eq!(
                voters.is_quorum(|id| present.contains(&id)),
                voters.is_quorum(weighty)
            );
        }

        #[test]
        fn what_is_written_of_groups_is_read_again(voters in any_voters()) {
            let text = voters.group_lines();
            let read = groups(&text).and_then(|groups| groups.settle(voters.servers().clone()));
            let has_weight = voters.shares().values().any(|share| share.weight > 0);
            if has_weight || voters.shares().is_empty() {
                prop_assert_eq!(read, Ok(voters));
            }
        }
    }
}
