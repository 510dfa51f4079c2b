//! The settled configuration of a server, with its defaults.
//!
//! | TOML key | zoo.cfg | default |
//! |---|---|---|
//! | `listen` | `clientPortAddress`, `clientPort` | `127.0.0.1:2181` |
//! | `data_dir` | `dataDir` | `./althing-data` |
//! | `tick_ms` | `tickTime` | 2000 |
//! | `session_timeout_min_ms` | `minSessionTimeout` | 2 ticks |
//! | `session_timeout_max_ms` | `maxSessionTimeout` | 20 ticks |
//! | `snapshot_every` | `snapCount` | 100000 transactions |
//! | `snapshots_kept` | `autopurge.snapRetainCount` | 3 |
//! | `log_segment_bytes` | | 64 MiB |
//! | `data_bytes_max` | `althing.dataBytesMax` | 1 MiB - 89, which `getData` can answer |
//! | `reply_bytes_max` | `althing.replyBytesMax` | 1 MiB - 1, or what the largest data needs |
//! | `session_requests_per_second` | `althing.sessionRequestsPerSecond` | none: sessions ask as often as they like |
//! | `session_requests_burst` | `althing.sessionRequestsBurst` | those of a second |
//! | `address_requests_per_second` | `althing.addressRequestsPerSecond` | none |
//! | `address_requests_burst` | `althing.addressRequestsBurst` | those of a second |
//! | `identity_requests_per_second` | `althing.identityRequestsPerSecond` | none |
//! | `identity_requests_burst` | `althing.identityRequestsBurst` | those of a second |
//! | `max_connections` | `maxCnxns` | 10000; 0 is no limit |
//! | `max_connections_per_address` | `maxClientCnxns` | 0, no limit |
//! | `id` | `althing.id`, or the file `myid` in the data directory | 1, for a server on its own |
//! | `servers` | `server.N`, in the file of `dynamicConfigFile` if that is given | none: a server on its own |
//! | `groups` | `group.N` | none: a majority of the voters decides |
//! | `weights` | `weight.N` | 1 for each voter, if there are groups |
//! | `peer_listen_address` | `quorumListenOnAllIPs` | the host of this server's own line |
//! | `peer_tls_certificate` | `althing.peerTlsCertificate` | none: no TLS between servers |
//! | `peer_tls_key` | `althing.peerTlsKey` | none |
//! | `peer_tls_authority` | `althing.peerTlsAuthority` | none |
//! | `secure_listen` | `secureClientPortAddress`, `secureClientPort` | none: no port of its own for TLS |
//! | `port_unification` | `client.portUnification` | false: `listen` does not take TLS |
//! | `client_tls_certificate` | `ssl.keyStore.location` (PEM) | none: no TLS with clients |
//! | `client_tls_key` | the same file | none |
//! | `client_tls_authority` | `ssl.trustStore.location` (PEM) | none: clients need no certificate |
//! | `client_certificates` | `ssl.clientAuth` | `need` if there is an authority |
//! | `super_digest` | `DigestAuthenticationProvider.superDigest` | none: nobody may do everything |
//! | `super_subject` | `X509AuthenticationProvider.superUser` | none |
//! | `super_sasl` | `superUser` | none |
//! | `sasl_users_file` | `althing.saslUsersFile` | none: nobody authenticates by SASL |
//! | `allow_failed_sasl` | `allowSaslFailedClients` | false: who fails is told so, and cut off |
//! | `enforce_auth_schemes` | `enforce.auth.enabled`, `enforce.auth.schemes`, `sessionRequireClientSASLAuth` | none: nobody must authenticate |
//! | `gossip_secret_file` | `althing.gossipSecretFile` | none: no gossip |
//! | `election_timeout_ms` | `althing.electionTimeout` | 250 |
//! | `beat_ms` | `althing.beat` | 50, or a fifth of the election time-out if that is given |
//! | `isolation_timeout_ms` | `althing.isolationTimeout` | 2 ticks |
//! | `read_only_mode` | `readonlymode.enabled` | false: without a leader nobody is served |
//! | `local_sessions` | `localSessionsEnabled` | false: the ensemble agrees on every session |
//! | `local_session_upgrades` | `localSessionsUpgradingEnabled` | false: such sessions own no ephemeral znodes |
//! | `reap_interval_ms` | `znode.container.checkIntervalMs` | 60000 |
//! | `reconfig` | `reconfigEnabled` | false: clients cannot change the members |
//! | `enforce_quotas` | `enforceQuota` | false: hard limits of quotas are told of, not enforced |
//! | `admin_listen` | `admin.enableServer`, `admin.serverAddress`, `admin.serverPort` | none: no admin interface |
//! | `admin_snapshot` | `admin.snapshot.enabled` | true: who may do everything is given snapshots there |
//! | `admin_snapshot_pause_ms` | `admin.rateLimiterIntervalInMS` | 300000 between two of them |
//! | `admin_restore` | `admin.restore.enabled` | false: snapshots are restored by `althing restore` only |
//! | `metrics_listen` | `metricsProvider.className`, `.httpHost`, `.httpPort` | none, beside the admin interface's |
//! | `four_letter_words` | `4lw.commands.whitelist` | those that are cheap and tell no znodes |
//! | `audit_file` | `audit.enable`, `althing.auditFile` | none: no audit log |
//! | `audit_files_kept` | `althing.auditFilesKept` | 10, of a day each |
//! | `log_format` | | `text` |
//! | `log_level` | | `info` |
//!
//! ZooKeeper's own default of `maxClientCnxns` is 60. Ours is no limit, also for a zoo.cfg that is
//! silent about it: see [`crate::limits::Limits::connections_per_address_max`]. Paths are relative
//! to the working directory. A zoo.cfg that has no `clientPortAddress` listens on all addresses,
//! as ZooKeeper does.

