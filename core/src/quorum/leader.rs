//! A leader's reign: how far each server is, what it is sent next, and what is agreed.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};
use crate::quorum::act::{Act, Fact, Part};
use crate::quorum::log::Standing;
use crate::quorum::message::Message;
use crate::quorum::reign::{Barrier, CHUNK_PATIENCE_BEATS, Pace, Progress, Reign};
use crate::quorum::replica::Replica;
use crate::store::txn::{Entry, Txn};
use crate::time::Now;

/// Bytes of entries in one message: what a gigabit link carries in two milliseconds, so that a beat
/// does not wait long behind it. One larger entry goes alone.
const APPEND_BYTES_MAX: usize = 256 * 1024;

impl Replica {
    /// Is the election won, and the epoch not yet opened?
    pub fn is_to_open(&self) -> bool {
        self.part == Part::Leader && self.last().epoch() < self.ballot.epoch
    }

    /// May a transaction be proposed?
    pub fn can_propose(&self, now: Now) -> bool {
        let free = |reign: &Reign| reign.successor.is_none();
        self.last().epoch() == self.ballot.epoch
            && self.can_append(now)
            && self.reign.as_ref().is_some_and(free)
    }

    /// Appends the transaction that opens the epoch; the leader's first.
    ///
    /// # Panics
    /// If the epoch is open, or this server does not lead.
    pub fn open_epoch(&mut self, txn: Txn) -> Zxid {
        assert!(self.is_to_open(), "the epoch is not to be opened");
        let zxid = Zxid::new(self.ballot.epoch, 0);
        let txn = Arc::new(txn);
        self.append(Entry { zxid, txn });
        zxid
    }

    /// Appends a transaction. `None` if the epoch's counter is exhausted: then the leader must win
    /// another epoch first.
    ///
    /// # Panics
    /// If nothing can be proposed.
    pub fn propose(&mut self, txn: Arc<Txn>) -> Option<Zxid> {
        assert!(self.part == Part::Leader, "only a leader proposes");
        assert!(
            self.last().epoch() == self.ballot.epoch,
            "the epoch is not open"
        );
        let next = self.last().next();
        let zxid = next.filter(|zxid| zxid.counter() <= self.counter_max)?;
        let entry = Entry { zxid, txn };
        let changes_members = entry.txn.action.membership().is_some();
        self.append(entry);
        if changes_members {
            self.attend_members();
        }
        Some(zxid)
    }

    /// Keeps an eye on all members, and on nobody else.
    pub(super) fn attend_members(&mut self) {
        let mut members = self.members.newest().members();
        members.remove(&self.server);
        let last = self.last();
        let Some(reign) = &mut self.reign else {
            return;
        };
        reign.others.retain(|server, _| members.contains(server));
        for server in members {
            reign
                .others
                .entry(server)
                .or_insert_with(|| Progress::new(last));
        }
    }

    /// A link is new: what was sent on an older one may be lost.
    pub(super) fn probe_again(&mut self, server: ServerId, directory: DirectoryId) {
        let last = self.last();
        let Some(progress) = self.progress(server) else {
            return;
        };
        if progress.directory.is_some_and(|known| known != directory) {
            *progress = Progress::new(last);
        }
        match &mut progress.pace {
            Pace::Probe { asked } => *asked = false,
            Pace::Stream => progress.probe(progress.matched),
            Pace::Transfer { silence, .. } => *silence = CHUNK_PATIENCE_BEATS,
        }
    }

    /// Says what has gathered: entries, news of what is agreed, a beat for those who want to know.
    pub(super) fn say_as_leader(&mut self, now: Now) {
        let wants_round = self.reign.as_ref().is_some_and(|reign| reign.wants_round);
        if wants_round {
            self.beat(now);
        }
        let others: Vec<ServerId> = match &self.reign {
            Some(reign) => reign.others.keys().copied().collect(),
            None => return,
        };
        for server in others {
            self.bring_forward(server);
            self.tell_committed(server);
        }
        self.name_successor();
    }

    pub(super) fn progress(&mut self, server: ServerId) -> Option<&mut Progress> {
        self.reign.as_mut()?.others.get_mut(&server)
    }

    /// Sends a server what comes next, as much as it has room for.
    fn bring_forward(&mut self, to: ServerId) {
        if !self.peers.contains_key(&to) {
            return;
        }
        loop {
            let (window, last) = (&self.window, self.window.last());
            let Some(progress) = self
                .reign
                .as_mut()
                .and_then(|reign| reign.others.get_mut(&to))
            else {
                return;
            };
            let is_probe = matches!(progress.pace, Pace::Probe { .. });
            if !progress.has_room() || (!is_probe && progress.sent >= last) {
                return;
            }
            if progress.sent < window.base() {
                progress.pace = Pace::Transfer {
                    zxid: Zxid::ZERO,
                    offset: 0,
                    silence: 0,
                };
                self.begin_transfer(to);
                return;
            }
            let previous = progress.sent;
            let mut entries = Vec::new();
            let mut bytes = 0;
            for (entry, weight) in window.after(previous) {
                if !entries.is_empty() && bytes + weight > APPEND_BYTES_MAX {
                    break;
                }
                bytes += weight;
                entries.push(entry.clone());
            }
            let end = entries.last().map_or(previous, |entry: &Entry| entry.zxid);
            progress.told = self.committed;
            match &mut progress.pace {
                Pace::Probe { asked } => *asked = true,
                Pace::Stream | Pace::Transfer { .. } => progress.sent = end,
            }
            progress.unanswered.push_back(end);
            let append = Message::Append {
                epoch: self.ballot.epoch,
                previous,
                entries,
                committed: self.committed,
            };
            self.send(to, append);
        }
    }

