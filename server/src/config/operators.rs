//! What operators are offered: the admin interface, the metrics and the four-letter words.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
}

fn endpoint(wanted: &Wanted, port: u16) -> Option<SocketAddr> {
    let said = wanted.address.is_some() || wanted.port.is_some();
    let enabled = wanted.enabled.as_ref().map_or(said, |given| given.value);
    let address = wanted.address.as_ref().map(|given| given.value);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = wanted.port.as_ref().map_or(port, |given| given.value);
    enabled.then(|| SocketAddr::new(address, port))
}

impl Operators {
    /// What was given, and nothing that was not asked for.
    pub fn settle(draft: &Draft) -> Operators {
        let words = draft.four_letter_words.as_ref();
        Operators {
            admin: endpoint(&draft.admin, ADMIN_PORT_DEFAULT),
            metrics: endpoint(&draft.metrics, METRICS_PORT_DEFAULT),
            words: words.map_or_else(Whitelist::default, |given| given.value.clone()),
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
