//! Transactions on their way: asked for by this server's clients, handed to the leader, proposed by
//! it.
//!
//! What a connection asks for stays with it until it is executed, and is handed again to every new
//! leader, in order. The leader takes each only once: writes are numbered within their attachment,
//! and a wish for a session has a token.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{ConnectionId, ServerId, SessionId, Token};
use crate::node::connection::Phase;
use crate::node::effect::Outbox;
use crate::node::event::{Event, Refusal};
use crate::node::lane::Taken;
use crate::node::node::Node;
use crate::quorum::act::Part;
use crate::store::roster::Decision;
use crate::store::txn::{Action, Ending, Entry, Origin, Txn};
use crate::time::Now;
use crate::tree::acl::Identity;

impl Node {
    /// A connection asks for a transaction; it is handed to the leader now or as soon as there is
    /// one, in the order of the calls.
    pub(super) fn submit(
        &mut self,
        now: Now,
        id: ConnectionId,
        identities: Arc<[Identity]>,
        action: Action,
        out: &mut Outbox,
    ) {
        self.hand_over_requests(now, out);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let origin = match &mut connection.phase {
            Phase::Attached {
                session,
                attachment,
                sequence,
            } => {
                *sequence += 1;
                Some(Origin {
                    session: *session,
                    attachment: *attachment,
                    sequence: *sequence,
                })
            }
            Phase::Local { session, upgrade } => {
                let (session, upgrade) = (*session, *upgrade);
                Some(self.local_origin(session, upgrade))
            }
            Phase::Connecting { .. } => None,
            Phase::Reading { .. } | Phase::Closing => return,
        };
        let txn = Arc::new(Txn {
            wall: now.wall,
            origin,
            identities,
            action,
        });
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.asked.push_back(txn.clone());
        if self.unexecuted == 0 {
            self.retry_at = now.clock.after(self.config.election_timeout * 2);
        }
        self.unexecuted += 1;
        if let Some(origin) = origin.filter(Origin::is_local) {
            if !self.locals.lane.holds(origin) {
                // It gets its place when its turn has come.
                return;
            }
            self.locals.lane.keep(Arc::clone(&txn));
        }
        if self.handed_to.is_some() {
            self.hand_on(now, txn, out);
        }
    }

    /// Whom requests are handed to: this server itself, or the leader that it follows, as soon as
    /// the beginning of the leader's epoch is executed here. Then what older epochs agreed on is
    /// executed, and is not asked for again.
    fn recipient(&self, now: Now) -> Option<ServerId> {
        let leader = self.replica.leader().filter(|_| self.is_ready())?;
        match self.replica.part() {
            Part::Leader => self.replica.can_propose(now).then_some(leader),
            _ => Some(leader),
        }
    }

    /// If there is a new leader, hands everything to it that was asked for and not executed.
    pub(super) fn hand_over_requests(&mut self, now: Now, out: &mut Outbox) {
        let recipient = self
            .recipient(now)
            .map(|leader| (self.replica.epoch(), leader));
        if self.replica.part() != Part::Leader {
            self.heartbeats.clear();
        }
        if recipient == self.handed_to {
            return;
        }
        if recipient.is_none() && !self.is_ready() {
            self.isolation_at = now.clock.after(self.config.isolation_timeout);
        }
        self.handed_to = recipient;
        self.outgoing.clear();
        self.held.clear();
        self.ask_again();
        let Some(reign) = recipient else {
            return;
        };
        self.retry_at = now.clock.after(self.config.election_timeout * 2);
        if self.is_serving() {
            for session in core::mem::take(&mut self.expiring) {
                self.propose_expiry(now, session, out);
            }
        }
        self.turn_lane(reign, out);
        self.hand_everything_on(now, out);
        self.hand_on_locals(now, out);
    }

    fn hand_everything_on(&mut self, now: Now, out: &mut Outbox) {
        let connections = self.connections.values();
        let asked: Vec<Arc<Txn>> = connections
            .flat_map(|connection| &connection.asked)
            .filter(|txn| !txn.origin.is_some_and(|origin| origin.is_local()))
            .chain(self.locals.lane.handed())
            .cloned()
            .collect();
        if asked.is_empty() {
            return;
        }
        out.note(Event::Reforwarded { count: asked.len() });
        for txn in asked {
            self.hand_on(now, txn, out);
        }
    }