    /// Tells a server that has everything what of it is agreed by now.
    fn tell_committed(&mut self, to: ServerId) {
        let (epoch, committed) = (self.ballot.epoch, self.committed);
        let Some(reign) = &mut self.reign else {
            return;
        };
        let round = reign.round;
        let Some(progress) = reign.others.get_mut(&to) else {
            return;
        };
        let known = committed.min(progress.matched);
        if progress.pace != Pace::Stream || known <= progress.told.min(progress.matched) {
            return;
        }
        progress.told = committed;
        let beat = Message::Beat {
            epoch,
            round,
            committed: known,
        };
        self.send(to, beat);
    }

    /// Says that the leader lives, and what of its log is agreed.
    pub(super) fn beat(&mut self, now: Now) {
        let (epoch, committed, beat) = (self.ballot.epoch, self.committed, self.timing.beat);
        let peers: Vec<ServerId> = self.peers.keys().copied().collect();
        let Some(reign) = &mut self.reign else {
            return;
        };
        reign.round += 1;
        reign.beat_at = now.clock.after(beat);
        reign.wants_round = false;
        let round = reign.round;
        for barrier in &mut reign.barriers {
            if barrier.round == 0 {
                barrier.round = round;
            }
        }
        let mut messages = Vec::new();
        let mut again = Vec::new();
        for (server, progress) in &mut reign.others {
            if !peers.contains(server) {
                continue;
            }
            let known = committed.min(progress.matched);
            progress.told = progress.told.max(known);
            messages.push((*server, known));
            match &mut progress.pace {
                // What was sent may be lost.
                Pace::Probe { asked } => *asked = false,
                Pace::Stream => {
                    let stuck = progress.matched == progress.matched_at_beat;
                    if stuck && progress.matched < progress.sent {
                        progress.probe(progress.matched);
                    }
                }
                Pace::Transfer { silence, .. } => {
                    *silence += 1;
                    if *silence > CHUNK_PATIENCE_BEATS {
                        *silence = 0;
                        again.push(*server);
                    }
                }
            }
            progress.matched_at_beat = progress.matched;
        }
        for (to, committed) in messages {
            let beat = Message::Beat {
                epoch,
                round,
                committed,
            };
            self.send(to, beat);
        }
        again.into_iter().for_each(|to| self.begin_transfer(to));
        self.pass_barriers();
    }

    /// Does a quorum still answer? If not, others may have elected somebody else long ago.
    pub(super) fn quorum_due(&mut self, now: Now) {
        let me = self.server;
        let Some(reign) = &mut self.reign else {
            return;
        };
        reign.quorum_at = now.clock.after(self.timing.election_timeout);
        let answers = |server| {
            server == me
                || reign
                    .others
                    .get(&server)
                    .is_some_and(|progress| progress.answered)
        };
        if !self.members.newest().is_quorum(answers) {
            self.abdicate();
            self.draw_election(now);
            return;
        }
        if let Some(reign) = &mut self.reign {
            for progress in reign.others.values_mut() {
                progress.answered = false;
            }
            // The hand-over has come to nothing: it goes on.
            reign.successor = None;
            reign.has_named_successor = false;
        }
    }

    pub(super) fn answered_by(&mut self, from: ServerId, epoch: Epoch) -> Option<&mut Progress> {
        if epoch != self.ballot.epoch {
            return None;
        }
        let progress = self.progress(from)?;
        progress.answered = true;
        Some(progress)
    }

    /// A server has saved entries.
    pub(super) fn appended_heard(
        &mut self,
        from: ServerId,
        directory: DirectoryId,
        epoch: Epoch,
        durable: Zxid,
        standing: Standing,
    ) {
        let last = self.last();
        let Some(progress) = self.answered_by(from, epoch) else {
            return;
        };
        if progress.directory.is_some_and(|known| known != directory) {
            *progress = Progress::new(last);
        }
        progress.directory = Some(directory);
        progress.standing = standing;
        progress.matched = progress.matched.max(durable.min(last));
        let end = progress.unanswered.back().copied();
        while progress
            .unanswered
            .front()
            .is_some_and(|sent| *sent <= durable)
        {
            progress.unanswered.pop_front();
        }
        match progress.pace {
            Pace::Stream => {}
            Pace::Probe { asked } => {
                // Where it was probed, the logs meet; what was sent with the probe is there, too.
                let end = end.filter(|_| asked).unwrap_or(progress.matched);
                progress.sent = end.max(progress.matched);
                progress.pace = Pace::Stream;
            }
            Pace::Transfer { zxid, .. } => {
                if durable >= zxid && zxid > Zxid::ZERO {
                    progress.probe(progress.matched);
                }
            }
        }
        self.advance_commit();
    }

