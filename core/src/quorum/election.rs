//! How a leader comes about: a trial vote that disturbs nobody, then a real one.

use alloc::vec::Vec;

use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};
use crate::quorum::act::{Fact, Part};
use crate::quorum::log::{Ballot, Standing};
use crate::quorum::message::{Ballotting, Cause, Message, Vote};
use crate::quorum::reign::Reign;
use crate::quorum::replica::Replica;
use crate::quorum::saving::Saving;
use crate::time::{Duration, Now};

/// How long a server that lost its link to the leader waits, at most, before it stands: long
/// enough that mostly one stands first, short enough that clients hardly notice.
const SUSPICION_JITTER: Duration = Duration::from_millis(20);

impl Replica {
    /// May this server stand for election? It must not have forgotten votes, and be able to save
    /// its own.
    pub(super) fn may_stand(&self) -> bool {
        self.part != Part::Leader
            && self.may_vote()
            && self.members.may_lead(self.server)
            && !self.is_refusing()
            && self
                .incoming
                .as_ref()
                .is_none_or(|incoming| !incoming.is_installing())
    }

    /// Does this server know nobody, and wait for greetings? Or is it a founder that cannot stand,
    /// so that others wait for its own?
    pub(super) fn waits_to_be_founded(&self) -> bool {
        let newest = self.members.newest();
        let only_greets = || {
            !self.members.is_founded()
                && newest.is_voter(self.server)
                && !newest.has_vote(self.server)
        };
        self.leader.is_none() && (newest.is_empty() || only_greets())
    }

    /// May this directory vote for its server? Before the ensemble is founded, if it is a founder;
    /// one that voted then remembers it.
    fn may_vote(&self) -> bool {
        let founds = || self.members.newest().knows(self.server, self.directory);
        self.ballot.standing == Standing::Admitted
            || (!self.members.is_founded() && founds())
            || self.is_named
    }

    /// The next election is due some time between the configured time-out and twice that.
    pub(super) fn draw_election(&mut self, now: Now) {
        let timeout = self.timing.election_timeout;
        self.election_at = now.clock.after(timeout + self.prng.below_span(timeout));
    }

    /// Nobody was heard of who leads.
    pub(super) fn election_due(&mut self, now: Now) {
        if self.waits_to_be_founded() {
            // A greeting may have been lost.
            self.draw_election(now);
            self.greet_all();
            return;
        }
        if !self.may_stand() {
            return;
        }
        // All servers of an ensemble are often started together: each first waits its own time.
        if !self.has_waited && !self.is_alone() {
            self.has_waited = true;
            self.draw_election(now);
            return;
        }
        if self.part == Part::Canvasser && !self.members.is_founded() {
            // It asked in vain: others may have lost its greeting, and found nothing without it.
            self.greet_all();
        }
        self.canvass(now);
    }

