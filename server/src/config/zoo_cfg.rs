//! Reads ZooKeeper's own configuration file. What it says and we do not need is accepted, what we
//! do not know is a warning: the file was written for another program.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use althing_core::listed;

use crate::config::draft::{ConfigError, Draft, Entry, Given};
use crate::config::server_list::{self, Taken};
use crate::config::settings::range;
use crate::words::Whitelist;

/// Keys that mean nothing here: what initLimit and syncLimit limit, the election time-out does.
const NEEDLESS: [&str; 11] = [
    "initLimit",
    "syncLimit",
    "electionAlg",
    "standaloneEnabled",
    "admin.idleTimeout",
    "metricsProvider.exportJvmInfo",
    "serverCnxnFactory",
    "authProvider.x509",
    "client.certReload",
    "ssl.keyStore.type",
    "ssl.trustStore.type",
];

/// ZooKeeper's own provider of metrics for Prometheus.
const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// Its provider of authentication by SASL.
const SASL_PROVIDER: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

/// Its provider of no metrics but those of `mntr`: its default.
const NO_PROMETHEUS: &str = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";

/// Keys of ZooKeeper by which this file is told from TOML if its name does not tell.
pub const KEYS: [&str; 5] = [
    "tickTime",
    "dataDir",
    "clientPort",
    "initLimit",
    "syncLimit",
];

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Read {
    /// What was given.
    pub draft: Draft,
    /// The file that lists the servers, if it is another one.
    pub dynamic: Option<Given<PathBuf>>,
    /// What to tell the operator.
    pub warnings: Vec<String>,
}

impl Read {
    /// All files are read: warns of what the list of the servers says in vain.
    pub fn with_servers(mut self) -> Read {
        if let Some(place) = server_list::election_port(&self.draft) {
            self.warnings.push(format!(
                "{place}: elections go over the peer port here; the ports given for them are not \
                 used"
            ));
        }
        self
    }
}

/// Reads `text`, the contents of `file`.
///
/// # Errors
/// If a value is not what its key stands for, a server is listed twice, or the file asks for an
/// ensemble of a kind that we do not make.
pub fn read(file: &str, text: &str) -> Result<Read, ConfigError> {
    let mut read = Read::default();
    let mut log_dir = None;
    for entry in server_list::lines(file, text) {
        if server_list::take(&mut read.draft, &entry)? == Taken::Yes {
            continue;
        }
        match entry.place.key.as_str() {
            "dataLogDir" => log_dir = entry.path()?,
            "dynamicConfigFile" => read.dynamic = entry.path()?,
            _ => set(&mut read, &entry)?,
        }
    }
    if let Some(dynamic) = &read.dynamic
        && let Some(twice) = server_list::twice(&read.draft, dynamic)
    {
        return Err(twice);
    }
    if read.draft.listen_address.is_none()
        && let Some(port) = &read.draft.listen_port
    {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        read.draft.listen_address = Some(Given {
            value: everywhere,
            place: port.place.clone(),
        });
    }
    let data_dir = read.draft.data_dir.as_ref();
    if let Some(Given { value, place }) = log_dir
        && data_dir.is_none_or(|data_dir| data_dir.value != value)
    {
        read.warnings.push(format!(
            "{place}: log and snapshots lie together in dataDir; this directory is not used"
        ));
    }
    Ok(read)
}

