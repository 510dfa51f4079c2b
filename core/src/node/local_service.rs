//! Whole service in sessions of this server alone: they are opened without the leader and the log,
//! and what they ask for is agreed like everything else. What the log must know of a session, since
//! ephemeral znodes go with it, it is told when that is first needed: the ensemble takes the
//! session over, under the id that it has.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::config::{LEVEL_LOCAL_SESSIONS, LocalSessions};
use crate::ids::{ConnectionId, SessionId, Token};
use crate::node::connection::{Connection, Phase, Upgrade, Waiting};
use crate::node::effect::Outbox;
use crate::node::event::{Event, Refusal};
use crate::node::lane::{Lane, Reign};
use crate::node::local::{Local, Stay};
use crate::node::node::Node;
use crate::node::reply::{ConnectResponse, Reply, Response};
use crate::node::request::ConnectRequest;
use crate::store::txn::{Action, Attachment, Entry, Origin, Txn};
use crate::time::Now;

impl Node {
    /// Does the ensemble know what becomes of sessions that are one server's alone?
    fn knows_locals(&self) -> bool {
        self.store.settings().feature_level >= LEVEL_LOCAL_SESSIONS
    }

    /// A connection's first frame, while there is a leader: serves it in a session of this server
    /// alone if it is to have one. Does it have one now, or was it refused?
    pub(super) fn admit_local(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) -> bool {
        let timeout_ms = self.negotiate(request.timeout_ms);
        let (session, password) = match request.session {
            None => {
                let are_wanted = self.config.local_sessions != LocalSessions::Off
                    && !self.replica.is_alone()
                    && self.knows_locals();
                if !are_wanted || !self.locals.have_room() {
                    return false;
                }
                let password = self.prng.password();
                let session = self.locals.open(Local {
                    password,
                    timeout_ms,
                    stay: Stay::Whole,
                });
                (session, password)
            }
            Some(session) => match self.locals.get(session) {
                None => return false,
                Some(known) if known.password == request.password => (session, known.password),
                Some(_) => {
                    self.refuse_connection(id, Refusal::NoSession, out);
                    return true;
                }
            },
        };
        if !self.awaits_heartbeats() {
            self.tick_at = now.clock.after(self.config.tick / 2);
        }
        self.locals.track(session, timeout_ms, now.clock);
        if let Some(older) = self.attached.insert(session, id) {
            self.close_connection(older, out);
        }
        let connection = self.connections.get_mut(&id).expect("it is admitted");
        let upgrade = Upgrade::NotAsked;
        let local = Phase::Local { session, upgrade };
        let Phase::Connecting { backlog, .. } = core::mem::replace(&mut connection.phase, local)
        else {
            unreachable!("a connection is admitted once");
        };
        let connection = id;
        out.note(Event::LocalServed {
            connection,
            session,
        });
        let response = ConnectResponse {
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            session: Some(session),
            password,
            read_only: request.read_only.map(|_| false),
        };
        out.reply(id, Reply::Connected(response));
        self.asked_early(now, id, backlog, out);
        true
    }

    /// What a request that needs a transaction means in a session of this server alone: it needs
    /// none to end, and to own ephemeral znodes it must be the ensemble's first.
    pub(super) fn judged_local(
        &mut self,
        now: Now,
        id: ConnectionId,
        (what, action): (Waiting, Option<Action>),
        out: &mut Outbox,
    ) -> (Waiting, Option<Action>) {
        let Some(action) = action else {
            return (what, None);
        };
        let phase = self.connections.get(&id).map(|known| &known.phase);
        let Some(Phase::Local {
            session,
            upgrade: Upgrade::NotAsked,
        }) = phase
        else {
            return (what, Some(action));
        };
        let session = *session;
        if matches!(action, Action::CloseSession { .. }) {
            return (Waiting::Farewell, None);
        }
        let Some(index) = action.first_ephemeral() else {
            return (what, Some(action));
        };
        match self.config.local_sessions {
            LocalSessions::Upgraded => {
                self.ask_upgrade(now, id, session, out);
                (what, Some(action))
            }
            LocalSessions::On | LocalSessions::Off => {
                let code = Code::EphemeralOnLocalSession;
                let refused = match &action {
                    Action::Multi(ops) => Ok(Response::NoneDone {
                        count: ops.len(),
                        index,
                        code,
                    }),
                    _ => Err(code),
                };
                (Waiting::Answered(refused), None)
            }
        }
    }

    /// Does a connection speak for a session that is this server's alone, and is to stay so?
    pub(super) fn is_local_still(&self, id: ConnectionId) -> bool {
        let phase = self.connections.get(&id).map(|known| &known.phase);
        let upgrade = Upgrade::NotAsked;
        matches!(phase, Some(Phase::Local { upgrade: asked, .. }) if *asked == upgrade)
    }

    /// A client gave a sign of life: this server notes it, or the leader, or both as long as the
    /// session may be either's.
    pub(super) fn touch_client(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        out: &mut Outbox,
    ) {
        self.locals.beats.touch(session, now.clock);
        if !self.is_local_still(id) {
            self.touch(now, session, out);
        }
    }

