//! Transactions on their way: held until they can be proposed, proposed until they are executed.

use alloc::sync::Arc;

use crate::code::Code;
use crate::ids::{ConnectionId, SessionId};
use crate::membership::Membership;
use crate::node::connection::Phase;
use crate::node::effect::{Effect, Outbox};
use crate::node::event::{Event, Refusal};
use crate::node::node::Node;
use crate::node::waiter::{Held, Proposed, Waiter};
use crate::quorum::replica::{Part, Save};
use crate::store::txn::{Action, Ending, Entry, Origin, Txn};
use crate::time::Now;

impl Node {
    /// Takes a transaction; it is proposed now or as soon as it can be, in the order of the calls.
    pub(super) fn submit(&mut self, now: Now, held: Held, out: &mut Outbox) {
        self.held.push_back(held);
        self.propose_held(now, out);
    }

    /// Proposes what waited for its turn.
    pub(super) fn propose_held(&mut self, now: Now, out: &mut Outbox) {
        while self.replica.can_propose()
            && let Some(held) = self.held.pop_front()
        {
            if self.replica.last().next().is_none() {
                // The counter is exhausted. A new epoch has a fresh one: the leader wins it by a
                // real vote, and what is held waits for that one round.
                self.held.push_front(held);
                self.replica.step_down();
                self.campaign(out);
                return;
            }
            let Some(origin) = self.origin_of(held.waiter) else {
                continue;
            };
            let sequence = origin.map_or(0, |origin| origin.sequence);
            let Held {
                waiter,
                identities,
                action,
            } = held;
            let txn = Txn {
                wall: now.wall,
                origin,
                identities,
                action,
            };
            let (zxid, save) = self
                .replica
                .propose(txn)
                .expect("the counter was looked at");
            self.proposed.push_back(Proposed {
                zxid,
                waiter,
                sequence,
            });
            push_save(save, out);
        }
    }

    /// Whose write it is and which one; the outer `None` if the connection is gone, so that nobody
    /// asks any more for what was never proposed.
    fn origin_of(&mut self, waiter: Waiter) -> Option<Option<Origin>> {
        match waiter {
            Waiter::Expiring(_) | Waiter::Opening => Some(None),
            Waiter::Attaching(connection) => {
                self.connections.contains_key(&connection).then_some(None)
            }
            Waiter::Writing(connection) => {
                match &mut self.connections.get_mut(&connection)?.phase {
                    Phase::Attached {
                        session,
                        attachment,
                        sequence,
                    } => {
                        *sequence += 1;
                        let (session, attachment) = (*session, *attachment);
                        Some(Some(Origin {
                            session,
                            attachment,
                            sequence: *sequence,
                        }))
                    }
                    Phase::Connecting { .. } | Phase::Closing => None,
                }
            }
        }
    }

    /// Stands for election.
    pub(super) fn campaign(&mut self, out: &mut Outbox) {
        let save = self.replica.campaign();
        out.note(Event::Campaigned {
            epoch: self.replica.epoch(),
        });
        push_save(save, out);
    }

    /// The election is won: opens the epoch.
    pub(super) fn lead(&mut self, now: Now, out: &mut Outbox) {
        let (leader, epoch) = (self.config.server, self.replica.epoch());
        out.note(Event::Elected { epoch, leader });
        let action = Action::OpenEpoch {
            leader,
            settings: self.config.settings,
            membership: Membership::founding([(leader, self.directory)].into()),
        };
        let identities = Arc::from([]);
        let save = self.replica.open_epoch(Txn {
            wall: now.wall,
            origin: None,
            identities,
            action,
        });
        let zxid = self.replica.last();
        self.proposed.push_back(Proposed {
            zxid,
            waiter: Waiter::Opening,
            sequence: 0,
        });
        push_save(save, out);
        self.propose_held(now, out);
    }

    /// The disk has no space: tells everybody whose transaction was taken back.
    pub(super) fn take_back(&mut self, now: Now, lost: &[Entry], out: &mut Outbox) {
        if !lost.is_empty() {
            out.note(Event::SavesRefused { count: lost.len() });
        }
        for entry in lost {
            // What an earlier life of this server left in its log has no waiter.
            let position = self
                .proposed
                .iter()
                .position(|proposed| proposed.zxid == entry.zxid);
            let Some(Proposed {
                waiter, sequence, ..
            }) = position.and_then(|index| self.proposed.remove(index))
            else {
                continue;
            };
            match waiter {
                Waiter::Opening => {}
                Waiter::Attaching(connection) => {
                    self.refuse_connection(connection, Refusal::NoSpace, out);
                }
                Waiter::Writing(connection) => {
                    self.rewind(connection, sequence);
                    // Its position was never agreed: nobody may be told of it.
                    let applied = self.store.applied();
                    self.finish_write(connection, applied, Err(Code::SystemError), out);
                }
                Waiter::Expiring(session) => {
                    // Waits for another time-out: the session could not be ended.
                    self.track(session, now);
                }
            }
        }
        if self.replica.part() == Part::Looking {
            self.election_at = now.clock.after(self.config.tick);
        }
    }

    /// The write `sequence` was taken back, and with it all later ones: the next one is it again.
    fn rewind(&mut self, connection: ConnectionId, taken_back: u64) {
        if let Some(connection) = self.connections.get_mut(&connection)
            && let Phase::Attached { sequence, .. } = &mut connection.phase
        {
            *sequence = (*sequence).min(taken_back - 1);
        }
    }

    /// A session's heartbeats stayed away.
    pub(super) fn expire(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        self.heartbeats.forget(session);
        out.note(Event::TimedOut { session });
        let action = Action::CloseSession {
            session,
            ending: Ending::Expired,
        };
        let waiter = Waiter::Expiring(session);
        self.submit(
            now,
            Held {
                waiter,
                identities: Arc::from([]),
                action,
            },
            out,
        );
    }
}

pub(super) fn push_save(save: Save, out: &mut Outbox) {
    let Save { ticket, record } = save;
    out.push(Effect::Save { ticket, record });
}
