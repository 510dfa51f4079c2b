//! Questions for what is agreed: what `sync` and linearizable reads wait for.
//!
//! The leader answers with the position up to which the log was agreed when the question came, once
//! a quorum has confirmed that it still led then (Raft's read index). What was asked before the
//! question waits until this server has executed that position.

use alloc::collections::{BTreeSet, VecDeque};

use crate::ids::{ConnectionId, Zxid};

/// The number of a question for what is agreed; what it precedes waits for the answer. Zero waits
/// for nothing.
pub(super) type Barrier = u64;

/// This server's questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Barriers {
    /// The number of the last question.
    pub asked: Barrier,
    /// It was not put to the leader yet.
    pub is_wanted: bool,
    /// Answers whose position is not executed here.
    pub set: VecDeque<(Barrier, Zxid)>,
    /// The last question that was answered.
    pub answered: Barrier,
    /// Who waits for a question up to this one waits no more.
    pub passed: Barrier,
    /// Who waits.
    pub waiters: BTreeSet<ConnectionId>,
}

impl Barriers {
    /// Does anybody wait for an answer?
    pub fn are_waited_for(&self) -> bool {
        self.answered < self.asked
    }

    /// The question that is to be put to the leader now, if there is one.
    pub fn take_wanted(&mut self) -> Option<Barrier> {
        core::mem::take(&mut self.is_wanted).then_some(self.asked)
    }

    /// Whoever was asked may not have heard it, or leads no more: asks anew. It is a new question,
    /// for an answer to the old one may be older than what has been asked since.
    pub fn ask_again(&mut self) {
        if self.are_waited_for() {
            self.asked += 1;
            self.is_wanted = true;
        }
    }
}
