//! Who belongs to the ensemble: part of the replicated state, and it beats every file.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;

use crate::ids::{DirectoryId, ServerId};
use crate::listed::{Address, ListedServer, PeerRole};
use crate::voters::Voters;

/// The servers of an ensemble. While it changes, both the old and the new voters must agree
/// (Raft's joint consensus).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    /// The servers that vote.
    pub voters: Voters,
    /// While the voters change: those that will vote. A quorum is then one of each.
    pub incoming: Option<Voters>,
    /// The servers that have the log and do not vote; ZooKeeper's observers.
    pub learners: BTreeSet<ServerId>,
    /// The data directory that speaks for each server. One that is not named here has no vote, and
    /// what it has saved does not count.
    pub directories: BTreeMap<ServerId, DirectoryId>,
    /// Where servers are, as far as it was said: the members, and some that were.
    pub addresses: BTreeMap<ServerId, Address>,
}

impl Membership {
    /// An ensemble of these voters, each with its directory.
    pub fn founding(directories: BTreeMap<ServerId, DirectoryId>) -> Membership {
        Membership {
            voters: directories.keys().copied().collect(),
            incoming: None,
            learners: BTreeSet::new(),
            directories,
            addresses: BTreeMap::new(),
        }
    }

    /// Those that are members when a change that has begun is done and whose address is known, as
    /// ZooKeeper lists them.
    pub fn listed(&self) -> BTreeMap<ServerId, ListedServer> {
        let voters = self.wanted_voters();
        let role = |server: &ServerId| match voters.contains(server) {
            true => Some(PeerRole::Voter),
            false => self.learners.contains(server).then_some(PeerRole::Observer),
        };
        let listed = self.addresses.iter().filter_map(|(server, at)| {
            let (role, at) = (role(server)?, at.clone());
            Some((*server, ListedServer { at, role }))
        });
        listed.collect()
    }

    /// Those that vote when a change that has begun is done.
    pub fn wanted_voters(&self) -> &Voters {
        self.incoming.as_ref().unwrap_or(&self.voters)
    }

    /// Do those for whom `has` is true make a quorum? A predicate over sets of servers, never a
    /// count.
    pub fn is_quorum(&self, has: impl Fn(ServerId) -> bool) -> bool {
        let decides = |voters: &Voters| voters.is_quorum(&has);
        decides(&self.voters) && self.incoming.as_ref().is_none_or(decides)
    }

    /// Does what this server says count, now or when the change is done? A voter without weight has
    /// a vote in name only: it is not asked, and does not lead.
    pub fn has_vote(&self, server: ServerId) -> bool {
        let incoming = self.incoming.as_ref();
        self.voters.counts(server) || incoming.is_some_and(|incoming| incoming.counts(server))
    }

    /// Does this server vote, now or when the change is done?
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server)
            || self
                .incoming
                .as_ref()
                .is_some_and(|incoming| incoming.contains(&server))
    }

    /// Everybody who has the log, in the order of their ids.
    pub fn members(&self) -> BTreeSet<ServerId> {
        let incoming = self.incoming.iter().flat_map(Voters::iter);
        self.voters
            .iter()
            .chain(incoming)
            .chain(&self.learners)
            .copied()
            .collect()
    }

    /// Does this directory speak for this server?
    pub fn knows(&self, server: ServerId, directory: DirectoryId) -> bool {
        self.directories.get(&server) == Some(&directory)
    }

    /// Feeds a digest: equal memberships feed equal bytes.
    pub fn digest_into(&self, mut take: impl FnMut(&[u8])) {
        let mut servers = |kind: u8, servers: &BTreeSet<ServerId>| {
            take(&[kind]);
            servers.iter().for_each(|server| take(&[server.0]));
            take(&[0]);
        };
        servers(1, self.voters.servers());
        if let Some(incoming) = &self.incoming {
            servers(2, incoming.servers());
        }
        servers(3, &self.learners);
        let in_groups = [(4, Some(&self.voters)), (5, self.incoming.as_ref())];
        for (kind, voters) in in_groups {
            for (server, share) in voters.iter().flat_map(|voters| voters.shares()) {
                take(&[kind, server.0]);
                take(&share.group.to_le_bytes());
                take(&share.weight.to_le_bytes());
            }
        }
        for (server, directory) in &self.directories {
            take(&[server.0]);
            take(&directory.0.to_le_bytes());
        }
        for (server, at) in &self.addresses {
            take(&[server.0]);
            take(at.peer.host.as_bytes());
            take(&[0]);
            take(&at.peer.port.to_le_bytes());
            take(&at.election_port.unwrap_or_default().to_le_bytes());
            let client = at.client.map(|client| client.to_string());
            take(client.unwrap_or_default().as_bytes());
            take(&[0]);
        }
    }

    /// Is there nobody in it? So it is before the ensemble is founded.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }
}
