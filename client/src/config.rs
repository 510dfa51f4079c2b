//! What a client is told at its start, and the limits that it keeps.

use std::fmt;
use std::time::Duration;

use althing_core::digest_md5::{self, Answer};
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

/// Longest name and password of a user of SASL, in bytes: a proof must fit into what servers take.
pub const SASL_BYTES_MAX: usize = 255;

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

/// Who a client is by SASL, with the mechanism DIGEST-MD5: the identity `sasl:NAME`.
///
/// The client proves it on each connection anew, before it asks for anything, and takes no server
/// that does not know the password, too. MD5 keeps nobody out who listens: use TLS besides.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslUser {
    name: String,
    password: String,
}

impl SaslUser {
    /// Who they are, and what proves it. Both are of printable ASCII, and have 1 to 255 bytes: a
    /// configuration with others is refused with [`ClientError::BadConfig`].
    pub fn new(name: &str, password: &str) -> SaslUser {
        SaslUser {
            name: name.to_owned(),
            password: password.to_owned(),
        }
    }

    pub(crate) fn answer(&self, challenge: &[u8], cnonce: &str) -> Option<Answer> {
        digest_md5::answer(challenge, &self.name, &self.password, cnonce)
    }

    fn is_sound(&self) -> bool {
        let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let sound = |text: &String| printable(text) && (1..=SASL_BYTES_MAX).contains(&text.len());
        sound(&self.name) && sound(&self.password)
    }
}

impl fmt::Debug for SaslUser {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SaslUser").field(&self.name).finish()
    }
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
    /// Who the client proves to be by SASL, if anybody. A server that refuses the proof, or knows
    /// no SASL, ends the session: everything is answered with `AuthFailed`.
    pub sasl: Option<SaslUser>,
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
            sasl: None,
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

    /// The same for somebody who proves by SASL who they are.
    #[must_use]
    pub fn sasl(self, user: SaslUser) -> ClientConfig {
        ClientConfig {
            sasl: Some(user),
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
        if self.sasl.as_ref().is_some_and(|user| !user.is_sound()) {
            let what = "a user of SASL, and the password, have 1 to 255 bytes of printable ASCII";
            return Err(ClientError::BadConfig(what));
        }
        Ok(())
    }
}
