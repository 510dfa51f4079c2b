//! One server of the ensemble: its ballot, its log, and what of the log is agreed.
//!
//! The rules are Raft's in ZooKeeper's words: an epoch has at most one leader, a leader opens its
//! epoch with a transaction of its own, and only through that one does it know that what older
//! epochs left in the log is agreed. One server is an ensemble of one: it votes for itself, saves
//! the vote, opens its epoch, and a transaction is agreed when its own disk has it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{Epoch, ServerId, Ticket, Zxid};
use crate::quorum::log::{Ballot, Record};
use crate::store::txn::{Entry, Txn};

/// What part a server plays in the agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// It knows no leader.
    Looking,
    /// It asked for votes and waits for them.
    Candidate,
    /// It has won its epoch.
    Leader,
}

/// What a save is for, so that its answer finds its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Saving {
    Ballot(Epoch),
    Entry(Zxid),
}

/// What the replica wants saved; the node makes an effect of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Save {
    /// Names the save in its answer.
    pub ticket: Ticket,
    /// What to append to the log.
    pub record: Record,
}

/// What the answer to a save brought about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing that anybody waits for.
    Nothing,
    /// A quorum has voted for this server: it leads the epoch, which it must open now.
    Won(Epoch),
    /// The log is agreed up to here.
    Committed(Zxid),
}

/// The agreement's state at one server.
#[derive(Clone, Debug)]
pub struct Replica {
    server: ServerId,
    voters: BTreeSet<ServerId>,
    ballot: Ballot,
    part: Part,
    /// Who voted for this server in the epoch of its ballot.
    votes: BTreeSet<ServerId>,
    /// The end of the log, durable or not.
    last: Zxid,
    /// The log up to here is durable, by server; this server's own disk is one of them.
    durable: BTreeMap<ServerId, Zxid>,
    committed: Zxid,
    /// Entries after the last one that was taken by [`Replica::take_committed`].
    tail: VecDeque<Entry>,
    incarnation: u64,
    tickets: u64,
    /// Saves that are not yet answered, in the order of their tickets.
    saving: VecDeque<(Ticket, Saving)>,
    /// A save was refused, and there are answers to later ones still to come: refusals, too.
    refusing: bool,
}

impl Replica {
    /// A server at its start: `executed` is the position of its state, `entries` what its log holds
    /// after that. What was read from the disk is durable, but whether it is agreed is unknown.
    pub fn new(
        server: ServerId,
        voters: BTreeSet<ServerId>,
        ballot: Ballot,
        executed: Zxid,
        entries: Vec<Entry>,
        incarnation: u64,
    ) -> Replica {
        assert!(
            voters.contains(&server),
            "server {server} is not one of the voters"
        );
        let last = entries.last().map_or(executed, |entry| entry.zxid);
        assert!(
            last >= executed,
            "the log ends before the state that was made from it"
        );
        Replica {
            server,
            voters,
            ballot,
            part: Part::Looking,
            votes: BTreeSet::new(),
            last,
            durable: BTreeMap::from([(server, last)]),
            committed: executed,
            tail: VecDeque::from(entries),
            incarnation,
            tickets: 0,
            saving: VecDeque::new(),
            refusing: false,
        }
    }

    /// What part this server plays.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The newest epoch that this server knows of.
    pub fn epoch(&self) -> Epoch {
        self.ballot.epoch
    }

    /// The ballot, saved or about to be.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The log is agreed up to here.
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The end of the log, durable or not.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// Entries that are in the log and not yet agreed.
    pub fn uncommitted(&self) -> usize {
        self.tail.len()
    }

    /// Stands for election in the next epoch. The vote for itself counts once it is durable.
    pub fn campaign(&mut self) -> Save {
        assert!(
            self.part != Part::Leader,
            "a leader does not stand for election"
        );
        self.part = Part::Candidate;
        self.votes.clear();
        // The log may hold a newer epoch than the ballot if the ballot was never needed since.
        let known = self.ballot.epoch.max(self.last.epoch());
        self.ballot = Ballot {
            epoch: known.next(),
            voted_for: Some(self.server),
            standing: self.ballot.standing,
        };
        let ticket = self.ticket(Saving::Ballot(self.ballot.epoch));
        Save {
            ticket,
            record: Record::Ballot(self.ballot),
        }
    }

    /// Appends the transaction that opens the epoch; the leader's first.
    pub fn open_epoch(&mut self, txn: Txn) -> Save {
        assert!(self.part == Part::Leader, "only a leader opens an epoch");
        assert!(
            self.last.epoch() < self.ballot.epoch,
            "the epoch is open already"
        );
        self.append(Zxid::new(self.ballot.epoch, 0), txn).1
    }

    /// Appends a transaction. `None` if the epoch's counter is exhausted: then the leader must win
    /// another epoch first.
    pub fn propose(&mut self, txn: Txn) -> Option<(Zxid, Save)> {
        assert!(self.part == Part::Leader, "only a leader proposes");
        assert!(
            self.last.epoch() == self.ballot.epoch,
            "the epoch is not open"
        );
        self.last.next().map(|zxid| self.append(zxid, txn))
    }

    /// A leader gives up its epoch to stand for the next one.
    pub fn step_down(&mut self) {
        self.part = Part::Looking;
        self.votes.clear();
    }

