//! Reads our own configuration file, in TOML. A key that we do not know is refused: it is a mistake
//! that would otherwise be found in production.

use althing_core::listed::{self, Address, HostPort, ListedServer, PeerRole};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::draft::{ConfigError, Draft, Entry, Given, Place};
use crate::config::{server_list, toml_keys};

/// The keys of a server's own table.
const SERVER_KEYS: [&str; 3] = ["address", "role", "client"];

/// Reads `text`, the contents of `file`.
///
/// # Errors
/// If it is not TOML, has an unknown key, or a value is not what its key stands for.
pub fn read(file: &str, text: &str) -> Result<Draft, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::File {
        file: file.to_owned(),
        what: error.to_string(),
    })?;
    let source = Source { file, text };
    let mut draft = Draft::default();
    for (key, value) in table.get_ref() {
        let place = source.place(key, "");
        match value.get_ref() {
            DeValue::Table(table) if place.key == "servers" => {
                source.servers(&mut draft, table)?;
            }
            DeValue::Table(table) if place.key == "groups" => {
                source.groups(&mut draft, table)?;
            }
            DeValue::Table(table) if place.key == "weights" => {
                source.weights(&mut draft, table)?;
            }
            _ => toml_keys::set(&mut draft, &entry(place, value)?)?,
        }
    }
    Ok(draft)
}

/// A file and its contents.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// Where `key` stands, which belongs to the table `within`.
    fn place(&self, key: &Spanned<DeString<'_>>, within: &str) -> Place {
        let (line, column) = position(self.text, key.span().start);
        Place {
            file: self.file.to_owned(),
            line,
            column: Some(column),
            key: format!("{within}{}", key.get_ref()),
        }
    }

    /// The table of the servers: each is a text in ZooKeeper's notation, or a table of its own.
    fn servers(&self, draft: &mut Draft, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let place = self.place(key, "servers.");
            let wrong = |what: String| ConfigError::At {
                place: place.clone(),
                what,
            };
            let id = listed::id(key.get_ref()).map_err(wrong)?;
            let server = match value.get_ref() {
                DeValue::Table(table) => self.server(table, &place)?,
                _ => {
                    let entry = entry(place.clone(), value)?;
                    ListedServer::parse(&entry.text).map_err(wrong)?
                }
            };
            let value = server;
            draft.servers.insert(id, Given { value, place });
        }
        Ok(())
    }

    /// The table of the groups: each is a list of the servers in it.
    fn groups(&self, draft: &mut Draft, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let place = self.place(key, "groups.");
            let DeValue::Array(servers) = value.get_ref() else {
                let what = "is a list of servers, as [1, 2, 3]".to_owned();
                return Err(ConfigError::At { place, what });
            };
            let servers = servers.iter().map(|server| entry(place.clone(), server));
            let servers: Vec<String> = servers
                .map(|server| server.map(|server| server.text))
                .collect::<Result<_, _>>()?;
            let text = servers.join(":");
            server_list::group(draft, key.get_ref(), &Entry { text, place })?;
        }
        Ok(())
    }

    /// The table of the weights: a number for each server.
    fn weights(&self, draft: &mut Draft, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let weight = entry(self.place(key, "weights."), value)?;
            server_list::weight(draft, key.get_ref(), &weight)?;
        }
        Ok(())
    }

    /// A server's own table.
    fn server(&self, table: &DeTable<'_>, server: &Place) -> Result<ListedServer, ConfigError> {
        let (mut peer, mut role, mut client) = (None, PeerRole::Voter, None);
        for (key, value) in table {
            let entry = entry(self.place(key, &format!("{}.", server.key)), value)?;
            let wrong = |what: String| entry.wrong(what);
            match key.get_ref().as_ref() {
                "address" => peer = Some(HostPort::parse(&entry.text).map_err(wrong)?),
                "role" => role = listed::role(&entry.text).map_err(wrong)?,
                "client" => client = Some(listed::client_address(&entry.text).map_err(wrong)?),
                _ => {
                    let known = SERVER_KEYS.join(", ");
                    return Err(entry.wrong(format!("is not a key; the keys are {known}")));
                }
            }
        }
        match peer {
            Some(peer) => {
                let at = Address {
                    peer,
                    election_port: None,
                    client,
                };
                Ok(ListedServer { at, role })
            }
            None => Err(ConfigError::At {
                place: server.clone(),
                what: "has no address".to_owned(),
            }),
        }
    }
}

