//! Read-only service: a server that has had no leader for long serves clients which asked for that.
//!
//! They read what it has executed, which is agreed, and may be old, in a session of this server
//! alone. Who has a session of the ensemble is not served: it would take being connected for being
//! alive, while the others may have ended its session. As soon as there is a leader again readers
//! are sent away: they come back for the whole service.

use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{ConnectionId, SessionId, Xid, Zxid};
use crate::node::company::Company;
use crate::node::connection::{Pending, Phase, Reads, Waiting};
use crate::node::effect::Outbox;
use crate::node::event::{Event, Refusal};
use crate::node::local::{Local, Stay};
use crate::node::node::Node;
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::node::request::{ConnectRequest, Request};
use crate::time::{Instant, Now};

/// How a connection that only reads is to be served.
enum Admission {
    /// For this session, with its secret and its time-out.
    As(SessionId, Local),
    /// Not at all.
    Not(Refusal),
}

impl Node {
    /// When read-only service is to begin, if it is. A server that has executed nothing has nothing
    /// to read: it would show an empty tree to whoever comes.
    pub(super) fn reads_only_at(&self) -> Option<Instant> {
        match self.company {
            Company::Missed { since } if self.store.applied() > Zxid::ZERO => {
                let after = self.config.read_only_after?;
                (!self.replica.is_alone()).then(|| since.after(after))
            }
            _ => None,
        }
    }

    /// Looks whether there is a leader. If there is one again, read-only service ends.
    pub(super) fn keep_company(&mut self, now: Now, out: &mut Outbox) {
        let before = self.company;
        self.company = match (self.is_ready(), before) {
            (true, _) => Company::Led,
            (false, Company::Led) => Company::Missed { since: now.clock },
            (false, before) => before,
        };
        if before != Company::Alone || self.company == Company::Alone {
            return;
        }
        let reader = |_, local: &Local| local.stay == Stay::WhileReadOnly;
        self.locals.forget_if(reader);
        let readers: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| matches!(connection.phase, Phase::Reading { .. }))
            .map(|(id, _)| *id)
            .collect();
        out.note(Event::ReadOnlyEnded {
            connections: readers.len(),
        });
        for id in readers {
            self.close_connection(id, out);
        }
    }

    /// There has been no leader for long. Who waits for one is sent away, also to come back and
    /// read; who has come since, and would read, is served.
    pub(super) fn begin_reading(&mut self, now: Now, out: &mut Outbox) {
        let arrivals = core::mem::take(&mut self.arrivals);
        let connections = self.connections.keys();
        let waiting: Vec<ConnectionId> = connections
            .filter(|id| !arrivals.contains(id))
            .copied()
            .collect();
        self.company = Company::Alone;
        out.note(Event::ReadOnlyBegun);
        for id in waiting {
            self.refuse_connection(id, Refusal::NoLeader, out);
            self.close_connection(id, out);
        }
        for id in arrivals {
            self.admit_reader(now, id, out);
        }
    }

    /// A connection's first frame, while there is no leader.
    pub(super) fn admit_reader(&mut self, now: Now, id: ConnectionId, out: &mut Outbox) {
        let known = self.connections.get(&id);
        let Some(Phase::Connecting { request, .. }) = known.map(|known| &known.phase) else {
            return;
        };
        let request = request.clone();
        match self.judge_reader(&request) {
            Admission::Not(refusal) => self.refuse_connection(id, refusal, out),
            Admission::As(session, local) => {
                if !self.awaits_heartbeats() {
                    self.tick_at = now.clock.after(self.config.tick / 2);
                }
                self.locals.track(session, local.timeout_ms, now.clock);
                if let Some(older) = self.attached.insert(session, id) {
                    self.close_connection(older, out);
                }
                self.serve_reader(now, id, session, local, out);
            }
        }
    }

    fn judge_reader(&mut self, request: &ConnectRequest) -> Admission {
        if request.read_only != Some(true) {
            return Admission::Not(Refusal::NoLeader);
        }
        if request.last_zxid_seen > self.store.applied() {
            return Admission::Not(Refusal::Behind);
        }
        let Some(session) = request.session else {
            if !self.locals.have_room() {
                return Admission::Not(Refusal::NoLeader);
            }
            let local = Local {
                password: self.prng.password(),
                timeout_ms: self.negotiate(request.timeout_ms),
                stay: Stay::WhileReadOnly,
            };
            return Admission::As(self.locals.open(local), local);
        };
        let may_live = self.store.sessions().contains_key(&session) || self.may_come(session);
        match self.locals.get(session) {
            Some(local) if local.password == request.password => Admission::As(session, *local),
            None if may_live => Admission::Not(Refusal::NoLeader),
            _ => Admission::Not(Refusal::NoSession),
        }
    }

    fn serve_reader(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        local: Local,
        out: &mut Outbox,
    ) {
        let connection = self.connections.get_mut(&id).expect("it is admitted");
        let phase = core::mem::replace(&mut connection.phase, Phase::Reading { session });
        let Phase::Connecting { backlog, .. } = phase else {
            unreachable!("a connection is admitted once");
        };
        let connection = id;
        out.note(Event::ReadOnlyServed {
            connection,
            session,
        });
        let response = ConnectResponse {
            timeout_ms: i32::try_from(local.timeout_ms).unwrap_or(i32::MAX),
            session: Some(session),
            password: local.password,
            read_only: Some(true),
        };
        out.reply(id, Reply::Connected(response));
        self.asked_early(now, id, backlog, out);
    }

    /// A client that only reads asked for something: nothing of that waits for anybody.
    pub(super) fn asked_reading(
        &mut self,
        now: Now,
        id: ConnectionId,
        (session, xid): (SessionId, Xid),
        request: Request,
        out: &mut Outbox,
    ) {
        self.locals.beats.touch(session, now.clock);
        if request == Request::CloseSession {
            self.locals.forget(session);
            let zxid = self.store.applied();
            let result = Ok(Response::Empty);
            out.reply(id, Reply::Answer { xid, zxid, result });
            self.close_connection(id, out);
            return;
        }
        let what = match self.within_limits(now, id, session, &request, out) {
            Err(code) => Waiting::Answered(Err(code)),
            Ok(()) if self.needs_leader(id, &request) => Waiting::Answered(Err(Code::NotReadOnly)),
            Ok(()) => self.judged(id, session, request, 0, out).0,
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.queue.push_back(Pending { xid, what });
        }
        self.answer_ready(id, out);
    }

    /// Does it change something, or ask for what only a leader can tell?
    fn needs_leader(&self, id: ConnectionId, request: &Request) -> bool {
        match request {
            Request::Write(_)
            | Request::Multi(_)
            | Request::Reconfigure(_)
            | Request::Sync { .. } => true,
            Request::Read(_) => self.reads_of(id) == Reads::Linearizable,
            _ => false,
        }
    }

    /// The client of a session of this server alone was silent for its whole time-out.
    pub(super) fn silent(&mut self, session: SessionId, out: &mut Outbox) {
        self.locals.forget(session);
        out.note(Event::LocalExpired { session });
        if let Some(connection) = self.attached.get(&session).copied() {
            self.close_connection(connection, out);
        }
    }
}
