//! Votes and leaders: one of an epoch, elected by a quorum whose votes are durable and given once,
//! with a log that has everything that was agreed before.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};
use althing_core::quorum::log::Ballot;

use crate::check::agreement::agreement::Building;
use crate::check::agreement::entries::Chain;
use crate::check::agreement::won::Won;

impl Building<'_> {
    /// A ballot is durable.
    pub(super) fn voted(&mut self, at: Duration, server: ServerId, ballot: Ballot) {
        let known = self.servers.entry(server).or_default();
        let before = known.ballot.epoch;
        known.ballot = ballot;
        if ballot.epoch < before {
            self.findings.add("I5 election safety", at, None, || {
                let epoch = ballot.epoch;
                format!("server {server} went from epoch {before} back to {epoch}")
            });
        }
        let (Some(candidate), Some(directory)) = (ballot.voted_for, known.directory) else {
            return;
        };
        let of_epoch = self.votes.entry(ballot.epoch).or_default();
        let vote = (directory, candidate);
        let before = of_epoch.insert(server, vote);
        if let Some((same, other)) = before
            && same == directory
            && other != candidate
        {
            self.findings.add("I5 election safety", at, None, || {
                let epoch = ballot.epoch;
                format!("server {server} votes for {candidate} in epoch {epoch}, and for {other}")
            });
        }
    }

    /// A server says that it has won.
    pub(super) fn elected(&mut self, at: Duration, epoch: Epoch, leader: ServerId) {
        let known = self.servers.entry(leader).or_default();
        known.leads = Some(epoch);
        let chain = known.chain.clone();
        let of_leader = self.won.iter().filter(|(_, won)| won.leader == leader);
        if let Some(newer) = of_leader
            .map(|(newer, _)| *newer)
            .find(|newer| *newer > epoch)
        {
            self.findings.add("I2 zxid", at, None, || {
                format!("server {leader} was elected for epoch {epoch} after it led epoch {newer}")
            });
        }
        let last = self.log.last();
        if !chain.contains(last) && last.epoch() < epoch {
            self.findings.add("I5 completeness", at, None, || {
                let end = chain.last();
                format!("server {leader} leads epoch {epoch} without {last}; its log ends at {end}")
            });
        }
        self.votes_of(at, epoch, leader, &chain);
        let won = Won { leader, at, chain };
        let Some(before) = self.won.insert(epoch, won) else {
            return;
        };
        let (other, when) = (before.leader, before.at);
        for invariant in ["I2 zxid", "I5 election safety"] {
            self.findings.add(invariant, at, None, || {
                format!("server {leader} leads epoch {epoch}, as server {other} did from {when:?}")
            });
        }
    }

    /// Who leads has the votes of a quorum, and they are durable.
    fn votes_of(&mut self, at: Duration, epoch: Epoch, leader: ServerId, chain: &Chain) {
        let votes = self.votes.get(&epoch).into_iter().flatten();
        let given = votes.filter(|(_, (_, candidate))| *candidate == leader);
        let given: BTreeMap<ServerId, DirectoryId> = given
            .map(|(voter, (directory, _))| (*voter, *directory))
            .collect();
        if !self.members.is_quorum_of(chain, &given) {
            self.findings.add("I5 election safety", at, None, || {
                let voters: Vec<u8> = given.keys().map(|server| server.0).collect();
                format!("server {leader} leads epoch {epoch} by the durable votes of {voters:?}")
            });
        }
    }

    /// What is agreed now of an older epoch was in the logs of all newer leaders: those after the
    /// newest one that had it, in whose epoch it may have been agreed. Before that, leaders may
    /// have come and gone without it.
    pub(super) fn newer_leaders_have(&mut self, at: Duration, zxid: Zxid) {
        for (epoch, won) in self.won.range(zxid.epoch().next()..).rev() {
            if won.chain.contains(zxid) {
                return;
            }
            self.findings.add("I5 completeness", at, None, || {
                let leader = won.leader;
                format!("{zxid} is agreed, and server {leader} led epoch {epoch} without it")
            });
        }
    }
}
