//! Connections come and go: the first frame of each, and who is sent away.

use alloc::vec::Vec;

use crate::config::LocalSessions;
use crate::ids::{ConnectionId, Password, SessionId, Token, Zxid};
use crate::node::company::Company;
use crate::node::connection::{Connection, Phase};
use crate::node::effect::Outbox;
use crate::node::event::{Event, Refusal};
use crate::node::node::Node;
use crate::node::reply::{ConnectResponse, Reply};
use crate::node::request::ConnectRequest;
use crate::store::txn::Action;
use crate::time::{Duration, Now};

impl Node {
    /// A client has connected.
    pub(super) fn opened(
        &mut self,
        now: Now,
        connection: Connection,
        id: ConnectionId,
        out: &mut Outbox,
    ) {
        if self.connections.is_empty() && !self.is_ready() {
            self.isolation_at = now.clock.after(self.config.isolation_timeout);
        }
        let known = self.connections.insert(id, connection);
        assert!(known.is_none(), "connection {id} was opened before");
        if self.is_ready() {
            self.admit(now, id, out);
        } else if self.company == Company::Alone {
            self.admit_reader(now, id, out);
        } else {
            self.arrivals.push(id);
        }
    }

    /// A connection's first frame: opens a session for it, or attaches it to its session.
    pub(super) fn admit(&mut self, now: Now, id: ConnectionId, out: &mut Outbox) {
        let Some(Phase::Connecting { request, .. }) = self
            .connections
            .get(&id)
            .map(|connection| &connection.phase)
        else {
            return;
        };
        let request = request.clone();
        if request.last_zxid_seen > self.store.applied() {
            self.refuse_connection(id, Refusal::Behind, out);
            return;
        }
        if self.admit_local(now, id, &request, out) {
            return;
        }
        let timeout_ms = self.negotiate(request.timeout_ms);
        let token = Token {
            incarnation: self.incarnation,
            connection: id,
        };
        let action = match request.session {
            None => Action::OpenSession {
                password: self.prng.password(),
                timeout_ms,
                token,
            },
            Some(session) => {
                let password = request.password;
                let known = self.store.sessions().get(&session);
                let is_gone = !self.may_come(session);
                if known.map_or(is_gone, |known| known.password != password) {
                    self.refuse_connection(id, Refusal::NoSession, out);
                    return;
                }
                Action::Attach {
                    session,
                    password,
                    timeout_ms,
                    token,
                }
            }
        };
        let identities = self.identities_of(id);
        self.submit(now, id, identities, action, out);
    }

    /// A session's id is the position where it was opened: one from before what is executed here
    /// is known, or it is gone. A younger one the agreement decides about; also one that a server
    /// has opened for itself alone, if it may be the ensemble's by now.
    pub(super) fn may_come(&self, session: SessionId) -> bool {
        match session.is_local() {
            true => self.config.local_sessions == LocalSessions::Upgraded,
            false => Zxid::from_wire(session.0) > self.store.applied(),
        }
    }

    pub(super) fn negotiate(&self, wished_ms: i32) -> u32 {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let least = millis(self.config.session_timeout_min);
        let most = millis(self.config.session_timeout_max);
        u32::try_from(wished_ms).unwrap_or(0).clamp(least, most)
    }

    /// Refuses a connection. One whose session is gone is told so; every other is only closed, and
    /// its client tries another server.
    pub(super) fn refuse_connection(
        &mut self,
        id: ConnectionId,
        refusal: Refusal,
        out: &mut Outbox,
    ) {
        let Some(Phase::Connecting {
            request: ConnectRequest { read_only, .. },
            ..
        }) = self
            .connections
            .get(&id)
            .map(|connection| &connection.phase)
        else {
            return;
        };
        if refusal == Refusal::NoSession {
            let response = ConnectResponse {
                timeout_ms: 0,
                session: None,
                password: Password::NONE,
                read_only: read_only.map(|_| self.company == Company::Alone),
            };
            out.reply(id, Reply::Connected(response));
        }
        out.note(Event::ConnectionRefused {
            connection: id,
            refusal,
        });
        self.close_connection(id, out);
    }

    pub(super) fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(session) = connection.session()
            && self.attached.get(&session) == Some(&id)
        {
            self.attached.remove(&session);
        }
        self.unexecuted -= connection.asked.len();
        self.barriers.waiters.remove(&id);
        self.watches.forget(id);
        self.arrivals.retain(|arrival| *arrival != id);
    }

    /// There is no leader, and has not been for long: the clients may find one elsewhere.
    pub(super) fn isolate(&mut self, now: Now, out: &mut Outbox) {
        self.isolation_at = now.clock.after(self.config.isolation_timeout);
        let connections = self.connections.len();
        self.send_everybody_away(Refusal::NoLeader, out);
        out.note(Event::Isolated { connections });
    }

    /// Closes all connections.
    pub(super) fn send_everybody_away(&mut self, refusal: Refusal, out: &mut Outbox) {
        self.arrivals.clear();
        let all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in all {
            self.refuse_connection(id, refusal, out);
            self.close_connection(id, out);
        }
    }
}
