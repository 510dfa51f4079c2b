//! What is agreed is executed: outcomes become replies, changes become events of watches.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{ConnectionId, SessionId, Zxid};
use crate::node::connection::{Phase, Waiting};
use crate::node::effect::{Effect, Outbox};
use crate::node::event::{Event, Refusal};
use crate::node::local::Local;
use crate::node::node::Node;
use crate::node::proposal::{attached_by, token_of};
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::store::store::Store;
use crate::store::txn::{Action, Attachment, Ending, Entry, Outcome, Txn};
use crate::time::{Duration, Now};
use crate::tree::acl::Perms;

impl Node {
    /// Executes everything that is agreed.
    pub(super) fn execute_committed(&mut self, now: Now, out: &mut Outbox) {
        let mut has_executed = false;
        while let Some(entry) = self.replica.take_committed() {
            self.execute(now, &entry, out);
            self.act(out);
            has_executed = true;
        }
        if has_executed {
            self.reach_barriers(out);
            self.snapshot_if_due(out);
            self.replica.trim();
        }
    }

    fn execute(&mut self, now: Now, entry: &Entry, out: &mut Outbox) {
        let waiter = self.waiter(entry);
        if let Some(connection) = waiter {
            self.answer_before_write(connection, out);
        }
        let mut changes = core::mem::take(&mut self.changes);
        let outcome = self.store.execute(entry, &mut changes);
        let digest = self.store.tree().digest();
        out.note(Event::Executed {
            zxid: entry.zxid,
            digest,
        });
        if waiter.is_some() {
            self.note_quotas(entry, &changes, &outcome, out);
        }
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
        self.conclude(now, entry, waiter, outcome, out);
    }

    /// The connection of this server that asked for a transaction and waits for it.
    fn waiter(&mut self, entry: &Entry) -> Option<ConnectionId> {
        let token = token_of(&entry.txn.action);
        self.follow_lane(entry);
        let id = match (entry.txn.origin, token) {
            (Some(origin), _) => *self.attached.get(&origin.session)?,
            (None, Some(token)) => {
                self.wishes.remove(&token);
                (token.incarnation == self.incarnation).then_some(token.connection)?
            }
            (None, None) => return None,
        };
        let connection = self.connections.get_mut(&id)?;
        let next = connection.asked.front()?;
        let is_it = match entry.txn.origin {
            Some(origin) => next.origin == Some(origin),
            None => next.origin.is_none() && token_of(&next.action) == token,
        };
        if !is_it {
            return None;
        }
        connection.asked.pop_front();
        self.unexecuted -= 1;
        self.executed_own += 1;
        Some(id)
    }

