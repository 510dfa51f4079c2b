//! The lines of a server's trace, as they are written and as they are read back.

use std::time::Duration;

use althing_core::codec::record::{decode_record, encode_record};
use althing_core::ids::{ConnectionId, DirectoryId, Epoch, ServerId, SessionId, Zxid};
use althing_core::node::event::Event;
use althing_core::quorum::log::Record;
use althing_core::store::txn::{Ending, Entry};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::trace::notation::{Bytes, Hex};
use crate::witness::Deed;

/// The version of the format; a reader refuses every other.
pub const VERSION: u32 = 1;

/// The first line of each life of a server. A file has as many lives as the server had while it
/// traced into this file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version.
    #[serde(rename = "althing-trace")]
    pub version: u32,
    /// When the life began: nanoseconds of the machine's monotonic clock.
    pub at: u64,
    /// Which boot of which machine that clock belongs to: hours of two boots cannot be compared.
    pub boot: String,
    /// Which server.
    pub server: u8,
    /// Where it serves clients, `address:port`.
    pub clients: String,
    /// Its tick, in milliseconds.
    pub tick_ms: u64,
}

/// A line after the first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When: nanoseconds of the machine's monotonic clock. It never goes back within a file.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What a server did or learned. Only what a checker reads is traced; the log has the rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Did {
    /// As [`Deed::Recovered`]; ballot and entries are records of the log.
    Recovered {
        /// The data directory.
        directory: Hex,
        /// A record.
        ballot: Bytes,
        /// A position.
        snapshot: Hex,
        /// A record each.
        entries: Vec<Bytes>,
    },
    /// As [`Deed::Saving`]; the record is the log's.
    Saving {
        /// For people; the record has it, too.
        zxid: Hex,
        /// A record.
        record: Bytes,
    },
    /// As [`Deed::Cut`].
    Cut {
        /// A position.
        after: Hex,
    },
    /// As [`Deed::Refused`].
    Refused {
        /// A position.
        zxid: Hex,
    },
    /// As [`Deed::Durable`].
    Durable {
        /// A position.
        zxid: Hex,
    },
    /// As [`Deed::Voted`].
    Voted {
        /// A record.
        ballot: Bytes,
    },
    /// As [`Deed::Asked`].
    Asked {
        /// Which, numbered within this life.
        connection: u64,
    },
    /// As [`Event::Elected`].
    Elected {
        /// Its epoch.
        epoch: u32,
        /// Who.
        leader: u8,
    },
    /// As [`Event::Followed`].
    Followed {
        /// In which epoch.
        epoch: u32,
        /// Whom.
        leader: u8,
    },
    /// As [`Event::Deposed`].
    Deposed {
        /// The epoch that it led.
        epoch: u32,
    },
    /// As [`Event::EpochOpened`].
    EpochOpened {
        /// The epoch.
        epoch: u32,
    },
    /// As [`Event::Executed`].
    Executed {
        /// A position.
        zxid: Hex,
        /// Of the whole tree after it.
        digest: Hex,
    },
    /// As [`Event::Installed`].
    Installed {
        /// A position.
        zxid: Hex,
        /// Of the whole tree in it.
        digest: Hex,
    },
    /// As [`Event::Attached`].
    Attached {
        /// The connection.
        connection: u64,
        /// The session.
        session: Hex,
        /// The position of the transaction that attached it.
        attachment: Hex,
    },
    /// As [`Event::Touched`].
    Touched {
        /// The session.
        session: Hex,
    },
    /// As [`Event::TimedOut`].
    TimedOut {
        /// The session.
        session: Hex,
    },
    /// As [`Event::SessionClosed`].
    SessionClosed {
        /// The session.
        session: Hex,
        /// Did its heartbeats stay away? Else its client closed it.
        expired: bool,
        /// How many ephemeral znodes went with it.
        ephemerals: usize,
    },
    /// As [`Event::SavesRefused`].
    SavesRefused {
        /// How many transactions were taken back.
        count: usize,
    },
    /// As [`Event::Paused`].
    Paused {
        /// How long, in nanoseconds.
        gap: u64,
    },
    /// The server has ended in order: nothing of this life is missing.
    Stopped,
}