    fn append(&mut self, zxid: Zxid, txn: Txn) -> (Zxid, Save) {
        let entry = Entry {
            zxid,
            txn: Arc::new(txn),
        };
        self.tail.push_back(entry.clone());
        self.last = zxid;
        let ticket = self.ticket(Saving::Entry(zxid));
        (
            zxid,
            Save {
                ticket,
                record: Record::Entry(entry),
            },
        )
    }

    fn ticket(&mut self, saving: Saving) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket {
            incarnation: self.incarnation,
            number: self.tickets,
        };
        self.saving.push_back((ticket, saving));
        ticket
    }

    /// A save is durable.
    pub fn saved(&mut self, ticket: Ticket) -> Progress {
        let Some(saving) = self.answered(ticket) else {
            return Progress::Nothing;
        };
        assert!(
            !self.refusing,
            "a save after a refused one cannot have succeeded"
        );
        match saving {
            Saving::Ballot(epoch) if epoch == self.ballot.epoch && self.part == Part::Candidate => {
                self.votes.insert(self.server);
                if self.is_quorum(|server| self.votes.contains(server)) {
                    self.part = Part::Leader;
                    return Progress::Won(epoch);
                }
                Progress::Nothing
            }
            Saving::Ballot(_) => Progress::Nothing,
            Saving::Entry(zxid) => {
                self.durable.insert(self.server, zxid);
                self.advance_commit()
            }
        }
    }

    /// A save was refused for want of space; the storage cut its log back to before it and refuses
    /// every later ticket too. Gives the entries that are taken back, in their order; none if an
    /// earlier refusal took them already.
    pub fn refused(&mut self, ticket: Ticket) -> Vec<Entry> {
        let Some(saving) = self.answered(ticket) else {
            return Vec::new();
        };
        self.refusing = !self.saving.is_empty();
        match saving {
            Saving::Ballot(_) => {
                self.step_down();
                Vec::new()
            }
            Saving::Entry(zxid) => {
                let kept = self
                    .tail
                    .iter()
                    .take_while(|entry| entry.zxid < zxid)
                    .count();
                let lost: Vec<Entry> = self.tail.drain(kept..).collect();
                self.last = self.tail.back().map_or(self.committed, |entry| entry.zxid);
                if self.last.epoch() < self.ballot.epoch {
                    // The transaction that opens the epoch is among them: the reign has no log.
                    self.step_down();
                }
                lost
            }
        }
    }

    /// May a transaction be proposed? After a refusal not before every save that was asked for
    /// has its answer: what is appended must follow what the storage kept.
    pub fn can_propose(&self) -> bool {
        self.part == Part::Leader && self.last.epoch() == self.ballot.epoch && !self.refusing
    }

    /// May this server stand for election?
    pub fn can_campaign(&self) -> bool {
        self.part == Part::Looking && !self.refusing
    }

    fn answered(&mut self, ticket: Ticket) -> Option<Saving> {
        if ticket.incarnation != self.incarnation {
            return None;
        }
        let (expected, saving) = self
            .saving
            .pop_front()
            .expect("an answer without a question");
        assert!(
            expected == ticket,
            "saves are answered in the order of their tickets"
        );
        Some(saving)
    }

    fn advance_commit(&mut self) -> Progress {
        if self.part != Part::Leader {
            return Progress::Nothing;
        }
        let has = |server: &ServerId, zxid: Zxid| {
            self.durable
                .get(server)
                .is_some_and(|durable| *durable >= zxid)
        };
        let positions = self.durable.values().copied();
        let agreed = positions
            .filter(|zxid| self.is_quorum(|server| has(server, *zxid)))
            .max();
        match agreed {
            // Older epochs are agreed only through an entry of the leader's own epoch (Raft 5.4.2).
            Some(zxid) if zxid.epoch() == self.ballot.epoch && zxid > self.committed => {
                self.committed = zxid;
                Progress::Committed(zxid)
            }
            _ => Progress::Nothing,
        }
    }

    /// A predicate over sets of servers, never a count: joint configurations and weights fit in.
    fn is_quorum(&self, has: impl Fn(&ServerId) -> bool) -> bool {
        self.voters.iter().filter(|server| has(server)).count() * 2 > self.voters.len()
    }

    /// The next entry that is agreed and was not taken yet.
    pub fn take_committed(&mut self) -> Option<Entry> {
        match self.tail.front() {
            Some(entry) if entry.zxid <= self.committed => self.tail.pop_front(),
            _ => None,
        }
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        assert!(
            self.committed <= self.last,
            "agreed beyond the end of the log"
        );
        let durable = self.durable[&self.server];
        assert!(
            self.part != Part::Leader || self.committed <= durable,
            "agreed, but not saved"
        );
        let mut before: Option<Zxid> = None;
        for entry in &self.tail {
            let dense = before.is_none_or(|zxid| {
                zxid.next() == Some(entry.zxid)
                    || (entry.zxid.epoch() > zxid.epoch() && entry.zxid.counter() == 0)
            });
            assert!(dense, "a gap in the log before {}", entry.zxid);
            before = Some(entry.zxid);
        }
    }

    /// What of the agreement matters to the protocol, in a fixed order of numbers.
    pub fn digest_into(&self, mut take: impl FnMut(u64)) {
        take(u64::from(self.ballot.epoch.0));
        take(
            self.ballot
                .voted_for
                .map_or(0, |server| u64::from(server.0)),
        );
        take(self.part as u64);
        take(self.last.0);
        take(self.committed.0);
        take(self.durable[&self.server].0);
        take(self.saving.len() as u64);
        self.votes
            .iter()
            .for_each(|server| take(u64::from(server.0)));
    }
}
