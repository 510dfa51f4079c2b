//! What a client is told at its start, and the limits that it keeps.

use std::time::Duration;

use althing_core::ids::Zxid;

use crate::error::ClientError;

/// Longest frame in bytes, in both directions: a znode's largest data (1 MiB by default) with room
/// for what surrounds it, and a listing of some ten thousand children.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most requests that wait for their answers on the connection: enough to fill a pipe, few enough
/// that a lost connection leaves few in doubt.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1024;

/// Most requests that wait to be sent; whoever asks for more waits before it may ask.
pub const REQUESTS_QUEUED_MAX: usize = 1024;

/// Bytes of requests that wait for the socket before no more are taken from the queue.
pub const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// Most watches that wait to fire.
pub const WATCHES_MAX: usize = 100_000;

/// Most events of one watch that stays which wait for their reader.
pub const WATCH_EVENTS_MAX: usize = 1024;

/// Bytes of paths in one setWatches; ZooKeeper's clients send as much at once.
pub const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;

/// Most identities that a client takes on; each is sent again after a reconnect.
pub const AUTHS_MAX: usize = 64;

/// Most znodes that one cached subtree keeps: each costs two watches.
pub const SUBTREE_ZNODES_MAX: usize = 10_000;

/// The shortest and longest pauses between two attempts to connect. The shortest spares a server
/// that refuses; the longest bounds how long after its return a server stays unnoticed.
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How often a request is asked again that the server refuses with `ThrottledOp`; the pauses are
/// those of [`BACKOFF_MIN`] and [`BACKOFF_MAX`], about ten seconds in all. Who is told of it after
/// that asks far too often, or has neighbours who do.
pub const THROTTLED_MAX: u32 = 9;

/// The pauses between two attempts to find a server that has a leader, while one without lets the
/// client read: they double from the shortest to the longest, as those of ZooKeeper's client do. A
/// server that has a leader again sends its readers away by itself, so the search is for others.
pub const SEARCH_PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`SEARCH_PAUSE_MIN`].
pub const SEARCH_PAUSE_MAX: Duration = Duration::from_secs(60);

/// The longest silence before a heartbeat, however long the session's time-out is.
pub const PING_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// The longest session time-out that can be asked for: a day, far above any that is granted.
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a server that has no leader, and only lets its clients read?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadOnlyServers {
    /// It is not taken.
    #[default]
    Refused,
    /// It is taken, and meanwhile one that has a leader is looked for. What it tells may be old,
    /// but never older than what the client has seen; every write is refused with `NotReadOnly`.
    /// Such servers serve who has no session; a session of the ensemble is over before the next
    /// one may be for reading.
    Accepted,
}

/// What a client is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// The servers, each `host:port`. The client begins with a random one.
    pub servers: Vec<String>,
    /// The session time-out that is asked for; the server may grant another.
    pub session_timeout: Duration,
    /// How long [`crate::client::Client::connect`] tries to get a session before it gives up.
    pub connect_patience: Duration,
    /// The newest transaction whose effects were seen in an earlier session: no server that is
    /// behind it is taken, so that time never goes back.
    pub last_zxid_seen: Zxid,
    /// Does a server do that only lets the client read?
    pub read_only_servers: ReadOnlyServers,
}

impl ClientConfig {
    /// A client of these servers with a session time-out of 10 s and a minute of patience.
    pub fn new<S: Into<String>>(servers: impl IntoIterator<Item = S>) -> ClientConfig {
        ClientConfig {
            servers: servers.into_iter().map(Into::into).collect(),
            session_timeout: Duration::from_secs(10),
            connect_patience: Duration::from_secs(60),
            last_zxid_seen: Zxid::ZERO,
            read_only_servers: ReadOnlyServers::Refused,
        }
    }

    /// The same with another session time-out.
    #[must_use]
    pub fn session_timeout(self, session_timeout: Duration) -> ClientConfig {
        ClientConfig {
            session_timeout,
            ..self
        }
    }

    /// The same with another patience.
    #[must_use]
    pub fn connect_patience(self, connect_patience: Duration) -> ClientConfig {
        ClientConfig {
            connect_patience,
            ..self
        }
    }

    /// The same with another word on servers that only let their clients read.
    #[must_use]
    pub fn read_only_servers(self, read_only_servers: ReadOnlyServers) -> ClientConfig {
        ClientConfig {
            read_only_servers,
            ..self
        }
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        if self.servers.is_empty() {
            return Err(ClientError::BadConfig("there is no server"));
        }
        if self.session_timeout.is_zero() {
            return Err(ClientError::BadConfig("the session time-out is zero"));
        }
        if self.session_timeout > SESSION_TIMEOUT_MAX {
            return Err(ClientError::BadConfig("the session time-out exceeds a day"));
        }
        Ok(())
    }
}
