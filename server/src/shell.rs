//! Where the worlds differ, files aside: clock, tasks, sockets, and who looks on.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use althing_core::ids::{ServerId, Zxid};
use althing_core::membership::Membership;
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::prng::Seed;
use althing_core::time::{Instant, Now, WallTime};
use althing_core::tree::acl::Identity;
use althing_core::tree::restoring::Restoration;
use althing_core::voters::Voters;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a task is for; production gives those that block threads of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Steps the node; there is one.
    Drive,
    /// Appends to the log and syncs it; there is one, and it blocks.
    Log,
    /// Writes snapshots; there is one, and it blocks.
    Snapshot,
    /// Accepts connections; there is one.
    Accept,
    /// Serves one client.
    Connection,
    /// Accepts the links of other servers; there is one where there are other servers.
    Peers,
    /// Keeps up, or is, the link to one other server.
    Link,
    /// Tells other servers by datagrams who is there; there is one where there are other servers.
    Gossip,
    /// Waits at the operator's door; there is one.
    Operator,
}

/// What an operator orders of a running server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Other members, if this server leads.
    Reconfigure {
        /// The servers that shall vote, and which of them decide.
        voters: Voters,
        /// The servers that shall have the log and not vote.
        learners: BTreeSet<ServerId>,
    },
    /// A part of a snapshot back, if there is a leader.
    Restore(Restoration),
}

/// The file descriptors of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptors {
    /// How many are open.
    pub open: u64,
    /// How many may be open.
    pub max: u64,
}

/// What lies in a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes of all snapshots.
    pub snapshot_bytes: u64,
    /// Bytes of all segments of the log.
    pub log_bytes: u64,
    /// The newest snapshot: its position, and when it was written.
    pub last_snapshot: Option<(Zxid, WallTime)>,
}

/// A client's connection, as a stream of bytes in both directions.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// As whom its first frame has come, by a certificate that was found good.
    fn certified(&self) -> Option<Identity> {
        None
    }
}

#[cfg(test)]
impl ClientStream for tokio::io::DuplexStream {}

/// One world. A handle: cloning it is cheap and all clones are the same world.
pub trait Shell: Clone + Send + Sync + 'static {
    /// A client's connection, as a stream of bytes in both directions.
    type Stream: ClientStream;

    /// A link to another server, as a stream of bytes in both directions.
    type Link: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Both clocks of this server, read together.
    fn now(&self) -> Now;

    /// Ends when this server's monotonic clock has reached `until`, or a little later.
    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + Send;

    /// Runs `task` beside the others. It is dropped, wherever it is, when the server is killed.
    fn spawn(&self, what: Task, task: impl Future<Output = ()> + Send + 'static);

    /// Waits for the next client.
    ///
    /// # Errors
    /// What the operating system says; the caller waits a little and tries again.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Connects to another server.
    ///
    /// # Errors
    /// If nobody answers there; the caller waits a little and tries again.
    fn dial(&self, server: ServerId) -> impl Future<Output = io::Result<Self::Link>> + Send;

    /// Learns where the members are. Where servers find each other by other means, nothing is to be
    /// learned.
    fn learn_addresses(&self, membership: &Membership) {
        let _ = membership;
    }

    /// Waits for the next server that dials this one; for ever, where there is no other.
    ///
    /// # Errors
    /// What the operating system says; the caller waits a little and tries again.
    fn accept_link(&self) -> impl Future<Output = io::Result<Self::Link>> + Send;

    /// Sends one datagram to another server, or loses it.
    fn send_datagram(&self, to: ServerId, bytes: &[u8]);

    /// Waits for the next datagram, from whomever; for ever, where there is no other server.
    ///
    /// # Errors
    /// What the operating system says; the caller waits a little and tries again.
    fn datagram(&self) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Waits for the operator's next order; for ever, where no operator is at the door.
    fn order(&self) -> impl Future<Output = Order> + Send {
        std::future::pending()
    }

    /// 32 bytes of entropy, new ones at every call: for the node, and for whoever else draws.
    fn entropy(&self) -> Seed;

    /// How many file descriptors the process has open, and may have; `None` where there are none.
    fn descriptors(&self) -> Option<Descriptors> {
        None
    }

    /// What lies in the data directory of that name; `None` where there is none to look at.
    fn usage(&self, data_dir: &str) -> Option<Usage> {
        let _ = data_dir;
        None
    }

    /// Sees what the storage found, before the node is built of it.
    fn observe_recovered(&self, recovered: &Recovered);

    /// Sees every input before it is stepped. Production does nothing here.
    fn observe_input(&self, now: Now, input: &Input);

    /// Sees the node after every step, before its effects are performed. Production does nothing
    /// here, the simulator checks it.
    fn observe_node(&self, now: Now, node: &Node);

    /// Sees every effect before it is performed. Production logs and counts the notes.
    fn observe_effect(&self, now: Now, effect: &Effect);

    /// Sees that bytes are about to leave, to clients and to other servers.
    fn observe_leaving(&self) {}
}