/// A value that is a text or a number.
fn entry(place: Place, value: &Spanned<DeValue<'_>>) -> Result<Entry, ConfigError> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.as_str().to_owned(),
        },
        other => {
            let what = format!("a {} does not belong here", other.type_str());
            return Err(ConfigError::At { place, what });
        }
    };
    Ok(Entry { text, place })
}

/// Line and column of a byte, from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..byte];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::client_certificates::ClientCertificates;
    use crate::config::client_ports::Speaks;
    use crate::config::draft::LogFormat;
    use crate::config::ensemble::Identity;
    use crate::config::operators::Snapshots;
    use crate::config::settings::Settings;
    use crate::config::toml_keys::KEYS;
    use crate::limits::FRAME_SLACK_BYTES;
    use crate::words::Word;
    use althing_core::config::{
        FailedSasl, HardLimits, LocalSessions, Rates, Reconfiguring, Restoring,
    };
    use althing_core::ids::ServerId;
    use althing_core::time::Duration;
    use std::path::Path;

    fn settle(text: &str) -> Result<Settings, String> {
        let settled = read("althing.toml", text)
            .and_then(|draft| Settings::settle(draft, &Identity::default()));
        settled.map_err(|error| error.to_string())
    }

    /// A file with every key.
    const EVERY_KEY: &str = r#"
        listen = "[::1]:2182"
        data_dir = "/var/lib/althing"
        tick_ms = 1_000
        session_timeout_min_ms = 500
        session_timeout_max_ms = 9000
        snapshot_every = 0x10
        snapshots_kept = 5
        log_segment_bytes = 1048576
        data_bytes_max = 2048
        reply_bytes_max = 4096
        session_requests_per_second = 10
        session_requests_burst = 20
        address_requests_per_second = 30
        address_requests_burst = 40
        identity_requests_per_second = 50
        identity_requests_burst = 60
        max_connections = 7
        max_connections_per_address = 60
        id = 3
        peer_listen_address = "0.0.0.0"
        peer_tls_certificate = "certificate.pem"
        peer_tls_key = "key.pem"
        peer_tls_authority = "authority.pem"
        secure_listen = "[::1]:2281"
        port_unification = true
        client_tls_certificate = "server.pem"
        client_tls_key = "server.key"
        client_tls_authority = "clients.pem"
        client_certificates = "want"
        super_digest = "super:hash"
        super_subject = "CN=root"
        super_sasl = "root"
        sasl_users_file = "jaas.conf"
        allow_failed_sasl = true
        enforce_auth_schemes = "sasl,digest"
        reconfig = true
        enforce_quotas = true
        gossip_secret_file = "secret"
        election_timeout_ms = 1000
        beat_ms = 100
        isolation_timeout_ms = 5000
        read_only_mode = true
        local_sessions = true
        local_session_upgrades = true
        reap_interval_ms = 1000
        admin_listen = "127.0.0.1:8081"
        admin_snapshot = true
        admin_snapshot_pause_ms = 1000
        admin_restore = true
        metrics_listen = "0.0.0.0:7001"
        four_letter_words = "ruok, wchp"
        audit_file = "/var/log/audit.log"
        audit_files_kept = 30
        log_format = "json"
        log_level = "debug"
        [servers]
        1 = "zk1:2888"
        2 = "zk2:2888:3888:observer;2181"
        [servers.3]
        address = "[::1]:2888"
        client = "[::1]:2182"
        [groups]
        1 = [1]
        7 = [3]
        [weights]
        3 = 2
    "#;

    /// Bad files, and what is said of each.
    const COMPLAINTS: &[(&str, &str)] = &[
        (
            "tick_ms = 1",
            "althing.toml:1:1: tick_ms: `1` is not a whole number from 10 to 60000",
        ),
        (
            "\n  tick = 1",
            "althing.toml:2:3: tick: is not a key; the keys are listen, data_dir",
        ),
        (
            "listen = \"here\"",
            "althing.toml:1:1: listen: `here` is not ADDRESS:PORT",
        ),
        (
            "tick_ms = 1.5",
            "althing.toml:1:1: tick_ms: a float does not belong here",
        ),
        (
            "[log]\nlevel = 1",
            "althing.toml:1:2: log: a table does not belong here",
        ),
        (
            "log_format = \"xml\"",
            "althing.toml:1:1: log_format: `xml` is neither text nor",
        ),
        (
            "data_dir = \"\"",
            "althing.toml:1:1: data_dir: is empty, a path was expected",
        ),
        (
            "tick_ms = 100\nsession_timeout_min_ms = 3000",
            "althing.toml:2:1: session_timeout_min_ms: the shortest session time-out, 3000 ms, \
             is more than the longest, 2000 ms",
        ),
        (
            "admin_listen = \"8080\"",
            "althing.toml:1:1: admin_listen: `8080` is not ADDRESS:PORT",
        ),
        (
            "four_letter_words = \"ruok,gtmk\"",
            "althing.toml:1:1: four_letter_words: `gtmk` is no word that is answered",
        ),
        (
            "servers = 3",
            "althing.toml:1:1: servers: is a table: [servers], then a line",
        ),
        (
            "groups = 3",
            "althing.toml:1:1: groups: is a table: [groups], then a line",
        ),
        (
            "weights = 3",
            "althing.toml:1:1: weights: is a table: [weights], then a line",
        ),
        (
            "[groups]\n1 = 1",
            "althing.toml:2:1: groups.1: is a list of servers, as [1, 2, 3]",
        ),
        (
            "[groups]\n1 = [1, 1]",
            "althing.toml:2:1: groups.1: server 1 is in a group already",
        ),
        (
            "[weights]\n1 = -1",
            "althing.toml:2:1: weights.1: `-1` is not a weight",
        ),
        (
            "[servers]\n0 = \"a:1\"",
            "althing.toml:2:1: servers.0: `0` is not a server's number",
        ),
        (
            "[servers]\n1 = \"a\"",
            "althing.toml:2:1: servers.1: has no peer port",
        ),
        (
            "[servers.1]\nrole = \"voter\"",
            "althing.toml:1:10: servers.1: has no address",
        ),
        (
            "[servers]\n1 = { adress = \"a:1\" }",
            "althing.toml:2:7: servers.1.adress: is not a key; the keys are address, role",
        ),
        (
            "listen = \"127.0.0.1:1\"\nid = 1\n[servers]\n1 = \"a:1;2\"",
            "althing.toml:1:1: listen: the line of server 1 says 2",
        ),
        (
            "election_timeout_ms = 100\nbeat_ms = 60",
            "althing.toml:2:1: beat_ms: a leader that says every 60 ms that it lives is often",
        ),
    ];

    #[test]
    fn an_empty_file_is_the_defaults() {
        let settings = settle("").expect("defaults");
        assert_eq!(
            settings,
            Settings::settle(Draft::default(), &Identity::default()).expect("defaults")
        );
        assert_eq!(settings.ports.listen.to_string(), "127.0.0.1:2181");
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(40));
    }

    #[test]
    fn every_key_is_read() {
        let settings = settle(EVERY_KEY).expect("a good file");
        assert_eq!(settings.ports.listen.to_string(), "[::1]:2182");
        assert_eq!(settings.data_dir.to_str(), Some("/var/lib/althing"));
        assert_eq!(settings.config.tick, Duration::from_secs(1));
        assert_eq!(
            settings.config.session_timeout_min,
            Duration::from_millis(500)
        );
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(9));
        assert_eq!(settings.config.snapshot_every, 16);
        assert_eq!(settings.storage.snapshots_kept, 5);
        assert_eq!(settings.storage.segment_bytes, 1_048_576);
        assert_eq!(settings.config.settings.data_bytes_max, 2048);
        assert_eq!(settings.config.reply_bytes_max, 4096);
        assert_eq!(settings.config.supers.sasl.as_deref(), Some("root"));
        assert_eq!(settings.config.sasl.failed, FailedSasl::Kept);
        assert_eq!(settings.config.enforced_schemes.len(), 2);
        let Rates {
            session,
            address,
            identity,
        } = settings.config.rates;
        let rates = [session, address, identity].map(|rate| rate.expect("given"));
        let rates = rates.map(|rate| (rate.per_second.get(), rate.burst.get()));
        assert_eq!(rates, [(10, 20), (30, 40), (50, 60)]);
        assert_eq!(settings.limits.frame_bytes_max, 2048 + FRAME_SLACK_BYTES);
        assert_eq!(settings.limits.connections_max, 7);
        assert_eq!(settings.limits.connections_per_address_max, 60);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(settings.log_level.as_deref(), Some("debug"));
        let ensemble = &settings.ensemble;
        assert_eq!(ensemble.listen_address, Some(([0, 0, 0, 0]).into()));
        assert!(ensemble.tls.is_some());
        let ports = &settings.ports;
        assert_eq!(ports.speaks, Speaks::Either);
        assert_eq!(ports.secure_listen.map(|secure| secure.port()), Some(2281));
        let tls = ports.tls.as_ref().expect("asked for");
        assert_eq!(tls.certificates, ClientCertificates::Wanted);
        assert_eq!(tls.files.authority.as_deref(), Some("clients.pem".as_ref()));
        let files = [&settings.gossip_secret_file, &settings.sasl_users_file];
        let files = files.map(|file| file.as_deref().and_then(Path::to_str));
        assert_eq!(files, [Some("secret"), Some("jaas.conf")]);
        let others: Vec<String> = ensemble
            .others()
            .values()
            .map(ToString::to_string)
            .collect();
        assert_eq!(others, ["zk1:2888", "zk2:2888"]);
        let config = &settings.config;
        assert_eq!(config.server, ServerId(3));
        assert_eq!(config.voters.to_string(), "1 / 3*2");
        assert_eq!(config.election_timeout, Duration::from_secs(1));
        assert_eq!(config.beat, Duration::from_millis(100));
        assert_eq!(config.isolation_timeout, Duration::from_secs(5));
        assert_eq!(config.reap_interval, Duration::from_secs(1));
        let supers = [&config.supers.digest, &config.supers.subject];
        let supers = supers.map(|given| given.as_deref().expect("given"));
        assert_eq!(supers, ["super:hash", "CN=root"]);
        assert_eq!(config.reconfiguring, Reconfiguring::On);
        assert_eq!(config.settings.hard_limits, HardLimits::Enforced);
        assert_eq!(config.restoring, Restoring::On);
        assert_eq!(KEYS.len(), 58, "and these are all");
    }

    #[test]
    fn every_key_for_operators_is_read() {
        let operators = settle(EVERY_KEY).expect("a good file").operators;
        let ports = [operators.admin, operators.metrics].map(|port| port.expect("given"));
        assert_eq!(ports.map(|port| port.port()), [8081, 7001]);
        let pause = std::time::Duration::from_secs(1);
        assert_eq!(operators.snapshots, Snapshots::Every(pause));
        assert!(operators.words.has(Word::Wchp) && !operators.words.has(Word::Srvr));
        let audit = operators.audit.expect("asked for");
        assert_eq!(
            (audit.file.to_str(), audit.kept),
            (Some("/var/log/audit.log"), 30)
        );
    }

    #[test]
    fn readers_are_served_after_two_seconds_or_a_tick() {
        for (text, seconds) in [
            ("read_only_mode = true", Some(2)),
            ("read_only_mode = true\ntick_ms = 1000", Some(2)),
            ("tick_ms = 3000\nread_only_mode = true", Some(3)),
            ("read_only_mode = false", None),
            ("", None),
        ] {
            let config = settle(text).expect("a good file").config;
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(config.read_only_after, expected, "{text}");
        }
    }

    #[test]
    fn sessions_of_one_server_alone_are_asked_for() {
        for (text, expected) in [
            ("", LocalSessions::Off),
            ("local_sessions = false", LocalSessions::Off),
            ("local_session_upgrades = true", LocalSessions::Off),
            ("local_sessions = true", LocalSessions::On),
            (
                "local_sessions = true\nlocal_session_upgrades = true",
                LocalSessions::Upgraded,
            ),
        ] {
            let config = settle(text).expect("a good file").config;
            assert_eq!(config.local_sessions, expected, "{text}");
        }
    }

    #[test]
    fn complaints_name_line_column_and_key() {
        for (text, complaint) in COMPLAINTS {
            let told = settle(text).expect_err(text);
            assert!(told.starts_with(complaint), "{told}");
        }
        let told = settle("a = \n").expect_err("not TOML");
        assert!(told.contains("line 1, column"), "{told}");
    }
}
