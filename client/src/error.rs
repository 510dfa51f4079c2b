//! What can go wrong, as a type.

use althing_core::code::Code;
use althing_core::codec::malformed::Malformed;
use althing_core::tree::path::PathError;

/// Why an operation did not succeed, or cannot be known to have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with this code; the operation had no effect.
    #[error("the server answered {0}")]
    Server(Code),
    /// The connection was lost after the request had left: it may or may not have been executed.
    #[error("the connection was lost; the request may or may not have been executed")]
    ConnectionLoss,
    /// The session is over, and with it its ephemeral znodes and watches; or it is given up,
    /// because no server was heard of for longer than the session can last.
    #[error("the session has expired")]
    SessionExpired,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// No server gave this client a session in the time that its configuration allows.
    #[error("no server gave a session in time")]
    NoServer,
    /// The text is not a znode's path. Nothing was sent.
    #[error("{path:?} is not a path: {why}")]
    BadPath {
        /// The text.
        path: String,
        /// The first rule that it breaks.
        why: PathError,
    },
    /// A time to live is from 1 ms to 2^40 - 1 ms. Nothing was sent.
    #[error("no such time to live")]
    BadTtl,
    /// The configuration cannot be worked with.
    #[error("the configuration is not valid: {0}")]
    BadConfig(&'static str),
    /// The request is longer than a frame may be. Nothing was sent.
    #[error("the request takes {frame_bytes} bytes, more than a frame may have")]
    TooLarge {
        /// Its length on the wire.
        frame_bytes: usize,
    },
    /// This client waits for as many watches as it may. Nothing was sent.
    #[error("too many watches wait")]
    TooManyWatches,
    /// The watch was removed.
    #[error("the watch was removed")]
    WatchRemoved,
    /// Whoever reads this watch's events is too far behind; the watch is given up.
    #[error("too many events of the watch wait")]
    TooManyEvents,
    /// This client has taken on as many identities as it may. Nothing was sent.
    #[error("too many identities")]
    TooManyIdentities,
    /// More znodes than a cached reader may keep.
    #[error("the subtree has more than {znodes_max} znodes")]
    SubtreeTooLarge {
        /// The limit.
        znodes_max: usize,
    },
    /// The server sent what no server should send; the connection was closed. The request may or
    /// may not have been executed.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] Malformed),
}

impl ClientError {
    /// Is the session over, so that nothing but a new client helps?
    pub fn ends_session(&self) -> bool {
        matches!(self, ClientError::SessionExpired | ClientError::Closed)
    }

    /// May the request have been executed although it failed?
    pub fn is_in_doubt(&self) -> bool {
        matches!(self, ClientError::ConnectionLoss | ClientError::Protocol(_))
    }
}

/// Why a [`crate::transaction::Transaction`] did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MultiError {
    /// An operation was refused, so none had an effect.
    #[error("operation {index} of the transaction was refused: {code}")]
    Refused {
        /// Which operation; counts from 0.
        index: usize,
        /// Why.
        code: Code,
    },
    /// The transaction as a whole failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}
