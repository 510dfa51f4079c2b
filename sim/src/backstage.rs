//! What goes on behind the scenes of a run: every message between servers and what became of it,
//! votes that are asked of a disk, timers, and the moments at which a server takes a client's frame
//! and answers it. No checker reads it, and no digest has it: it is kept only for who wants to
//! draw the run, and a run is the same with it and without.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{ConnectionId, ServerId, Xid, Zxid};
use althing_core::node::input::Timer;
use althing_core::node::request::ConnectRequest;
use althing_core::quorum::log::Ballot;
use althing_core::quorum::message::Message;

/// Deeds of one run that are kept: about 2 GiB of memory. A run with more of them is kept up to
/// there.
pub const DEEDS_MAX: usize = 16_000_000;

/// How much of a run is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Recording {
    /// What checkers read: for campaigns.
    #[default]
    Stage,
    /// What goes on backstage, too: for reports.
    Backstage,
}

/// One message between two servers, numbered through the whole run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(pub u64);

/// What becomes of a message that does not simply come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Astray {
    /// It never left its server: no link was up, or there was no room in it.
    Unsent,
    /// It got lost on its way.
    Lost,
    /// It comes twice.
    Doubled,
    /// It comes after the one that was sent after it.
    Late,
}

/// One thing that happened backstage.
#[derive(Clone, PartialEq, Debug)]
pub enum Deed {
    /// A server said something to another.
    Said {
        /// Who.
        server: ServerId,
        /// To whom.
        to: ServerId,
        /// Its number.
        id: MessageId,
        /// What; of a piece of a snapshot without its bytes.
        message: Arc<Message>,
    },
    /// A message does not simply come.
    Strayed {
        /// Which.
        id: MessageId,
        /// What becomes of it.
        fate: Astray,
    },
    /// A server was handed what another one said.
    Heard {
        /// Who.
        server: ServerId,
        /// Of whom.
        from: ServerId,
        /// What.
        id: MessageId,
    },
    /// A link between two servers came up, or none is left, as one of them sees it.
    Linked {
        /// Who sees it.
        server: ServerId,
        /// Who is at the other end.
        to: ServerId,
        /// Up or gone.
        link: Link,
    },
    /// A timer of a server came due.
    Rang {
        /// Whose.
        server: ServerId,
        /// Which.
        timer: Timer,
    },
    /// A server asked its storage to save a ballot.
    Voting {
        /// Who.
        server: ServerId,
        /// What it is to hold.
        ballot: Ballot,
    },
    /// A server took a client's first frame.
    Opened {
        /// Which.
        server: ServerId,
        /// The connection from here on.
        connection: ConnectionId,
        /// Where the client is.
        address: IpAddr,
        /// Its first frame.
        request: ConnectRequest,
    },
    /// A server took another frame of a client.
    Asked {
        /// Which.
        server: ServerId,
        /// On which of its connections.
        connection: ConnectionId,
        /// The client's number for it.
        xid: Xid,
    },
    /// A server sent a frame to a client. The frames of a connection arrive in this order.
    Answered {
        /// Which.
        server: ServerId,
        /// On which of its connections.
        connection: ConnectionId,
        /// The number of the request that it answers; none for an event, and for the answer to
        /// the first frame.
        xid: Option<Xid>,
        /// Where it stands: for an answer and an event.
        zxid: Option<Zxid>,
    },
    /// A server has stepped everything that waited: its turn is over.
    Drained {
        /// Which.
        server: ServerId,
    },
}

/// How a link fares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It has come up.
    Up,
    /// None is left.
    Gone,
}

/// A deed, when it was done, and where it belongs among the moments of the history.
#[derive(Clone, PartialEq, Debug)]
pub struct Behind {
    /// When, in true time.
    pub at: Duration,
    /// How many moments of the history came before it.
    pub after: usize,
    /// What.
    pub deed: Deed,
}

/// All that went on backstage, in its order; empty if nobody asked for it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Backstage {
    /// In the order in which they were done.
    pub deeds: Vec<Behind>,
}
