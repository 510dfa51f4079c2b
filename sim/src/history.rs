//! What happened in a run, as its checkers and its timeline read it: what clients saw on the wire,
//! what servers said of themselves, what the story's players did, what went wrong and when.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use althing::witness::Deed;
use althing_core::ids::{ConnectionId, DirectoryId, ServerId, SessionId, Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::{ConnectResponse, Reply};
use althing_core::node::request::{ConnectRequest, Request};
use althing_core::quorum::log::Ballot;
use althing_core::store::txn::{Entry, Txn};

/// One stream between a client and a server, numbered through the whole run. It is not the
/// server's [`ConnectionId`], which a client cannot know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// One thing that happened, and when. True time: since the run's beginning, on nobody's clock.
#[derive(Clone, PartialEq, Debug)]
pub struct Moment {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// A client's frame left: the tap stands where the client writes.
    Sent {
        /// The client's name in the story.
        client: Arc<str>,
        /// On which stream.
        link: LinkId,
        /// What.
        frame: Sent,
    },
    /// A server's frame arrived: the tap stands where the client reads.
    Received {
        /// The client's name in the story.
        client: Arc<str>,
        /// On which stream.
        link: LinkId,
        /// What.
        frame: Received,
    },
    /// A stream came about.
    LinkOpened {
        /// The client's name in the story.
        client: Arc<str>,
        /// Which stream.
        link: LinkId,
        /// To which server.
        server: ServerId,
        /// The client's address as the server sees it: its `ip` identity.
        address: IpAddr,
    },
    /// A client saw its stream end, or dropped it.
    LinkEnded {
        /// The client's name in the story.
        client: Arc<str>,
        /// Which stream.
        link: LinkId,
    },
    /// A server's process began, or began anew.
    Started {
        /// Which.
        server: ServerId,
        /// How manieth life of it; counts from 1.
        life: u32,
    },
    /// A server finished its recovery.
    Recovered {
        /// Which.
        server: ServerId,
        /// Its data directory: another one than before if its disk was lost.
        directory: DirectoryId,
        /// The ballot that it found.
        ballot: Ballot,
        /// The position of the snapshot that it found.
        snapshot: Zxid,
        /// What its log holds after the snapshot.
        entries: Arc<[Entry]>,
    },
    /// A server refused to start, or stopped itself.
    Stopped {
        /// Which.
        server: ServerId,
        /// Its message.
        why: String,
    },
    /// A server was killed, or lost power.
    Killed {
        /// Which.
        server: ServerId,
    },
    /// A server asked its storage to save a transaction.
    Saving {
        /// Which.
        server: ServerId,
        /// Where.
        zxid: Zxid,
        /// What.
        txn: Arc<Txn>,
    },
    /// A server, which is down, has lost its disk: it comes back with a blank one.
    DiskLost {
        /// Which.
        server: ServerId,
    },
    /// An operator has had a snapshot restored through a server.
    SetBack {
        /// Which.
        server: ServerId,
        /// The snapshot's position.
        from: Zxid,
        /// At this position, the server told him, nothing differed from it.
        at: Zxid,
        /// When he asked for it.
        asked: Duration,
    },
    /// A server asked its storage to take back what follows a position: it was never agreed. From
    /// here on it may be gone.
    Cut {
        /// Which.
        server: ServerId,
        /// The last position that stays.
        after: Zxid,
    },
    /// A server's storage had no space: its log ends before this position, which it was asked to
    /// save.
    Refused {
        /// Which.
        server: ServerId,
        /// Where.
        zxid: Zxid,
    },
    /// A server learned that its log is durable up to here.
    Durable {
        /// Which.
        server: ServerId,
        /// Where.
        zxid: Zxid,
    },
    /// A server learned that its ballot is durable.
    Voted {
        /// Which.
        server: ServerId,
        /// What it holds.
        ballot: Ballot,
    },
    /// A server handed a client's frame to its node.
    Asked {
        /// Which.
        server: ServerId,
        /// On which of its connections.
        connection: ConnectionId,
    },
    /// A server let know.
    Said {
        /// Which.
        server: ServerId,
        /// What.
        event: Event,
    },
    /// A player of the story reached a point that the story names.
    Mark {
        /// The player.
        client: Arc<str>,
        /// The name.
        name: &'static str,
        /// What it adds, for people.
        detail: String,
    },
    /// A player's view of a lock or mastership; for M1 to M3.
    Held {
        /// The player.
        client: Arc<str>,
        /// The lock.
        lock: Arc<str>,
        /// The fencing token.
        token: Zxid,
        /// Begins or ends.
        hold: Hold,
    },
    /// The store that fencing tokens guard was written to.
    Guarded {
        /// The player.
        client: Arc<str>,
        /// With which token.
        token: Zxid,
        /// The newest token that the store had seen.
        newest: Zxid,
        /// Did the store take it?
        accepted: bool,
    },
    /// A fault fell.
    Struck {
        /// Its place in the plan; counts from 0.
        index: usize,
        /// Its kind's name.
        kind: &'static str,
        /// What it was, for people.
        detail: String,
    },
    /// A fault ended.
    Healed {
        /// Its place in the plan.
        index: usize,
        /// Its kind's name.
        kind: &'static str,
    },
    /// The second act begins: everything is healed.
    SecondAct,
}

impl What {
    /// What a server did.
    pub fn done(server: ServerId, deed: Deed) -> What {
        match deed {
            Deed::Recovered {
                directory,
                ballot,
                snapshot,
                entries,
            } => What::Recovered {
                server,
                directory,
                ballot,
                snapshot,
                entries,
            },
            Deed::Saving { zxid, txn } => What::Saving { server, zxid, txn },
            Deed::Cut { after } => What::Cut { server, after },
            Deed::Refused { zxid } => What::Refused { server, zxid },
            Deed::Durable { zxid } => What::Durable { server, zxid },
            Deed::Voted { ballot } => What::Voted { server, ballot },
            Deed::Asked { connection } => What::Asked { server, connection },
            Deed::Said { event } => What::Said { server, event },
        }
    }
}

/// The two ends of holding a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// The player believes from here on that it holds the lock.
    Begins,
    /// The player stops believing it: released, or its session is lost as far as it knows.
    Ends,
}

