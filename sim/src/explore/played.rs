//! What came of one thing that happened to one server.

use std::sync::Arc;

use althing_core::ids::{ConnectionId, Epoch, ServerId};
use althing_core::node::reply::Reply;

use crate::explore::disk;
use crate::explore::ledger::Agreed;
use crate::explore::mark::Mark;
use crate::explore::server::Server;
use crate::explore::wire::Packet;

/// What the rest of the world learns of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An event of this kind.
    Mark(&'static str),
    /// A message leaves.
    Send(Arc<Packet>),
    /// A client is told something.
    Reply(ConnectionId, Reply),
    /// A client's connection is closed.
    Close(ConnectionId),
    /// It has won an epoch.
    Elected(Epoch, ServerId),
    /// It has executed something, for which there was such a wish.
    Executed(Agreed, Wish),
    /// It has taken over a state, with this tree.
    Installed(disk::Mark, u128),
}

/// What of a transaction is more than its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// It asks to change the znode that clients watch.
    Change,
    /// It bears the mark of a client.
    Marked(Mark),
    /// Nothing.
    Other,
}

/// A server after something has happened to it.
#[derive(Clone, Debug)]
pub struct Played {
    /// The server.
    pub server: Arc<Server>,
    /// What the rest of the world learns, in order.
    pub outcomes: Vec<Outcome>,
    /// How much it did.
    pub effects: usize,
}
