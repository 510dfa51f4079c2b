//! What other servers say, and what is said to them.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{DirectoryId, ServerId, SessionId};
use crate::membership::Membership;
use crate::node::effect::{Effect, Outbox};
use crate::node::event::Event;
use crate::node::node::Node;
use crate::quorum::act::{Act, Fact, Part};
use crate::quorum::message::Message;
use crate::store::txn::{Action, Txn};
use crate::time::Now;
use crate::voters::Voters;

/// About how many bytes of requests go into one message; one larger request goes alone.
const FORWARD_BYTES_MAX: usize = 256 * 1024;

impl Node {
    /// A link to another server is up. Requests that were on the way to it may be lost.
    pub(super) fn peer_joined(&mut self, server: ServerId, directory: DirectoryId) {
        self.replica.peer_joined(server, directory);
        if self.handed_to.is_some_and(|(_, leader)| leader == server) {
            self.handed_to = None;
        }
    }

    /// Another server said something.
    pub(super) fn heard(
        &mut self,
        now: Now,
        from: ServerId,
        directory: DirectoryId,
        message: Message,
        out: &mut Outbox,
    ) {
        match message {
            Message::Forward { txns } => {
                for txn in txns {
                    self.forwarded(now, txn, out);
                }
                return;
            }
            Message::BarrierSet { number, zxid } => return self.barrier_set(number, zxid, out),
            Message::Beaten {
                epoch, ref touched, ..
            } if epoch == self.replica.epoch() => self.touched_elsewhere(now, touched, out),
            Message::BarrierAsked { ref touched, .. } => self.touched_elsewhere(now, touched, out),
            _ => {}
        }
        let is_greeting = matches!(message, Message::Greeting { .. });
        self.replica.heard(now, from, directory, message);
        if is_greeting {
            self.tend_members(now, out);
        }
    }

    fn touched_elsewhere(&mut self, now: Now, touched: &[SessionId], out: &mut Outbox) {
        if !self.is_serving() {
            return;
        }
        for session in touched {
            if self.heartbeats.touch(*session, now.clock) {
                out.note(Event::Touched { session: *session });
            }
        }
    }

    /// A client of this server gave a sign of life.
    pub(super) fn touch(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        if self.replica.part() != Part::Leader {
            self.touched.insert(session);
        } else if self.heartbeats.touch(session, now.clock) {
            out.note(Event::Touched { session });
        }
    }

    /// The inputs that waited are stepped.
    pub(super) fn drained(&mut self, now: Now, out: &mut Outbox) {
        if let Some((_, leader)) = self.handed_to
            && let Some(number) = self.barriers.take_wanted()
        {
            match leader == self.config.server {
                true => self.replica.barrier_asked(leader, number),
                false => self.ask(leader, number, out),
            }
        }
        self.forward(out);
        self.replica.drained(now);
    }

    /// Sends the leader what this server's clients ask for.
    fn forward(&mut self, out: &mut Outbox) {
        let outgoing = core::mem::take(&mut self.outgoing);
        let Some((_, leader)) = self.handed_to else {
            return;
        };
        let mut txns: Vec<Arc<Txn>> = Vec::new();
        let mut bytes = 0;
        for txn in outgoing {
            let weight = txn.weight();
            if !txns.is_empty() && bytes + weight > FORWARD_BYTES_MAX {
                let txns = core::mem::take(&mut txns);
                out.send(leader, Message::Forward { txns });
                bytes = 0;
            }
            bytes += weight;
            txns.push(txn);
        }
        if !txns.is_empty() {
            out.send(leader, Message::Forward { txns });
        }
    }

    /// Does what the agreement wants done.
    pub(super) fn act(&mut self, out: &mut Outbox) {
        let mut acts = self.replica.take_acts();
        for act in acts.drain(..) {
            match act {
                Act::Save { ticket, record } => out.push(Effect::Save { ticket, record }),
                Act::Send { to, message } => out.send(to, message),
                Act::AnswerBeat { to, epoch, round } => {
                    let touched = core::mem::take(&mut self.touched).into_iter().collect();
                    let applied = self.store.applied();
                    let beaten = Message::Beaten {
                        epoch,
                        round,
                        applied,
                        touched,
                    };
                    out.send(to, beaten);
                }
                Act::ReadChunk { to, zxid, offset } => {
                    out.push(Effect::ReadChunk { to, zxid, offset });
                }
                Act::TakeChunk {
                    zxid,
                    offset,
                    bytes,
                    extent,
                } => out.push(Effect::TakeChunk {
                    zxid,
                    offset,
                    bytes,
                    extent,
                }),
                Act::MakeSnapshot => self.make_snapshot(out),
                Act::SetBarrier { to, number, zxid } if to == self.config.server => {
                    self.barrier_set(number, zxid, out);
                }
                Act::SetBarrier { to, number, zxid } => {
                    out.send(to, Message::BarrierSet { number, zxid });
                }
                Act::Tell(fact) => out.note(event_of(fact)),
            }
        }
        self.replica.recycle(acts);
    }

    /// The operator wants other members.
    pub(super) fn reconfigured(
        &mut self,
        now: Now,
        voters: &Voters,
        learners: &BTreeSet<ServerId>,
        out: &mut Outbox,
    ) {
        if self.is_serving()
            && let Some(membership) = self.replica.reconfigured(voters, learners)
        {
            self.propose_membership(now, self.addressed(membership), out);
        }
    }

    /// Completes a change of the voters, and takes in who lost its data directory.
    pub(super) fn tend_members(&mut self, now: Now, out: &mut Outbox) {
        if !self.is_serving() {
            return;
        }
        let wanted = self.replica.settled().or_else(|| self.replica.replaced());
        match wanted {
            Some(membership) => self.propose_membership(now, membership, out),
            None => self.replica.leave_if_removed(now),
        }
    }

    fn propose_membership(&mut self, now: Now, membership: Membership, out: &mut Outbox) {
        if self.replica.can_propose(now) {
            let txn = Txn::of_servers(now.wall, Action::Reconfigure { membership });
            self.append(now, Arc::new(txn), out);
        }
    }
}

fn event_of(fact: Fact) -> Event {
    match fact {
        Fact::Canvassed(epoch) => Event::Canvassed { epoch },
        Fact::Campaigned(epoch) => Event::Campaigned { epoch },
        Fact::Followed(epoch, leader) => Event::Followed { epoch, leader },
        Fact::Deposed(epoch) => Event::Deposed { epoch },
        Fact::HandedOver(epoch, to) => Event::HandedOver { epoch, to },
        Fact::LogCut(after, count) => Event::LogCut { after, count },
        Fact::TransferBegun(to, zxid, offset) => Event::TransferBegun { to, zxid, offset },
    }
}
