//! How questions for what is agreed are put, and who goes on when one is answered.

use crate::ids::{ServerId, Zxid};
use crate::node::barrier::Barrier;
use crate::node::connection::{Pending, Waiting};
use crate::node::effect::Outbox;
use crate::node::node::Node;
use crate::quorum::act::Part;
use crate::quorum::message::Message;

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
            self.pass_barriers();
            self.wake_waiters(out);
        }
    }

    /// Something was executed: lets those go on whose position it is.
    pub(super) fn reach_barriers(&mut self, out: &mut Outbox) {
        let before = self.barriers.passed;
        self.pass_barriers();
        if self.barriers.passed > before {
            self.wake_waiters(out);
        }
    }

    fn pass_barriers(&mut self) {
        let applied = self.store.applied();
        while let Some((number, zxid)) = self.barriers.set.front().copied()
            && zxid <= applied
        {
            self.barriers.set.pop_front();
            self.barriers.passed = number;
        }
    }

    fn wake_waiters(&mut self, out: &mut Outbox) {
        for connection in core::mem::take(&mut self.barriers.waiters) {
            self.answer_ready(connection, out);
        }
    }

    /// Puts the question to the leader.
    pub(super) fn ask(&mut self, leader: ServerId, number: Barrier, out: &mut Outbox) {
        let touched = core::mem::take(&mut self.touched).into_iter().collect();
        out.send(leader, Message::BarrierAsked { number, touched });
    }

    /// Who leads may not have heard of those who wait, nor the question: both are said again.
    pub(super) fn ask_again(&mut self) {
        if self.replica.part() != Part::Leader {
            let beats = |pending: &Pending| matches!(pending.what, Waiting::Heartbeat(_));
            let connections = self.connections.values();
            let waiting = connections.filter(|connection| connection.queue.iter().any(beats));
            let sessions = waiting.filter_map(|connection| connection.session());
            self.touched.extend(sessions);
        }
        self.barriers.ask_again();
    }
}