use std::path::PathBuf;

use althing_core::config::{
    Config, HardLimits, LocalSessions, Reconfiguring, Restoring, read_only_after,
};
use althing_core::time::Duration;

use crate::config::authentication;
use crate::config::client_limits;
use crate::config::client_ports::ClientPorts;
use crate::config::draft::{ConfigError, Draft, Given, LogFormat};
use crate::config::ensemble::{Ensemble, Identity};
use crate::config::operators::Operators;
use crate::limits::{FRAME_SLACK_BYTES, Limits};
use crate::storage::settings::StorageSettings;

/// Where the data lies unless told otherwise.
pub const DATA_DIR_DEFAULT: &str = "./althing-data";

/// The level of the log unless told otherwise.
pub const LOG_LEVEL_DEFAULT: &str = "info";

/// What a server is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Where it serves clients.
    pub ports: ClientPorts,
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// Who this server is, and with whom it makes an ensemble.
    pub ensemble: Ensemble,
    /// The file with the secret of the gossip.
    pub gossip_secret_file: Option<PathBuf>,
    /// The file with the users of SASL.
    pub sasl_users_file: Option<PathBuf>,
    /// For the node.
    pub config: Config,
    /// Towards clients.
    pub limits: Limits,
    /// For the files.
    pub storage: StorageSettings,
    /// What operators are offered.
    pub operators: Operators,
    /// How the log looks.
    pub log_format: LogFormat,
    /// What is logged, if the file says so.
    pub log_level: Option<String>,
}

