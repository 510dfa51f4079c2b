//! Figures for operators: what the four-letter words show.

use alloc::sync::Arc;

use crate::config::Settings;
use crate::ids::{ConnectionId, Epoch, ServerId, SessionId, Zxid};
use crate::node::company::Company;
use crate::node::node::Node;
use crate::quorum::act::{Followers, Part};
use crate::tree::acl::Identity;
use crate::tree::path::Path;
use crate::watch::WatchKind;

/// What part a server plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It looks for a leader.
    Looking,
    /// It leads an ensemble of one.
    Standalone,
    /// It leads.
    Leader,
    /// It follows, and votes.
    Follower,
    /// It follows, and does not vote.
    Observer,
    /// It has had no leader for long, and serves clients which only read.
    ReadOnly,
}

/// What `srvr` and `mntr` show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Who.
    pub server: ServerId,
    /// As what.
    pub role: Role,
    /// In which epoch.
    pub epoch: Epoch,
    /// Who leads, if that is known.
    pub leader: Option<ServerId>,
    /// The leader's: how many servers it knows, and how many of them have everything.
    pub followers: Followers,
    /// The log is agreed up to here, as far as this server knows.
    pub committed: Zxid,
    /// The last transaction that was executed.
    pub applied: Zxid,
    /// The shared settings.
    pub settings: Settings,
    /// Znodes.
    pub znodes: usize,
    /// Bytes of paths and data.
    pub tree_bytes: u64,
    /// Ephemeral znodes.
    pub ephemerals: usize,
    /// Sessions of the whole ensemble.
    pub sessions: usize,
    /// Sessions of this server alone.
    pub local_sessions: usize,
    /// Connections of this server.
    pub connections: usize,
    /// Watches of this server: single registrations.
    pub watches: usize,
    /// Znodes of this server that are watched.
    pub watched_paths: usize,
    /// Connections of this server that watch.
    pub watching_connections: usize,
    /// Requests that are not yet answered.
    pub outstanding: usize,
    /// The tree's digest.
    pub digest: u128,
}

/// One connection, as `cons` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionStatus {
    /// Which.
    pub connection: ConnectionId,
    /// Its session, once attached.
    pub session: Option<SessionId>,
    /// Its session's time-out in milliseconds.
    pub timeout_ms: u32,
    /// Requests that are not yet answered.
    pub outstanding: usize,
}

impl Node {
    /// Figures for operators.
    pub fn status(&self) -> Status {
        let tree = self.store.tree();
        Status {
            server: self.config.server,
            role: match self.replica.part() {
                _ if self.company == Company::Alone => Role::ReadOnly,
                Part::Looking | Part::Canvasser | Part::Candidate => Role::Looking,
                Part::Leader if self.replica.is_alone() => Role::Standalone,
                Part::Leader => Role::Leader,
                Part::Follower if self.replica.membership().is_voter(self.config.server) => {
                    Role::Follower
                }
                Part::Follower => Role::Observer,
            },
            leader: self.replica.leader(),
            followers: self.replica.followers(),
            committed: self.replica.committed(),
            epoch: self.replica.epoch(),
            applied: self.store.applied(),
            settings: self.store.settings(),
            znodes: tree.count(),
            tree_bytes: tree.bytes(),
            ephemerals: tree.ephemeral_count(),
            sessions: self.store.sessions().len(),
            local_sessions: self.locals.count(),
            connections: self.connections.len(),
            watches: self.watches.count(),
            watched_paths: self.watches.path_count(),
            watching_connections: self.watches.connection_count(),
            outstanding: self
                .connections
                .values()
                .map(|known| known.outstanding())
                .sum(),
            digest: tree.digest(),
        }
    }

    /// This server's connections, in the order of their ids.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionStatus> {
        self.connections.iter().map(|(connection, known)| {
            let session = known.session();
            let timeout_ms = session.map_or(0, |session| self.timeout_ms_of(session));
            ConnectionStatus {
                connection: *connection,
                session,
                timeout_ms,
                outstanding: known.outstanding(),
            }
        })
    }

    /// A session's time-out in milliseconds; 0 if it is not known.
    fn timeout_ms_of(&self, session: SessionId) -> u32 {
        let of_ensemble = self.store.sessions().get(&session);
        let local = || self.locals.get(session).map(|known| known.timeout_ms);
        let known = of_ensemble.map(|known| known.timeout_ms).or_else(local);
        known.unwrap_or(0)
    }

    /// Who speaks on a connection: the session, if it has one by now, and as whom.
    pub fn asker(&self, connection: ConnectionId) -> (Option<SessionId>, Arc<[Identity]>) {
        let known = self.connections.get(&connection);
        let session = known.and_then(|known| known.session());
        (session, self.identities_of(connection))
    }

    /// Every watch of this server, in the order of the connections.
    pub fn watches(&self) -> impl Iterator<Item = (ConnectionId, &Path, WatchKind)> {
        self.watches.all()
    }
}
