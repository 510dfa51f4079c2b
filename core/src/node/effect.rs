//! What a server wants done. Every name is an imperative: do it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::ids::{ConnectionId, ServerId, Ticket, Zxid};
use crate::node::event::Event;
use crate::node::reply::Reply;
use crate::quorum::log::Record;
use crate::quorum::message::{Extent, Message};
use crate::store::store::Store;
use crate::watch::WatchEvent;

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send this to the client. Replies of one connection leave in the order of their effects.
    Reply {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        reply: Reply,
    },
    /// Close the connection after what was sent on it before. The shell answers with
    /// [`crate::node::input::Input::Closed`].
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Append the record to the log, make it durable, and answer with `Saved(ticket)`; or, for want
    /// of space, with `Refused(ticket)`. Saves that are asked for together may share one sync.
    Save {
        /// Names the save in its answer.
        ticket: Ticket,
        /// What to append.
        record: Record,
    },
    /// Write this state as a snapshot, off the hot path, and answer with `SnapshotMade`. Log
    /// segments that hold nothing newer than the snapshot before the last may go.
    MakeSnapshot {
        /// The state; a copy-on-write clone. Its position is `store.applied()`.
        store: Box<Store>,
    },
    /// Send this to another server, after what was sent to it before; or lose it, if there is no
    /// link or its queue is full.
    Send {
        /// To whom.
        to: ServerId,
        /// What.
        message: Message,
    },
    /// Read a piece of this server's own durable snapshot at this position, of a size that the
    /// shell chooses, and answer with `ChunkRead`, or with `ChunkMissed` if it is gone or damaged.
    ReadChunk {
        /// For whom it is.
        to: ServerId,
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot before the piece.
        offset: u64,
    },
    /// Store a piece of another server's snapshot, in the order of the saves. It begins anew at
    /// offset 0, whatever was there; any other piece follows the one before it. After the last one
    /// the snapshot is verified and made durable, the log is emptied to go on from it, and the
    /// answer is `Installed`. Before it the answer is `ChunkTaken`; for want of space, or if the
    /// snapshot is damaged, it is `ChunkRefused`.
    TakeChunk {
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot before the piece.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
        /// Is it the last one?
        extent: Extent,
    },
    /// Know this; for logs, counters, timelines and checkers. Nothing depends on it.
    Note(Event),
}

/// Where [`crate::node::node::Node::step`] writes its effects; the shell keeps one and drains it.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// In the order in which they are to be done.
    pub effects: Vec<Effect>,
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn note(&mut self, event: Event) {
        self.effects.push(Effect::Note(event));
    }

    pub(crate) fn send(&mut self, to: ServerId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }

    pub(crate) fn reply(&mut self, connection: ConnectionId, reply: Reply) {
        self.effects.push(Effect::Reply { connection, reply });
    }

    /// Tells a connection of a change that it watched for, and notes that it was told.
    pub(crate) fn tell(&mut self, connection: ConnectionId, event: WatchEvent) {
        let (path, kind) = (event.path.clone(), event.kind);
        self.reply(connection, Reply::Event(event));
        self.note(Event::WatchFired {
            connection,
            path,
            kind,
        });
    }
}