    /// Hands a request to whom requests are handed.
    pub(super) fn hand_on(&mut self, now: Now, txn: Arc<Txn>, out: &mut Outbox) {
        match self.replica.part() {
            Part::Leader => {
                self.propose_once(now, txn, out);
            }
            _ => self.outgoing.push(txn),
        }
    }

    /// What has no answer for long may never have reached the leader.
    pub(super) fn retry(&mut self, now: Now) {
        if self.executed_own == self.executed_own_before {
            self.handed_to = None;
        }
        self.executed_own_before = self.executed_own;
        self.retry_at = now.clock.after(self.config.election_timeout * 2);
    }

    /// Another server's client asks.
    pub(super) fn forwarded(&mut self, now: Now, txn: Arc<Txn>, out: &mut Outbox) {
        let is_for_clients = match txn.action {
            Action::OpenEpoch { .. } | Action::Reconfigure { .. } | Action::Reap { .. } => false,
            Action::OpenSession { .. } | Action::Attach { .. } => txn.origin.is_none(),
            Action::CloseSession { ending, .. } => ending == Ending::Closed,
            Action::Upgrade { .. } => txn.origin.is_some_and(|origin| origin.is_local()),
            Action::Write(_) | Action::Multi(_) => txn.origin.is_some(),
            Action::Amend { ref decision, .. } => {
                txn.origin.is_some() && *decision == Decision::Open
            }
            Action::Restore(_) => {
                self.restores() && txn.origin.is_some_and(|origin| origin.is_local())
            }
        };
        if !is_for_clients || !self.is_serving() || !self.replica.can_propose(now) {
            return;
        }
        let session = txn.origin.map(|origin| origin.session);
        let was_next = self.propose_once(now, txn, out);
        // A write that is agreed proves to its client that this server has heard of it.
        if let Some(session) = session.filter(|_| was_next) {
            self.touch(now, session, out);
        }
    }

    /// Proposes what is not proposed yet, unless it has to wait. Was it proposed?
    fn propose_once(&mut self, now: Now, txn: Arc<Txn>, out: &mut Outbox) -> bool {
        !self.hold(&txn) && self.propose_next(now, txn, out)
    }

    /// Proposes what is not proposed yet, and what nothing is missing before. Was it that?
    pub(super) fn propose_next(&mut self, now: Now, txn: Arc<Txn>, out: &mut Outbox) -> bool {
        let is_next = match (&txn.origin, token_of(&txn.action)) {
            (Some(origin), _) => self.is_next(*origin),
            (None, Some(token)) => !self.wishes.contains(&token),
            (None, None) => true,
        };
        if is_next {
            self.append(now, self.decided(txn), out);
        }
        is_next
    }

    /// Is it the next write of the session's attachment, by the log of this leader?
    fn is_next(&self, origin: Origin) -> bool {
        if origin.is_local() {
            let is_next = match self.lanes.get(&origin.session.opener()) {
                Some(taken) => taken.is_next(origin),
                None => Taken::default().is_next(origin),
            };
            return is_next && origin.lane_epoch() == self.replica.epoch();
        }
        let in_state = || {
            let session = self.store.sessions().get(&origin.session)?;
            Some((session.attachment, session.sequence))
        };
        let pipeline = self.pipelines.get(&origin.session).copied();
        pipeline
            .or_else(in_state)
            .is_some_and(|(attachment, sequence)| {
                attachment == origin.attachment && sequence + 1 == origin.sequence
            })
    }

    /// Appends a transaction to the leader's log, with the leader's time.
    pub(super) fn append(&mut self, now: Now, mut txn: Arc<Txn>, out: &mut Outbox) {
        if !self.replica.can_propose(now) {
            return;
        }
        if txn.wall != now.wall {
            Arc::make_mut(&mut txn).wall = now.wall;
        }
        let (origin, token) = (txn.origin, token_of(&txn.action));
        let attaches = attached_by(&txn);
        let Some(zxid) = self.replica.propose(txn) else {
            // The counter is exhausted. A new epoch has a fresh one: the leader wins it by a real
            // vote, and what is asked for waits for that one round.
            self.replica.renew(now);
            self.act(out);
            return;
        };
        if let Some(origin) = origin.filter(Origin::is_local) {
            let taken = self.lanes.entry(origin.session.opener());
            taken.or_default().proposed(origin);
        } else if let Some(origin) = origin {
            let proposed = (origin.attachment, origin.sequence);
            self.pipelines.insert(origin.session, proposed);
        }
        if let Some(session) = attaches {
            self.pipelines.insert(session, (zxid, 0));
        }
        self.wishes.extend(token);
        self.act(out);
    }

