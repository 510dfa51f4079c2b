//! What a session remembers from one connection to the next.

use std::time::Duration;

use althing_core::ids::{Password, SessionId, Xid, Zxid};
use althing_core::node::request::ConnectRequest;
use althing_core::tree::data::Data;

use crate::config::ReadOnlyServers;
use crate::session::watches::Watches;

/// What a session remembers from one connection to the next.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// The session and its secret, once a server gave them that has a leader.
    pub(crate) session: Option<(SessionId, Password)>,
    /// What was granted; before that, what is asked for.
    pub(crate) timeout: Duration,
    asked_timeout: Duration,
    /// The newest position of which this client saw anything; no server that is behind it may
    /// serve the session.
    pub(crate) seen: Zxid,
    /// The newest position of which this client saw everything that its watches have to tell. An
    /// event does not count: others of its transaction may follow. An answer does, since all
    /// events come before it, unless watches that were not yet set again are still silent.
    pub(crate) settled: Zxid,
    /// The identities that were accepted.
    pub(crate) auths: Vec<(String, Data)>,
    /// Who waits to be told.
    pub(crate) watches: Watches,
    xid: i32,
}

impl Lasting {
    pub(crate) fn new(timeout: Duration, seen: Zxid) -> Lasting {
        Lasting {
            session: None,
            timeout,
            asked_timeout: timeout,
            seen,
            settled: Zxid::ZERO,
            auths: Vec::new(),
            watches: Watches::default(),
            xid: 0,
        }
    }

    /// The number of the next request: positive, and not repeated for two thousand millions.
    pub(crate) fn next_xid(&mut self) -> Xid {
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        Xid(self.xid)
    }

    /// The first frame of a connection.
    pub(crate) fn connect_request(&self, read_only: ReadOnlyServers) -> ConnectRequest {
        let (session, password) = match self.session {
            Some((session, password)) => (Some(session), password),
            None => (None, Password::NONE),
        };
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout_ms: i32::try_from(self.asked_timeout.as_millis()).unwrap_or(i32::MAX),
            session,
            password,
            read_only: Some(read_only == ReadOnlyServers::Accepted),
        }
    }

    /// How long a server may be silent.
    pub(crate) fn silence_max(&self) -> Duration {
        self.timeout * 2 / 3
    }
}
