//! A follower's side of the agreement: takes what the leader says into its log, and says how much
//! of it is durable.

use alloc::vec::Vec;

use crate::ids::{Epoch, ServerId, Zxid};
use crate::membership::Membership;
use crate::quorum::act::{Act, Part};
use crate::quorum::incoming::{Incoming, Phase};
use crate::quorum::message::{Ballotting, Extent, Message};
use crate::quorum::replica::Replica;
use crate::store::txn::Entry;
use crate::time::Now;

impl Replica {
    /// Does this come from the leader of this epoch or a newer one? Who still leads an older one is
    /// told.
    fn comes_from_leader(&mut self, now: Now, from: ServerId, epoch: Epoch) -> bool {
        if epoch < self.ballot.epoch {
            self.deny(from, Ballotting::Real);
            return false;
        }
        self.follow(now, epoch, Some(from));
        true
    }

    /// The leader's entries.
    pub(super) fn append_heard(
        &mut self,
        now: Now,
        from: ServerId,
        epoch: Epoch,
        previous: Zxid,
        entries: Vec<Entry>,
        committed: Zxid,
    ) {
        if !self.comes_from_leader(now, from, epoch) {
            return;
        }
        let installing = self.incoming.as_ref().is_some_and(Incoming::is_installing);
        if installing || !self.can_append(now) {
            return;
        }
        // What is agreed is the same everywhere, whether it is still in memory or not.
        let meets = previous <= self.committed || self.window.has(previous);
        if !meets {
            let floor = self.window.floor(previous).unwrap_or(self.committed);
            let mismatched = Message::Mismatched {
                epoch,
                previous,
                floor: floor.max(self.committed.min(previous)),
            };
            self.send(from, mismatched);
            return;
        }
        let mut at = previous;
        let mut is_new = false;
        for entry in entries {
            let zxid = entry.zxid;
            if zxid > self.committed && !self.window.has(zxid) {
                let after = at.max(self.committed);
                if self.last() > after {
                    self.cut(after);
                }
                self.append(entry);
                is_new = true;
            }
            at = zxid;
        }
        self.matched = self.matched.max(at);
        self.commit_up_to(committed);
        // Who saved something says so when it is durable.
        if !is_new {
            self.acked = None;
            self.owes_ack = true;
        }
    }

    fn commit_up_to(&mut self, committed: Zxid) {
        self.committed = self.committed.max(committed.min(self.matched));
    }

    /// The leader lives.
    pub(super) fn beat_heard(
        &mut self,
        now: Now,
        from: ServerId,
        epoch: Epoch,
        round: u64,
        committed: Zxid,
    ) {
        if !self.comes_from_leader(now, from, epoch) {
            return;
        }
        // A log that has an agreed position is the leader's up to there. The leader may know it
        // from an answer that this server has forgotten: given before it started again, or before
        // it looked for another leader in vain.
        if self.window.has(committed) {
            self.matched = self.matched.max(committed);
        }
        self.commit_up_to(committed);
        self.acts.push(Act::AnswerBeat {
            to: from,
            epoch,
            round,
        });
    }

    /// Says how much is durable, if that is news to the leader.
    pub(super) fn say_as_follower(&mut self) {
        let (Part::Follower, Some(leader)) = (self.part, self.leader) else {
            return;
        };
        if !core::mem::take(&mut self.owes_ack) {
            return;
        }
        let epoch = self.ballot.epoch;
        let durable = self.matched.min(self.durable);
        if self.acked == Some((epoch, durable)) {
            return;
        }
        self.acked = Some((epoch, durable));
        let appended = Message::Appended {
            epoch,
            durable,
            standing: self.ballot.standing,
        };
        self.send(leader, appended);
    }

    /// A piece of a snapshot.
    #[allow(
        clippy::too_many_arguments,
        reason = "they are the fields of one message"
    )]
    pub(super) fn chunk_heard(
        &mut self,
        now: Now,
        from: ServerId,
        epoch: Epoch,
        zxid: Zxid,
        offset: u64,
        bytes: Vec<u8>,
        extent: Extent,
    ) {
        if !self.comes_from_leader(now, from, epoch) {
            return;
        }
        if zxid <= self.matched.max(self.committed) {
            // It is not behind at all, or no longer.
            self.matched = self.matched.max(self.committed);
            self.acked = None;
            self.owes_ack = true;
            return;
        }
        if !self.can_append(now) {
            return;
        }
        let fresh = Incoming {
            zxid,
            stored: 0,
            phase: Phase::Ready,
        };
        let incoming = match self.incoming {
            Some(known) if known.phase == Phase::Installing => return,
            Some(known) if known.zxid == zxid => known,
            _ => fresh,
        };
        if incoming.phase == Phase::Storing {
            return;
        }
        if offset != incoming.stored {
            self.incoming = Some(incoming);
            self.ask_for_chunk(from, epoch, incoming);
            return;
        }
        let phase = match extent {
            Extent::More => Phase::Storing,
            Extent::Last => Phase::Installing,
        };
        self.incoming = Some(Incoming { phase, ..incoming });
        self.acts.push(Act::TakeChunk {
            zxid,
            offset,
            bytes,
            extent,
        });
    }

    fn ask_for_chunk(&mut self, to: ServerId, epoch: Epoch, incoming: Incoming) {
        let Incoming { zxid, stored, .. } = incoming;
        let taken = Message::ChunkTaken {
            epoch,
            zxid,
            offset: stored,
        };
        self.send(to, taken);
    }

    /// A piece of a snapshot is stored.
    pub fn chunk_taken(&mut self, zxid: Zxid, stored: u64) {
        let Some(incoming) = &mut self.incoming else {
            return;
        };
        if incoming.zxid != zxid || incoming.phase != Phase::Storing {
            return;
        }
        incoming.stored = stored;
        incoming.phase = Phase::Ready;
        let incoming = *incoming;
        if let (Part::Follower, Some(leader)) = (self.part, self.leader) {
            self.ask_for_chunk(leader, self.ballot.epoch, incoming);
        }
    }

    /// A snapshot was not taken: the next attempt begins anew.
    pub fn chunk_refused(&mut self, now: Now, zxid: Zxid) {
        if self.incoming.is_some_and(|incoming| incoming.zxid == zxid) {
            self.incoming = None;
            self.pause_taking(now);
        }
    }

    /// A snapshot is this server's own state now, and its log goes on from it.
    ///
    /// # Panics
    /// If it is older than what was executed.
    pub fn installed(&mut self, zxid: Zxid, membership: Membership) {
        assert!(zxid > self.executed, "a snapshot from the past");
        self.incoming = None;
        // The log that it would have cut is gone.
        self.owed_cut = None;
        self.window.reset(zxid);
        self.members.installed(membership);
        self.durable = zxid;
        self.executed = zxid;
        self.snapshot = zxid;
        self.committed = self.committed.max(zxid);
        self.matched = zxid;
        self.acked = None;
        self.owes_ack = true;
        self.admit_myself();
    }
}