    /// The election is won: opens the epoch.
    pub(super) fn lead(&mut self, now: Now, out: &mut Outbox) {
        let (leader, epoch) = (self.config.server, self.replica.epoch());
        out.note(Event::Elected { epoch, leader });
        let action = Action::OpenEpoch {
            leader,
            settings: self.config.proposed_settings(),
            membership: self.addressed(self.replica.membership().clone()),
        };
        self.replica.open_epoch(Txn::of_servers(now.wall, action));
        self.act(out);
    }

    /// The disk has no space, and transactions were taken back. A server alone tells everybody who
    /// waits for one; in an ensemble they are handed to another leader.
    pub(super) fn take_back(&mut self, now: Now, lost: &[Entry], out: &mut Outbox) {
        if lost.is_empty() {
            return;
        }
        out.note(Event::SavesRefused { count: lost.len() });
        if !self.replica.is_alone() {
            return;
        }
        for entry in lost {
            let token = token_of(&entry.txn.action);
            if let Some(token) = token {
                self.wishes.remove(&token);
                if token.incarnation == self.incarnation {
                    self.refuse_connection(token.connection, Refusal::NoSpace, out);
                }
            }
            if entry.txn.origin.is_some_and(|origin| origin.is_local()) {
                self.lane_taken_back(out);
            } else if let Some(origin) = entry.txn.origin {
                self.write_taken_back(origin, out);
            } else if let Action::CloseSession { session, .. } = entry.txn.action {
                // Waits for another time-out: the session could not be ended.
                self.track(session, now);
            }
            if let Some(session) = attached_by(&entry.txn) {
                self.pipelines.remove(&session);
            }
        }
    }

    /// A write was taken back, and with it all later ones: the next one has its number.
    fn write_taken_back(&mut self, origin: Origin, out: &mut Outbox) {
        if let Some((attachment, sequence)) = self.pipelines.get_mut(&origin.session)
            && *attachment == origin.attachment
        {
            *sequence = (*sequence).min(origin.sequence - 1);
        }
        let Some(id) = self.attached.get(&origin.session).copied() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Phase::Attached {
            attachment,
            sequence,
            ..
        } = &mut connection.phase
        else {
            return;
        };
        let lost = |txn: &Arc<Txn>| txn.origin == Some(origin);
        let position = connection.asked.iter().position(lost);
        if *attachment != origin.attachment || position.is_none() {
            return;
        }
        *sequence = (*sequence).min(origin.sequence - 1);
        position.and_then(|index| connection.asked.remove(index));
        self.unexecuted -= 1;
        // Its position was never agreed: nobody may be told of it.
        let applied = self.store.applied();
        self.finish_write(id, applied, Err(Code::SystemError), out);
    }

    /// A session's heartbeats stayed away.
    pub(super) fn expire(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        // Its client has come back, and this server's slow disk keeps that from being executed.
        let known = self.store.sessions().get(&session);
        let proposed = self.pipelines.get(&session);
        if let (Some(known), Some((attachment, _))) = (known, proposed)
            && *attachment > known.attachment
        {
            self.track(session, now);
            return;
        }
        self.heartbeats.forget(session);
        out.note(Event::TimedOut { session });
        match self.replica.can_propose(now) {
            true => self.propose_expiry(now, session, out),
            false => {
                self.expiring.insert(session);
            }
        }
    }

    fn propose_expiry(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        let ending = Ending::Expired;
        let txn = Txn::of_servers(now.wall, Action::CloseSession { session, ending });
        self.append(now, Arc::new(txn), out);
    }
}

/// The session whose attachment a transaction is, if it was open before or has its id from before.
pub(super) fn attached_by(txn: &Txn) -> Option<SessionId> {
    match txn.action {
        Action::Attach { session, .. } => Some(session),
        Action::Upgrade { .. } => txn.origin.map(|origin| origin.session),
        _ => None,
    }
}

/// The wish that a transaction grants, if it opens or attaches a session.
pub(super) fn token_of(action: &Action) -> Option<Token> {
    match action {
        Action::OpenSession { token, .. } | Action::Attach { token, .. } => Some(*token),
        _ => None,
    }
}
