//! What is agreed is executed: outcomes become replies, changes become events of watches.

use alloc::boxed::Box;

use crate::code::Code;
use crate::ids::{ConnectionId, SessionId, Zxid};
use crate::node::connection::Phase;
use crate::node::effect::{Effect, Outbox};
use crate::node::event::{Event, Refusal};
use crate::node::node::Node;
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::node::waiter::{Proposed, Waiter};
use crate::store::txn::{Action, Attachment, Ending, Entry, Outcome};
use crate::time::{Duration, Now};
use crate::tree::acl::Perms;

impl Node {
    /// Executes everything that is agreed.
    pub(super) fn execute_committed(&mut self, now: Now, out: &mut Outbox) {
        while let Some(entry) = self.replica.take_committed() {
            self.execute(now, &entry, out);
        }
        self.snapshot_if_due(out);
    }

    fn execute(&mut self, now: Now, entry: &Entry, out: &mut Outbox) {
        let mut changes = core::mem::take(&mut self.changes);
        let outcome = self.store.execute(entry, &mut changes);
        let digest = self.store.tree().digest();
        out.note(Event::Executed {
            zxid: entry.zxid,
            digest,
        });
        // Events come first: nobody sees the new state before the event that tells of it.
        for change in changes.drain(..) {
            self.watches.fire(&change, |connection, event, acl| {
                let watcher = self.connections.get(&connection);
                if watcher.is_some_and(|known| acl.permits(Perms::READ, &known.identities)) {
                    out.tell(connection, event);
                }
            });
        }
        self.changes = changes;
        self.executed_since_snapshot += 1;
        let waiter = match self.proposed.front() {
            Some(Proposed { zxid, waiter, .. }) if *zxid == entry.zxid => {
                let waiter = *waiter;
                self.proposed.pop_front();
                Some(waiter)
            }
            _ => None,
        };
        self.conclude(now, entry, waiter, outcome, out);
    }

    fn conclude(
        &mut self,
        now: Now,
        entry: &Entry,
        waiter: Option<Waiter>,
        outcome: Outcome,
        out: &mut Outbox,
    ) {
        match outcome {
            Outcome::EpochOpened => self.serve(now, entry.zxid, out),
            Outcome::Reconfigured => {}
            Outcome::Attached {
                session,
                timeout_ms,
                attachment,
                ..
            } => {
                let timeout = Duration::from_millis(u64::from(timeout_ms));
                if matches!(entry.txn.action, Action::OpenSession { .. }) {
                    self.note_news(entry.zxid, Event::SessionOpened { session, timeout }, out);
                }
                self.track(session, now);
                if let Some(Waiter::Attaching(connection)) = waiter {
                    self.attached(now, connection, session, attachment, out);
                }
            }
            Outcome::NotAttached => {
                if let Some(Waiter::Attaching(connection)) = waiter {
                    self.refuse_connection(connection, Refusal::NoSession, out);
                }
            }
            Outcome::SessionClosed {
                session,
                existed,
                ephemerals,
            } => {
                self.session_closed(entry, waiter, session, existed.then_some(ephemerals), out);
            }
            Outcome::Written(result) => {
                self.answer_write(waiter, entry.zxid, result.map(Response::Done), out);
            }
            Outcome::AllWritten(done) => {
                self.answer_write(waiter, entry.zxid, Ok(Response::AllDone(done)), out);
            }
            Outcome::NoneWritten { index, code } => {
                let zxid = entry.zxid;
                self.note_news(zxid, Event::MultiRefused { zxid }, out);
                let count = match &entry.txn.action {
                    Action::Multi(ops) => ops.len(),
                    _ => unreachable!("only a multi is refused as a whole"),
                };
                let none = Response::NoneDone { count, index, code };
                self.answer_write(waiter, entry.zxid, Ok(none), out);
            }
            Outcome::Refused(code) => self.refused_write(entry, waiter, code, out),
            Outcome::Repeated => {
                // Its first execution was answered to nobody and its outcome is not kept: the
                // client must learn that it does not know.
                if let Some(Waiter::Writing(connection)) = waiter {
                    self.close_connection(connection, out);
                }
            }
        }
    }

    fn answer_write(
        &mut self,
        waiter: Option<Waiter>,
        zxid: Zxid,
        result: Result<Response, Code>,
        out: &mut Outbox,
    ) {
        if let Some(Waiter::Writing(connection)) = waiter {
            self.finish_write(connection, zxid, result, out);
        }
    }

