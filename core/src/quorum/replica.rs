//! One server of the ensemble: its ballot, its log, and what of the log is agreed.
//!
//! The rules are Raft's in ZooKeeper's words: an epoch has at most one leader, a leader opens its
//! epoch with a transaction of its own, and only through that one does it know that what older
//! epochs left in the log is agreed. One server is an ensemble of one.
//!
//! A transaction is executed once it is agreed *and* durable on this server's own disk, so what a
//! full disk takes back was never executed here, and what was executed is never taken back.
//!
//! The methods are told what happened and gather [`Act`]s, which the node turns into effects. This
//! file has the state; `election`, `leader`, `follower` and `disk` have what happens to it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::ids::{DirectoryId, Epoch, ServerId, Ticket, Zxid};
use crate::membership::Membership;
use crate::prng::Prng;
use crate::quorum::act::{Act, Alarm, Fact, Followers, Part, Timing};
use crate::quorum::incoming::Incoming;
use crate::quorum::log::{Ballot, Record, Standing};
use crate::quorum::members::Members;
use crate::quorum::message::{Cause, Message, Vote};
use crate::quorum::reign::Reign;
use crate::quorum::saving::Saving;
use crate::quorum::window::{KEPT_BYTES, KEPT_FOR_TRANSFER_BYTES, Window};
use crate::store::txn::Entry;
use crate::time::{Instant, Now};
use crate::voters::Voters;

/// What a server is at its start.
#[derive(Debug)]
pub struct Beginning {
    /// Who it is.
    pub server: ServerId,
    /// Its data directory.
    pub directory: DirectoryId,
    /// The voters of an ensemble that is not founded.
    pub first: Voters,
    /// The last ballot that was saved.
    pub ballot: Ballot,
    /// The position of its state.
    pub executed: Zxid,
    /// The members by its state.
    pub membership: Membership,
    /// What its log holds beyond its state; durable, but not known to be agreed.
    pub entries: Vec<Entry>,
    /// Drawn for this life.
    pub incarnation: u64,
    /// The last position of an epoch.
    pub counter_max: u32,
}

/// The agreement's state at one server.
#[derive(Clone, Debug)]
pub struct Replica {
    pub(super) server: ServerId,
    pub(super) directory: DirectoryId,
    pub(super) timing: Timing,
    pub(super) counter_max: u32,
    pub(super) prng: Prng,
    pub(super) ballot: Ballot,
    pub(super) part: Part,
    /// Whom this server follows, or itself.
    pub(super) leader: Option<ServerId>,
    pub(super) window: Window,
    pub(super) members: Members,
    /// This server's own log is durable up to here.
    pub(super) durable: Zxid,
    /// The log is agreed up to here.
    pub(super) committed: Zxid,
    pub(super) executed: Zxid,
    /// The servers to which a link is up, and their directories.
    pub(super) peers: BTreeMap<ServerId, Peer>,

    // The election.
    /// A candidate has told that its log names this directory, so that it may vote: it may not know
    /// that itself, if its disk was full.
    pub(super) is_named: bool,
    pub(super) votes: BTreeMap<ServerId, Vote>,
    pub(super) cause: Cause,
    pub(super) election_at: Instant,
    pub(super) has_waited: bool,
    pub(super) heard_at: Instant,
    pub(super) suspects_leader: bool,

    // As leader.
    pub(super) reign: Option<Reign>,
    /// The newest snapshot of this server that is durable.
    pub(super) snapshot: Zxid,

    // As follower.
    /// The log is the leader's up to here.
    pub(super) matched: Zxid,
    pub(super) owes_ack: bool,
    pub(super) acked: Option<(Epoch, Zxid)>,
    pub(super) incoming: Option<Incoming>,

    // The disk.
    pub(super) incarnation: u64,
    pub(super) tickets: u64,
    /// Saves that are not yet answered, in the order of their tickets.
    pub(super) saving: VecDeque<(Ticket, Saving)>,
    /// The number of the last save that was asked for when one was refused: the answers up to it
    /// are refusals, too.
    pub(super) refused_up_to: u64,
    /// A cut that was refused must be saved before the next entry.
    pub(super) owed_cut: Option<Zxid>,
    /// The disk was full: nothing is taken before this.
    pub(super) full_until: Instant,

    pub(super) acts: Vec<Act>,
}

/// A server to which a link is up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Peer {
    pub directory: DirectoryId,
    /// By its greeting.
    pub standing: Option<Standing>,
}

