//! What the drive is sent by the tasks around it, through one channel, so that there is one order.

use std::net::SocketAddr;
use std::sync::Arc;

use althing_core::codec::handshake::Handshake;
use althing_core::ids::{ConnectionId, ServerId};
use althing_core::node::input::Input;
use althing_core::node::node::Node;
use althing_core::node::request::ConnectRequest;
use althing_core::quorum::message;
use althing_core::time::{Instant, Now};
use althing_core::tree::acl::Identity;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use crate::audit::AuditLog;
use crate::clients::{Asked, Clients};
use crate::namespaces::Namespaces;
use crate::outbound::Outbound;
use crate::peers::links::Links;
use crate::peers::outgoing::Outgoing;
use crate::shell::Order;
use crate::statistics::Statistics;
use crate::storage::error::StorageError;

/// What a [`Query`] may look at.
#[derive(Debug)]
pub struct View<'a> {
    /// When it looks.
    pub now: Now,
    /// When the server began to serve.
    pub started: Instant,
    /// The node, between two steps.
    pub node: &'a Node,
    /// This server's clients.
    pub clients: &'a Clients,
    /// The audit log, if there is one.
    pub audit: Option<&'a AuditLog>,
    /// The links to other servers.
    pub links: &'a Links,
    /// Counters since the start.
    pub statistics: &'a Statistics,
    /// What quotas have refused.
    pub namespaces: &'a Namespaces,
}

/// What is counted, and may be counted anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counters {
    /// What the server counts.
    OfServer,
    /// What is counted of each client.
    OfClients,
}

/// Looks at the node between two steps, and is quick.
pub type Query = Box<dyn FnOnce(&View<'_>) + Send>;

/// What becomes of links, and what they bring.
pub enum LinkNews {
    /// A link to another server is up.
    Linked {
        /// Who is at its other end.
        other: Handshake,
        /// Where messages to it go.
        outgoing: Arc<Outgoing>,
    },
    /// Another server said something.
    Heard {
        /// Who.
        from: Handshake,
        /// What.
        message: Box<message::Message>,
        /// Its share of what the link may have read and the drive not stepped.
        unstepped: OwnedSemaphorePermit,
    },
    /// A link has ended; the last message about it.
    Unlinked {
        /// Who was at its other end.
        server: ServerId,
        /// Which of the links to that server.
        outgoing: Arc<Outgoing>,
    },
}

/// One message.
pub enum Message {
    /// A client has sent its first frame.
    Opened {
        /// The new connection.
        connection: ConnectionId,
        /// Where it comes from.
        address: SocketAddr,
        /// As whom it is known already, by its certificate.
        certified: Option<Identity>,
        /// The first frame.
        request: ConnectRequest,
        /// Where its replies go.
        outbound: Arc<Outbound>,
        /// When the frame was read.
        received: Instant,
    },
    /// A client asks.
    Asked {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        asked: Asked,
    },
    /// A client has read replies for which its further requests waited.
    HasRead {
        /// On which connection.
        connection: ConnectionId,
    },
    /// An opened connection has ended; the last message about it.
    Gone {
        /// Which.
        connection: ConnectionId,
    },
    /// News of a link to another server.
    OfLink(LinkNews),
    /// Gossip has it that this server does not answer.
    Suspected(ServerId),
    /// The storage answers.
    Stored(Input),
    /// The storage has failed, and has ended.
    StorageFailed(StorageError),
    /// The operator orders.
    Ordered(Order),
    /// Somebody wants to look.
    Query(Query),
    /// An operator wants something counted anew.
    Reset(Counters),
}

/// Sends to the drive. The channel has no limit of its own: each connection keeps to the limit of
/// its unanswered requests, the number of connections is limited, each link keeps to its limit of
/// bytes that are not stepped, and the storage only answers.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: UnboundedSender<Message>,
}

impl Mailbox {
    /// Sends into the channel of `sender`.
    pub fn new(sender: UnboundedSender<Message>) -> Mailbox {
        Mailbox { sender }
    }

    /// Sends; to a drive that has ended, messages mean nothing and are dropped.
    pub fn send(&self, message: Message) {
        let _ = self.sender.send(message);
    }

    /// Ends when the drive has ended.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}