impl Settings {
    /// What was given, and defaults for the rest.
    ///
    /// # Errors
    /// If two values contradict each other.
    pub fn settle(draft: Draft, identity: &Identity) -> Result<Settings, ConfigError> {
        let ensemble = Ensemble::settle(&draft, identity)?;
        let config = node_config(&draft, &ensemble)?;
        let ports = ClientPorts::settle(&draft, &ensemble)?;
        let operators = Operators::settle(&draft);
        let data_bytes_max = config.settings.data_bytes_max;
        let or = Limits::default();
        let limits = Limits {
            connections_max: value(draft.max_connections, or.connections_max),
            connections_per_address_max: value(
                draft.max_connections_per_address,
                or.connections_per_address_max,
            ),
            frame_bytes_max: data_bytes_max as usize + FRAME_SLACK_BYTES,
            ..or
        };
        let or = StorageSettings::default();
        let storage = StorageSettings {
            segment_bytes: value(draft.log_segment_bytes, or.segment_bytes),
            snapshots_kept: value(draft.snapshots_kept, or.snapshots_kept),
        };
        Ok(Settings {
            ports,
            data_dir: value(draft.data_dir, PathBuf::from(DATA_DIR_DEFAULT)),
            ensemble,
            gossip_secret_file: draft.gossip_secret_file.map(|given| given.value),
            sasl_users_file: draft.sasl_users_file.map(|given| given.value),
            config,
            limits,
            storage,
            operators,
            log_format: value(draft.log_format, LogFormat::Text),
            log_level: draft.log_level.map(|given| given.value),
        })
    }
}

fn node_config(draft: &Draft, ensemble: &Ensemble) -> Result<Config, ConfigError> {
    let mut config = Config::standalone(ensemble.id);
    config.voters = ensemble.voters.clone();
    let listed = ensemble.servers.iter();
    config.addresses = listed
        .map(|(id, server)| (*id, server.at.clone()))
        .collect();
    let is_set = |given: &Option<Given<bool>>| given.as_ref().is_some_and(|given| given.value);
    if is_set(&draft.reconfig) {
        config.reconfiguring = Reconfiguring::On;
    }
    if is_set(&draft.enforce_quotas) {
        config.settings.hard_limits = HardLimits::Enforced;
    }
    if let Some(tick) = &draft.tick_ms {
        config.tick = Duration::from_millis(tick.value.into());
        config.session_timeout_min = config.tick * 2;
        config.session_timeout_max = config.tick * 20;
        config.isolation_timeout = config.tick * 2;
    }
    if is_set(&draft.read_only_mode) {
        config.read_only_after = Some(read_only_after(config.tick));
    }
    let locals = (&draft.local_sessions, &draft.local_session_upgrades);
    config.local_sessions = match (is_set(locals.0), is_set(locals.1)) {
        (false, _) => LocalSessions::Off,
        (true, false) => LocalSessions::On,
        (true, true) => LocalSessions::Upgraded,
    };
    if is_set(&draft.admin_restore) {
        config.restoring = Restoring::On;
    }
    if let Some(interval) = &draft.reap_interval_ms {
        config.reap_interval = Duration::from_millis(interval.value.into());
    }
    elections(draft, &mut config)?;
    let (min, max) = (&draft.session_timeout_min_ms, &draft.session_timeout_max_ms);
    if let Some(min) = min {
        config.session_timeout_min = Duration::from_millis(min.value.into());
    }
    if let Some(max) = max {
        config.session_timeout_max = Duration::from_millis(max.value.into());
    }
    if config.session_timeout_min > config.session_timeout_max
        && let Some(given) = min.as_ref().or(max.as_ref())
    {
        let (min, max) = (config.session_timeout_min, config.session_timeout_max);
        return Err(ConfigError::At {
            place: given.place.clone(),
            what: format!(
                "the shortest session time-out, {} ms, is more than the longest, {} ms",
                min.as_millis(),
                max.as_millis()
            ),
        });
    }
    if let Some(snapshot_every) = &draft.snapshot_every {
        config.snapshot_every = snapshot_every.value;
    }
    let given = |text: &Option<Given<String>>| text.as_ref().map(|given| given.value.clone());
    config.supers.digest = given(&draft.super_digest);
    config.supers.subject = given(&draft.super_subject);
    config.supers.sasl = given(&draft.super_sasl);
    client_limits::settle(draft, &mut config)?;
    authentication::settle(draft, &mut config)?;
    Ok(config)
}

