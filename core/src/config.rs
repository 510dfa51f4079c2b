//! What a server is told at its start, and the settings that all servers share.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;
use core::num::NonZeroU32;

use md5::{Digest as _, Md5};

use crate::ids::ServerId;
use crate::listed::Address;
use crate::time::Duration;
use crate::voters::Voters;

/// The largest frame that clients are sent unless configured otherwise: what ZooKeeper's client for
/// Java takes unless its `jute.maxbuffer` says otherwise.
pub const REPLY_BYTES_MAX_DEFAULT: usize = 0xfffff;

/// Largest number of bytes in a znode's data unless configured otherwise: the most that `getData`
/// can answer within [`REPLY_BYTES_MAX_DEFAULT`], so that whatever can be written can be read.
pub const DATA_BYTES_MAX_DEFAULT: u32 = 0xfffff - 88;

/// The least time without a sign of life from the leader before an election unless configured
/// otherwise: many times a round trip within a data centre and a sync of a busy disk.
pub const ELECTION_TIMEOUT_DEFAULT: Duration = Duration::from_millis(250);

/// How often a leader says that it lives unless configured otherwise: five in the shortest
/// [`ELECTION_TIMEOUT_DEFAULT`], so that four may be lost.
pub const BEAT_DEFAULT: Duration = Duration::from_millis(50);

/// How often a leader looks for znodes whose time is over unless configured otherwise: ZooKeeper's
/// minute.
pub const REAP_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// How long a server of ZooKeeper with this tick looks for a leader before it serves clients which
/// only read: an election that is won at once shall not be noticed.
pub fn read_only_after(tick: Duration) -> Duration {
    tick.max(Duration::from_secs(2))
}

/// The level of the semantics of transactions. A server refuses to execute under a level that it
/// does not know, so servers of two versions never diverge.
///
/// | level | what is new |
/// |---|---|
/// | 2 | the configuration is the data of `/zookeeper/config` |
/// | 3 | the servers keep the stats of quotas, and may enforce hard limits |
/// | 4 | sessions of one server alone write, and the ensemble can take them over |
/// | 5 | the znodes of a snapshot can be restored while clients are served |
///
/// A leader proposes one of the last two only if it is told to have such sessions, or to restore:
/// as long as nobody is, the servers of an ensemble may be of versions that do not know it.
pub const FEATURE_LEVEL: u32 = 5;

/// From this level on, the configuration is the data of `/zookeeper/config`.
pub const LEVEL_CONFIG: u32 = 2;

/// From this level on, there are quotas.
pub const LEVEL_QUOTAS: u32 = 3;

/// From this level on, sessions of one server alone write.
pub const LEVEL_LOCAL_SESSIONS: u32 = 4;

/// From this level on, snapshots can be restored while clients are served.
pub const LEVEL_RESTORING: u32 = 5;

/// What becomes of a change that exceeds the hard limit of a quota? ZooKeeper's `enforceQuota`,
/// which is off by default, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HardLimits {
    /// It is told of, as if the limit were soft.
    #[default]
    Advised,
    /// It is refused with `QuotaExceeded`.
    Enforced,
}

/// Settings that change what a transaction does. They are part of the replicated state: a leader
/// writes them into the transaction that opens its epoch, and execution reads them from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The level of the semantics, at most [`FEATURE_LEVEL`].
    pub feature_level: u32,
    /// Largest number of bytes in one znode's data.
    pub data_bytes_max: u32,
    /// Are hard limits of quotas enforced? Below [`LEVEL_QUOTAS`] they never are.
    pub hard_limits: HardLimits,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            feature_level: LEVEL_QUOTAS,
            data_bytes_max: DATA_BYTES_MAX_DEFAULT,
            hard_limits: HardLimits::default(),
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
    /// Who authenticates by SASL as this user: ZooKeeper's `superUser`.
    pub sasl: Option<String>,
}

/// The realm of SASL: ZooKeeper's clients know no other.
pub const SASL_REALM: &str = "zk-sasl-md5";

/// Users and what stands for their passwords: the hash of user, realm and password (RFC 2831).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Users(BTreeMap<String, [u8; 16]>);

impl Users {
    /// Adds a user, or changes the password of one.
    pub fn add(&mut self, user: &str, password: &str) {
        let mut hash = Md5::new();
        for text in [user, ":", SASL_REALM, ":", password] {
            hash.update(text);
        }
        self.0.insert(String::from(user), hash.finalize().into());
    }

    /// What stands for a user's password, if there is such a user.
    pub fn secret(&self, user: &str) -> Option<[u8; 16]> {
        self.0.get(user).copied()
    }

    /// Is there nobody?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Users {
    /// What stands for a password is as good as one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What becomes of a connection whose client fails to authenticate by SASL?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FailedSasl {
    /// It is told so, and closed.
    #[default]
    Closed,
    /// It goes on as whoever it was: ZooKeeper's `allowSaslFailedClients`.
    Kept,
}

