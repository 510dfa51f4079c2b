//! Reads ZooKeeper's own configuration file. What it says and we do not need is accepted, what we
//! do not know is a warning: the file was written for another program.

use std::net::IpAddr;

use crate::config::draft::{ConfigError, Draft, Entry, Given, Place};
use crate::config::settings::range;

/// Keys that mean nothing to a server alone, or nothing here.
const NEEDLESS: [&str; 5] = [
    "initLimit",
    "syncLimit",
    "electionAlg",
    "standaloneEnabled",
    "4lw.commands.whitelist",
];

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
/// If a line is no `key=value`, a value is not what its key stands for, or the file describes an
/// ensemble of several servers.
pub fn read(file: &str, text: &str) -> Result<Read, ConfigError> {
    let mut read = Read::default();
    let mut log_dir = None;
    let mut servers = 0;
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
        if key.starts_with("server.") {
            servers += 1;
            if servers > 1 {
                return Err(entry.wrong(
                    "the file describes an ensemble of several servers; this version serves alone, \
                     and to start it as if it did not matter would let the ensemble's data diverge",
                ));
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
        key if NEEDLESS.contains(&key) => {}
        _ => {
            let place = &entry.place;
            read.warnings
                .push(format!("{place}: is not known here and has no effect"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use althing_core::time::Duration;

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
        let settings = Settings::settle(read.draft).expect("the sample");
        assert_eq!(settings.listen.to_string(), "0.0.0.0:2181");
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
            server.1=localhost:2888:3888\n\
            4lw.commands.whitelist=*\n";
        let read = read("zoo.cfg", text).expect("a good file");
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        let settings = Settings::settle(read.draft).expect("a good file");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:0");
        assert_eq!(settings.config.session_timeout_min, Duration::from_secs(2));
        assert_eq!(settings.config.session_timeout_max, Duration::from_secs(5));
        assert_eq!(settings.limits.connections_per_address_max, 60);
        assert_eq!(settings.limits.connections_max, 500);
        assert_eq!(settings.config.snapshot_every, 1000);
        assert_eq!(settings.storage.snapshots_kept, 4);
    }

    #[test]
    fn what_is_not_known_is_a_warning() {
        let text = "dataLogDir=/log\nadmin.serverPort=8080\n";
        let read = read("zoo.cfg", text).expect("a good file");
        assert_eq!(
            read.warnings,
            [
                "zoo.cfg:2: admin.serverPort: is not known here and has no effect",
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
                "zoo.cfg:1: dataDir: is empty, a directory was expected",
            ),
            (
                "server.1=a:1:2\nserver.2=b:1:2",
                "zoo.cfg:2: server.2: the file describes an ensemble of several servers",
            ),
        ] {
            let told = read("zoo.cfg", text).expect_err(text).to_string();
            assert!(told.starts_with(complaint), "{told}");
        }
    }
}
