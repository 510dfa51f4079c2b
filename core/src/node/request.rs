//! What clients ask for.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ids::{Password, SessionId, Zxid};
use crate::store::roster::Wish;
use crate::tree::data::Data;
use crate::tree::op::Op;
use crate::tree::path::Path;
use crate::watch::{WatchMode, Whichever};

/// The first frame of a connection: opens a session, or attaches to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    /// Always 0; carried back.
    pub protocol_version: i32,
    /// The newest transaction that the client has seen the effects of, on any server.
    pub last_zxid_seen: Zxid,
    /// The session time-out that the client wishes, in milliseconds.
    pub timeout_ms: i32,
    /// The session to attach to; `None` opens a new one.
    pub session: Option<SessionId>,
    /// The session's secret; [`Password::NONE`] for a new session, or if it had the wrong length.
    pub password: Password,
    /// Would a server in read-only mode do? `None` if the client is so old that it does not say;
    /// then the response does not say either.
    pub read_only: Option<bool>,
}

/// Does a read leave a watch behind?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watching {
    /// No.
    No,
    /// One event, and the watch is gone.
    Once,
}

/// What the reply to a listing of children tells: ZooKeeper's `getChildren` and `getChildren2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// The names.
    Names,
    /// The names and the parent's Stat.
    NamesAndStat,
}

/// A read of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// Is it there, and what is its Stat?
    Exists {
        /// Which znode.
        path: Path,
        /// A watch is left whether it is there or not.
        watching: Watching,
    },
    /// Its data and Stat.
    GetData {
        /// Which znode.
        path: Path,
        /// A watch is left only if the read succeeds.
        watching: Watching,
    },
    /// The names of its children.
    GetChildren {
        /// Which znode.
        path: Path,
        /// A watch is left only if the read succeeds.
        watching: Watching,
        /// What the reply tells.
        listing: Listing,
    },
    /// Its access control list and Stat.
    GetAcl {
        /// Which znode.
        path: Path,
    },
    /// The ephemeral znodes of the session that asks.
    GetEphemerals {
        /// Only those whose paths begin with this text, as in ZooKeeper; blank or `/` for all.
        prefix: Arc<str>,
    },
    /// How many znodes are below it: ZooKeeper's `getAllChildrenNumber`.
    CountBelow {
        /// Which znode.
        path: Path,
    },
    /// As whom the connection has authenticated.
    WhoAmI,
    /// Several reads of one state, each with an answer or an error of its own: `multiRead`.
    Several(Vec<ReadPart>),
}

/// A read among several. None leaves a watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadPart {
    /// Data and Stat.
    Data(Path),
    /// The names of the children.
    Children(Path),
}

impl ReadPart {
    /// Which znode.
    pub fn path(&self) -> &Path {
        match self {
            ReadPart::Data(path) | ReadPart::Children(path) => path,
        }
    }
}

/// The watches that a client had before it reconnected.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SetWatches {
    /// Watches whose znode changed after this position fire at once.
    pub relative_zxid: Zxid,
    /// Left by `getData` and by `exists` on a znode that was there.
    pub data: Vec<Path>,
    /// Left by `exists` on a znode that was not there.
    pub exist: Vec<Path>,
    /// Left by `getChildren`.
    pub child: Vec<Path>,
    /// Added to a znode, to stay.
    pub persistent: Vec<Path>,
    /// Added to a znode and all below it, to stay.
    pub recursive: Vec<Path>,
}

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// One change of the tree.
    Write(Op),
    /// Several changes, all or none.
    Multi(Vec<Op>),
    /// Other members.
    Reconfigure(Wish),
    /// A read of the tree.
    Read(Read),
    /// Answer when everything that anybody was told is done before now has been done here.
    Sync {
        /// Only carried back.
        path: Path,
    },
    /// A heartbeat.
    Ping,
    /// Take on an identity.
    Auth {
        /// How.
        scheme: String,
        /// The proof, in the scheme's notation.
        credential: Data,
    },
    /// Take on an identity by SASL: a part of the exchange.
    Sasl {
        /// What the mechanism says; nothing, to begin.
        token: Data,
    },
    /// Set watches again.
    SetWatches(SetWatches),
    /// Leave a watch that stays, whether the znode is there or not.
    AddWatch {
        /// Where.
        path: Path,
        /// Of which kind.
        mode: WatchMode,
    },
    /// Has this connection such a watch?
    CheckWatches {
        /// Where.
        path: Path,
        /// Of which kind.
        kinds: Whichever,
    },
    /// Forget such watches of this connection.
    RemoveWatches {
        /// Where.
        path: Path,
        /// Of which kind.
        kinds: Whichever,
    },
    /// End the session.
    CloseSession,
    /// Well-formed but wrong, for example in its path: is answered with this code.
    Refused(Code),
    /// An operation that this server does not know: is answered with `Unimplemented`.
    Unknown {
        /// The operation's number.
        opcode: i32,
    },
}

impl Request {
    /// The operation's name as ZooKeeper's documentation spells it, for logs and timelines.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Write(op) => match op {
                Op::Create(_) => "create",
                Op::Delete { .. } => "delete",
                Op::SetData { .. } => "setData",
                Op::SetAcl { .. } => "setACL",
                Op::Check { .. } => "check",
            },
            Request::Multi(_) => "multi",
            Request::Read(read) => match read {
                Read::Exists { .. } => "exists",
                Read::GetData { .. } => "getData",
                Read::GetChildren { .. } => "getChildren",
                Read::GetAcl { .. } => "getACL",
                Read::GetEphemerals { .. } => "getEphemerals",
                Read::CountBelow { .. } => "getAllChildrenNumber",
                Read::WhoAmI => "whoAmI",
                Read::Several(_) => "multiRead",
            },
            Request::Reconfigure(_) => "reconfig",
            Request::Sync { .. } => "sync",
            Request::Ping => "ping",
            Request::Auth { .. } => "auth",
            Request::Sasl { .. } => "sasl",
            Request::SetWatches(_) => "setWatches",
            Request::AddWatch { .. } => "addWatch",
            Request::CheckWatches { .. } => "checkWatches",
            Request::RemoveWatches { .. } => "removeWatches",
            Request::CloseSession => "closeSession",
            Request::Refused(_) => "refused",
            Request::Unknown { .. } => "unknown",
        }
    }
}
