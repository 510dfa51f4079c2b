//! What a server is told at its start, and the settings that all servers share.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::ids::ServerId;
use crate::listed::Address;
use crate::time::Duration;

/// Largest number of bytes in a znode's data unless configured otherwise: 1 MiB, with ZooKeeper's
/// default of `jute.maxbuffer` rounded up to the whole MiB that its documentation promises.
pub const DATA_BYTES_MAX_DEFAULT: u32 = 1024 * 1024;

/// The least time without a sign of life from the leader before an election unless configured
/// otherwise: many times a round trip within a data centre and a sync of a busy disk.
pub const ELECTION_TIMEOUT_DEFAULT: Duration = Duration::from_millis(250);

/// How often a leader says that it lives unless configured otherwise: five in the shortest
/// [`ELECTION_TIMEOUT_DEFAULT`], so that four may be lost.
pub const BEAT_DEFAULT: Duration = Duration::from_millis(50);

/// How often a leader looks for znodes whose time is over unless configured otherwise: ZooKeeper's
/// minute.
pub const REAP_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// The level of the semantics of transactions. A server refuses to execute under a level that it
/// does not know, so servers of two versions never diverge.
///
/// | level | what is new |
/// |---|---|
/// | 2 | the configuration is the data of `/zookeeper/config` |
pub const FEATURE_LEVEL: u32 = 2;

/// From this level on, the configuration is the data of `/zookeeper/config`.
pub const LEVEL_CONFIG: u32 = 2;

/// Settings that change what a transaction does. They are part of the replicated state: a leader
/// writes them into the transaction that opens its epoch, and execution reads them from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The level of the semantics, at most [`FEATURE_LEVEL`].
    pub feature_level: u32,
    /// Largest number of bytes in one znode's data.
    pub data_bytes_max: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            feature_level: FEATURE_LEVEL,
            data_bytes_max: DATA_BYTES_MAX_DEFAULT,
        }
    }
}

/// Who may do everything, whatever access control lists say: ZooKeeper's super user. Each server
/// knows its own, and judges its own clients by it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Supers {
    /// Who authenticates with the scheme `digest` as this, `user:hash`: ZooKeeper's `superDigest`.
    pub digest: Option<String>,
    /// Whose certificate has this subject, as RFC 4514 writes it: ZooKeeper's `superUser` of the
    /// scheme `x509`.
    pub subject: Option<String>,
}

/// May clients change the members? ZooKeeper's `reconfigEnabled`, which is off by default, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reconfiguring {
    /// No: they are told `ReconfigDisabled`.
    #[default]
    Off,
    /// Who may write `/zookeeper/config`; unless its list was changed, the super user.
    On,
}

/// What one server is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who this server is.
    pub server: ServerId,
    /// The servers that vote in an ensemble that is not founded yet; afterwards the membership in
    /// the replicated state decides. One server is an ensemble of one.
    pub voters: BTreeSet<ServerId>,
    /// The least time without a sign of life from the leader after which a follower stands for
    /// election; each draws its own between this and twice this. A leader that no quorum has
    /// answered for so long gives up.
    pub election_timeout: Duration,
    /// How often a leader says that it lives.
    pub beat: Duration,
    /// A server that has had no leader for so long sends its clients away, to servers that may
    /// have one.
    pub isolation_timeout: Duration,
    /// ZooKeeper's `tickTime`: the grain of heartbeats and of the detection of pauses.
    pub tick: Duration,
    /// The shortest session time-out that a client can negotiate; ZooKeeper's default is 2 ticks.
    pub session_timeout_min: Duration,
    /// The longest session time-out that a client can negotiate; ZooKeeper's default is 20 ticks.
    pub session_timeout_max: Duration,
    /// A snapshot is made after about this many transactions (drawn between half of it and all of
    /// it, so that the servers of an ensemble do not make theirs at the same time).
    pub snapshot_every: u32,
    /// How often a leader looks for containers that are empty and for znodes whose time to live is
    /// over; ZooKeeper's `znode.container.checkIntervalMs`.
    pub reap_interval: Duration,
    /// The last position of an epoch; a leader that needs another one wins the next epoch first.
    /// Everything that a position can hold, except where that is tested.
    pub counter_max: u32,
    /// Who may do everything.
    pub supers: Supers,
    /// Where the servers of the configuration are: what the members' addresses are as long as
    /// nobody has agreed on others.
    pub addresses: BTreeMap<ServerId, Address>,
    /// May clients change the members, when this server leads?
    pub reconfiguring: Reconfiguring,
    /// What this server proposes as shared settings when it leads.
    pub settings: Settings,
}

impl Config {
    /// Asserts what a server relies on.
    ///
    /// # Panics
    /// If the configuration contradicts itself.
    pub fn check(&self) {
        assert!(
            self.session_timeout_min <= self.session_timeout_max,
            "session time-outs"
        );
        assert!(
            self.snapshot_every > 0,
            "a snapshot is made after at least one transaction"
        );
        assert!(
            self.beat < self.election_timeout,
            "a leader says that it lives before others stand"
        );
        assert!(
            self.reap_interval > Duration::ZERO,
            "searches for what is over have pauses"
        );
        assert!(
            self.counter_max > 0,
            "an epoch holds more than its beginning"
        );
    }

    /// A server alone, with ZooKeeper's defaults: tick 2 s, time-outs of 4 s to 40 s, a snapshot
    /// every 100,000 transactions.
    pub fn standalone(server: ServerId) -> Config {
        let tick = Duration::from_secs(2);
        Config {
            server,
            voters: BTreeSet::from([server]),
            election_timeout: ELECTION_TIMEOUT_DEFAULT,
            beat: BEAT_DEFAULT,
            isolation_timeout: tick * 2,
            tick,
            session_timeout_min: tick * 2,
            session_timeout_max: tick * 20,
            snapshot_every: 100_000,
            reap_interval: REAP_INTERVAL_DEFAULT,
            counter_max: u32::MAX,
            supers: Supers::default(),
            addresses: BTreeMap::new(),
            reconfiguring: Reconfiguring::Off,
            settings: Settings::default(),
        }
    }
}
