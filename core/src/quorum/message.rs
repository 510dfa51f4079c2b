//! What the servers of an ensemble say to each other.
//!
//! A link between two servers carries messages in order, or breaks; but nothing here depends on
//! that. Every message may be lost, doubled or late: it carries the epoch that it belongs to, and
//! what is lost is said again by a timer.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{Epoch, SessionId, Zxid};
use crate::quorum::log::Standing;
use crate::store::txn::{Entry, Txn};

/// Is a vote binding?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ballotting {
    /// No: the candidate asks whether it would win, and nobody's epoch grows (Raft's pre-vote).
    Trial,
    /// Yes.
    Real,
}

/// Why a candidate stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// It hears of no leader.
    Silence,
    /// The leader itself wishes it: it hands over, or its epoch's counter is exhausted. Who still
    /// hears the leader votes nevertheless.
    Succession,
}

/// How a vote fell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Vote {
    /// For the candidate.
    Given,
    /// Not for it.
    Denied,
}

/// Does more of a snapshot follow?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Extent {
    /// Yes.
    More,
    /// No, this is its end.
    Last,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// A link has come up: what the sender has. A server whose `last` is [`Zxid::ZERO`] is blank;
    /// an ensemble is founded only when every server of its first configuration is.
    Greeting {
        /// The newest epoch that the sender knows of.
        epoch: Epoch,
        /// The end of its log, durable or not.
        last: Zxid,
        /// Was its data directory ever admitted? One that was and is not the one that the
        /// membership names was replaced, and is not admitted again.
        standing: Standing,
    },
    /// A candidate asks for a vote.
    VoteAsked {
        /// The epoch that it wants to lead.
        epoch: Epoch,
        /// Is it binding?
        ballotting: Ballotting,
        /// Why.
        cause: Cause,
        /// The end of the candidate's log. Who has a longer one does not vote for it.
        last: Zxid,
        /// Does the directory of who is asked count, by the candidate's log? It may not know that
        /// itself: its disk may have had no space for the first word of it.
        standing: Standing,
    },
    /// The answer to [`Message::VoteAsked`]; a real one is given once it is durable.
    Voted {
        /// The epoch that was asked for; if denied, the newest that the sender knows of.
        epoch: Epoch,
        /// Was it binding?
        ballotting: Ballotting,
        /// How it fell.
        vote: Vote,
    },
    /// The leader's entries, which follow `previous` in its log without a gap.
    Append {
        /// The leader's epoch.
        epoch: Epoch,
        /// The position before the first entry.
        previous: Zxid,
        /// Entries; none if only `committed` is news.
        entries: Vec<Entry>,
        /// The log is agreed up to here.
        committed: Zxid,
    },
    /// The sender's log is the leader's up to here, and durable.
    Appended {
        /// The leader's epoch.
        epoch: Epoch,
        /// Up to here.
        durable: Zxid,
        /// Does it count?
        standing: Standing,
    },
    /// The sender's log does not have `previous`.
    Mismatched {
        /// The leader's epoch.
        epoch: Epoch,
        /// What the leader asked for.
        previous: Zxid,
        /// The last position of the sender's log that is not after `previous`.
        floor: Zxid,
    },
    /// The leader lives.
    Beat {
        /// Its epoch.
        epoch: Epoch,
        /// Counts the leader's beats; who answers this one still followed the leader after it was
        /// sent, so a quorum of answers proves that nobody else led then.
        round: u64,
        /// The log is agreed up to here, as far as the receiver is known to have it.
        committed: Zxid,
    },
    /// The answer to [`Message::Beat`].
    Beaten {
        /// The leader's epoch.
        epoch: Epoch,
        /// The beat's.
        round: u64,
        /// What the sender has executed.
        applied: Zxid,
        /// Sessions whose clients the sender heard of since it said so last.
        touched: Vec<SessionId>,
    },
    /// A piece of a snapshot, for a server whose log ends before the leader's begins.
    Chunk {
        /// The leader's epoch.
        epoch: Epoch,
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes of the snapshot before this piece.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
        /// Is it the last one?
        extent: Extent,
    },
    /// The sender has the snapshot up to here and wants it from here on.
    ChunkTaken {
        /// The leader's epoch.
        epoch: Epoch,
        /// The snapshot's position.
        zxid: Zxid,
        /// Bytes that it has.
        offset: u64,
    },
    /// Transactions that the sender's clients ask for; the leader proposes them. Those of one
    /// attachment are in order.
    Forward {
        /// What is asked.
        txns: Vec<Arc<Txn>>,
    },
    /// The sender wants to know what is agreed at this moment (Raft's read index).
    BarrierAsked {
        /// Counts the sender's questions.
        number: u64,
        /// Sessions of the sender's clients that gave a sign of life: the answer proves to them
        /// that the leader has heard it.
        touched: Vec<SessionId>,
    },
    /// The answer: everything that anybody was told is done by the time of the question is at or
    /// before `zxid`.
    BarrierSet {
        /// The question's.
        number: u64,
        /// The position.
        zxid: Zxid,
    },
    /// The leader hands over: the receiver, whose log is complete, stands at once.
    Succeed {
        /// The leader's epoch.
        epoch: Epoch,
    },
}

impl Message {
    /// The name by which traces, counters and transcripts know it.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Greeting { .. } => "greeting",
            Message::VoteAsked { .. } => "vote-asked",
            Message::Voted { .. } => "voted",
            Message::Append { .. } => "append",
            Message::Appended { .. } => "appended",
            Message::Mismatched { .. } => "mismatched",
            Message::Beat { .. } => "beat",
            Message::Beaten { .. } => "beaten",
            Message::Chunk { .. } => "chunk",
            Message::ChunkTaken { .. } => "chunk-taken",
            Message::Forward { .. } => "forward",
            Message::BarrierAsked { .. } => "barrier-asked",
            Message::BarrierSet { .. } => "barrier-set",
            Message::Succeed { .. } => "succeed",
        }
    }
}
