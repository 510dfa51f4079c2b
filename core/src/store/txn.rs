//! Transactions: what is replicated, logged and executed by every server alike.
//!
//! A transaction carries everything that its outcome depends on besides the state itself: the wall
//! time, who asked, a new session's password. Sequence numbers and all outcomes result from its
//! execution, which is deterministic and total.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::config::Settings;
use crate::ids::{Epoch, Password, ServerId, SessionId, Token, Zxid};
use crate::membership::Membership;
use crate::store::roster::{Decision, Wish};
use crate::time::WallTime;
use crate::tree::acl::Identity;
use crate::tree::data::Data;
use crate::tree::op::{Done, Op};
use crate::tree::path::Path;
use crate::tree::restoring::Restoration;
use crate::tree::stat::Stat;

/// One attachment of a connection to a session: the position of the transaction that agreed it.
/// A write that names an older attachment than the session's executes as `SessionMoved`.
pub type Attachment = Zxid;

/// Whose write it is, and which one of that attachment. A server numbers the writes of each
/// attachment from 1 without gaps, so that one that is forwarded twice executes once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The session that asks.
    pub session: SessionId,
    /// Through which attachment.
    pub attachment: Attachment,
    /// The how manieth write of that attachment.
    pub sequence: u64,
}

/// What the attachment of a write has that was asked for in a session of one server alone. No
/// position has this bit.
const LANE: u64 = 1 << 63;

impl Origin {
    /// The `sequence`th write among those that a server hands to the leader of `epoch` for all its
    /// sessions of its own. No transaction has attached them, and the log keeps no account of them:
    /// the leader of this epoch takes each once, and no other takes any. `number` tells one life of
    /// the server from another one.
    pub const fn local(session: SessionId, epoch: Epoch, number: u32, sequence: u64) -> Origin {
        Origin {
            session,
            attachment: Zxid(LANE | Zxid::new(epoch, number).0),
            sequence,
        }
    }

    /// Was it asked for in a session that was one server's alone?
    pub const fn is_local(&self) -> bool {
        self.session.is_local() && self.attachment.0 & LANE != 0
    }

    /// The epoch to whose leader such a write was handed.
    pub const fn lane_epoch(&self) -> Epoch {
        Zxid(self.attachment.0 & !LANE).epoch()
    }
}

/// Why a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Its client closed it.
    Closed,
    /// Its heartbeats stayed away for its time-out.
    Expired,
}

/// What a transaction does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A new leader opens its epoch; always at counter 0.
    OpenEpoch {
        /// Who leads.
        leader: ServerId,
        /// The shared settings from here on.
        settings: Settings,
        /// The members from here on; those of the leader's log, or the founders.
        membership: Membership,
    },
    /// Changes the members as a client wishes, if the leader has granted it.
    Amend {
        /// What was wished.
        wish: Wish,
        /// What the leader made of it, when it had executed everything before this transaction and
        /// there was nothing in between.
        decision: Decision,
    },
    /// Changes the members; of the ensemble's own accord, or for the operator.
    Reconfigure {
        /// The members from here on.
        membership: Membership,
    },
    /// Opens a session and attaches the asking connection to it.
    OpenSession {
        /// Its secret.
        password: Password,
        /// Its negotiated time-out.
        timeout_ms: u32,
        /// Whose wish it is.
        token: Token,
    },
    /// Attaches another connection to a session; its password was checked by the proposer and is
    /// checked again at execution.
    Attach {
        /// The session.
        session: SessionId,
        /// What the client offered.
        password: Password,
        /// The newly negotiated time-out.
        timeout_ms: u32,
        /// Whose wish it is. One that was granted already is not granted again.
        token: Token,
    },
    /// Opens the session that asks, which was one server's alone until now, under the id that it
    /// has, and attaches its connection to it.
    Upgrade {
        /// Its secret.
        password: Password,
        /// Its negotiated time-out.
        timeout_ms: u32,
        /// Whose wish it is.
        token: Token,
    },
    /// Ends a session and deletes its ephemeral znodes.
    CloseSession {
        /// The session.
        session: SessionId,
        /// Why.
        ending: Ending,
    },
    /// One operation on the tree.
    Write(Op),
    /// Several operations, all or none.
    Multi(Vec<Op>),
    /// Deletes those of these znodes that go by themselves and whose time is over, by the
    /// transaction's clock.
    Reap {
        /// Which may be over.
        paths: Vec<Path>,
    },
    /// Goes a part of the way back to what a snapshot holds.
    Restore(Restoration),
}

