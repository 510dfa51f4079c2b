//! What can happen to a server. Every name is a past participle: it happened.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::ids::{ConnectionId, DirectoryId, ServerId, SessionId, Ticket, Xid, Zxid};
use crate::node::request::{ConnectRequest, Request};
use crate::quorum::message::{Extent, Message};
use crate::store::store::Store;
use crate::tree::acl::Identity;
use crate::tree::restoring::Restoration;
use crate::voters::Voters;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client connected and sent its first frame.
    Opened {
        /// The connection's name from here on; not used before.
        connection: ConnectionId,
        /// Where it comes from; becomes the client's `ip` identity.
        address: IpAddr,
        /// As whom it is known already, by its certificate.
        certified: Option<Identity>,
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
    /// tail back to before this ticket's records, durably, and refuses every later ticket, too,
    /// that the node has asked for before it is told of this one.
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
    /// A link to another server has come up, in either direction.
    PeerJoined {
        /// Who is at its other end.
        server: ServerId,
        /// With which data directory.
        directory: DirectoryId,
    },
    /// Another server said something.
    Heard {
        /// Who.
        from: ServerId,
        /// With which data directory, as the link's handshake told.
        directory: DirectoryId,
        /// What.
        message: Message,
    },
    /// No link to this server is up any more: its process has ended, or the network is cut.
    PeerLost(ServerId),
    /// Gossip has it that this server does not answer. A hint: if it leads, a trial vote may start
    /// sooner.
    Suspected(ServerId),
    /// The inputs that waited have all been stepped: what has gathered is said now, so that one
    /// message and one sync serve many clients. A shell steps it after each batch of inputs, and
    /// before it waits.
    Drained,
    /// A piece of this server's newest snapshot, for another.
    ChunkRead {
        /// For whom.
        to: ServerId,
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot before this piece.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
        /// Is it the last one?
        extent: Extent,
    },
    /// The snapshot that was to be read is gone or damaged.
    ChunkMissed {
        /// For whom.
        to: ServerId,
        /// The snapshot's position.
        zxid: Zxid,
    },
    /// A piece of another server's snapshot is stored, and it is not the last.
    ChunkTaken {
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot that are stored.
        offset: u64,
    },
    /// A snapshot from another server was not taken, for want of space or since it is damaged; what
    /// was stored of it is gone.
    ChunkRefused {
        /// The snapshot's position.
        zxid: Zxid,
    },
    /// The last piece is stored and the snapshot durable; the log was emptied and goes on from it.
    Installed {
        /// Its state.
        store: Box<Store>,
    },
    /// The operator wants other members. Only a leader that has no change under way does it; a
    /// server that is named for the first time must be up and blank, or a member's directory.
    Reconfigured {
        /// The servers that shall vote, and which of them decide.
        voters: Voters,
        /// The servers that shall learn.
        learners: BTreeSet<ServerId>,
    },
    /// The operator wants a part of a snapshot back. It is handed to the leader if there is one,
    /// and is lost if the leader changes: whoever asked looks at
    /// [`crate::node::node::Node::restored`] and asks again. Ensembles below
    /// [`crate::config::LEVEL_RESTORING`] do not do it.
    RestoreAsked(Restoration),
    /// The process is told to stop: a leader hands over.
    StopAsked,
    /// An armed timer is due. The core believes it and asks no clock again.
    Timeout(Timer),
}

/// What a server waits for. A timer is armed as long as [`crate::node::node::Node::armed`] lists
/// it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nobody leads: stand for election.
    Election,
    /// A leader says that it lives; everybody else asks again for what has no answer yet.
    Beat,
    /// A leader looks whether a quorum still answers.
    Quorum,
    /// No leader for so long that this server's clients should look for another server.
    Isolation,
    /// No leader for so long that this server serves clients which only read.
    ReadOnly,
    /// The beat by which pauses of this process are noticed.
    Tick,
    /// A leader looks for znodes whose time is over.
    Reap,
    /// This session's heartbeats stayed away for its whole time-out.
    Expiry(SessionId),
    /// So did those of a session of this server alone.
    Silence(SessionId),
}
