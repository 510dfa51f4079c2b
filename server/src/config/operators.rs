//! What operators are offered: the admin interface, the metrics and the four-letter words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::draft::{Draft, Wanted};
use crate::words::Whitelist;

/// The port of the admin interface unless told otherwise: ZooKeeper's.
pub const ADMIN_PORT_DEFAULT: u16 = 8080;

/// The port of the metrics unless told otherwise: that of ZooKeeper's provider for Prometheus.
pub const METRICS_PORT_DEFAULT: u16 = 7000;

/// What operators are offered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Operators {
    /// Where the admin interface is; nowhere unless it is asked for.
    pub admin: Option<SocketAddr>,
    /// Where the metrics are, beside the admin interface's own.
    pub metrics: Option<SocketAddr>,
    /// The four-letter words that are answered.
    pub words: Whitelist,
    /// Whether who may do everything is given snapshots over the admin interface.
    pub snapshots: Snapshots,
    /// Where the audit log is, and how many of its files stay.
    pub audit: Option<AuditFiles>,
}

/// Are snapshots given away over the admin interface?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Snapshots {
    /// No.
    Withheld,
    /// One in so long: each costs the disk as much as the state is large.
    Every(Duration),
}

impl Default for Snapshots {
    /// As in ZooKeeper, one in five minutes.
    fn default() -> Snapshots {
        Snapshots::Every(Duration::from_secs(300))
    }
}

/// The files of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditFiles {
    /// Their name; the day is appended.
    pub file: PathBuf,
    /// How many stay.
    pub kept: usize,
}

/// ZooKeeper's name of the audit log's file.
pub const AUDIT_FILE_DEFAULT: &str = "zookeeper_audit.log";

/// As many as ZooKeeper keeps.
pub const AUDIT_FILES_KEPT_DEFAULT: usize = 10;

fn endpoint(wanted: &Wanted, port: u16) -> Option<SocketAddr> {
    let said = wanted.address.is_some() || wanted.port.is_some();
    let enabled = wanted.enabled.as_ref().map_or(said, |given| given.value);
    let address = wanted.address.as_ref().map(|given| given.value);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = wanted.port.as_ref().map_or(port, |given| given.value);
    enabled.then(|| SocketAddr::new(address, port))
}

/// An audit log is wanted if that is said, or if only its file is named.
fn audit(draft: &Draft) -> Option<AuditFiles> {
    let said = draft.audit_file.is_some();
    let enabled = draft.audit.as_ref().map_or(said, |given| given.value);
    let file = draft.audit_file.as_ref().map(|given| given.value.clone());
    let kept = draft.audit_files_kept.as_ref();
    enabled.then(|| AuditFiles {
        file: file.unwrap_or_else(|| PathBuf::from(AUDIT_FILE_DEFAULT)),
        kept: kept.map_or(AUDIT_FILES_KEPT_DEFAULT, |given| given.value),
    })
}

fn snapshots(draft: &Draft) -> Snapshots {
    let offered = draft.admin_snapshot.as_ref();
    let pause_ms = draft.admin_snapshot_pause_ms.as_ref();
    match (offered.is_none_or(|given| given.value), pause_ms) {
        (false, _) => Snapshots::Withheld,
        (true, None) => Snapshots::default(),
        (true, Some(given)) => Snapshots::Every(Duration::from_millis(given.value.into())),
    }
}

impl Operators {
    /// What was given, and nothing that was not asked for.
    pub fn settle(draft: &Draft) -> Operators {
        let words = draft.four_letter_words.as_ref();
        Operators {
            admin: endpoint(&draft.admin, ADMIN_PORT_DEFAULT),
            metrics: endpoint(&draft.metrics, METRICS_PORT_DEFAULT),
            words: words.map_or_else(Whitelist::default, |given| given.value.clone()),
            snapshots: snapshots(draft),
            audit: audit(draft),
        }
    }

    /// What the operator should know about the ports.
    pub fn warnings(&self) -> Vec<String> {
        let open = |what: &str, address: Option<SocketAddr>| {
            let address = address.filter(|address| !address.ip().is_loopback())?;
            Some(format!(
                "{what} listens on {address}, and answers everybody who reaches it"
            ))
        };
        let admin = open("the admin interface", self.admin);
        admin.into_iter().collect()
    }
}