impl Action {
    /// The first of its operations that creates an ephemeral znode, if one does; counts from 0.
    pub fn first_ephemeral(&self) -> Option<usize> {
        let ops = match self {
            Action::Write(op) => core::slice::from_ref(op),
            Action::Multi(ops) => ops,
            _ => return None,
        };
        ops.iter().position(Op::is_ephemeral)
    }

    /// The members from here on, if they change or are said again.
    pub fn membership(&self) -> Option<&Membership> {
        match self {
            Action::OpenEpoch { membership, .. }
            | Action::Reconfigure { membership }
            | Action::Amend {
                decision: Decision::Granted(membership),
                ..
            } => Some(membership),
            _ => None,
        }
    }
}

/// One transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Txn {
    /// The wall clock of the proposer, for the Stat of what is created or changed.
    pub wall: WallTime,
    /// Whose write it is; `None` for what the servers do of their own accord and for the opening
    /// and attaching of sessions, which have no attachment yet. A session that is one server's
    /// alone has a place in the order of that server's writes instead.
    pub origin: Option<Origin>,
    /// As whom the connection had authenticated when it asked; always includes its `ip`.
    pub identities: Arc<[Identity]>,
    /// What to do.
    pub action: Action,
}

impl Txn {
    /// What the servers do of their own accord.
    pub fn of_servers(wall: WallTime, action: Action) -> Txn {
        Txn {
            wall,
            origin: None,
            identities: Arc::from([]),
            action,
        }
    }

    /// About how many bytes it takes in memory; what limits on memory and on messages count.
    pub fn weight(&self) -> usize {
        let identities: usize = self
            .identities
            .iter()
            .map(|who| who.scheme.len() + who.id.len() + 32)
            .sum();
        let ops = match &self.action {
            Action::Write(op) => op.weight(),
            Action::Multi(ops) => ops.iter().map(Op::weight).sum(),
            Action::Amend { wish, .. } => wish.weight() + 64,
            Action::Reap { paths } => paths.iter().map(|path| path.as_str().len() + 32).sum(),
            Action::Restore(part) => part.weight(),
            _ => 64,
        };
        128 + identities + ops
    }
}

/// A transaction at its position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The position.
    pub zxid: Zxid,
    /// The transaction; shared by the log, the messages and the state machine.
    pub txn: Arc<Txn>,
}

/// What came of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The epoch is open.
    EpochOpened,
    /// The members are others from here on.
    Reconfigured,
    /// The members are others from here on, as a client wished: the text of the configuration and
    /// its znode's Stat; or the wish was refused, and nothing has changed.
    Amended(Result<(Option<Data>, Stat), Code>),
    /// A connection is attached to a session, newly opened or found again.
    Attached {
        /// The session.
        session: SessionId,
        /// Its secret.
        password: Password,
        /// Its time-out from here on.
        timeout_ms: u32,
        /// The new attachment.
        attachment: Attachment,
    },
    /// There is no such session, or the password is not its own.
    NotAttached,
    /// The session is closed.
    SessionClosed {
        /// Which.
        session: SessionId,
        /// Was it open until now?
        existed: bool,
        /// How many ephemeral znodes went with it.
        ephemerals: usize,
    },
    /// One operation was done, or was refused and changed nothing.
    Written(Result<Done, Code>),
    /// All operations were done.
    AllWritten(Vec<Done>),
    /// None was done, since the one at `index` was refused.
    NoneWritten {
        /// Counts from 0.
        index: usize,
        /// Why it was refused.
        code: Code,
    },
    /// Znodes whose time was over are gone.
    Reaped {
        /// How many.
        count: usize,
    },
    /// A part of a snapshot is there again.
    Restored {
        /// How many of its operations were refused, since the tree is not as the server found it
        /// that asked for them.
        refused: usize,
    },
    /// The whole transaction was refused before any operation was looked at: the session has
    /// moved (`SessionMoved`) or ended (`SessionExpired`).
    Refused(Code),
    /// The transaction executed before, under another position; nothing was done now.
    Repeated,
}