    fn conclude(
        &mut self,
        now: Now,
        entry: &Entry,
        waiter: Option<ConnectionId>,
        outcome: Outcome,
        out: &mut Outbox,
    ) {
        match outcome {
            Outcome::EpochOpened => self.serve(now, entry.zxid, out),
            Outcome::Reconfigured => self.members_changed(now, entry.zxid, out),
            Outcome::Amended(result) => {
                let has_changed = result.is_ok();
                let result = result.map(|(data, stat)| Response::Data { data, stat });
                self.answer_write(waiter, entry.zxid, result, out);
                if has_changed {
                    self.members_changed(now, entry.zxid, out);
                }
            }
            Outcome::Attached {
                session,
                timeout_ms,
                attachment,
                ..
            } => {
                let timeout = Duration::from_millis(u64::from(timeout_ms));
                let agreed = (session, timeout, attachment);
                self.attachment_agreed(now, entry, waiter, agreed, out);
            }
            Outcome::NotAttached => {
                self.forget_pipeline(entry);
                if let Some(connection) = waiter {
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
            Outcome::Reaped { count } => {
                self.note_news(entry.zxid, Event::Reaped { count }, out);
            }
            Outcome::Restored { refused } => {
                self.part_restored(entry, refused, out);
            }
            Outcome::Refused(code) => self.refused_write(entry, waiter, code, out),
            Outcome::Repeated => {
                self.forget_pipeline(entry);
                // Its first execution was answered to nobody and its outcome is not kept: the
                // client must learn that it does not know.
                if let Some(connection) = waiter {
                    self.close_connection(connection, out);
                }
            }
        }
    }

    fn members_changed(&mut self, now: Now, zxid: Zxid, out: &mut Outbox) {
        let membership = self.store.membership().clone();
        self.note_news(zxid, Event::Reconfigured { zxid, membership }, out);
        self.tend_members(now, out);
    }

    /// A session was opened, taken over, or found again.
    fn attachment_agreed(
        &mut self,
        now: Now,
        entry: &Entry,
        waiter: Option<ConnectionId>,
        (session, timeout, attachment): (SessionId, Duration, Attachment),
        out: &mut Outbox,
    ) {
        self.track(session, now);
        match entry.txn.action {
            Action::Upgrade { .. } => {
                self.note_news(entry.zxid, Event::SessionUpgraded { session, timeout }, out);
                self.upgraded(now, waiter, (session, attachment), out);
            }
            Action::OpenSession { .. } => {
                self.note_news(entry.zxid, Event::SessionOpened { session, timeout }, out);
                self.session_attached(now, entry, waiter, session, attachment, out);
            }
            _ => self.session_attached(now, entry, waiter, session, attachment, out),
        }
    }

    /// A session has a new attachment: to a connection of this server, or elsewhere.
    fn session_attached(
        &mut self,
        now: Now,
        entry: &Entry,
        waiter: Option<ConnectionId>,
        session: SessionId,
        attachment: Attachment,
        out: &mut Outbox,
    ) {
        if let Some(older) = self.attached.get(&session).copied() {
            self.move_away(older, session, out);
        }
        if let Some(connection) = waiter {
            self.attached(now, connection, session, attachment, out);
            return;
        }
        let asked_here = token_of(&entry.txn.action).is_some_and(|token| {
            token.incarnation == self.incarnation && {
                let asked = self.connections.get(&token.connection);
                asked.is_some_and(|connection| connection.session() != Some(session))
            }
        });
        if asked_here && matches!(entry.txn.action, Action::OpenSession { .. }) {
            // The wish was handed to two leaders, and both granted it: nobody knows of this one.
            let ending = Ending::Closed;
            let close = Txn::of_servers(now.wall, Action::CloseSession { session, ending });
            self.hand_on(now, Arc::new(close), out);
        }
    }

    /// A session went to another connection: what its old one still asks for will never be done.
    pub(super) fn move_away(&mut self, older: ConnectionId, session: SessionId, out: &mut Outbox) {
        let Some(connection) = self.connections.get(&older) else {
            return;
        };
        if let Some(pending) = connection.queue.front()
            && pending.what == Waiting::Txn
        {
            let moved = Reply::Answer {
                xid: pending.xid,
                zxid: self.store.applied(),
                result: Err(Code::SessionMoved),
            };
            out.note(Event::SessionMoved { session });
            out.reply(older, moved);
        }
        self.close_connection(older, out);
    }

    fn forget_pipeline(&mut self, entry: &Entry) {
        if let Some(session) = attached_by(&entry.txn) {
            self.pipelines.remove(&session);
        }
    }

    fn answer_write(
        &mut self,
        waiter: Option<ConnectionId>,
        zxid: Zxid,
        result: Result<Response, Code>,
        out: &mut Outbox,
    ) {
        if let Some(connection) = waiter {
            self.finish_write(connection, zxid, result, out);
        }
    }

    fn refused_write(
        &mut self,
        entry: &Entry,
        waiter: Option<ConnectionId>,
        code: Code,
        out: &mut Outbox,
    ) {
        self.forget_pipeline(entry);
        if code == Code::SessionMoved
            && let Some(origin) = entry.txn.origin
        {
            out.note(Event::SessionMoved {
                session: origin.session,
            });
        }
        if let Some(connection) = waiter {
            self.finish_write(connection, entry.zxid, Err(code), out);
            self.close_connection(connection, out);
        }
    }

    /// The epoch is open: everything before it is agreed and executed.
    fn serve(&mut self, now: Now, zxid: Zxid, out: &mut Outbox) {
        let epoch = zxid.epoch();
        self.note_news(zxid, Event::EpochOpened { epoch }, out);
        if !self.is_serving() {
            return;
        }
        self.pipelines.clear();
        self.lanes.clear();
        self.wishes.clear();
        self.expiring.clear();
        self.reap_at = now.clock.after(self.config.reap_interval);
        self.reap_from = 0;
        // Whoever led before took its knowledge of heartbeats with it: a full time-out for all.
        let sessions: Vec<SessionId> = self.store.sessions().keys().copied().collect();
        for session in sessions {
            self.track(session, now);
        }
        self.tend_members(now, out);
    }

    /// Waits for a session's heartbeats, with a full time-out.
    pub(super) fn track(&mut self, session: SessionId, now: Now) {
        if self.is_serving()
            && let Some(known) = self.store.sessions().get(&session)
        {
            let timeout = Duration::from_millis(u64::from(known.timeout_ms));
            if !self.awaits_heartbeats() {
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
        waiter: Option<ConnectionId>,
        session: SessionId,
        ephemerals: Option<usize>,
        out: &mut Outbox,
    ) {
        self.heartbeats.forget(session);
        self.pipelines.remove(&session);
        self.touched.remove(&session);
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
        if let Some(connection) = waiter {
            self.finish_write(connection, entry.zxid, Ok(Response::Empty), out);
        }
        if let Some(connection) = self.attached.get(&session).copied() {
            self.close_connection(connection, out);
        }
    }

    /// Notes what a transaction brought about, unless an earlier life of this server has executed
    /// it already and only its state is made again.
    pub(super) fn note_news(&self, zxid: Zxid, event: Event, out: &mut Outbox) {
        if zxid > self.recovered {
            out.note(event);
        }
    }

    fn snapshot_if_due(&mut self, out: &mut Outbox) {
        if self.executed_since_snapshot >= self.snapshot_after {
            self.make_snapshot(out);
        }
    }

    /// Begins a snapshot, unless one is being made.
    pub(super) fn make_snapshot(&mut self, out: &mut Outbox) {
        if self.is_making_snapshot {
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

    /// Between half of what is configured and all of it, so that the servers of an ensemble do not
    /// make their snapshots at the same time.
    pub(super) fn draw_snapshot_after(&mut self) -> u32 {
        let half = self.config.snapshot_every.div_ceil(2);
        half + self.prng.below(half)
    }

    /// Another server's snapshot is this server's state from here on. What its clients watch for
    /// may have happened meanwhile, and what they asked for may be done: they are sent away, and
    /// find out when they come back.
    pub(super) fn installed(&mut self, mut store: Store, out: &mut Outbox) {
        store.rekey(self.prng.bits());
        let (zxid, digest) = (store.applied(), store.tree().digest());
        self.replica.installed(zxid, store.membership().clone());
        self.store = store;
        let sessions = self.store.sessions();
        let are_of_all = |session, _: &Local| sessions.contains_key(&session);
        self.locals.forget_if(are_of_all);
        self.leave_lane(out);
        self.executed_since_snapshot = 0;
        out.note(Event::Installed { zxid, digest });
        self.send_everybody_away(Refusal::Behind, out);
        self.reach_barriers(out);
    }
}
