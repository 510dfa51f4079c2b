//! Requests and their answers: what is asked on a connection, and what is read for it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{ConnectionId, SessionId, Xid, Zxid};
use crate::node::auth::{Authenticated, authenticate};
use crate::node::barrier::Barrier;
use crate::node::connection::{Pending, Phase, Reads, Waiting};
use crate::node::effect::{Effect, Outbox};
use crate::node::event::{Event, Reached};
use crate::node::node::Node;
use crate::node::reading::{several, shown};
use crate::node::reply::{Reply, Response};
use crate::node::request::{Listing, Read, Request, SetWatches, Watching};
use crate::node::size::{fitting, of_multi_at_most};
use crate::node::throttle::{Asker, is_free};
use crate::store::roster::Decision;
use crate::store::txn::{Action, Ending};
use crate::time::Now;
use crate::tree::acl::Identity;
use crate::tree::path::Path;
use crate::watch::{EventKind, WatchEvent, WatchKind};

impl Node {
    /// A client asked for something.
    pub(super) fn asked(
        &mut self,
        now: Now,
        id: ConnectionId,
        xid: Xid,
        request: Request,
        out: &mut Outbox,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let session = match &mut connection.phase {
            Phase::Closing => return,
            Phase::Connecting { backlog, .. } => {
                backlog.push_back((xid, request));
                return;
            }
            Phase::Attached { session, .. } | Phase::Local { session, .. } => *session,
            Phase::Reading { session } => {
                let asked = (*session, xid);
                return self.asked_reading(now, id, asked, request, out);
            }
        };
        let barrier = match &request {
            // Its heartbeats are this server's matter: nobody else must have heard of it.
            Request::Ping if self.is_local_still(id) => 0,
            Request::Sync { .. } | Request::Ping => self.barrier(),
            Request::Read(_) => match self.reads_of(id) {
                Reads::Local => 0,
                Reads::Linearizable => self.barrier(),
            },
            _ => 0,
        };
        self.touch_client(now, id, session, out);
        let (what, action) = match self.within_limits(now, id, session, &request, out) {
            Ok(()) => {
                let judged = self.judged(id, session, request, barrier, out);
                self.judged_local(now, id, judged, out)
            }
            Err(code) => (Waiting::Answered(Err(code)), None),
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase == Phase::Closing {
            return;
        }
        let identities = connection.identities.clone();
        connection.queue.push_back(Pending { xid, what });
        match action {
            Some(action) => self.submit(now, id, identities, action, out),
            None => self.answer_ready(id, out),
        }
    }

    /// Has its client asked too often? Then this is what it is told.
    pub(super) fn within_limits(
        &mut self,
        now: Now,
        connection: ConnectionId,
        session: SessionId,
        request: &Request,
        out: &mut Outbox,
    ) -> Result<(), Code> {
        let asked = self.may_ask(now, connection, session, request);
        asked.map_err(|limit| {
            out.note(Event::LimitReached { connection, limit });
            Code::ThrottledOp
        })
    }

    fn may_ask(
        &mut self,
        now: Now,
        id: ConnectionId,
        session: SessionId,
        request: &Request,
    ) -> Result<(), Reached> {
        let Some(connection) = self.connections.get(&id) else {
            return Ok(());
        };
        if is_free(request) {
            return Ok(());
        }
        let asker = Asker {
            session,
            address: connection.address,
            identities: &connection.identities,
        };
        self.throttle.ask(now.clock, asker)
    }

    /// What a request waits for, and the transaction that it needs.
    pub(super) fn judged(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        request: Request,
        barrier: Barrier,
        out: &mut Outbox,
    ) -> (Waiting, Option<Action>) {
        let action = match request {
            Request::Auth { scheme, credential } => {
                return (self.authenticated(id, &scheme, &credential), None);
            }
            Request::Sasl { token } => return (self.exchange(id, &token), None),
            _ if !self.is_let_in(id) => {
                return (Waiting::Failed(Code::SessionClosedRequireSaslAuth), None);
            }
            Request::Write(op) => Action::Write(op),
            Request::Multi(ops) if of_multi_at_most(&ops) > self.config.reply_bytes_max => {
                let limit = Reached::ReplyBytes;
                out.note(Event::LimitReached {
                    connection: id,
                    limit,
                });
                return (Waiting::Answered(Err(Code::MarshallingError)), None);
            }
            Request::Multi(ops) => Action::Multi(ops),
            Request::Reconfigure(wish) => {
                let decision = Decision::Open;
                Action::Amend { wish, decision }
            }
            Request::CloseSession => Action::CloseSession {
                session,
                ending: Ending::Closed,
            },
            request => return (waiting(request, self.identities_of(id), barrier), None),
        };
        (Waiting::Txn, Some(action))
    }

    /// What is asked after this is asked as the new identity, whenever its turn comes.
    fn authenticated(&mut self, id: ConnectionId, scheme: &str, credential: &[u8]) -> Waiting {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Waiting::Failed(Code::AuthFailed);
        };
        match authenticate(scheme, credential) {
            Ok(authenticated) => {
                match authenticated {
                    Authenticated::As(identity) => {
                        connection.take_on(identity, &self.config.supers);
                    }
                    Authenticated::AsBefore => {}
                    Authenticated::Reads(reads) => connection.reads = reads,
                }
                Waiting::Answered(Ok(Response::Empty))
            }
            Err(code) => Waiting::Failed(code),
        }
    }