fn set(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let draft = &mut read.draft;
    match entry.place.key.as_str() {
        "clientPort" => draft.listen_port = entry.number(0..=u16::MAX)?,
        "clientPortAddress" => draft.listen_address = entry.address()?,
        "dataDir" => draft.data_dir = entry.path()?,
        "tickTime" => draft.tick_ms = entry.number(range::TICK_MS)?,
        // ZooKeeper's way to ask for the default.
        "minSessionTimeout" | "maxSessionTimeout" if entry.text == "-1" => {}
        "minSessionTimeout" => {
            draft.session_timeout_min_ms = entry.number(range::SESSION_TIMEOUT_MS)?;
        }
        "maxSessionTimeout" => {
            draft.session_timeout_max_ms = entry.number(range::SESSION_TIMEOUT_MS)?;
        }
        "snapCount" => draft.snapshot_every = entry.number(range::SNAPSHOT_EVERY)?,
        "autopurge.snapRetainCount" => {
            draft.snapshots_kept = entry.number(range::SNAPSHOTS_KEPT)?;
        }
        // Here old files always go when a new snapshot is there.
        "autopurge.purgeInterval" => {
            entry.number(0..=u32::MAX)?;
        }
        "maxCnxns" => draft.max_connections = entry.number(range::CONNECTIONS)?,
        "maxClientCnxns" => {
            draft.max_connections_per_address = entry.number(range::CONNECTIONS)?;
        }
        "peerType" => {
            let role = listed::role(&entry.text).map_err(|what| entry.wrong(what))?;
            draft.peer_type = Some(entry.given(role));
        }
        "quorumListenOnAllIPs" if entry.text == "true" => {
            draft.peer_listen_address = Some(entry.given(IpAddr::from([0, 0, 0, 0])));
        }
        "quorumListenOnAllIPs" => {}
        "althing.id" => draft.id = entry.server_id()?,
        "althing.electionTimeout" => {
            draft.election_timeout_ms = entry.number(range::ELECTION_TIMEOUT_MS)?;
        }
        "althing.beat" => draft.beat_ms = entry.number(range::BEAT_MS)?,
        "althing.isolationTimeout" => {
            draft.isolation_timeout_ms = entry.number(range::ISOLATION_TIMEOUT_MS)?;
        }
        "althing.dataBytesMax" => draft.data_bytes_max = entry.number(range::DATA_BYTES_MAX)?,
        "althing.replyBytesMax" => {
            draft.reply_bytes_max = entry.number(range::REPLY_BYTES_MAX)?;
        }
        "znode.container.checkIntervalMs" => {
            draft.reap_interval_ms = entry.number(range::REAP_MS)?
        }
        "althing.peerTlsCertificate" => draft.peer_tls_certificate = entry.path()?,
        "althing.peerTlsKey" => draft.peer_tls_key = entry.path()?,
        "althing.peerTlsAuthority" => draft.peer_tls_authority = entry.path()?,
        "althing.gossipSecretFile" => draft.gossip_secret_file = entry.path()?,
        "reconfigEnabled" => draft.reconfig = entry.truth()?,
        "enforceQuota" => draft.enforce_quotas = entry.truth()?,
        "4lw.commands.whitelist" => four_letter_words(read, entry),
        key if NEEDLESS.contains(&key) => {}
        _ => return ports_of_operators(read, entry),
    }
    Ok(())
}

/// The admin interface, and the metrics.
fn ports_of_operators(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let draft = &mut read.draft;
    match entry.place.key.as_str() {
        "admin.enableServer" => draft.admin.enabled = entry.truth()?,
        "admin.serverAddress" => draft.admin.address = entry.address()?,
        "admin.serverPort" => draft.admin.port = entry.number(0..=u16::MAX)?,
        "admin.snapshot.enabled" => draft.admin_snapshot = entry.truth()?,
        "admin.rateLimiterIntervalInMS" => {
            draft.admin_snapshot_pause_ms = entry.number(range::SNAPSHOT_PAUSE_MS)?;
        }
        "admin.restore.enabled" => draft.admin_restore = entry.truth()?,
        "admin.commandURL" if entry.text == "/commands" => {}
        "metricsProvider.className" if entry.text == PROMETHEUS => {
            draft.metrics.enabled = Some(entry.given(true));
        }
        "metricsProvider.className" if entry.text == NO_PROMETHEUS => {
            draft.metrics.enabled = Some(entry.given(false));
        }
        "metricsProvider.httpHost" => draft.metrics.address = entry.address()?,
        "metricsProvider.httpPort" => draft.metrics.port = entry.number(0..=u16::MAX)?,
        _ => return rate(read, entry),
    }
    Ok(())
}