    /// Asks that the ensemble takes a session over.
    fn ask_upgrade(&mut self, now: Now, id: ConnectionId, session: SessionId, out: &mut Outbox) {
        let known = *self.locals.get(session).expect("its connection is served");
        let upgrade = Action::Upgrade {
            password: known.password,
            timeout_ms: known.timeout_ms,
            token: Token {
                incarnation: self.incarnation,
                connection: id,
            },
        };
        let identities = self.identities_of(id);
        self.submit(now, id, identities, upgrade, out);
        if let Some(connection) = self.connections.get_mut(&id)
            && let Phase::Local { upgrade, .. } = &mut connection.phase
        {
            *upgrade = Upgrade::Asked;
        }
    }

    /// Whose write it is that is asked for in a session of this server alone, with its place in the
    /// lane, unless there is no leader or the session is about to be the ensemble's.
    pub(super) fn local_origin(&mut self, session: SessionId, upgrade: Upgrade) -> Origin {
        match upgrade {
            Upgrade::NotAsked if self.handed_to.is_some() => self.locals.lane.next(session),
            _ => Lane::none(session),
        }
    }

    /// Requests are handed to the leader of this reign from here on. If the ensemble does not know
    /// of sessions of one server alone any more, those that there are end.
    pub(super) fn turn_lane(&mut self, reign: Reign, out: &mut Outbox) {
        if !self.locals.lane.turn_to(reign) || self.knows_locals() {
            return;
        }
        self.send_locals_away(|_| true, out);
        let whole = |_, local: &Local| local.stay == Stay::Whole;
        self.locals.forget_if(whole);
    }

    /// What the lane holds may be done, nothing tells when to stop saying it again, and nobody
    /// waits for it. What is asked for from here on goes in another one.
    pub(super) fn leave_lane(&mut self, out: &mut Outbox) {
        self.locals.lane.end();
        if let Some(reign) = self.handed_to {
            self.turn_lane(reign, out);
        }
    }

    /// Something is executed: if it was in this server's lane, it is kept no more. If it tells that
    /// the leader has ended this lane, what is kept goes in another one.
    pub(super) fn follow_lane(&mut self, entry: &Entry) {
        let is_own =
            |origin: &Origin| origin.is_local() && origin.session.opener() == self.config.server;
        let Some(origin) = entry.txn.origin.filter(is_own) else {
            return;
        };
        let lane = &mut self.locals.lane;
        lane.executed(origin);
        if lane.is_ended_for(origin) {
            lane.end();
            self.handed_to = None;
        }
    }

    /// Closes those connections of whole service in a session of this server alone that `are_meant`
    /// says.
    fn send_locals_away(&mut self, are_meant: impl Fn(&Connection) -> bool, out: &mut Outbox) {
        let is_local = |known: &Connection| matches!(known.phase, Phase::Local { .. });
        let connections = self.connections.iter();
        let meant = connections.filter(|(_, known)| is_local(known) && are_meant(known));
        let meant: Vec<ConnectionId> = meant.map(|(id, _)| *id).collect();
        for id in meant {
            self.close_connection(id, out);
        }
    }

    /// Gives what has none yet its place in the lane, and hands it on.
    pub(super) fn hand_on_locals(&mut self, now: Now, out: &mut Outbox) {
        let lane = &mut self.locals.lane;
        let mut handed: Vec<Arc<Txn>> = Vec::new();
        for connection in self.connections.values_mut() {
            let Phase::Local { session, .. } = connection.phase else {
                continue;
            };
            for txn in &mut connection.asked {
                if !txn.origin.is_some_and(|origin| lane.holds(origin)) {
                    Arc::make_mut(txn).origin = Some(lane.next(session));
                    lane.keep(Arc::clone(txn));
                    handed.push(Arc::clone(txn));
                }
                if matches!(txn.action, Action::Upgrade { .. }) {
                    break;
                }
            }
        }
        for txn in handed {
            self.hand_on(now, txn, out);
        }
    }

    /// A session that was one server's alone is the ensemble's from here on.
    pub(super) fn upgraded(
        &mut self,
        now: Now,
        waiter: Option<ConnectionId>,
        (session, attachment): (SessionId, Attachment),
        out: &mut Outbox,
    ) {
        self.locals.forget(session);
        let Some(id) = waiter else {
            // Who asked for it is gone, and its client has not heard of it.
            if let Some(other) = self.attached.get(&session).copied() {
                self.move_away(other, session, out);
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let sequences = 1..;
        for (txn, sequence) in connection.asked.iter_mut().zip(sequences) {
            Arc::make_mut(txn).origin = Some(Origin {
                session,
                attachment,
                sequence,
            });
        }
        let asked: Vec<Arc<Txn>> = connection.asked.iter().cloned().collect();
        connection.phase = Phase::Attached {
            session,
            attachment,
            sequence: asked.len() as u64,
        };
        out.note(Event::Attached {
            connection: id,
            session,
            attachment,
        });
        if self.handed_to.is_some() {
            for txn in asked {
                self.hand_on(now, txn, out);
            }
        }
    }

    /// The disk of this server, which is alone, had no space for a write of its lane, and what
    /// follows it in the lane cannot be taken either: who waits for any of it is sent away.
    pub(super) fn lane_taken_back(&mut self, out: &mut Outbox) {
        self.send_locals_away(|connection| !connection.asked.is_empty(), out);
        self.locals.lane.end();
        self.handed_to = None;
    }
}