/// A client's frame.
#[derive(Clone, PartialEq, Debug)]
pub enum Sent {
    /// The first.
    Connect(ConnectRequest),
    /// Every other.
    Request {
        /// The client's number for it.
        xid: Xid,
        /// What.
        request: Arc<Request>,
    },
}

/// A server's frame.
#[derive(Clone, PartialEq, Debug)]
pub enum Received {
    /// The first.
    Connected(ConnectResponse),
    /// Every other: answers and events. `request` is what an answer answers, by the order of the
    /// requests on the stream; `None` for events.
    Reply {
        /// What.
        reply: Reply,
        /// To what.
        request: Option<Arc<Request>>,
    },
    /// Bytes that no server should send: the checkers report them.
    Garbage(String),
}

impl Received {
    /// The position whose effects it shows. A session's id is the position of the transaction that
    /// opened it, unless it is one of its server alone.
    pub fn shows(&self) -> Option<Zxid> {
        match self {
            Received::Connected(response)
            | Received::Reply {
                reply: Reply::Connected(response),
                ..
            } => {
                let session = response.session.filter(|session| !session.is_local())?;
                Some(Zxid::from_wire(session.0))
            }
            Received::Reply {
                reply: Reply::Answer { zxid, .. },
                ..
            } => Some(*zxid),
            Received::Reply {
                reply: Reply::Event(event),
                ..
            } => Some(event.zxid),
            Received::Garbage(_) => None,
        }
    }
}

/// Everything that happened in one run, in its order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they happened.
    pub moments: Vec<Moment>,
}

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant's name, for example `W2 result`.
    pub invariant: &'static str,
    /// When it was seen to be broken, in true time.
    pub at: Duration,
    /// What was expected, what was seen, and where.
    pub detail: String,
    /// The session it is about, if it is about one.
    pub session: Option<SessionId>,
}
