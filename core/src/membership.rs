//! Who belongs to the ensemble: part of the replicated state, and it beats every file.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{DirectoryId, ServerId};

/// The servers of an ensemble. While it changes, both the old and the new voters must agree
/// (Raft's joint consensus).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    /// The servers that vote.
    pub voters: BTreeSet<ServerId>,
    /// While the voters change: those that will vote. A quorum is then one of each.
    pub incoming: Option<BTreeSet<ServerId>>,
    /// The servers that have the log and do not vote; ZooKeeper's observers.
    pub learners: BTreeSet<ServerId>,
    /// The data directory that speaks for each server. One that is not named here has no vote, and
    /// what it has saved does not count.
    pub directories: BTreeMap<ServerId, DirectoryId>,
}

impl Membership {
    /// An ensemble of these voters, each with its directory.
    pub fn founding(directories: BTreeMap<ServerId, DirectoryId>) -> Membership {
        Membership {
            voters: directories.keys().copied().collect(),
            incoming: None,
            learners: BTreeSet::new(),
            directories,
        }
    }

    /// Do those for whom `has` is true make a quorum? A predicate over sets of servers, never a
    /// count.
    pub fn is_quorum(&self, has: impl Fn(ServerId) -> bool) -> bool {
        let majority = |voters: &BTreeSet<ServerId>| {
            voters.iter().filter(|server| has(**server)).count() * 2 > voters.len()
        };
        majority(&self.voters) && self.incoming.as_ref().is_none_or(majority)
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
        let incoming = self.incoming.iter().flatten();
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
        servers(1, &self.voters);
        if let Some(incoming) = &self.incoming {
            servers(2, incoming);
        }
        servers(3, &self.learners);
        for (server, directory) in &self.directories {
            take(&[server.0]);
            take(&directory.0.to_le_bytes());
        }
    }

    /// Is there nobody in it? So it is before the ensemble is founded.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }
}