    fn greet_all(&mut self) {
        let peers: Vec<ServerId> = self.peers.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.greet(peer));
    }

    /// Gossip has it that a server does not answer. If that is the leader, and this server hears
    /// it, gossip errs, or lies.
    pub(crate) fn suspected(&mut self, now: Now, server: ServerId) {
        if now.clock.since(self.heard_at) > self.timing.beat * 2 {
            self.missed(now, server);
        }
    }

    /// A server does not answer. If it leads, this server stands soon, and no longer refuses others
    /// for its sake.
    pub(super) fn missed(&mut self, now: Now, server: ServerId) {
        if self.part != Part::Follower || self.leader != Some(server) || self.suspects_leader {
            return;
        }
        self.suspects_leader = true;
        let jitter = self.prng.below_span(SUSPICION_JITTER);
        self.election_at = self.election_at.min(now.clock.after(jitter));
    }

    /// Asks everybody whether they would vote for this server.
    fn canvass(&mut self, now: Now) {
        self.leader = None;
        self.part = Part::Canvasser;
        self.cause = Cause::Silence;
        self.votes.clear();
        self.votes.insert(self.server, Vote::Given);
        self.draw_election(now);
        if self.is_elected() {
            self.campaign(now, Cause::Silence);
            return;
        }
        self.tell(Fact::Canvassed(self.next_epoch()));
        self.ask_for_votes(Ballotting::Trial);
    }

    /// Stands for election. The vote for itself counts, and others are asked for theirs, once it is
    /// durable.
    pub(super) fn campaign(&mut self, now: Now, cause: Cause) {
        assert!(self.reign.is_none(), "a leader does not stand for election");
        self.leader = None;
        self.part = Part::Candidate;
        self.cause = cause;
        self.votes.clear();
        self.draw_election(now);
        self.ballot = Ballot {
            epoch: self.next_epoch(),
            voted_for: Some(self.server),
            standing: Standing::Admitted,
        };
        self.tell(Fact::Campaigned(self.ballot.epoch));
        self.save_ballot(Saving::OwnVote(self.ballot.epoch));
    }

    /// The log may hold a newer epoch than the ballot if the ballot was never needed since.
    fn next_epoch(&self) -> Epoch {
        self.ballot.epoch.max(self.last().epoch()).next()
    }

    fn ask_for_votes(&mut self, ballotting: Ballotting) {
        let epoch = match ballotting {
            Ballotting::Trial => self.next_epoch(),
            Ballotting::Real => self.ballot.epoch,
        };
        for to in self.other_voters() {
            let asked = Message::VoteAsked {
                epoch,
                ballotting,
                cause: self.cause,
                last: self.last(),
                standing: self.standing_of(to),
            };
            self.send(to, asked);
        }
    }

    /// How another server's directory stands, by this server's log.
    fn standing_of(&self, server: ServerId) -> Standing {
        let peer = self.peers.get(&server);
        let counts = |directory| self.members.admits(server, directory);
        match peer.is_some_and(|peer| counts(peer.directory)) {
            true => Standing::Admitted,
            false => Standing::Stranger,
        }
    }

    /// The vote for itself is durable.
    pub(super) fn voted_for_myself(&mut self, now: Now, epoch: Epoch) {
        if self.part != Part::Candidate || epoch != self.ballot.epoch {
            return;
        }
        self.votes.insert(self.server, Vote::Given);
        self.ask_for_votes(Ballotting::Real);
        self.win_if_elected(now);
    }

    /// A founder has lost its disk while this server stands: what others have voted may be older
    /// than that, and then they may have founded the ensemble with the old directory meanwhile.
    /// Votes that are asked for from here on count.
    pub(super) fn stand_down(&mut self, now: Now) {
        if matches!(self.part, Part::Canvasser | Part::Candidate) {
            self.part = Part::Looking;
            self.votes.clear();
            self.draw_election(now);
        }
    }

    fn is_elected(&self) -> bool {
        let given = |server| self.votes.get(&server) == Some(&Vote::Given);
        self.members.newest().is_quorum(given)
    }

    fn win_if_elected(&mut self, now: Now) {
        if self.part != Part::Candidate || !self.votes.contains_key(&self.server) {
            return;
        }
        if self.is_elected() {
            self.part = Part::Leader;
            self.leader = Some(self.server);
            self.votes.clear();
            self.reign = Some(Reign::new(now, self.timing));
            self.attend_members();
        }
    }

    /// Is there a leader whom this server still hears? Then it does not help to depose it.
    fn hears_leader(&self, now: Now) -> bool {
        match self.part {
            Part::Leader => true,
            Part::Follower => {
                let silence = now.clock.since(self.heard_at);
                !self.suspects_leader && silence < self.timing.election_timeout
            }
            Part::Looking | Part::Canvasser | Part::Candidate => false,
        }
    }

    /// A candidate asks for this server's vote.
    pub(super) fn vote_asked(
        &mut self,
        now: Now,
        from: ServerId,
        epoch: Epoch,
        ballotting: Ballotting,
        cause: Cause,
        last: Zxid,
    ) {
        let stays = cause == Cause::Silence && self.hears_leader(now);
        if epoch < self.ballot.epoch || stays {
            self.deny(from, ballotting);
            return;
        }
        match ballotting {
            Ballotting::Trial => {
                let would = epoch > self.ballot.epoch && last >= self.last() && self.may_vote();
                match would {
                    true => self.give(from, epoch, Ballotting::Trial),
                    false => self.deny(from, ballotting),
                }
            }
            Ballotting::Real => {
                if epoch > self.ballot.epoch {
                    self.follow(now, epoch, None);
                }
                let free = self.ballot.voted_for.is_none_or(|voted| voted == from);
                if free && last >= self.last() && self.may_vote() && self.leader.is_none() {
                    self.ballot.voted_for = Some(from);
                    self.ballot.standing = Standing::Admitted;
                    self.draw_election(now);
                    self.save_ballot(Saving::Vote(epoch, from));
                } else {
                    self.deny(from, ballotting);
                }
            }
        }
    }

    fn give(&mut self, to: ServerId, epoch: Epoch, ballotting: Ballotting) {
        let vote = Vote::Given;
        let voted = Message::Voted {
            epoch,
            ballotting,
            vote,
        };
        self.send(to, voted);
    }

    /// Denies a vote; also tells one who still lives in an older epoch which it is now.
    pub(super) fn deny(&mut self, to: ServerId, ballotting: Ballotting) {
        let denied = Message::Voted {
            epoch: self.ballot.epoch,
            ballotting,
            vote: Vote::Denied,
        };
        self.send(to, denied);
    }

    /// This server's vote for another is durable.
    pub(super) fn vote_saved(&mut self, epoch: Epoch, candidate: ServerId) {
        if self.ballot.epoch == epoch && self.ballot.voted_for == Some(candidate) {
            self.give(candidate, epoch, Ballotting::Real);
        }
    }

    /// A vote has come, or word of a newer epoch.
    pub(super) fn voted(
        &mut self,
        now: Now,
        from: ServerId,
        directory: DirectoryId,
        epoch: Epoch,
        ballotting: Ballotting,
        vote: Vote,
    ) {
        if vote == Vote::Denied && epoch > self.ballot.epoch {
            self.follow_newer(now, epoch);
            return;
        }
        if !self.members.newest().knows(from, directory) {
            return;
        }
        match (self.part, ballotting) {
            (Part::Canvasser, Ballotting::Trial) if epoch == self.next_epoch() => {
                self.votes.insert(from, vote);
                if self.is_elected() {
                    self.campaign(now, Cause::Silence);
                }
            }
            (Part::Candidate, Ballotting::Real) if epoch == self.ballot.epoch => {
                self.votes.insert(from, vote);
                self.win_if_elected(now);
            }
            _ => {}
        }
    }

    /// There is a newer epoch, and this server does not know who leads it.
    fn follow_newer(&mut self, now: Now, epoch: Epoch) {
        let election_at = self.election_at;
        self.follow(now, epoch, None);
        // To hear of an epoch is no sign of life of a leader.
        self.election_at = self.election_at.min(election_at.max(now.clock));
    }

    /// The leader hands over to this server.
    pub(super) fn succeed_heard(&mut self, now: Now, from: ServerId, epoch: Epoch) {
        if epoch == self.ballot.epoch && self.leader == Some(from) && self.may_stand() {
            self.campaign(now, Cause::Succession);
        }
    }

    /// The leader's counter is exhausted: it wins the next epoch by a real vote.
    pub(crate) fn renew(&mut self, now: Now) {
        assert!(self.part == Part::Leader, "only a leader renews its reign");
        self.abdicate();
        self.campaign(now, Cause::Succession);
    }

    /// Leaves everything to others, for what only the disk can mend.
    pub(super) fn resign(&mut self, now: Now) {
        let successor = self.best_successor();
        let epoch = self.ballot.epoch;
        self.abdicate();
        self.draw_election(now);
        if let Some(to) = successor {
            self.tell(Fact::HandedOver(epoch, to));
            self.send(to, Message::Succeed { epoch });
        }
    }

    /// The voter that has most of the log, to whom a link is up.
    pub(super) fn best_successor(&self) -> Option<ServerId> {
        let reign = self.reign.as_ref()?;
        let candidates: Vec<(Zxid, ServerId)> = self
            .other_voters()
            .into_iter()
            .filter(|server| self.peers.contains_key(server))
            .filter_map(|server| Some((reign.matched(server)?, server)))
            .collect();
        candidates.into_iter().max().map(|(_, server)| server)
    }
}
