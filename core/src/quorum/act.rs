//! What the agreement wants done and known, and what it is told of time.

use alloc::vec::Vec;

use crate::ids::{Epoch, ServerId, Ticket, Zxid};
use crate::quorum::log::Record;
use crate::quorum::message::{Extent, Message};
use crate::time::Duration;

/// What part a server plays in the agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// It knows no leader.
    Looking,
    /// It asks whether it would be elected.
    Canvasser,
    /// It asked for votes and waits for them.
    Candidate,
    /// It has won its epoch.
    Leader,
    /// It follows the leader of its epoch.
    Follower,
}

/// What the replica wants done; the node makes effects of it.
#[derive(Clone, Debug)]
pub enum Act {
    /// Save this.
    Save {
        /// Names the save in its answer.
        ticket: Ticket,
        /// What to append to the log.
        record: Record,
    },
    /// Send this.
    Send {
        /// To whom.
        to: ServerId,
        /// What.
        message: Message,
    },
    /// Answer a beat: with what is executed and who was heard of, which the node knows.
    AnswerBeat {
        /// Whose.
        to: ServerId,
        /// The leader's epoch.
        epoch: Epoch,
        /// The beat's.
        round: u64,
    },
    /// Read a piece of the newest snapshot.
    ReadChunk {
        /// For whom.
        to: ServerId,
        /// The snapshot's position.
        zxid: Zxid,
        /// Where.
        offset: u64,
    },
    /// Store a piece of a snapshot.
    TakeChunk {
        /// The snapshot's position.
        zxid: Zxid,
        /// Where.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
        /// Is it the last one?
        extent: Extent,
    },
    /// Make a snapshot: somebody needs one that is not older than the log in memory.
    MakeSnapshot,
    /// What everybody was told is done by the time of the question is at or before `zxid`.
    SetBarrier {
        /// Who asked; perhaps this server itself.
        to: ServerId,
        /// The number of the question.
        number: u64,
        /// The position.
        zxid: Zxid,
    },
    /// Know this.
    Tell(Fact),
}

/// What is worth knowing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// It asks whether it would be elected.
    Canvassed(Epoch),
    /// It stands for election.
    Campaigned(Epoch),
    /// It follows a leader.
    Followed(Epoch, ServerId),
    /// It led and does so no more.
    Deposed(Epoch),
    /// It hands over.
    HandedOver(Epoch, ServerId),
    /// So many entries after this position were taken back.
    LogCut(Zxid, usize),
    /// It sends a snapshot.
    TransferBegun(ServerId, Zxid, u64),
}

/// What the agreement waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alarm {
    /// Nobody leads.
    Election,
    /// The leader says that it lives.
    Beat,
    /// The leader looks whether a quorum answers.
    Quorum,
}

/// Spans of time, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// See [`crate::config::Config::election_timeout`].
    pub election_timeout: Duration,
    /// See [`crate::config::Config::beat`].
    pub beat: Duration,
}

/// The other servers, as their leader sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Followers {
    /// Voters to which a link is up.
    pub voters: usize,
    /// Learners to which a link is up.
    pub learners: usize,
    /// How many of the voters have the whole log, durably.
    pub synced: usize,
}