    /// Answers what no longer waits for a transaction, in order.
    pub(super) fn answer_ready(&mut self, id: ConnectionId, out: &mut Outbox) {
        while let Some(connection) = self.connections.get_mut(&id)
            && let Some(next) = connection.queue.front_mut()
        {
            if !next.what.is_ready(&self.barriers) {
                if next.what.barrier().is_some() {
                    self.barriers.waiters.insert(id);
                }
                return;
            }
            let Some(Pending { xid, what }) = connection.queue.pop_front() else {
                return;
            };
            let zxid = self.store.applied();
            let result = match what {
                Waiting::Txn => unreachable!("a write is answered by its transaction"),
                Waiting::Read(read, identities, _) => {
                    let found = self.read(id, &read, &identities, out);
                    if found == Err(Code::MarshallingError) {
                        let limit = Reached::ReplyBytes;
                        out.note(Event::LimitReached {
                            connection: id,
                            limit,
                        });
                    }
                    found
                }
                Waiting::Sync(path, _) => Ok(Response::Synced { path }),
                Waiting::Heartbeat(_) => Ok(Response::Empty),
                Waiting::SetWatches(watches) => {
                    self.set_watches(id, watches, out);
                    Ok(Response::Empty)
                }
                Waiting::AddWatch(path, mode) => self.add_watch(id, &path, mode, out),
                Waiting::CheckWatches(path, kinds) => self.check_watches(id, &path, kinds),
                Waiting::RemoveWatches(path, kinds) => self.remove_watches(id, &path, kinds),
                Waiting::Answered(result) => result,
                Waiting::Farewell => {
                    if let Some(session) = connection.session() {
                        self.locals.forget(session);
                    }
                    let result = Ok(Response::Empty);
                    out.reply(id, Reply::Answer { xid, zxid, result });
                    self.close_connection(id, out);
                    return;
                }
                Waiting::Failed(code) => {
                    out.reply(
                        id,
                        Reply::Answer {
                            xid,
                            zxid,
                            result: Err(code),
                        },
                    );
                    self.close_connection(id, out);
                    return;
                }
            };
            out.reply(id, Reply::Answer { xid, zxid, result });
        }
    }

