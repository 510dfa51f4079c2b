//! The lane: the one order in which a server hands its leader what the sessions ask for that are
//! this server's alone.
//!
//! The log knows nothing of such sessions, so execution cannot tell that a write of theirs was
//! executed before. The leader can: it takes what comes in a lane once and in its order, and only
//! what comes in a lane of its own epoch. When a server has executed the beginning of the next
//! epoch, it has executed all of the lane before that was ever agreed, and the rest never will be:
//! it gets a place in the next lane. So it does when the leader has ended the lane unasked, since
//! the beginning of an earlier one came late.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;

use crate::ids::{Epoch, ServerId, SessionId};
use crate::store::txn::{Attachment, Origin, Txn};

/// A reign: an epoch and its leader.
pub(super) type Reign = (Epoch, ServerId);

/// This server's lane.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    /// Whose reign it is.
    reign: Option<Reign>,
    /// Tells it from the lanes before it, also from those of earlier lives of this server.
    number: u32,
    /// The number of the last write in it.
    sequence: u64,
    /// What was put into it and is not executed here, in its order: all of it is said again until
    /// it is, whether anybody still waits for it or not, for what follows waits behind it.
    handed: VecDeque<Arc<Txn>>,
}

impl Lane {
    /// No leader's. The numbers of the lanes of one life begin after `first`, a random place.
    pub fn new(first: u32) -> Lane {
        Lane {
            reign: None,
            number: first,
            sequence: 0,
            handed: VecDeque::new(),
        }
    }

    /// Leads to this reign's leader from here on. Was it another one's before?
    pub fn turn_to(&mut self, reign: Reign) -> bool {
        if self.reign == Some(reign) {
            return false;
        }
        *self = Lane {
            reign: Some(reign),
            ..Lane::new(self.number.wrapping_add(1))
        };
        true
    }

    /// Ends it, although its leader goes on: some of it was taken back, or may be done unseen.
    pub fn end(&mut self) {
        self.reign = None;
    }

    /// Has a write its place in this lane?
    pub fn holds(&self, origin: Origin) -> bool {
        let place = |(epoch, _): Reign| Origin::local(origin.session, epoch, self.number, 0);
        self.reign.map(|reign| place(reign).attachment) == Some(origin.attachment)
    }

    /// The next place in it.
    pub fn next(&mut self, session: SessionId) -> Origin {
        let (epoch, _) = self.reign.expect("requests are handed to somebody");
        self.sequence += 1;
        Origin::local(session, epoch, self.number, self.sequence)
    }

    /// A place in no lane, for what cannot be handed to anybody yet.
    pub fn none(session: SessionId) -> Origin {
        Origin::local(session, Epoch(0), 0, 0)
    }

    /// Keeps a write that has its place, until it is executed.
    pub fn keep(&mut self, txn: Arc<Txn>) {
        self.handed.push_back(txn);
    }

    /// A write was executed, and with it all that were put into its lane before: if it is this one,
    /// they are kept no more.
    pub fn executed(&mut self, executed: Origin) {
        while let Some(first) = self.handed.front().and_then(|txn| txn.origin)
            && first.attachment == executed.attachment
            && first.sequence <= executed.sequence
        {
            self.handed.pop_front();
        }
    }

    /// A write of this server was executed that is not in this lane. Has the leader ended this one
    /// for the other? It has if it had begun to take this one: whatever of this one is not executed
    /// by now will never be.
    ///
    /// A server that starts anew, or installs a snapshot, begins another lane under the same
    /// leader, which hears of that by the first write only. The first write of the lane that was
    /// left may come after it, as if it were the newer one.
    pub fn is_ended_for(&self, executed: Origin) -> bool {
        let has_begun = self.sequence > self.handed.len() as u64;
        has_begun && self.reign.is_some() && !self.holds(executed)
    }

    /// Is something kept?
    pub fn waits(&self) -> bool {
        !self.handed.is_empty()
    }

    /// What is kept.
    pub fn handed(&self) -> impl Iterator<Item = &Arc<Txn>> {
        self.handed.iter()
    }

    /// Asserts what must hold between any two steps.
    pub fn check(&self) {
        let first = (self.sequence + 1).checked_sub(self.handed.len() as u64);
        let kept = self.handed.iter().map(|txn| txn.origin);
        let dense = kept.zip(first.expect("none is kept that has no place")..);
        for (origin, number) in dense {
            let place = origin.map(|origin| origin.sequence);
            assert!(place == Some(number), "what is kept of a lane has no gaps");
        }
    }
}

/// The leader's: how far it has taken what one server hands it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Taken {
    /// The lane, and the last write in it that was proposed.
    last: Option<(Attachment, u64)>,
    /// Those before it of which something was proposed: the server was started anew under this
    /// leader since, has installed a snapshot, or has learnt that its lane had ended. Nothing that
    /// still comes of them counts.
    ended: BTreeSet<Attachment>,
}

impl Taken {
    /// Is it what comes next? A lane that the leader does not know begins with its first write.
    pub fn is_next(&self, origin: Origin) -> bool {
        match self.last {
            Some((lane, last)) if lane == origin.attachment => last + 1 == origin.sequence,
            _ => origin.sequence == 1 && !self.ended.contains(&origin.attachment),
        }
    }

    /// It is proposed.
    pub fn proposed(&mut self, origin: Origin) {
        let last = self.last.replace((origin.attachment, origin.sequence));
        let ended = last.filter(|(lane, _)| *lane != origin.attachment);
        self.ended.extend(ended.map(|(lane, _)| lane));
    }
}
