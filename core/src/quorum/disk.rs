//! What is being saved, and what the answers mean.

use alloc::vec::Vec;

use crate::ids::{Ticket, Zxid};
use crate::quorum::act::{Act, Fact, Part};
use crate::quorum::log::Record;
use crate::quorum::replica::Replica;
use crate::quorum::saving::Saving;
use crate::store::txn::Entry;
use crate::time::{Duration, Now};

/// How long a server whose disk was full takes nothing more: it would only be refused again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

impl Replica {
    /// Asks for a record to be saved.
    pub(super) fn save(&mut self, record: Record, saving: Saving) {
        self.tickets += 1;
        let ticket = Ticket {
            incarnation: self.incarnation,
            number: self.tickets,
        };
        self.saving.push_back((ticket, saving));
        self.acts.push(Act::Save { ticket, record });
    }

    pub(super) fn save_ballot(&mut self, saving: Saving) {
        self.save(Record::Ballot(self.ballot), saving);
    }

    /// A save is durable.
    pub fn saved(&mut self, now: Now, ticket: Ticket) {
        let Some(saving) = self.answered(ticket) else {
            return;
        };
        assert!(
            ticket.number > self.refused_up_to,
            "a save after a refused one cannot have succeeded"
        );
        match saving {
            Saving::Ballot | Saving::Cut(_) | Saving::Void => {}
            Saving::OwnVote(epoch) => self.voted_for_myself(now, epoch),
            Saving::Vote(epoch, candidate) => self.vote_saved(epoch, candidate),
            Saving::Entry(zxid) => {
                self.durable = zxid;
                match self.part {
                    Part::Leader => self.advance_commit(),
                    _ => self.owes_ack = true,
                }
            }
        }
    }

    /// A save was refused for want of space; the storage cut its log back to before it and refuses
    /// every later one, too, that is asked for by now. Gives the entries that are taken back, in
    /// their order; none if an earlier refusal took them already.
    ///
    /// A server alone goes on: nobody else has seen those entries. A leader of others must not use
    /// their positions again, for others may have them: it leaves its epoch to another.
    pub fn refused(&mut self, now: Now, ticket: Ticket) -> Vec<Entry> {
        let Some(saving) = self.answered(ticket) else {
            return Vec::new();
        };
        if ticket.number > self.refused_up_to {
            self.refused_up_to = self.tickets;
        }
        if !self.is_alone() {
            self.pause_taking(now);
        }
        match saving {
            Saving::Void => Vec::new(),
            Saving::Ballot => Vec::new(),
            Saving::OwnVote(_) | Saving::Vote(..) => {
                if self.part == Part::Candidate {
                    self.part = Part::Looking;
                }
                Vec::new()
            }
            Saving::Cut(after) => {
                let lost = self.take_back(after);
                // What stood before the cut may have been refused with it, and an older cut, too.
                let owed = after.min(self.last());
                self.owed_cut = Some(self.owed_cut.map_or(owed, |older| older.min(owed)));
                lost
            }
            Saving::Entry(zxid) => self.refused_entry(now, zxid),
        }
    }

    fn refused_entry(&mut self, now: Now, zxid: Zxid) -> Vec<Entry> {
        let Some(before) = zxid.0.checked_sub(1).map(Zxid) else {
            unreachable!("an entry has a position after zero");
        };
        let Some(kept) = self.window.floor(before) else {
            unreachable!("what is not durable is in memory");
        };
        let lost = self.take_back(kept);
        if self.part == Part::Leader {
            if !self.is_alone() {
                self.resign(now);
            } else if self.last().epoch() < self.ballot.epoch {
                // The transaction that opens the epoch is among them: the reign has no log.
                self.abdicate();
                self.election_at = now.clock.after(FULL_PAUSE);
            }
        }
        lost
    }

    /// Takes entries back that were never durable here. Others may have them, and may have agreed
    /// on them: then this server is told so again when it has them again.
    fn take_back(&mut self, after: Zxid) -> Vec<Entry> {
        self.committed = self.committed.min(after);
        self.members.cut(after);
        self.matched = self.matched.min(after);
        self.window.cut(after)
    }

    /// Cuts entries that a deposed leader left.
    pub(super) fn cut(&mut self, after: Zxid) {
        assert!(after >= self.committed, "what is agreed is never cut");
        let cut = self.window.cut(after);
        self.members.cut(after);
        self.tell(Fact::LogCut(after, cut.len()));
        self.durable = self.durable.min(after);
        for (_, saving) in &mut self.saving {
            if let Saving::Entry(zxid) = saving
                && *zxid > after
            {
                *saving = Saving::Void;
            }
        }
        self.owed_cut = None;
        self.save(Record::Cut(after), Saving::Cut(after));
    }

    /// May this server's log take entries? After a refusal not before every save that was asked for
    /// has its answer: what is appended must follow what the storage kept.
    pub(crate) fn can_append(&self, now: Now) -> bool {
        !self.is_refusing() && now.clock >= self.full_until
    }

    /// Are there refusals still to come? A ballot that is asked for meanwhile is saved behind them.
    pub(super) fn is_refusing(&self) -> bool {
        let first = self.saving.front();
        first.is_some_and(|(ticket, _)| ticket.number <= self.refused_up_to)
    }

    /// The disk was full, or gave something damaged: takes nothing for a while.
    pub(super) fn pause_taking(&mut self, now: Now) {
        self.full_until = now.clock.after(FULL_PAUSE);
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
}