    /// The oldest write that waits on this connection is agreed, and about to be executed. What was
    /// asked before it waits no more for what was agreed at that time: the write was proposed later
    /// and is agreed, so all that was agreed then stands before it, and is executed. The state is
    /// still the one before the write.
    pub(super) fn answer_before_write(&mut self, id: ConnectionId, out: &mut Outbox) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        for pending in &mut connection.queue {
            if pending.what == Waiting::Txn {
                break;
            }
            if let Some(barrier) = pending.what.barrier() {
                *barrier = 0;
            }
        }
        self.answer_ready(id, out);
    }

    /// Answers the oldest write that waits on this connection, and what waited behind it.
    pub(super) fn finish_write(
        &mut self,
        id: ConnectionId,
        zxid: Zxid,
        result: Result<Response, Code>,
        out: &mut Outbox,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase == Phase::Closing {
            return;
        }
        let pending = connection
            .queue
            .pop_front()
            .expect("a write waits for its transaction");
        assert!(
            pending.what == Waiting::Txn,
            "the oldest request waits for a transaction"
        );
        out.reply(
            id,
            Reply::Answer {
                xid: pending.xid,
                zxid,
                result,
            },
        );
        self.answer_ready(id, out);
    }

    /// Closes a connection after what was sent on it.
    pub(super) fn close_connection(&mut self, id: ConnectionId, out: &mut Outbox) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.phase == Phase::Closing {
            return;
        }
        if let Some(session) = connection.session()
            && self.attached.get(&session) == Some(&id)
        {
            self.attached.remove(&session);
        }
        connection.phase = Phase::Closing;
        connection.queue.clear();
        self.unexecuted -= connection.asked.len();
        connection.asked.clear();
        self.watches.forget(id);
        out.push(Effect::Close { connection: id });
    }

    pub(super) fn reads_of(&self, id: ConnectionId) -> Reads {
        self.connections
            .get(&id)
            .map_or(Reads::Local, |connection| connection.reads)
    }

    fn read(
        &mut self,
        id: ConnectionId,
        read: &Read,
        identities: &[Identity],
        out: &mut Outbox,
    ) -> Result<Response, Code> {
        let tree = self.store.tree();
        let bytes_max = self.config.reply_bytes_max;
        match read {
            Read::Exists { path, watching } => {
                let stat = tree.stat_for(path.as_str(), identities);
                if stat != Err(Code::NoAuth) {
                    self.leave_watch(id, path, WatchKind::Data, *watching, out);
                }
                stat.map(Response::Exists)
            }
            Read::GetData { path, watching } => {
                let (data, stat) = tree.data(path.as_str(), identities)?;
                let found = fitting(Response::Data { data, stat }, bytes_max)?;
                self.leave_watch(id, path, WatchKind::Data, *watching, out);
                Ok(found)
            }
            Read::GetChildren {
                path,
                watching,
                listing,
            } => {
                let (names, stat) = tree.children(path.as_str(), identities)?;
                let stat = (*listing == Listing::NamesAndStat).then_some(stat);
                let found = fitting(Response::Children { names, stat }, bytes_max)?;
                self.leave_watch(id, path, WatchKind::Child, *watching, out);
                Ok(found)
            }
            Read::GetAcl { path } => {
                let (acl, stat) = tree.acl(path.as_str(), identities)?;
                fitting(Response::Acl { acl, stat }, bytes_max)
            }
            Read::GetEphemerals { prefix } => fitting(self.ephemerals_of(id, prefix), bytes_max),
            Read::CountBelow { path } => {
                let count = tree.count_below(path.as_str(), identities)?;
                Ok(Response::Count(i32::try_from(count).unwrap_or(i32::MAX)))
            }
            Read::WhoAmI => fitting(Response::Identities(shown(identities)), bytes_max),
            Read::Several(parts) => {
                let all = several(tree, parts, identities, bytes_max)?;
                fitting(Response::Several(all), bytes_max)
            }
        }
    }

    pub(super) fn leave_watch(
        &mut self,
        connection: ConnectionId,
        path: &Path,
        kind: WatchKind,
        watching: Watching,
        out: &mut Outbox,
    ) {
        if watching == Watching::Once {
            self.watches.leave(connection, path, kind);
            out.note(Event::WatchLeft {
                connection,
                path: path.clone(),
            });
        }
    }

    /// Sets watches again after a reconnect. Those whose znode changed since the client saw it last
    /// fire at once and are not set.
    fn set_watches(&mut self, id: ConnectionId, watches: SetWatches, out: &mut Outbox) {
        let SetWatches {
            relative_zxid,
            data,
            exist,
            child,
            persistent,
            recursive,
        } = watches;
        let tree = self.store.tree();
        let stat = |path: &Path| tree.stat(path.as_str());
        let mut verdicts: Vec<(Path, WatchKind, Option<EventKind>)> = Vec::new();
        for path in data {
            let event = match stat(&path) {
                None => Some(EventKind::NodeDeleted),
                Some(stat) => (stat.mzxid > relative_zxid).then_some(EventKind::NodeDataChanged),
            };
            verdicts.push((path, WatchKind::Data, event));
        }
        for path in exist {
            let event = stat(&path).map(|_| EventKind::NodeCreated);
            verdicts.push((path, WatchKind::Data, event));
        }
        for path in child {
            let event = match stat(&path) {
                None => Some(EventKind::NodeDeleted),
                Some(stat) => {
                    (stat.pzxid > relative_zxid).then_some(EventKind::NodeChildrenChanged)
                }
            };
            verdicts.push((path, WatchKind::Child, event));
        }
        let zxid = self.store.applied();
        for (path, watch, event) in verdicts {
            match event {
                Some(kind) => out.tell(id, WatchEvent { zxid, kind, path }),
                None => self.leave_watch(id, &path, watch, Watching::Once, out),
            }
        }
        // What these missed is lost, as in ZooKeeper: they say nothing of what they had told.
        for (paths, kind) in [
            (persistent, WatchKind::Persistent),
            (recursive, WatchKind::Recursive),
        ] {
            for path in paths {
                self.leave_watch(id, &path, kind, Watching::Once, out);
            }
        }
    }

    /// What the client asked for before it was told its session.
    pub(super) fn asked_early(
        &mut self,
        now: Now,
        id: ConnectionId,
        backlog: impl IntoIterator<Item = (Xid, Request)>,
        out: &mut Outbox,
    ) {
        for (xid, request) in backlog {
            self.asked(now, id, xid, request, out);
        }
    }

    /// As whom a connection asks.
    pub(super) fn identities_of(&self, id: ConnectionId) -> Arc<[Identity]> {
        self.connections
            .get(&id)
            .map_or_else(|| Arc::from([]), |known| known.identities.clone())
    }
}

/// What a request waits for that needs no transaction and changes nobody.
fn waiting(request: Request, identities: Arc<[Identity]>, barrier: Barrier) -> Waiting {
    match request {
        Request::Read(read) => Waiting::Read(read, identities, barrier),
        Request::Sync { path } => Waiting::Sync(path, barrier),
        Request::Ping => Waiting::Heartbeat(barrier),
        Request::SetWatches(watches) => Waiting::SetWatches(watches),
        Request::AddWatch { path, mode } => Waiting::AddWatch(path, mode),
        Request::CheckWatches { path, kinds } => Waiting::CheckWatches(path, kinds),
        Request::RemoveWatches { path, kinds } => Waiting::RemoveWatches(path, kinds),
        Request::Refused(code) => Waiting::Answered(Err(code)),
        Request::Unknown { .. } => Waiting::Answered(Err(Code::Unimplemented)),
        Request::Write(_)
        | Request::Multi(_)
        | Request::Reconfigure(_)
        | Request::CloseSession
        | Request::Auth { .. }
        | Request::Sasl { .. } => unreachable!("these do more than wait"),
    }
}
