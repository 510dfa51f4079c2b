//! What clients are told: answers to their requests, and events of their watches.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{Password, SessionId, Xid, Zxid};
use crate::tree::acl::{Acl, Identity};
use crate::tree::data::Data;
use crate::tree::op::Done;
use crate::tree::path::Path;
use crate::tree::stat::Stat;
pub use crate::watch::{EventKind, WatchEvent};

/// The answer to a [`crate::node::request::ConnectRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// The negotiated time-out in milliseconds; 0 tells the client that its session has expired.
    pub timeout_ms: i32,
    /// The session; `None` (0 on the wire) if it has expired.
    pub session: Option<SessionId>,
    /// Its secret.
    pub password: Password,
    /// Is this server in read-only mode? `None` leaves the field out, for clients that did not
    /// send theirs.
    pub read_only: Option<bool>,
}

/// The body of a reply to a request that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// To a write.
    Done(Done),
    /// To a multi that succeeded.
    AllDone(Vec<Done>),
    /// To a multi of `count` operations that failed at `index`: ZooKeeper's shape is 0 for those
    /// before it, its code, and `RuntimeInconsistency` for those after it.
    NoneDone {
        /// How many operations were asked for.
        count: usize,
        /// Which one was refused; counts from 0.
        index: usize,
        /// Why.
        code: Code,
    },
    /// To `exists`.
    Exists(Stat),
    /// To `getData`.
    Data {
        /// The data; `None` is ZooKeeper's null.
        data: Option<Data>,
        /// The Stat.
        stat: Stat,
    },
    /// To `getChildren`: the names, without the Stat or with it, as it was asked for.
    Children {
        /// The names, in no order that clients may rely on.
        names: Vec<Arc<str>>,
        /// The parent's Stat, for `getChildren2`.
        stat: Option<Stat>,
    },
    /// To `getACL`.
    Acl {
        /// The list, redacted if the asker may not administer the znode.
        acl: Acl,
        /// The Stat.
        stat: Stat,
    },
    /// To `sync`.
    Synced {
        /// As it was asked.
        path: Path,
    },
    /// To `getEphemerals`: the paths, in order.
    Ephemerals(Vec<Path>),
    /// To `getAllChildrenNumber`.
    Count(i32),
    /// To `whoAmI`: each scheme with the name by which it may be shown, the address first.
    Identities(Vec<Identity>),
    /// To `multiRead`: what came of each read, in their order.
    Several(Vec<Result<PartRead, Code>>),
    /// To `addWatch`: ZooKeeper's Java client needs the four bytes of a code here.
    Added,
    /// To a part of a SASL exchange: what the mechanism says, or null.
    Sasl(Option<Data>),
    /// To what has no body: ping, auth, setWatches, checkWatches, removeWatches, closeSession.
    Empty,
}

/// What one read among several found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartRead {
    /// Data and Stat.
    Data {
        /// The data; `None` is ZooKeeper's null.
        data: Option<Data>,
        /// The Stat.
        stat: Stat,
    },
    /// The names of the children, in no order that clients may rely on.
    Children(Vec<Arc<str>>),
}

/// One message to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The answer to the first frame.
    Connected(ConnectResponse),
    /// The answer to a request.
    Answer {
        /// The request's number.
        xid: Xid,
        /// For a write, its own position; otherwise the newest transaction that this server had
        /// executed when it answered.
        zxid: Zxid,
        /// The body, or the error.
        result: Result<Response, Code>,
    },
    /// A watch has fired.
    Event(WatchEvent),
}