/// Why a line stands for no deed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Undecodable {
    /// The bytes are no record of the log.
    #[error("what is to be a record of the log is none")]
    Record,
    /// It is one of another kind.
    #[error("the record is of another kind than the line")]
    Kind,
    /// A number is greater than what it stands for can be.
    #[error("{0} is too large")]
    TooLarge(Hex),
    /// The line tells of the end of a life.
    #[error("the end of a life is no deed")]
    Stopped,
}

impl Did {
    /// The line of a deed; `None` for events that no checker reads.
    pub fn of(deed: &Deed) -> Option<Did> {
        Some(match deed {
            Deed::Recovered {
                directory,
                ballot,
                snapshot,
                entries,
            } => Did::Recovered {
                directory: Hex(directory.0),
                ballot: bytes(&Record::Ballot(*ballot)),
                snapshot: hex(*snapshot),
                entries: entries
                    .iter()
                    .map(|entry| bytes(&Record::Entry(entry.clone())))
                    .collect(),
            },
            Deed::Saving { zxid, txn } => Did::Saving {
                zxid: hex(*zxid),
                record: bytes(&Record::Entry(Entry {
                    zxid: *zxid,
                    txn: txn.clone(),
                })),
            },
            Deed::Cut { after } => Did::Cut { after: hex(*after) },
            Deed::Refused { zxid } => Did::Refused { zxid: hex(*zxid) },
            Deed::Durable { zxid } => Did::Durable { zxid: hex(*zxid) },
            Deed::Voted { ballot } => Did::Voted {
                ballot: bytes(&Record::Ballot(*ballot)),
            },
            Deed::Asked { connection } => Did::Asked {
                connection: connection.0,
            },
            Deed::Said { event } => return Did::said(event),
        })
    }