impl Replica {
    /// A server at its start. What was read from the disk is durable, but whether it is agreed is
    /// unknown.
    pub fn new(beginning: Beginning, timing: Timing, prng: Prng) -> Replica {
        let Beginning {
            server,
            directory,
            first,
            ballot,
            executed,
            membership,
            entries,
            incarnation,
            counter_max,
        } = beginning;
        let last = entries.last().map_or(executed, |entry| entry.zxid);
        assert!(
            last >= executed,
            "the log ends before the state that was made from it"
        );
        let mut members = Members::new(first, membership, entries.iter());
        if last == Zxid::ZERO {
            members.greeted_blank(server, directory);
        }
        Replica {
            server,
            directory,
            timing,
            counter_max,
            prng,
            ballot,
            part: Part::Looking,
            leader: None,
            window: Window::new(executed, entries),
            members,
            durable: last,
            committed: executed,
            executed,
            peers: BTreeMap::new(),
            is_named: false,
            votes: BTreeMap::new(),
            cause: Cause::Silence,
            election_at: Instant::ORIGIN,
            has_waited: false,
            heard_at: Instant::ORIGIN,
            suspects_leader: false,
            reign: None,
            snapshot: executed,
            matched: Zxid::ZERO,
            owes_ack: false,
            acked: None,
            incoming: None,
            incarnation,
            tickets: 0,
            saving: VecDeque::new(),
            refused_up_to: 0,
            owed_cut: None,
            full_until: Instant::ORIGIN,
            acts: Vec::new(),
        }
    }

    /// What part this server plays.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Whom this server follows in its epoch; itself, if it leads.
    pub fn leader(&self) -> Option<ServerId> {
        self.leader
    }

    /// The newest epoch that this server knows of.
    pub fn epoch(&self) -> Epoch {
        self.ballot.epoch
    }

    /// The log is agreed up to here.
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The end of the log, durable or not.
    pub fn last(&self) -> Zxid {
        self.window.last()
    }

    /// The members by the newest word of the log.
    pub fn membership(&self) -> &Membership {
        self.members.newest()
    }

    /// Is this server the whole ensemble?
    pub fn is_alone(&self) -> bool {
        let members = self.members.newest();
        members.incoming.is_none()
            && members.learners.is_empty()
            && members.voters.len() == 1
            && members.voters.contains(&self.server)
    }

    /// The other servers, if this one leads.
    pub fn followers(&self) -> Followers {
        let Some(reign) = &self.reign else {
            return Followers::default();
        };
        let members = self.members.newest();
        let mut followers = Followers::default();
        for server in self.peers.keys() {
            if members.is_voter(*server) {
                followers.voters += 1;
                followers.synced += usize::from(reign.matched(*server) == Some(self.last()));
            } else if members.learners.contains(server) {
                followers.learners += 1;
            }
        }
        followers
    }

    /// What there is to do, in order.
    pub fn take_acts(&mut self) -> Vec<Act> {
        core::mem::take(&mut self.acts)
    }

    /// The emptied list of acts: its allocation serves the next step.
    pub fn recycle(&mut self, acts: Vec<Act>) {
        assert!(
            acts.is_empty(),
            "acts are done before the list is used again"
        );
        if self.acts.is_empty() {
            self.acts = acts;
        }
    }

    /// The alarms that are armed.
    pub fn armed(&self) -> [Option<(Instant, Alarm)>; 3] {
        let election = (self.may_stand() || self.waits_to_be_founded())
            .then(|| (self.election_at.max(self.full_until), Alarm::Election));
        let [beat, quorum] = self.reign.as_ref().map_or([None; 2], |reign| reign.armed());
        [election, beat, quorum]
    }

    /// An armed alarm is due.
    pub fn rang(&mut self, now: Now, alarm: Alarm) {
        match alarm {
            Alarm::Election => self.election_due(now),
            Alarm::Beat => self.beat(now),
            Alarm::Quorum => self.quorum_due(now),
        }
    }

    /// A link to another server is up.
    pub fn peer_joined(&mut self, server: ServerId, directory: DirectoryId) {
        let peer = Peer {
            directory,
            standing: None,
        };
        self.peers.insert(server, peer);
        // Whatever was said to the other process, or got lost, is said again.
        self.acked = None;
        self.owes_ack |= self.leader == Some(server);
        self.probe_again(server, directory);
        self.greet(server);
    }

    /// Says what this server has.
    pub(super) fn greet(&mut self, server: ServerId) {
        let greeting = Message::Greeting {
            epoch: self.ballot.epoch,
            last: self.last(),
            standing: self.ballot.standing,
        };
        self.send(server, greeting);
    }

    /// No link to a server is up any more. If it leads, there may soon be an election.
    pub fn peer_lost(&mut self, now: Now, server: ServerId) {
        self.peers.remove(&server);
        self.missed(now, server);
    }

