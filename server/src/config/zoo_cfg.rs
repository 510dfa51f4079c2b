//! Reads ZooKeeper's own configuration file. What it says and we do not need is accepted, what we
//! do not know is a warning: the file was written for another program.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use althing_core::listed::{self, ListedServer};

use crate::config::draft::{ConfigError, Draft, Entry, Given, Place};
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
    /// What to tell the operator.
    pub warnings: Vec<String>,
}

/// Reads `text`, the contents of `file`.
///
/// # Errors
/// If a value is not what its key stands for, a server is listed twice, or the file asks for an
/// ensemble of a kind that we do not make.
pub fn read(file: &str, text: &str) -> Result<Read, ConfigError> {
    let mut read = Read::default();
    let mut log_dir = None;
    let mut elections = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        let entry = Entry {
            text: value.trim().to_owned(),
            place: Place {
                file: file.to_owned(),
                line: index + 1,
                column: None,
                key: key.trim().to_owned(),
            },
        };
        if let Some(id) = entry.place.key.strip_prefix("server.") {
            let has_election_port = listed(&mut read.draft, id, &entry)?;
            if has_election_port && elections.is_none() {
                elections = Some(entry.place);
            }
            continue;
        }
        match entry.place.key.as_str() {
            "dataLogDir" => log_dir = entry.path()?,
            _ => set(&mut read, &entry)?,
        }
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
    if let Some(place) = elections {
        read.warnings.push(format!(
            "{place}: elections go over the peer port here; the ports given for them are not used"
        ));
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
        "althing.peerTlsCertificate" => draft.peer_tls_certificate = entry.path()?,
        "althing.peerTlsKey" => draft.peer_tls_key = entry.path()?,
        "althing.peerTlsAuthority" => draft.peer_tls_authority = entry.path()?,
        "althing.gossipSecretFile" => draft.gossip_secret_file = entry.path()?,
        "admin.enableServer" => draft.admin.enabled = entry.truth()?,
        "admin.serverAddress" => draft.admin.address = entry.address()?,
        "admin.serverPort" => draft.admin.port = entry.number(0..=u16::MAX)?,
        "admin.commandURL" if entry.text == "/commands" => {}
        "metricsProvider.className" if entry.text == PROMETHEUS => {
            draft.metrics.enabled = Some(entry.given(true));
        }
        "metricsProvider.className" if entry.text == NO_PROMETHEUS => {
            draft.metrics.enabled = Some(entry.given(false));
        }
        "metricsProvider.httpHost" => draft.metrics.address = entry.address()?,
        "metricsProvider.httpPort" => draft.metrics.port = entry.number(0..=u16::MAX)?,
        "reconfigEnabled" => draft.reconfig = entry.truth()?,
        "4lw.commands.whitelist" => four_letter_words(read, entry),
        key if NEEDLESS.contains(&key) => {}
        _ => return secured(read, entry),
    }
    Ok(())
}

/// What concerns TLS with clients, and who may do everything.
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

/// A line `server.ID=...`. Does it give a port for elections?
fn listed(draft: &mut Draft, id: &str, entry: &Entry) -> Result<bool, ConfigError> {
    let id = listed::id(id).map_err(|what| entry.wrong(what))?;
    let server = ListedServer::parse(&entry.text).map_err(|what| entry.wrong(what))?;
    let has_election_port = server.at.election_port.is_some();
    match draft.servers.insert(id, entry.given(server)) {
        None => Ok(has_election_port),
        Some(earlier) => Err(entry.wrong(format!(
            "server {id} is listed already, at {}",
            earlier.place
        ))),
    }
}

/// A key that means nothing here: a warning, unless the ensemble would not be what it asks for.
fn strange(read: &mut Read, entry: &Entry) -> Result<(), ConfigError> {
    let key = entry.place.key.as_str();
    let what = match key {
        "dynamicConfigFile" => {
            "the servers must be listed in this file itself; the file that is named here is not read"
        }
        "sslQuorum" if entry.text == "true" => {
            "TLS between the servers is asked for by althing.peerTlsCertificate, \
             althing.peerTlsKey and althing.peerTlsAuthority, which name files in PEM"
        }
        _ if key.starts_with("group.") || key.starts_with("weight.") => {
            "quorums by groups and weights are not supported: every server has one vote"
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
    use crate::config::settings::Settings;
    use althing_core::config::Reconfiguring;
    use althing_core::ids::ServerId;
    use althing_core::time::Duration;
    use std::collections::BTreeSet;

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
        assert_eq!(settings.limits.connections_per_address_max, 60);
        assert_eq!(settings.limits.connections_max, 500);
        assert_eq!(settings.config.snapshot_every, 1000);
        assert_eq!(settings.config.reconfiguring, Reconfiguring::On);
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
            althing.peerTlsCertificate=c.pem\n\
            althing.peerTlsKey=k.pem\n\
            althing.peerTlsAuthority=a.pem\n";
        let read = read("zoo.cfg", text).expect("a good file");
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
        assert_eq!(config.voters, BTreeSet::from([ServerId(1), ServerId(2)]));
        assert_eq!(config.election_timeout, Duration::from_millis(500));
        assert_eq!(config.beat, Duration::from_millis(100));
        assert_eq!(config.isolation_timeout, Duration::from_secs(3));
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
                "dynamicConfigFile=/zoo.cfg.dynamic",
                "zoo.cfg:1: dynamicConfigFile: the servers must be listed in this file itself",
            ),
            (
                "sslQuorum=true",
                "zoo.cfg:1: sslQuorum: TLS between the servers is asked for by althing.peerTls",
            ),
            (
                "weight.1=2",
                "zoo.cfg:1: weight.1: quorums by groups and weights are not supported",
            ),
        ] {
            let told = read("zoo.cfg", text).expect_err(text).to_string();
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