    fn said(event: &Event) -> Option<Did> {
        Some(match event {
            Event::Elected { epoch, leader } => Did::Elected {
                epoch: epoch.0,
                leader: leader.0,
            },
            Event::Followed { epoch, leader } => Did::Followed {
                epoch: epoch.0,
                leader: leader.0,
            },
            Event::Deposed { epoch } => Did::Deposed { epoch: epoch.0 },
            Event::EpochOpened { epoch } => Did::EpochOpened { epoch: epoch.0 },
            Event::Executed { zxid, digest } => Did::Executed {
                zxid: hex(*zxid),
                digest: Hex(*digest),
            },
            Event::Installed { zxid, digest } => Did::Installed {
                zxid: hex(*zxid),
                digest: Hex(*digest),
            },
            Event::Attached {
                connection,
                session,
                attachment,
            } => Did::Attached {
                connection: connection.0,
                session: of_session(*session),
                attachment: hex(*attachment),
            },
            Event::Touched { session } => Did::Touched {
                session: of_session(*session),
            },
            Event::TimedOut { session } => Did::TimedOut {
                session: of_session(*session),
            },
            Event::SessionClosed {
                session,
                ending,
                ephemerals,
            } => Did::SessionClosed {
                session: of_session(*session),
                expired: *ending == Ending::Expired,
                ephemerals: *ephemerals,
            },
            Event::SavesRefused { count } => Did::SavesRefused { count: *count },
            Event::Paused { gap } => Did::Paused {
                gap: u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX),
            },
            _ => return None,
        })
    }

    /// The deed of a line.
    ///
    /// # Errors
    /// If it stands for none.
    pub fn deed(&self) -> Result<Deed, Undecodable> {
        Ok(match self {
            Did::Recovered {
                directory,
                ballot,
                snapshot,
                entries,
            } => Deed::Recovered {
                directory: DirectoryId(directory.0),
                ballot: ballot_in(ballot)?,
                snapshot: zxid_of(*snapshot)?,
                entries: entries.iter().map(entry_in).collect::<Result<_, _>>()?,
            },
            Did::Saving { zxid, record } => {
                let Entry { zxid: at, txn } = entry_in(record)?;
                if zxid_of(*zxid)? != at {
                    return Err(Undecodable::Kind);
                }
                Deed::Saving { zxid: at, txn }
            }
            Did::Cut { after } => Deed::Cut {
                after: zxid_of(*after)?,
            },
            Did::Refused { zxid } => Deed::Refused {
                zxid: zxid_of(*zxid)?,
            },
            Did::Durable { zxid } => Deed::Durable {
                zxid: zxid_of(*zxid)?,
            },
            Did::Voted { ballot } => Deed::Voted {
                ballot: ballot_in(ballot)?,
            },
            Did::Asked { connection } => Deed::Asked {
                connection: ConnectionId(*connection),
            },
            Did::Stopped => return Err(Undecodable::Stopped),
            said => Deed::Said {
                event: said.event()?,
            },
        })
    }

    fn event(&self) -> Result<Event, Undecodable> {
        Ok(match self {
            Did::Elected { epoch, leader } => Event::Elected {
                epoch: Epoch(*epoch),
                leader: ServerId(*leader),
            },
            Did::Followed { epoch, leader } => Event::Followed {
                epoch: Epoch(*epoch),
                leader: ServerId(*leader),
            },
            Did::Deposed { epoch } => Event::Deposed {
                epoch: Epoch(*epoch),
            },
            Did::EpochOpened { epoch } => Event::EpochOpened {
                epoch: Epoch(*epoch),
            },
            Did::Executed { zxid, digest } => Event::Executed {
                zxid: zxid_of(*zxid)?,
                digest: digest.0,
            },
            Did::Installed { zxid, digest } => Event::Installed {
                zxid: zxid_of(*zxid)?,
                digest: digest.0,
            },
            Did::Attached {
                connection,
                session,
                attachment,
            } => Event::Attached {
                connection: ConnectionId(*connection),
                session: session_of(*session)?,
                attachment: zxid_of(*attachment)?,
            },
            Did::Touched { session } => Event::Touched {
                session: session_of(*session)?,
            },
            Did::TimedOut { session } => Event::TimedOut {
                session: session_of(*session)?,
            },
            Did::SessionClosed {
                session,
                expired,
                ephemerals,
            } => Event::SessionClosed {
                session: session_of(*session)?,
                ending: match expired {
                    true => Ending::Expired,
                    false => Ending::Closed,
                },
                ephemerals: *ephemerals,
            },
            Did::SavesRefused { count } => Event::SavesRefused { count: *count },
            Did::Paused { gap } => Event::Paused {
                gap: Duration::from_nanos(*gap),
            },
            other => unreachable!("{other:?} was decoded before"),
        })
    }
}

fn bytes(record: &Record) -> Bytes {
    let mut bytes = Vec::new();
    encode_record(record, &mut bytes);
    Bytes(bytes)
}

fn hex(zxid: Zxid) -> Hex {
    Hex(zxid.0.into())
}

fn of_session(session: SessionId) -> Hex {
    hex(Zxid::from_wire(session.0))
}

fn zxid_of(hex: Hex) -> Result<Zxid, Undecodable> {
    let zxid = u64::try_from(hex.0);
    zxid.map(Zxid).map_err(|_| Undecodable::TooLarge(hex))
}

fn session_of(hex: Hex) -> Result<SessionId, Undecodable> {
    zxid_of(hex).map(SessionId::opened_at)
}

fn record_in(bytes: &Bytes) -> Result<Record, Undecodable> {
    decode_record(&bytes.0).map_err(|_| Undecodable::Record)
}

fn entry_in(bytes: &Bytes) -> Result<Entry, Undecodable> {
    match record_in(bytes)? {
        Record::Entry(entry) => Ok(entry),
        Record::Ballot(_) | Record::Cut(_) => Err(Undecodable::Kind),
    }
}

fn ballot_in(bytes: &Bytes) -> Result<althing_core::quorum::log::Ballot, Undecodable> {
    match record_in(bytes)? {
        Record::Ballot(ballot) => Ok(ballot),
        Record::Entry(_) | Record::Cut(_) => Err(Undecodable::Kind),
    }
}