/// Authentication by SASL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sasl {
    /// Who there is; with nobody, there is no SASL.
    pub users: Users,
    /// What becomes of those who fail.
    pub failed: FailedSasl,
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

/// May an operator have a snapshot restored while clients are served? ZooKeeper's
/// `admin.restore.enabled`, which is on by default there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Restoring {
    /// No: the servers must be stopped for it.
    #[default]
    Off,
    /// Who may do everything.
    On,
}

/// Are new sessions of this server alone? ZooKeeper's `localSessionsEnabled` and
/// `localSessionsUpgradingEnabled`, which are off by default, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LocalSessions {
    /// The ensemble agrees on every session.
    #[default]
    Off,
    /// They are, and own no ephemeral znodes: who would create one is told
    /// `EphemeralOnLocalSession`.
    On,
    /// They are until they would create an ephemeral znode: then the ensemble takes them over.
    Upgraded,
}

/// How often something may be asked for: a bucket of tokens, one for each request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many tokens come each second.
    pub per_second: NonZeroU32,
    /// So many the bucket holds: as many requests may come at once.
    pub burst: NonZeroU32,
}

/// How often clients may ask, in each of three respects; `None` is no limit. ZooKeeper has nothing
/// of the kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// One session.
    pub session: Option<Rate>,
    /// All sessions of one address together.
    pub address: Option<Rate>,
    /// All sessions of one identity together: of who has authenticated, by whatever scheme.
    pub identity: Option<Rate>,
}

/// What one server is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who this server is.
    pub server: ServerId,
    /// The servers that vote in an ensemble that is not founded yet; afterwards the membership in
    /// the replicated state decides. One server is an ensemble of one.
    pub voters: Voters,
    /// The least time without a sign of life from the leader after which a follower stands for
    /// election; each draws its own between this and twice this. A leader that no quorum has
    /// answered for so long gives up.
    pub election_timeout: Duration,
    /// How often a leader says that it lives.
    pub beat: Duration,
    /// A server that has had no leader for so long sends its clients away, to servers that may
    /// have one.
    pub isolation_timeout: Duration,
    /// A server that has had no leader for so long serves clients which only read, and say so;
    /// `None` if it never does. ZooKeeper's `readonlymode.enabled`, which is off by default, too,
    /// and fixes the time: see [`read_only_after`].
    pub read_only_after: Option<Duration>,
    /// Are new sessions of this server alone? A server that is alone in its ensemble has none.
    pub local_sessions: LocalSessions,
    /// Whether an operator may have a snapshot restored while clients are served.
    pub restoring: Restoring,
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
    /// The largest frame that this server's clients are sent, without its length. What does not fit
    /// is answered with an error.
    pub reply_bytes_max: usize,
    /// How often this server's clients may ask.
    pub rates: Rates,
    /// Who may do everything.
    pub supers: Supers,
    /// Who there is for SASL.
    pub sasl: Sasl,
    /// The schemes of which a client must have authenticated by one before it is answered anything
    /// else; none of it if this is empty. ZooKeeper's `enforce.auth.schemes`.
    pub enforced_schemes: BTreeSet<String>,
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

    /// The shared settings that this server proposes when it leads.
    pub fn proposed_settings(&self) -> Settings {
        let mut settings = self.settings;
        if self.local_sessions != LocalSessions::Off {
            settings.feature_level = settings.feature_level.max(LEVEL_LOCAL_SESSIONS);
        }
        if self.restoring == Restoring::On {
            settings.feature_level = settings.feature_level.max(LEVEL_RESTORING);
        }
        settings
    }

    /// A server alone, with ZooKeeper's defaults: tick 2 s, time-outs of 4 s to 40 s, a snapshot
    /// every 100,000 transactions.
    pub fn standalone(server: ServerId) -> Config {
        let tick = Duration::from_secs(2);
        Config {
            server,
            voters: Voters::from([server]),
            election_timeout: ELECTION_TIMEOUT_DEFAULT,
            beat: BEAT_DEFAULT,
            isolation_timeout: tick * 2,
            read_only_after: None,
            local_sessions: LocalSessions::Off,
            restoring: Restoring::Off,
            tick,
            session_timeout_min: tick * 2,
            session_timeout_max: tick * 20,
            snapshot_every: 100_000,
            reap_interval: REAP_INTERVAL_DEFAULT,
            counter_max: u32::MAX,
            reply_bytes_max: REPLY_BYTES_MAX_DEFAULT,
            rates: Rates::default(),
            supers: Supers::default(),
            sasl: Sasl::default(),
            enforced_schemes: BTreeSet::new(),
            addresses: BTreeMap::new(),
            reconfiguring: Reconfiguring::Off,
            settings: Settings::default(),
        }
    }
}
