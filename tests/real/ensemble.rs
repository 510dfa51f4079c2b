//! Several servers as processes of this machine, each with a configuration as a user writes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use althing_core::ids::ServerId;
use tempfile::TempDir;

use crate::process::wait_for;
use crate::real::process::{Life, Member, Place};

/// The tick of the ensembles, in milliseconds: short, so that sessions expire within a test.
pub const TICK_MS: u32 = 500;

/// No snapshot is made before this many transactions, so that the logs hold the whole run.
const SNAPSHOT_EVERY: u32 = 1_000_000_000;

/// An ensemble.
#[derive(Debug)]
pub struct Ensemble {
    /// By number, from 1.
    pub members: Vec<Member>,
    /// What they keep.
    home: TempDir,
}

impl Ensemble {
    /// Starts as many servers as there are places.
    pub fn start(binary: &'static str, places: Vec<Place>) -> Ensemble {
        Ensemble::start_with(binary, places, "")
    }

    /// The same with more lines in every server's configuration.
    pub fn start_with(binary: &'static str, places: Vec<Place>, more: &str) -> Ensemble {
        let home = TempDir::new().expect("a temporary directory");
        let mut members = Vec::new();
        for (server, place) in (1..).zip(&places) {
            let text = configuration(server, &places, &home) + more;
            members.push(Member::new(
                server,
                place.clone(),
                binary,
                home.path(),
                &text,
            ));
        }
        let mut ensemble = Ensemble { members, home };
        for member in &mut ensemble.members {
            member.start_well();
        }
        ensemble
    }

    /// Where everything of it lies.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Every server by the address at which it serves clients.
    pub fn addresses(&self) -> BTreeMap<SocketAddr, ServerId> {
        let addresses = self.members.iter();
        addresses
            .map(|member| (member.address(), ServerId(member.server)))
            .collect()
    }

    /// All servers as a client is told of them, `host:port` each.
    pub fn clients_list(&self) -> Vec<String> {
        self.addresses().keys().map(ToString::to_string).collect()
    }

    /// Who leads now; `None` if nobody says so, or if several do (one that was stopped does not
    /// know better at first).
    pub fn leader(&self) -> Option<u8> {
        let running = self
            .members
            .iter()
            .filter(|member| member.life() == Life::Runs);
        let mut leaders = running.filter(|member| member.leads());
        match (leaders.next(), leaders.next()) {
            (Some(leader), None) => Some(leader.server),
            _ => None,
        }
    }

    /// Waits until somebody leads.
    ///
    /// # Panics
    /// If nobody does for long.
    pub fn await_leader(&self) -> u8 {
        wait_for("a leader", || self.leader())
    }

    /// How many may be lost without harm.
    pub fn minority(&self) -> usize {
        (self.members.len() - 1) / 2
    }

    /// The server with this number.
    pub fn member(&mut self, server: u8) -> &mut Member {
        &mut self.members[usize::from(server) - 1]
    }

    /// What every server logged last, for who must find out what went wrong.
    pub fn last_words(&self) -> String {
        let words = self.members.iter();
        let words = words.map(|one| format!("server {}:\n{}\n", one.server, one.last_words()));
        words.collect()
    }

    /// Keeps data and logs, and tells where.
    pub fn keep(&mut self) -> String {
        self.home.disable_cleanup(true);
        self.home.path().display().to_string()
    }
}

/// Places on loopback with ports that are free now.
pub fn loopback(servers: u8) -> Vec<Place> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    // All ports are held until all are chosen.
    let mut held = Vec::new();
    let mut places = Vec::new();
    while places.len() < usize::from(servers) {
        let client = TcpListener::bind(any).expect("a free port");
        let peer = TcpListener::bind(any).expect("a free port");
        let port = |listener: &TcpListener| listener.local_addr().expect("a port").port();
        // Gossip takes the same port for UDP.
        if let Ok(gossip) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port(&peer))) {
            places.push(Place {
                host: IpAddr::V4(Ipv4Addr::LOCALHOST),
                client_port: port(&client),
                peer_port: port(&peer),
                namespace: None,
            });
            held.push((client, peer, gossip));
        }
    }
    places
}

/// A server's configuration, in the notation of ZooKeeper's `zoo.cfg`.
fn configuration(server: u8, places: &[Place], home: &TempDir) -> String {
    let own = &places[usize::from(server) - 1];
    let directory = home.path().join(format!("server-{server}"));
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("myid"), server.to_string()).expect("a file");
    let secret = home.path().join("gossip-secret");
    fs::write(&secret, "what only the servers know").expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a file of our own");
    let mut text = format!(
        "tickTime={TICK_MS}\nsnapCount={SNAPSHOT_EVERY}\ndataDir={}\n\
         althing.gossipSecretFile={}\nclientPortAddress={}\nclientPort={}\n",
        directory.display(),
        secret.display(),
        own.host,
        own.client_port,
    );
    for (number, place) in (1..=u8::MAX).zip(places) {
        let (host, peer) = (place.host, place.peer_port);
        let client = place.client_port;
        writeln!(text, "server.{number}={host}:{peer};{client}").expect("a string takes all");
    }
    text
}
