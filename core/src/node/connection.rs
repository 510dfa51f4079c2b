//! One client's connection: who it is, and the order of its replies.
//!
//! Replies leave in the order of the requests. A write waits for agreement; what was asked after it
//! waits behind it, so a read sees every write that the same client asked for before it.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::IpAddr;

use alloc::string::{String, ToString};

use crate::code::Code;
use crate::config::Supers;
use crate::ids::{SessionId, Xid};
use crate::node::barrier::{Barrier, Barriers};
use crate::node::reply::Response;
use crate::node::request::{ConnectRequest, Read, Request, SetWatches};
use crate::store::txn::{Attachment, Txn};
use crate::tree::acl::{Identity, SUPER};
use crate::tree::path::Path;
use crate::watch::{WatchMode, Whichever};

/// How far a connection has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Its first frame waits for the server to serve, or for its session to be agreed.
    Connecting {
        /// The first frame.
        request: ConnectRequest,
        /// What the client asked for before it was told its session.
        backlog: VecDeque<(Xid, Request)>,
    },
    /// It speaks for a session.
    Attached {
        /// The session.
        session: SessionId,
        /// The attachment that its writes name.
        attachment: Attachment,
        /// The number of its last write that was proposed.
        sequence: u64,
    },
    /// It speaks for a session of this server alone.
    Local {
        /// The session.
        session: SessionId,
        /// Has it asked for more?
        upgrade: Upgrade,
    },
    /// It speaks for a session while there is no leader: it reads.
    Reading {
        /// The session, of this server alone.
        session: SessionId,
    },
    /// It is about to be closed: nothing that it still asks is answered.
    Closing,
}

/// Is the ensemble to take a session over?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Upgrade {
    /// No.
    NotAsked,
    /// It was asked to: what is asked for after that waits until it has.
    Asked,
}

/// A request whose turn has not come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pending {
    pub xid: Xid,
    pub what: Waiting,
}

/// How a connection reads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Reads {
    /// What this server has: the newest or a little older, never older than what the client saw.
    Local,
    /// Nothing older than what anybody was told by the time of the question.
    Linearizable,
}

/// What a pending request waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Waiting {
    /// Its transaction.
    Txn,
    /// The requests before it, and the barrier; then it reads, as who the client was when it asked.
    Read(Read, Arc<[Identity]>, Barrier),
    /// The requests before it; then what everybody was told is done here, too.
    Sync(Path, Barrier),
    /// The requests before it, and until the leader is known to have heard of the session: the
    /// answer to a heartbeat is a proof.
    Heartbeat(Barrier),
    /// The requests before it; then the watches are set.
    SetWatches(SetWatches),
    /// The requests before it; then the watch is left.
    AddWatch(Path, WatchMode),
    /// The requests before it; then the watches are looked at as they are.
    CheckWatches(Path, Whichever),
    /// The requests before it; then the watches are forgotten.
    RemoveWatches(Path, Whichever),
    /// The requests before it; its answer is known.
    Answered(Result<Response, Code>),
    /// The requests before it; it is refused and the connection closed.
    Failed(Code),
    /// The requests before it; then its session, of this server alone, ends.
    Farewell,
}

impl Waiting {
    /// The question that it waits for, answered or not, if it is of the kind that waits for one.
    pub fn barrier(&mut self) -> Option<&mut Barrier> {
        match self {
            Waiting::Read(_, _, barrier)
            | Waiting::Sync(_, barrier)
            | Waiting::Heartbeat(barrier) => Some(barrier),
            _ => None,
        }
    }

    /// May it be answered, as the first of its connection? A heartbeat shows nothing, so it need
    /// not wait until what was agreed is executed here.
    pub fn is_ready(&self, barriers: &Barriers) -> bool {
        match self {
            Waiting::Txn => false,
            Waiting::Read(_, _, barrier) | Waiting::Sync(_, barrier) => *barrier <= barriers.passed,
            Waiting::Heartbeat(barrier) => *barrier <= barriers.answered,
            _ => true,
        }
    }
}

/// One client's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Connection {
    pub address: IpAddr,
    /// As whom it has authenticated so far, its address first.
    pub identities: Arc<[Identity]>,
    pub phase: Phase,
    /// In the order of the requests.
    pub queue: VecDeque<Pending>,
    /// What it asked for and was not executed yet: the session, then writes in their order. All of
    /// it is said again to a new leader.
    pub asked: VecDeque<Arc<Txn>>,
    pub reads: Reads,
    /// The challenge that its client has not answered.
    pub challenged: Option<Challenged>,
}

/// A challenge of SASL, by what makes it differ from all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Challenged {
    pub nonce: String,
}

impl Connection {
    pub fn new(address: IpAddr, request: ConnectRequest) -> Connection {
        let address = address.to_canonical();
        Connection {
            address,
            identities: Arc::from([Identity::new("ip", &address.to_string())]),
            phase: Phase::Connecting {
                request,
                backlog: VecDeque::new(),
            },
            queue: VecDeque::new(),
            asked: VecDeque::new(),
            reads: Reads::Local,
            challenged: None,
        }
    }

    /// The session that it speaks for, if it does.
    pub fn session(&self) -> Option<SessionId> {
        match self.phase {
            Phase::Attached { session, .. }
            | Phase::Local { session, .. }
            | Phase::Reading { session } => Some(session),
            Phase::Connecting { .. } | Phase::Closing => None,
        }
    }

    /// Takes on an identity besides those that it has, and its powers.
    pub fn take_on(&mut self, identity: Identity, supers: &Supers) {
        let is = |of: &Option<String>| of.as_deref() == Some(&*identity.id);
        let may_do_everything = match &*identity.scheme {
            "digest" => is(&supers.digest),
            "x509" => is(&supers.subject),
            "sasl" => is(&supers.sasl),
            _ => false,
        };
        if may_do_everything {
            self.add_identity(Identity::new(SUPER, ""));
        }
        self.add_identity(identity);
    }

    fn add_identity(&mut self, identity: Identity) {
        if !self.identities.contains(&identity) {
            self.identities = self.identities.iter().cloned().chain([identity]).collect();
        }
    }

    /// Requests that are not answered yet.
    pub fn outstanding(&self) -> usize {
        match &self.phase {
            Phase::Connecting { backlog, .. } => backlog.len() + 1,
            Phase::Attached { .. }
            | Phase::Local { .. }
            | Phase::Reading { .. }
            | Phase::Closing => self.queue.len(),
        }
    }
}
