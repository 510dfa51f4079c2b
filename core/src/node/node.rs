//! One server, whole.

use alloc::vec::Vec;

use crate::config::{Config, Settings};
use crate::ids::{ConnectionId, Epoch, ServerId, SessionId, Zxid};
use crate::node::effect::Outbox;
use crate::node::input::{Input, Timer};
use crate::prng::Seed;
use crate::quorum::log::Ballot;
use crate::store::store::Store;
use crate::store::txn::Entry;
use crate::time::{Instant, Now};

/// What the storage found at a server's start.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last ballot that was saved.
    pub ballot: Ballot,
    /// The newest snapshot; the empty state if there is none.
    pub store: Store,
    /// The log after the snapshot, in order and without gaps.
    pub entries: Vec<Entry>,
}

/// What part a server plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It looks for a leader.
    Looking,
    /// It leads an ensemble of one.
    Standalone,
    /// It leads.
    Leader,
}

/// Figures for operators: what `srvr` and `mntr` show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Who.
    pub server: ServerId,
    /// As what.
    pub role: Role,
    /// In which epoch.
    pub epoch: Epoch,
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

/// One server of an ensemble, without its shell.
#[derive(Clone, Debug)]
pub struct Node {}

impl Node {
    /// A server at its start.
    pub fn new(config: Config, recovered: Recovered, seed: Seed) -> Node {
        let _ = (config, recovered, seed);
        todo!()
    }

    /// Takes one thing that happened; writes what should be done about it. Never blocks, never
    /// fails, bounded work.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Outbox) {
        let _ = (now, input, out);
        todo!()
    }

    /// The timers that are armed, each with its hour; the shell sleeps until the earliest and steps
    /// [`Input::Timeout`].
    pub fn armed(&self) -> impl Iterator<Item = (Instant, Timer)> {
        core::iter::empty()
    }

    /// A digest of the state that matters to the protocol: not the clock, not the generator, not
    /// the counters of events.
    pub fn fingerprint(&self) -> u128 {
        todo!()
    }

    /// Asserts what must hold between any two steps; the simulator calls it after each.
    pub fn check(&self) {}

    /// The replicated state.
    pub fn store(&self) -> &Store {
        todo!()
    }

    /// Figures for operators.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// This server's connections, in the order of their ids.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionStatus> {
        core::iter::empty()
    }
}