/// How often clients may ask, whether of a server without a leader, too, and in which sessions.
fn rate(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let (draft, number) = (&mut read.draft, || entry.number(range::REQUESTS));
    match entry.place.key.as_str() {
        "readonlymode.enabled" => draft.read_only_mode = entry.truth()?,
        "localSessionsEnabled" => draft.local_sessions = entry.truth()?,
        "localSessionsUpgradingEnabled" => draft.local_session_upgrades = entry.truth()?,
        "althing.sessionRequestsPerSecond" => draft.session_rate.per_second = number()?,
        "althing.sessionRequestsBurst" => draft.session_rate.burst = number()?,
        "althing.addressRequestsPerSecond" => draft.address_rate.per_second = number()?,
        "althing.addressRequestsBurst" => draft.address_rate.burst = number()?,
        "althing.identityRequestsPerSecond" => draft.identity_rate.per_second = number()?,
        "althing.identityRequestsBurst" => draft.identity_rate.burst = number()?,
        _ => return secured(read, entry),
    }
    Ok(())
}

/// What concerns TLS with clients, who must authenticate, and who may do everything.
fn secured(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let draft = &mut read.draft;
    match entry.place.key.as_str() {
        "secureClientPort" => draft.secure.port = entry.number(0..=u16::MAX)?,
        "secureClientPortAddress" => draft.secure.address = entry.address()?,
        "client.portUnification" => draft.port_unification = entry.truth()?,
        "ssl.keyStore.location" => {
            draft.client_tls_certificate = store(entry)?;
            draft.client_tls_key = draft.client_tls_certificate.clone();
        }
        "ssl.trustStore.location" => draft.client_tls_authority = store(entry)?,
        "ssl.clientAuth" => draft.client_certificates = entry.client_certificates()?,
        "DigestAuthenticationProvider.superDigest" => draft.super_digest = entry.text()?,
        "audit.enable" => draft.audit = entry.truth()?,
        "althing.auditFile" => draft.audit_file = entry.path()?,
        "althing.auditFilesKept" => {
            draft.audit_files_kept = entry.number(range::AUDIT_FILES_KEPT)?;
        }
        "superUser" => draft.super_sasl = entry.text()?,
        "althing.saslUsersFile" => draft.sasl_users_file = entry.path()?,
        "allowSaslFailedClients" => draft.allow_failed_sasl = entry.truth()?,
        "enforce.auth.enabled" => draft.enforce_auth = entry.truth()?,
        "enforce.auth.schemes" => draft.enforce_auth_schemes = entry.text()?,
        "sessionRequireClientSASLAuth" => draft.require_sasl = entry.truth()?,
        // It is there without being asked for.
        key if key.starts_with("authProvider.") && entry.text == SASL_PROVIDER => {}
        "X509AuthenticationProvider.superUser" => draft.super_subject = entry.text()?,
        _ => return strange(read, entry),
    }
    Ok(())
}

/// The words that are answered; those that nobody answers here are a warning.
fn four_letter_words(read: &mut Read, entry: &Entry) {
    let (words, strange) = Whitelist::parse(&entry.text);
    read.draft.four_letter_words = Some(entry.given(words));
    let place = &entry.place;
    let warnings = strange
        .into_iter()
        .map(|word| format!("{place}: the word `{word}` is not answered here"));
    read.warnings.extend(warnings);
}

/// A file of certificates or keys, which is in PEM here.
fn store(entry: &Entry) -> Result<Option<Given<PathBuf>>, ConfigError> {
    let extension = Path::new(&entry.text).extension();
    let is_javas =
        extension.is_some_and(|found| found == "jks" || found == "p12" || found == "bcfks");
    match is_javas {
        true => Err(entry.wrong(
            "Java's key stores are not read; what is in it can be written in PEM by \
             `openssl pkcs12`, and the keys of TLS with clients name such files",
        )),
        false => entry.path(),
    }
}

