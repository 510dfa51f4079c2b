//! Facts that a server lets its surroundings know. Logs, counters, timelines, fault cues and
//! checkers read this one stream; nothing in the core depends on who does.

use crate::ids::{ConnectionId, Epoch, ServerId, SessionId, Zxid};
use crate::membership::Membership;
use crate::store::txn::{Attachment, Ending};
use crate::time::Duration;
use crate::tree::path::Path;
use crate::tree::usage::Excess;
use crate::watch::EventKind;

/// Why a client's connection was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No leader is known: nothing can be agreed.
    NoLeader,
    /// The client has seen a newer transaction than this server.
    Behind,
    /// The session has expired, never existed, or the password is not its own.
    NoSession,
    /// The log has no space: the session could not be opened or attached.
    NoSpace,
}

/// Which limit a client has reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reached {
    /// That of the bytes of an answer.
    ReplyBytes,
    /// How often its session may ask.
    SessionRate,
    /// How often its address may ask.
    AddressRate,
    /// How often one of its identities may ask.
    IdentityRate,
}

/// One fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// This server stands for election.
    Campaigned {
        /// In which epoch.
        epoch: Epoch,
    },
    /// This server has won.
    Elected {
        /// Its epoch.
        epoch: Epoch,
        /// Who.
        leader: ServerId,
    },
    /// This server follows another.
    Followed {
        /// In which epoch.
        epoch: Epoch,
        /// Whom.
        leader: ServerId,
    },
    /// This server led and does so no more.
    Deposed {
        /// The epoch that it led.
        epoch: Epoch,
    },
    /// This server asks whether it would be elected.
    Canvassed {
        /// In which epoch.
        epoch: Epoch,
    },
    /// This server hands its leadership over.
    HandedOver {
        /// The epoch that it leads.
        epoch: Epoch,
        /// To whom.
        to: ServerId,
    },
    /// Entries that were never agreed were cut from the end of the log.
    LogCut {
        /// The last one that stays.
        after: Zxid,
        /// How many went.
        count: usize,
    },
    /// Requests that had no answer yet were sent to the leader again.
    Reforwarded {
        /// How many.
        count: usize,
    },
    /// A snapshot is sent to a server that is far behind, from its beginning or from where an
    /// earlier attempt was interrupted.
    TransferBegun {
        /// To whom.
        to: ServerId,
        /// The snapshot's position.
        zxid: Zxid,
        /// Where it goes on.
        offset: u64,
    },
    /// A snapshot from another server is installed.
    Installed {
        /// Its position.
        zxid: Zxid,
        /// Of the whole tree in it.
        digest: u128,
    },
    /// The members of the ensemble are others from here on.
    Reconfigured {
        /// The position of the transaction.
        zxid: Zxid,
        /// The members.
        membership: Membership,
    },
    /// Znodes whose time was over are gone.
    Reaped {
        /// How many.
        count: usize,
    },
    /// A part of a snapshot is there again.
    Restored {
        /// How much was to be changed.
        count: usize,
        /// How much of it was refused, since it was different from what was found.
        refused: usize,
    },
    /// This server's clients were sent away since it has no leader.
    Isolated {
        /// How many.
        connections: usize,
    },
    /// This server has had no leader for long, and serves clients which only read.
    ReadOnlyBegun,
    /// A client is served which only reads.
    ReadOnlyServed {
        /// On which connection.
        connection: ConnectionId,
        /// Its session, of this server alone.
        session: SessionId,
    },
    /// There is a leader again: clients which only read were sent away, to come back for more.
    ReadOnlyEnded {
        /// How many.
        connections: usize,
    },
    /// A client is served in a session of this server alone, newly opened or found again.
    LocalServed {
        /// On which connection.
        connection: ConnectionId,
        /// Its session.
        session: SessionId,
    },
    /// The ensemble has taken over a session that was one server's alone, under the same id.
    SessionUpgraded {
        /// Which.
        session: SessionId,
        /// Its negotiated time-out.
        timeout: Duration,
    },
    /// A session of this server alone was silent for its whole time-out.
    LocalExpired {
        /// Which.
        session: SessionId,
    },
    /// The epoch's first transaction is executed: the leader serves.
    EpochOpened {
        /// The epoch.
        epoch: Epoch,
    },
    /// A transaction was executed here; the log up to it is durable on a quorum.
    Executed {
        /// Its position.
        zxid: Zxid,
        /// Of the whole tree after it.
        digest: u128,
    },
    /// A session was opened.
    SessionOpened {
        /// Which.
        session: SessionId,
        /// Its negotiated time-out.
        timeout: Duration,
    },
    /// A connection of this server is attached to a session.
    Attached {
        /// The connection.
        connection: ConnectionId,
        /// The session.
        session: SessionId,
        /// The attachment.
        attachment: Attachment,
    },
    /// A connection was refused.
    ConnectionRefused {
        /// Which.
        connection: ConnectionId,
        /// Why.
        refusal: Refusal,
    },
    /// A session's client was heard of, so its time-out begins anew.
    Touched {
        /// Which.
        session: SessionId,
    },
    /// A session's time-out passed without a heartbeat; its end was proposed.
    TimedOut {
        /// Which.
        session: SessionId,
    },
    /// A session has ended; its ephemeral znodes went in the same transaction.
    SessionClosed {
        /// Which.
        session: SessionId,
        /// Why.
        ending: Ending,
        /// How many ephemeral znodes went with it.
        ephemerals: usize,
    },
    /// A write of an attachment that is no longer its session's was refused.
    SessionMoved {
        /// Which.
        session: SessionId,
    },
    /// A watch was left.
    WatchLeft {
        /// By whom.
        connection: ConnectionId,
        /// On what.
        path: Path,
    },
    /// A watch has fired.
    WatchFired {
        /// Whose.
        connection: ConnectionId,
        /// On what.
        path: Path,
        /// Telling what.
        kind: EventKind,
    },
    /// A request was answered with an error, since the client has reached a limit.
    LimitReached {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        limit: Reached,
    },
    /// A multi was refused as a whole.
    MultiRefused {
        /// Its position.
        zxid: Zxid,
    },
    /// A client of this server has changed what a quota governs, and it is exceeded.
    QuotaExceeded {
        /// Which quota, and by how much.
        excess: Excess,
    },
    /// A write of a client of this server was refused, since it would exceed a quota.
    QuotaRefused {
        /// What was to be created or set.
        path: Path,
    },
    /// The disk has no space: the writes that waited to become durable were refused.
    SavesRefused {
        /// How many transactions were taken back.
        count: usize,
    },
    /// A snapshot was begun.
    SnapshotBegun {
        /// The last transaction that it includes.
        zxid: Zxid,
    },
    /// A snapshot is durable.
    SnapshotMade {
        /// The last transaction that it includes.
        zxid: Zxid,
    },
    /// A snapshot could not be made.
    SnapshotRefused {
        /// The last transaction that it would have included.
        zxid: Zxid,
    },
    /// This process did not run for a while; every session's time-out was moved by as much.
    Paused {
        /// How long.
        gap: Duration,
    },
}