    /// A server's log does not meet the leader's where it should.
    pub(super) fn mismatched_heard(
        &mut self,
        from: ServerId,
        epoch: Epoch,
        previous: Zxid,
        floor: Zxid,
    ) {
        let meets = self.window.floor(floor);
        let base = self.window.base();
        let Some(progress) = self.answered_by(from, epoch) else {
            return;
        };
        if previous <= progress.matched || matches!(progress.pace, Pace::Transfer { .. }) {
            return;
        }
        match meets {
            Some(meets) => progress.probe(meets.max(progress.matched)),
            // Below everything that is in memory.
            None => progress.probe(Zxid(base.0.saturating_sub(1))),
        }
    }

    /// A server has answered a beat.
    pub(super) fn beaten_heard(&mut self, from: ServerId, epoch: Epoch, round: u64) {
        if let Some(progress) = self.answered_by(from, epoch) {
            progress.round = progress.round.max(round);
            self.pass_barriers();
        }
    }

    /// Looks how far the log is agreed.
    pub(super) fn advance_commit(&mut self) {
        let Some(reign) = &self.reign else {
            return;
        };
        // Mostly everything is agreed: then nobody needs to be counted.
        if self.last() <= self.committed {
            return;
        }
        let members = self.members.newest();
        let has = |server: ServerId, zxid: Zxid| match reign.others.get(&server) {
            Some(progress) => progress.matched >= zxid && progress.counts_for(server, members),
            None => server == self.server && self.durable >= zxid,
        };
        let others = reign.others.values().map(|progress| progress.matched);
        let agreed = others
            .chain([self.durable])
            .filter(|zxid| members.is_quorum(|server| has(server, *zxid)))
            .max();
        // Older epochs are agreed only through an entry of the leader's own epoch (Raft 5.4.2).
        if let Some(zxid) = agreed
            && zxid.epoch() == self.ballot.epoch
            && zxid > self.committed
        {
            self.committed = zxid;
        }
    }

    /// Somebody wants to know what is agreed.
    pub fn barrier_asked(&mut self, to: ServerId, number: u64) {
        let (epoch, committed) = (self.ballot.epoch, self.committed);
        let Some(reign) = &mut self.reign else {
            return;
        };
        // Before its epoch is open, a leader does not know. Who asked asks again.
        if committed.epoch() != epoch {
            return;
        }
        reign.barriers.push_back(Barrier {
            to,
            number,
            zxid: committed,
            round: 0,
        });
        reign.wants_round = true;
        if reign.others.is_empty() {
            reign
                .barriers
                .iter_mut()
                .for_each(|barrier| barrier.round = 1);
            self.pass_barriers();
        }
    }

    /// Answers whose beat a quorum has answered: nobody else led when it was sent.
    fn pass_barriers(&mut self) {
        let me = self.server;
        let Some(reign) = &mut self.reign else {
            return;
        };
        let mut passed = Vec::new();
        while let Some(barrier) = reign.barriers.front().copied() {
            let others = &reign.others;
            let answered = |server| {
                server == me
                    || others
                        .get(&server)
                        .is_some_and(|progress| progress.round >= barrier.round)
            };
            if barrier.round == 0 || !self.members.newest().is_quorum(answered) {
                break;
            }
            reign.barriers.pop_front();
            passed.push(barrier);
        }
        for Barrier {
            to, number, zxid, ..
        } in passed
        {
            self.acts.push(Act::SetBarrier { to, number, zxid });
        }
    }

    /// The leader is to stop: hands over to the voter that has most of the log, if there is one.
    pub fn hand_over(&mut self, now: Now) {
        let successor = self.best_successor();
        let timeout = self.timing.election_timeout;
        if let Some(reign) = &mut self.reign
            && let Some(successor) = successor
        {
            reign.successor = Some(successor);
            reign.has_named_successor = false;
            reign.quorum_at = now.clock.after(timeout);
        }
    }

    /// The successor has everything: it may stand.
    fn name_successor(&mut self) {
        let (epoch, last) = (self.ballot.epoch, self.last());
        let Some(reign) = &mut self.reign else {
            return;
        };
        let Some(to) = reign.successor else {
            return;
        };
        let is_complete = reign.matched(to) == Some(last);
        if is_complete && !reign.has_named_successor {
            reign.has_named_successor = true;
            self.tell(Fact::HandedOver(epoch, to));
            self.send(to, Message::Succeed { epoch });
        }
    }
}