/// A key that means nothing here: a warning, unless the ensemble would not be what it asks for.
fn strange(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let key = entry.place.key.as_str();
    let what = match key {
        "sslQuorum" if entry.text == "true" => {
            "TLS between the servers is asked for by althing.peerTlsCertificate, \
             althing.peerTlsKey and althing.peerTlsAuthority, which name files in PEM"
        }
        _ => {
            let place = &entry.place;
            let warning = format!("{place}: is not known here and has no effect");
            read.warnings.push(warning);
            return Ok(());
        }
    };
    Err(entry.wrong(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ensemble::Identity;
    use crate::config::operators::Snapshots;
    use crate::config::settings::Settings;
    use althing_core::config::{HardLimits, LocalSessions, Reconfiguring, Restoring};
    use althing_core::ids::ServerId;
    use althing_core::time::Duration;
    use althing_core::voters::Voters;

    fn settle(draft: Draft) -> Result<Settings, ConfigError> {
        Settings::settle(draft, &Identity::default())
    }

    /// As it is shipped with ZooKeeper, comments shortened.
    const SAMPLE: &str = "\
# The number of milliseconds of each tick
tickTime=2000
initLimit=10
syncLimit=5
# example sakes.
dataDir=/tmp/zookeeper
clientPort=2181
#maxClientCnxns=60
#autopurge.snapRetainCount=3
";

    #[test]
    fn the_shipped_sample_is_accepted() {
        let read = read("zoo.cfg", SAMPLE).expect("the sample");
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        let settings = settle(read.draft).expect("the sample");
        assert_eq!(settings.ports.listen.to_string(), "0.0.0.0:2181");
        assert_eq!(settings.data_dir.to_str(), Some("/tmp/zookeeper"));
        assert_eq!(settings.limits.connections_per_address_max, 0);
    }

    #[test]
    fn all_that_we_know_is_read() {
        let text = "\
            dataDir = /var/lib/zookeeper\n\
            dataLogDir: /var/lib/zookeeper\n\
            clientPortAddress=localhost\n\
            clientPort=0\n\
            tickTime=1000\n\
            minSessionTimeout=-1\n\
            maxSessionTimeout=5000\n\
            maxClientCnxns=60\n\
            maxCnxns=500\n\
            snapCount=1000\n\
            autopurge.snapRetainCount=4\n\
            autopurge.purgeInterval=1\n\
            4lw.commands.whitelist=*\n\
            reconfigEnabled=true\n\
            znode.container.checkIntervalMs=2000\n\
            enforceQuota=true\n\
            DigestAuthenticationProvider.superDigest=super:xQJmxLMiHGwaqBvst5y6rkB6HQs=\n\
            admin.enableServer=true\n\
            admin.serverPort=8081\n\
            metricsProvider.className=org.apache.zookeeper.metrics.prometheus.\
            PrometheusMetricsProvider\n\
            metricsProvider.httpHost=0.0.0.0\n";
        let read = read("zoo.cfg", text).expect("a good file");
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        let settings = settle(read.draft).expect("a good file");
        assert_eq!(settings.ports.listen.to_string(), "127.0.0.1:0");
        assert_eq!(settings.config.session_timeout_min, Duration::from_secs(2));
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(5));
        assert_eq!(settings.config.reap_interval, Duration::from_secs(2));
        assert_eq!(settings.limits.connections_per_address_max, 60);
        assert_eq!(settings.limits.connections_max, 500);
        assert_eq!(settings.config.snapshot_every, 1000);
        assert_eq!(settings.config.reconfiguring, Reconfiguring::On);
        let hard_limits = settings.config.settings.hard_limits;
        assert_eq!(hard_limits, HardLimits::Enforced);
        assert_eq!(
            settings.config.supers.digest.as_deref(),
            Some("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")
        );
        assert_eq!(settings.storage.snapshots_kept, 4);
        let operators = settings.operators;
        let ports = [operators.admin, operators.metrics].map(|port| port.expect("wanted"));
        assert_eq!(
            ports.map(|port| port.to_string()),
            ["127.0.0.1:8081", "0.0.0.0:7000"]
        );
        assert_eq!(operators.words, Whitelist::all());
    }

    #[test]
    fn an_ensemble_is_read() {
        let text = "\
            server.1=zk1:2888:3888\n\
            server.2 = zk2:2888:3888;2182\n\
            server.3=zk3:2888:observer\n\
            quorumListenOnAllIPs=true\n\
            peerType=participant\n\
            sslQuorum=false\n\
            althing.id=2\n\
            althing.electionTimeout=500\n\
            althing.beat=100\n\
            althing.isolationTimeout=3000\n\
            readonlymode.enabled=true\n\
            localSessionsEnabled=true\n\
            localSessionsUpgradingEnabled=true\n\
            tickTime=3000\n\
            althing.peerTlsCertificate=c.pem\n\
            althing.peerTlsKey=k.pem\n\
            althing.peerTlsAuthority=a.pem\n";
        let read = read("zoo.cfg", text).expect("a good file").with_servers();
        assert_eq!(
            read.warnings,
            [
                "zoo.cfg:6: sslQuorum: is not known here and has no effect",
                "zoo.cfg:1: server.1: elections go over the peer port here; the ports given for \
                 them are not used",
            ]
        );
        let settings = settle(read.draft).expect("a good file");
        let ensemble = &settings.ensemble;
        let others: Vec<String> = ensemble
            .others()
            .values()
            .map(ToString::to_string)
            .collect();
        assert_eq!(others, ["zk1:2888", "zk3:2888"]);
        assert_eq!(ensemble.listen_address, Some(IpAddr::from([0, 0, 0, 0])));
        assert_eq!(settings.ports.listen.to_string(), "0.0.0.0:2182");
        let config = &settings.config;
        assert_eq!(config.server, ServerId(2));
        assert_eq!(config.voters, Voters::from([ServerId(1), ServerId(2)]));
        assert_eq!(config.election_timeout, Duration::from_millis(500));
        assert_eq!(config.beat, Duration::from_millis(100));
        assert_eq!(config.isolation_timeout, Duration::from_secs(3));
        let at_least_a_tick = Some(Duration::from_secs(3));
        assert_eq!(config.read_only_after, at_least_a_tick);
        assert_eq!(config.local_sessions, LocalSessions::Upgraded);
        let tls = ensemble.tls.as_ref().expect("all three files");
        assert_eq!(tls.key.to_str(), Some("k.pem"));
    }

    #[test]
    fn an_admin_interface_is_there_only_if_it_is_asked_for() {
        for (text, expected) in [
            ("clientPort=1", None),
            ("admin.serverPort=1", Some("127.0.0.1:1")),
            ("admin.serverAddress=0.0.0.0", Some("0.0.0.0:8080")),
            ("admin.enableServer=true", Some("127.0.0.1:8080")),
            ("admin.enableServer=false\nadmin.serverPort=1", None),
        ] {
            let read = read("zoo.cfg", text).expect("a good file");
            let settings = settle(read.draft).expect("a good file");
            let admin = settings.operators.admin.map(|port| port.to_string());
            assert_eq!(admin.as_deref(), expected, "{text}");
            let warned = settings.operators.warnings().len();
            assert_eq!(warned, usize::from(text.contains("0.0.0.0")), "{text}");
        }
    }

    #[test]
    fn snapshots_are_given_away_as_often_as_in_zookeeper() {
        let every = |ms| Snapshots::Every(std::time::Duration::from_millis(ms));
        for (text, expected) in [
            ("admin.serverPort=1", every(300_000)),
            (
                "admin.rateLimiterIntervalInMS=5\nadmin.restore.enabled=false",
                every(5),
            ),
            ("admin.snapshot.enabled=false", Snapshots::Withheld),
        ] {
            let read = read("zoo.cfg", text).expect("a good file");
            assert!(read.warnings.is_empty(), "{:?}", read.warnings);
            let settings = settle(read.draft).expect("a good file");
            assert_eq!(settings.operators.snapshots, expected, "{text}");
        }
    }

    #[test]
    fn snapshots_are_restored_where_that_is_asked_for() {
        for (text, expected) in [
            ("admin.serverPort=1", Restoring::Off),
            ("admin.restore.enabled=false", Restoring::Off),
            ("admin.restore.enabled=true", Restoring::On),
        ] {
            let read = read("zoo.cfg", text).expect("a good file");
            assert!(read.warnings.is_empty(), "{:?}", read.warnings);
            let settings = settle(read.draft).expect("a good file");
            assert_eq!(settings.config.restoring, expected, "{text}");
        }
    }

    #[test]
    fn an_audit_log_is_there_if_it_is_asked_for() {
        for (text, expected) in [
            ("audit.enable=false\nalthing.auditFile=/a", None),
            ("audit.enable=true", Some(("zookeeper_audit.log", 10))),
            (
                "althing.auditFile=/a\nalthing.auditFilesKept=3",
                Some(("/a", 3)),
            ),
        ] {
            let read = read("zoo.cfg", text).expect("a good file");
            assert!(read.warnings.is_empty(), "{:?}", read.warnings);
            let audit = settle(read.draft).expect("a good file").operators.audit;
            let audit = audit.as_ref();
            let found = audit.map(|audit| (audit.file.to_str().expect("text"), audit.kept));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_warning() {
        let text = "dataLogDir=/log\njute.maxbuffer=1\n4lw.commands.whitelist=ruok,gtmk\n";
        let read = read("zoo.cfg", text).expect("a good file");
        assert_eq!(
            read.warnings,
            [
                "zoo.cfg:2: jute.maxbuffer: is not known here and has no effect",
                "zoo.cfg:3: 4lw.commands.whitelist: the word `gtmk` is not answered here",
                "zoo.cfg:1: dataLogDir: log and snapshots lie together in dataDir; this directory \
                 is not used",
            ]
        );
    }

    #[test]
    fn complaints_name_line_and_key() {
        for (text, complaint) in [
            (
                "\ntickTime=2s",
                "zoo.cfg:2: tickTime: `2s` is not a whole number from 10 to 60000",
            ),
            (
                "clientPort=70000",
                "zoo.cfg:1: clientPort: `70000` is not a whole number from 0 to",
            ),
            (
                "clientPortAddress=zk1",
                "zoo.cfg:1: clientPortAddress: `zk1` is not an IP address",
            ),
            (
                "dataDir=",
                "zoo.cfg:1: dataDir: is empty, a path was expected",
            ),
            (
                "server.1=a:1:2\nserver.1=b:1:2",
                "zoo.cfg:2: server.1: server 1 is listed already, at zoo.cfg:1: server.1",
            ),
            (
                "server.0=a:1:2",
                "zoo.cfg:1: server.0: `0` is not a server's number, from 1 to 255",
            ),
            (
                "server.1=a:1:2:boss",
                "zoo.cfg:1: server.1: `boss` is neither participant nor observer",
            ),
            (
                "server.1=a:1:2\ndynamicConfigFile=/zoo.cfg.dynamic",
                "zoo.cfg:2: dynamicConfigFile: the servers are listed in that file, and here too, \
                 at zoo.cfg:1: server.1",
            ),
            (
                "group.1=1:2\ngroup.2=3:1",
                "zoo.cfg:2: group.2: server 1 is in a group already",
            ),
            (
                "weight.1=heavy",
                "zoo.cfg:1: weight.1: `heavy` is not a weight",
            ),
            (
                "sslQuorum=true",
                "zoo.cfg:1: sslQuorum: TLS between the servers is asked for by althing.peerTls",
            ),
        ] {
            let told = read("zoo.cfg", text).expect_err(text).to_string();
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