    /// A server said something that concerns the agreement.
    pub fn heard(&mut self, now: Now, from: ServerId, directory: DirectoryId, message: Message) {
        // What a data directory said that was replaced meanwhile holds for the new one in nothing.
        let is_replaced = |peer: &Peer| peer.directory != directory;
        if from == self.server || self.peers.get(&from).is_some_and(is_replaced) {
            return;
        }
        match message {
            Message::Greeting {
                epoch: _,
                last,
                standing,
            } => self.greeted(now, from, directory, last, standing),
            Message::VoteAsked {
                epoch,
                ballotting,
                cause,
                last,
                standing,
            } => {
                self.is_named |= standing == Standing::Admitted;
                self.vote_asked(now, from, epoch, ballotting, cause, last);
            }
            Message::Voted {
                epoch,
                ballotting,
                vote,
            } => self.voted(now, from, directory, epoch, ballotting, vote),
            Message::Append {
                epoch,
                previous,
                entries,
                committed,
            } => self.append_heard(now, from, epoch, previous, entries, committed),
            Message::Beat {
                epoch,
                round,
                committed,
            } => self.beat_heard(now, from, epoch, round, committed),
            Message::Chunk {
                epoch,
                zxid,
                offset,
                bytes,
                extent,
            } => self.chunk_heard(now, from, epoch, zxid, offset, bytes, extent),
            Message::Succeed { epoch } => self.succeed_heard(now, from, epoch),
            Message::Appended {
                epoch,
                durable,
                standing,
            } => self.appended_heard(from, directory, epoch, durable, standing),
            Message::Mismatched {
                epoch,
                previous,
                floor,
            } => self.mismatched_heard(from, epoch, previous, floor),
            Message::Beaten { epoch, round, .. } => self.beaten_heard(from, epoch, round),
            Message::ChunkTaken {
                epoch,
                zxid,
                offset,
            } => self.chunk_taken_heard(from, epoch, zxid, offset),
            Message::BarrierAsked { number, .. } => self.barrier_asked(from, number),
            // These are the node's.
            Message::BarrierSet { .. } | Message::Forward { .. } => {}
        }
    }

    fn greeted(
        &mut self,
        now: Now,
        from: ServerId,
        directory: DirectoryId,
        last: Zxid,
        standing: Standing,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if peer.directory != directory {
            return;
        }
        peer.standing = Some(standing);
        if last == Zxid::ZERO {
            let is_another = self.members.greeted_blank(from, directory);
            if is_another {
                self.stand_down(now);
            }
        } else {
            self.members.greeted_with_log(from);
        }
        self.probe_again(from, directory);
    }

    /// The inputs that waited are stepped: says what has gathered.
    pub fn drained(&mut self, now: Now) {
        match self.part {
            Part::Leader => self.say_as_leader(now),
            _ => self.say_as_follower(),
        }
    }

    /// The next entry that is agreed and durable here and was not taken yet. Its members count from
    /// here on as agreed.
    pub fn take_committed(&mut self) -> Option<Entry> {
        let entry = self.window.execute(self.committed.min(self.durable))?;
        self.executed = entry.zxid;
        self.members.executed(entry.zxid);
        self.admit_myself();
        Some(entry)
    }

    /// What was taken is executed: forgets what nobody needs.
    pub fn trim(&mut self) {
        let in_transfer = self.reign.as_ref().is_some_and(Reign::is_transferring);
        self.window.trim(match in_transfer {
            true => KEPT_FOR_TRANSFER_BYTES,
            false if self.is_alone() => 0,
            false => KEPT_BYTES,
        });
    }

    /// A snapshot of this server is durable.
    pub fn snapshot_made(&mut self, zxid: Zxid) {
        self.snapshot = self.snapshot.max(zxid);
    }

    /// What is executed names this directory: from now on it speaks for its server, and remembers
    /// it.
    pub(super) fn admit_myself(&mut self) {
        if self.ballot.standing == Standing::Stranger
            && self.members.is_named(self.server, self.directory)
        {
            self.ballot.standing = Standing::Admitted;
            self.save_ballot(Saving::Ballot);
        }
    }

    pub(super) fn send(&mut self, to: ServerId, message: Message) {
        self.acts.push(Act::Send { to, message });
    }

    pub(super) fn tell(&mut self, fact: Fact) {
        self.acts.push(Act::Tell(fact));
    }

    /// Everybody else whose vote counts.
    pub(super) fn other_voters(&self) -> Vec<ServerId> {
        let members = self.members.newest();
        members
            .members()
            .into_iter()
            .filter(|server| *server != self.server && members.has_vote(*server))
            .collect()
    }