impl Event {
    /// Every name that [`Event::name`] can return, in the order of this file.
    pub const NAMES: &'static [&'static str] = &[
        "campaigned",
        "elected",
        "followed",
        "deposed",
        "canvassed",
        "handed-over",
        "log-cut",
        "reforwarded",
        "transfer-begun",
        "installed",
        "reconfigured",
        "reaped",
        "restored",
        "isolated",
        "read-only-begun",
        "read-only-served",
        "read-only-ended",
        "local-served",
        "session-upgraded",
        "local-expired",
        "epoch-opened",
        "executed",
        "session-opened",
        "attached",
        "connection-refused",
        "touched",
        "timed-out",
        "session-closed",
        "session-expired",
        "session-moved",
        "watch-left",
        "watch-fired",
        "limit-reached",
        "multi-refused",
        "quota-exceeded",
        "quota-refused",
        "saves-refused",
        "snapshot-begun",
        "snapshot-made",
        "snapshot-refused",
        "paused",
    ];

    /// The name by which scenarios and counters know this event.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Campaigned { .. } => "campaigned",
            Event::Elected { .. } => "elected",
            Event::Followed { .. } => "followed",
            Event::Deposed { .. } => "deposed",
            Event::Canvassed { .. } => "canvassed",
            Event::HandedOver { .. } => "handed-over",
            Event::LogCut { .. } => "log-cut",
            Event::Reforwarded { .. } => "reforwarded",
            Event::TransferBegun { .. } => "transfer-begun",
            Event::Installed { .. } => "installed",
            Event::Reconfigured { .. } => "reconfigured",
            Event::Reaped { .. } => "reaped",
            Event::Restored { .. } => "restored",
            Event::Isolated { .. } => "isolated",
            Event::ReadOnlyBegun => "read-only-begun",
            Event::ReadOnlyServed { .. } => "read-only-served",
            Event::ReadOnlyEnded { .. } => "read-only-ended",
            Event::LocalServed { .. } => "local-served",
            Event::SessionUpgraded { .. } => "session-upgraded",
            Event::LocalExpired { .. } => "local-expired",
            Event::EpochOpened { .. } => "epoch-opened",
            Event::Executed { .. } => "executed",
            Event::SessionOpened { .. } => "session-opened",
            Event::Attached { .. } => "attached",
            Event::ConnectionRefused { .. } => "connection-refused",
            Event::Touched { .. } => "touched",
            Event::TimedOut { .. } => "timed-out",
            Event::SessionClosed {
                ending: Ending::Closed,
                ..
            } => "session-closed",
            Event::SessionClosed {
                ending: Ending::Expired,
                ..
            } => "session-expired",
            Event::SessionMoved { .. } => "session-moved",
            Event::WatchLeft { .. } => "watch-left",
            Event::WatchFired { .. } => "watch-fired",
            Event::LimitReached { .. } => "limit-reached",
            Event::MultiRefused { .. } => "multi-refused",
            Event::QuotaExceeded { .. } => "quota-exceeded",
            Event::QuotaRefused { .. } => "quota-refused",
            Event::SavesRefused { .. } => "saves-refused",
            Event::SnapshotBegun { .. } => "snapshot-begun",
            Event::SnapshotMade { .. } => "snapshot-made",
            Event::SnapshotRefused { .. } => "snapshot-refused",
            Event::Paused { .. } => "paused",
        }
    }
}
