//! What can happen to a server. Every name is a past participle: it happened.

use core::net::IpAddr;

use crate::ids::{ConnectionId, SessionId, Ticket, Xid, Zxid};
use crate::node::request::{ConnectRequest, Request};

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A client connected and sent its first frame.
    Opened {
        /// The connection's name from here on; not used before.
        connection: ConnectionId,
        /// Where it comes from; becomes the client's `ip` identity.
        address: IpAddr,
        /// What it wants.
        request: ConnectRequest,
    },
    /// A client asked for something.
    Asked {
        /// On which connection.
        connection: ConnectionId,
        /// The client's number for it.
        xid: Xid,
        /// What.
        request: Request,
    },
    /// A connection is gone; also told after [`crate::node::effect::Effect::Close`].
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// A save is durable. Completions arrive in the order of the tickets.
    Saved(Ticket),
    /// A save was refused before it became durable, for want of space. The storage has cut its
    /// tail back to before this ticket's records, durably, and refuses every later ticket too.
    Refused(Ticket),
    /// A snapshot is complete and durable.
    SnapshotMade {
        /// The last transaction that it includes.
        zxid: Zxid,
    },
    /// A snapshot could not be made, for want of space; the log keeps what it would have covered.
    SnapshotRefused {
        /// The last transaction that it would have included.
        zxid: Zxid,
    },
    /// An armed timer is due. The core believes it and asks no clock again.
    Timeout(Timer),
}

/// What a server waits for. A timer is armed as long as [`crate::node::node::Node::armed`] lists
/// it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nobody leads: stand for election.
    Election,
    /// The beat by which pauses of this process are noticed.
    Tick,
    /// This session's heartbeats stayed away for its whole time-out.
    Expiry(SessionId),
}
