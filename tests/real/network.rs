//! A network in which every server is a machine of its own: a network namespace each, with one
//! bridge between them all, made and removed by who holds it. Needs root and Debian's iproute2.
//!
//! A cut is a neighbour entry that leads nowhere: what a machine sends to that address leaves, and
//! nobody takes it. That is silent, as a broken network is, and it cuts one way only.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::real::process::Place;

/// Where the other end of a cut would be: an address that no machine has.
const NOWHERE: &str = "02:00:00:00:de:ad";

/// The machines' network: 198.18.0.0/15 is for tests of networks, so it is nobody's.
const NETWORK: [u8; 3] = [198, 18, 77];

/// The test's own address in it.
const OWN: u8 = 254;

/// The network, and its machines by the numbers of their servers.
#[derive(Debug)]
pub struct Network {
    /// What the names of all that is made begin with.
    prefix: String,
    machines: u8,
}

/// What weather a machine's link has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Clear.
    Fair,
    /// Every packet is late, and some are lost.
    Foul,
}

impl Network {
    /// Lays it, with this many machines.
    ///
    /// # Errors
    /// What is missing here: the rights, or the tools.
    pub fn lay(machines: u8) -> Result<Network, String> {
        // The kernel allows names of 15 letters.
        let prefix = format!("alt{}", std::process::id());
        let network = Network { prefix, machines };
        let bridge = network.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        let own = format!("{}/24", address(OWN));
        ip(&["addr", "add", &own, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for machine in 1..=machines {
            let (name, link) = (network.namespace(machine), network.link(machine));
            ip(&["netns", "add", &name])?;
            let peer = ["type", "veth", "peer", "name", "up0", "netns", &name];
            ip(&[&["link", "add", &link][..], &peer].concat())?;
            ip(&["link", "set", &link, "master", &bridge, "up"])?;
            let own = format!("{}/24", address(machine));
            network.inside(machine, &["addr", "add", &own, "dev", "up0"])?;
            network.inside(machine, &["link", "set", "up0", "up"])?;
            network.inside(machine, &["link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    /// The servers' places on it.
    pub fn places(&self) -> Vec<Place> {
        let places = (1..=self.machines).map(|machine| Place {
            host: address(machine),
            client_port: 2181,
            peer_port: 2888,
            namespace: Some(self.namespace(machine)),
        });
        places.collect()
    }

    /// A machine's namespace.
    pub fn namespace(&self, machine: u8) -> String {
        format!("{}n{machine}", self.prefix)
    }

    /// Nothing reaches `to` from `from` any more; the other way stays as it is.
    pub fn cut(&self, from: u8, to: u8) {
        let to = address(to).to_string();
        let entry = [
            "neigh",
            "replace",
            &to,
            "lladdr",
            NOWHERE,
            "nud",
            "permanent",
            "dev",
            "up0",
        ];
        self.inside(from, &entry).expect("a network of our own");
    }

    /// Takes back what [`Network::cut`] did.
    pub fn mend(&self, from: u8, to: u8) {
        let to = address(to).to_string();
        let entry = ["neigh", "del", &to, "dev", "up0"];
        self.inside(from, &entry).expect("a network of our own");
    }

    /// Changes the weather on what a machine sends.
    ///
    /// # Errors
    /// If this kernel has no `netem`.
    pub fn weather(&self, machine: u8, weather: Weather) -> Result<(), String> {
        let name = self.namespace(machine);
        let words: &[&str] = match weather {
            Weather::Foul => &[
                "add", "dev", "up0", "root", "netem", "delay", "20ms", "10ms", "loss", "5%",
            ],
            Weather::Fair => &["del", "dev", "up0", "root"],
        };
        run("tc", &[&["-n", &name, "qdisc"], words].concat())
    }

    fn inside(&self, machine: u8, words: &[&str]) -> Result<(), String> {
        let name = self.namespace(machine);
        ip(&[&["-n", &name], words].concat())
    }

    fn bridge(&self) -> String {
        format!("{}br", self.prefix)
    }

    fn link(&self, machine: u8) -> String {
        format!("{}v{machine}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was not made cannot be removed, and no harm done.
        for machine in 1..=self.machines {
            let _ = ip(&["link", "del", &self.link(machine)]);
            let _ = ip(&["netns", "del", &self.namespace(machine)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

/// A machine's address.
fn address(machine: u8) -> IpAddr {
    let [a, b, c] = NETWORK;
    IpAddr::V4(Ipv4Addr::new(a, b, c, machine))
}

/// Moves the calling thread to a machine: what it opens from here on is there.
pub fn move_into(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("a namespace");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("who made a namespace may enter it");
}

fn ip(words: &[&str]) -> Result<(), String> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("{program} {}: {told}", words.join(" ")))
        }
    }
}