    /// Follows an epoch, with its leader if that is known. Whatever this server was, it is no more.
    pub(super) fn follow(&mut self, now: Now, epoch: Epoch, leader: Option<ServerId>) {
        assert!(epoch >= self.ballot.epoch, "epochs only grow");
        if self.part == Part::Leader {
            assert!(epoch > self.ballot.epoch, "an epoch has one leader");
            self.abdicate();
        }
        if epoch > self.ballot.epoch {
            self.ballot = Ballot {
                epoch,
                voted_for: None,
                standing: self.ballot.standing,
            };
            self.save_ballot(Saving::Ballot);
            self.leader = None;
        }
        self.votes.clear();
        if let Some(leader) = leader {
            if self.leader != Some(leader) {
                self.leader = Some(leader);
                self.matched = self.committed;
                self.acked = None;
                self.incoming = self.incoming.take().filter(Incoming::is_installing);
                self.tell(Fact::Followed(epoch, leader));
            }
            self.suspects_leader = false;
            self.heard_at = now.clock;
        }
        self.part = match self.leader {
            Some(_) => Part::Follower,
            None => Part::Looking,
        };
        self.draw_election(now);
    }

    /// Leads no more.
    pub(super) fn abdicate(&mut self) {
        if self.reign.take().is_some() {
            self.tell(Fact::Deposed(self.ballot.epoch));
        }
        self.part = Part::Looking;
        self.leader = None;
        self.votes.clear();
    }

    /// Appends an entry, and asks for it to be saved.
    pub(super) fn append(&mut self, entry: Entry) {
        if let Some(after) = self.owed_cut.take() {
            self.save(Record::Cut(after), Saving::Cut(after));
        }
        let is_first = !self.members.is_founded();
        let before = self.members.newest().directories.get(&self.server).copied();
        self.members.appended(&entry);
        // The founders, and servers that join, have no predecessor whom they could contradict. Who
        // replaces another directory waits until that is agreed.
        if (is_first || before.is_none())
            && self.members.newest().knows(self.server, self.directory)
            && self.ballot.standing == Standing::Stranger
        {
            self.ballot.standing = Standing::Admitted;
            self.save_ballot(Saving::Ballot);
        }
        self.window.push(entry.clone());
        let zxid = entry.zxid;
        self.save(Record::Entry(entry), Saving::Entry(zxid));
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        assert!(
            self.committed <= self.last(),
            "agreed beyond the end of the log"
        );
        assert!(self.executed <= self.committed, "executed, but not agreed");
        assert!(self.executed <= self.durable, "executed, but not saved");
        assert!(
            self.durable <= self.last(),
            "durable beyond the end of the log"
        );
        assert!(
            (self.part == Part::Leader) == self.reign.is_some(),
            "a leader has a reign, and nobody else"
        );
        assert!(
            self.part != Part::Leader || self.leader == Some(self.server),
            "a leader follows itself"
        );
        assert!(self.acts.is_empty(), "acts are done in their own step");
    }

    /// Asserts what is costly to look at.
    pub fn check_log(&self) {
        self.window.check();
    }

    /// What of the agreement matters to the protocol.
    pub fn digest_into(&self, mut take: impl FnMut(&[u8])) {
        let take = &mut take;
        let mut number = |number: u64| take(&number.to_le_bytes());
        number(u64::from(self.ballot.epoch.0));
        number(self.ballot.voted_for.map_or(0, |server| server.0.into()));
        number(self.ballot.standing as u64);
        number(u64::from(self.is_named));
        number(self.part as u64);
        number(self.leader.map_or(0, |server| server.0.into()));
        number(self.window.base().0);
        for entry in self.window.entries() {
            number(entry.zxid.0);
        }
        number(self.durable.0);
        number(self.committed.0);
        number(self.executed.0);
        for (server, peer) in &self.peers {
            number(server.0.into());
            number(peer.directory.0 as u64);
            number(peer.standing.map_or(2, |standing| standing as u64));
        }
        for (server, vote) in &self.votes {
            number(server.0.into());
            number(*vote as u64);
        }
        number(self.cause as u64);
        number(self.suspects_leader.into());
        number(self.has_waited.into());
        number(self.snapshot.0);
        number(self.matched.0);
        number(self.owes_ack.into());
        number(self.acked.map_or(0, |(_, zxid)| zxid.0 + 1));
        number(self.saving.len() as u64);
        for (_, saving) in &self.saving {
            saving.digest_into(&mut number);
        }
        let is_refused = |(ticket, _): &&(Ticket, _)| ticket.number <= self.refused_up_to;
        number(self.saving.iter().filter(is_refused).count() as u64);
        number(self.owed_cut.map_or(0, |after| after.0 + 1));
        number(self.heard_at.0);
        number(self.full_until.0);
        if let Some(incoming) = &self.incoming {
            incoming.digest_into(&mut number);
        }
        if let Some(reign) = &self.reign {
            reign.digest_into(&mut number);
        }
        self.members.digest_into(take);
    }
}