fn elections(draft: &Draft, config: &mut Config) -> Result<(), ConfigError> {
    if let Some(timeout) = &draft.election_timeout_ms {
        config.election_timeout = Duration::from_millis(timeout.value.into());
        config.beat = config.election_timeout / 5;
    }
    if let Some(beat) = &draft.beat_ms {
        config.beat = Duration::from_millis(beat.value.into());
    }
    if let Some(isolation) = &draft.isolation_timeout_ms {
        config.isolation_timeout = Duration::from_millis(isolation.value.into());
    }
    let (timeout, beat) = (config.election_timeout, config.beat);
    if beat * 2 > timeout
        && let Some(given) = draft
            .beat_ms
            .as_ref()
            .or(draft.election_timeout_ms.as_ref())
    {
        return Err(given.wrong(format!(
            "a leader that says every {} ms that it lives is often held for dead after {} ms; at \
             least two heartbeats must fit the election time-out",
            beat.as_millis(),
            timeout.as_millis()
        )));
    }
    Ok(())
}

fn value<T>(given: Option<Given<T>>, default: T) -> T {
    given.map_or(default, |given| given.value)
}

/// The ranges of the numbers, each with its reason.
pub mod range {
    use std::ops::RangeInclusive;

    /// Below, a machine's own hiccups would be pauses; above, the death of a client goes unnoticed
    /// for most of an hour.
    pub const TICK_MS: RangeInclusive<u32> = 10..=60_000;
    /// A session of less than a few round trips cannot live; a day is for ever.
    pub const SESSION_TIMEOUT_MS: RangeInclusive<u32> = 20..=86_400_000;
    /// Below, a machine's own hiccups would be elections; above, an outage lasts a minute.
    pub const ELECTION_TIMEOUT_MS: RangeInclusive<u32> = 20..=60_000;
    /// At most half of the election time-out.
    pub const BEAT_MS: RangeInclusive<u32> = 4..=30_000;
    /// Below, clients would be sent away by every election.
    pub const ISOLATION_TIMEOUT_MS: RangeInclusive<u32> = 100..=600_000;
    /// Below, the leader would do little else than look; a day is for ever.
    pub const REAP_MS: RangeInclusive<u32> = 100..=86_400_000;
    /// A snapshot for every transaction is for tests.
    pub const SNAPSHOT_EVERY: RangeInclusive<u32> = 1..=u32::MAX;
    /// ZooKeeper demands 3; one is enough to start from.
    pub const SNAPSHOTS_KEPT: RangeInclusive<usize> = 1..=10_000;
    /// Below, files are made all the time; above, pruning returns space late.
    pub const LOG_SEGMENT_BYTES: RangeInclusive<u64> = 64 * 1024..=16 * 1024 * 1024 * 1024;
    /// A log record holds a znode's data and more, and has its own limit of 64 MiB.
    pub const DATA_BYTES_MAX: RangeInclusive<u32> = 1024..=32 * 1024 * 1024;
    /// Room for the largest data, in a frame as clients can be told to take it.
    pub const REPLY_BYTES_MAX: RangeInclusive<usize> = 2048..=256 * 1024 * 1024;
    /// Above, a limit limits nothing.
    pub const REQUESTS: RangeInclusive<u32> = 1..=10_000_000;
    /// Three years of days.
    pub const AUDIT_FILES_KEPT: RangeInclusive<usize> = 1..=1000;
    /// None for tests; a day is for ever.
    pub const SNAPSHOT_PAUSE_MS: RangeInclusive<u32> = 0..=86_400_000;
    /// More than any machine has ports and file descriptors.
    pub const CONNECTIONS: RangeInclusive<usize> = 0..=10_000_000;
}
