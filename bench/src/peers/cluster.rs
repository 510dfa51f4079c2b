//! The servers of one kind, as processes on loopback, each with files of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use althing_program::bench::connection::{Connection, PATIENCE, Trouble};

use super::etcd;
use super::kind::{Member, Peer, Protocol};
use crate::load::throughput::Loaded;
use crate::loopback;
use crate::process::Running;

/// How long one attempt to be served is waited for before the next.
const PAUSE: Duration = Duration::from_millis(2);

/// Who is only starting may take a connection and never answer on it.
pub const GREETED_WITHIN: Duration = Duration::from_millis(500);

/// Servers that run until this is dropped.
pub struct Cluster {
    running: Vec<Running>,
    members: Vec<Member>,
    logs: Vec<PathBuf>,
    protocol: Protocol,
}

impl Cluster {
    /// Starts as many servers as asked for, with their files below `home`.
    pub fn start(peer: &Peer, servers: u8, home: &Path) -> Result<Cluster, Trouble> {
        let mut cluster = Cluster {
            running: Vec::new(),
            members: (1..)
                .zip(loopback::free(servers)?)
                .map(|(number, ports)| Member { number, ports })
                .collect(),
            logs: Vec::new(),
            protocol: peer.kind().protocol(),
        };
        for member in &cluster.members {
            let home = home.join(format!("server-{}", member.number));
            fs::create_dir_all(&home)?;
            let path = home.join("log");
            let log = File::create(&path)?;
            cluster.logs.push(path);
            let child = peer
                .command(*member, &cluster.members, &home)?
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()?;
            cluster.running.push(Running(child));
        }
        Ok(cluster)
    }

    /// Waits until every server gives a client a session, or what it has instead.
    pub fn wait(&mut self) -> Result<(), Trouble> {
        let began = Instant::now();
        for index in 0..self.members.len() {
            while !self.serves(self.members[index].ports.client) {
                let what = match self.running[index].0.try_wait()? {
                    Some(status) => format!("a server ended with {status}"),
                    None if began.elapsed() > PATIENCE => "a server never serves".to_owned(),
                    None => {
                        sleep(PAUSE);
                        continue;
                    }
                };
                let told = fs::read_to_string(&self.logs[index])?;
                return Err(format!("{what}; it said:\n{told}").into());
            }
        }
        Ok(())
    }

    fn serves(&self, address: SocketAddr) -> bool {
        match self.protocol {
            Protocol::ZooKeeper => {
                let greeted = || -> Result<(), Trouble> {
                    let mut asked = Connection::ask(address)?;
                    asked.stream().set_read_timeout(Some(GREETED_WITHIN))?;
                    asked.greet()
                };
                greeted().is_ok()
            }
            Protocol::Etcd => etcd::serves(address),
        }
    }

    /// Where they serve, and what the operating system tells of them.
    pub fn loaded(&self) -> Loaded {
        Loaded {
            addresses: self
                .members
                .iter()
                .map(|member| member.ports.client)
                .collect(),
            processes: self.running.iter().map(Running::process).collect(),
        }
    }
}
