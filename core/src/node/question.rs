//! How questions for what is agreed are put, and who goes on when one is answered.

use crate::ids::Zxid;
use crate::node::connection::Barrier;
use crate::node::effect::Outbox;
use crate::node::node::Node;

impl Node {
    /// The question that stands for everything asked since the last one was put.
    pub(super) fn barrier(&mut self) -> Barrier {
        if self.replica.is_alone() && self.is_serving() {
            // What anybody was told, this server has executed.
            return 0;
        }
        if !self.barriers.is_wanted {
            self.barriers.asked += 1;
            self.barriers.is_wanted = true;
        }
        self.barriers.asked
    }

    /// An answer.
    pub(super) fn barrier_set(&mut self, number: Barrier, zxid: Zxid, out: &mut Outbox) {
        let barriers = &mut self.barriers;
        if number > barriers.answered && number <= barriers.asked {
            barriers.answered = number;
            barriers.set.push_back((number, zxid));
            self.pass_barriers(out);
        }
    }

    /// Lets those go on whose position is executed.
    pub(super) fn pass_barriers(&mut self, out: &mut Outbox) {
        let applied = self.store.applied();
        let before = self.barriers.passed;
        while let Some((number, zxid)) = self.barriers.set.front().copied()
            && zxid <= applied
        {
            self.barriers.set.pop_front();
            self.barriers.passed = number;
        }
        if self.barriers.passed > before {
            for connection in core::mem::take(&mut self.barriers.waiters) {
                self.answer_ready(connection, out);
            }
        }
    }
}