    fn refused_write(
        &mut self,
        entry: &Entry,
        waiter: Option<Waiter>,
        code: Code,
        out: &mut Outbox,
    ) {
        if code == Code::SessionMoved
            && let Some(origin) = entry.txn.origin
        {
            out.note(Event::SessionMoved {
                session: origin.session,
            });
        }
        if let Some(Waiter::Writing(connection)) = waiter {
            self.finish_write(connection, entry.zxid, Err(code), out);
            self.close_connection(connection, out);
        }
    }

    /// The epoch is open: everything before it is agreed and executed, so this server serves.
    fn serve(&mut self, now: Now, zxid: Zxid, out: &mut Outbox) {
        let epoch = zxid.epoch();
        self.note_news(zxid, Event::EpochOpened { epoch }, out);
        if zxid.epoch() != self.replica.epoch() {
            return;
        }
        // Whoever led before took its knowledge of heartbeats with it: a full time-out for all.
        let sessions: alloc::vec::Vec<SessionId> = self.store.sessions().keys().copied().collect();
        for session in sessions {
            self.track(session, now);
        }
        for connection in core::mem::take(&mut self.arrivals) {
            self.admit(now, connection, out);
        }
    }

    /// Waits for a session's heartbeats, with a full time-out.
    pub(super) fn track(&mut self, session: SessionId, now: Now) {
        if let Some(known) = self.store.sessions().get(&session) {
            let timeout = Duration::from_millis(u64::from(known.timeout_ms));
            if self.heartbeats.is_empty() {
                self.tick_at = now.clock.after(self.config.tick / 2);
            }
            self.heartbeats.track(session, timeout, now.clock);
        }
    }

    fn attached(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        attachment: Attachment,
        out: &mut Outbox,
    ) {
        if let Some(older) = self.attached.get(&session).copied() {
            self.close_connection(older, out);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let attached = Phase::Attached {
            session,
            attachment,
            sequence: 0,
        };
        let Phase::Connecting { request, backlog } =
            core::mem::replace(&mut connection.phase, attached)
        else {
            unreachable!("a connection is attached once");
        };
        self.attached.insert(session, id);
        let known = &self.store.sessions()[&session];
        let response = ConnectResponse {
            timeout_ms: i32::try_from(known.timeout_ms).unwrap_or(i32::MAX),
            session: Some(session),
            password: known.password,
            read_only: request.read_only.map(|_| false),
        };
        out.note(Event::Attached {
            connection: id,
            session,
            attachment,
        });
        out.reply(id, Reply::Connected(response));
        self.asked_early(now, id, backlog, out);
    }

    fn session_closed(
        &mut self,
        entry: &Entry,
        waiter: Option<Waiter>,
        session: SessionId,
        ephemerals: Option<usize>,
        out: &mut Outbox,
    ) {
        self.heartbeats.forget(session);
        let ending = match entry.txn.action {
            Action::CloseSession { ending, .. } => ending,
            _ => Ending::Closed,
        };
        if let Some(ephemerals) = ephemerals {
            let closed = Event::SessionClosed {
                session,
                ending,
                ephemerals,
            };
            self.note_news(entry.zxid, closed, out);
        }
        if let Some(Waiter::Writing(connection)) = waiter {
            self.finish_write(connection, entry.zxid, Ok(Response::Empty), out);
        }
        if let Some(connection) = self.attached.get(&session).copied() {
            self.close_connection(connection, out);
        }
    }

    /// Notes what a transaction brought about, unless an earlier life of this server has executed
    /// it already and only its state is made again.
    fn note_news(&self, zxid: Zxid, event: Event, out: &mut Outbox) {
        if zxid > self.recovered {
            out.note(event);
        }
    }

    fn snapshot_if_due(&mut self, out: &mut Outbox) {
        if self.executed_since_snapshot < self.snapshot_after || self.is_making_snapshot {
            return;
        }
        self.is_making_snapshot = true;
        self.executed_since_snapshot = 0;
        self.snapshot_after = self.draw_snapshot_after();
        out.note(Event::SnapshotBegun {
            zxid: self.store.applied(),
        });
        out.push(Effect::MakeSnapshot {
            store: Box::new(self.store.clone()),
        });
    }
}
