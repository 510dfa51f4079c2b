//! Who is measured, and how each is installed and started.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use althing_program::bench::connection::Trouble;
use clap::ValueEnum;

use crate::loopback::Ports;

/// The heap that ZooKeeper's own scripts give to a server.
const JAVA_HEAP: &str = "-Xmx1000m";

/// A kind of server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub enum Kind {
    Althing,
    #[value(name = "zookeeper-3.9")]
    ZooKeeper39,
    #[value(name = "zookeeper-3.8")]
    ZooKeeper38,
    Etcd,
}

/// What clients speak with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    ZooKeeper,
    Etcd,
}

impl Kind {
    pub const ALL: [Kind; 4] = [
        Kind::Althing,
        Kind::ZooKeeper39,
        Kind::ZooKeeper38,
        Kind::Etcd,
    ];

    pub fn protocol(self) -> Protocol {
        match self {
            Kind::Althing | Kind::ZooKeeper39 | Kind::ZooKeeper38 => Protocol::ZooKeeper,
            Kind::Etcd => Protocol::Etcd,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Althing => "althing",
            Kind::ZooKeeper39 => "zookeeper-3.9",
            Kind::ZooKeeper38 => "zookeeper-3.8",
            Kind::Etcd => "etcd",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A kind that is installed: by its binary, or by the class path of Java.
#[derive(Clone, Debug)]
pub struct Peer {
    kind: Kind,
    installed: PathBuf,
}

/// One server of a cluster: its number, and where it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub number: u8,
    pub ports: Ports,
}

/// Builds Althing's binary as it is shipped; where is it?
pub fn build() -> Result<PathBuf, Trouble> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--release"]);
    command.args(["--bin", "althing"]);
    let status = command.status()?;
    if !status.success() {
        return Err(format!("althing could not be built: {status}").into());
    }
    let own = env::current_exe()?;
    Ok(own.with_file_name("althing"))
}

/// Installs who is asked for; who cannot be installed here is left out, and said.
pub fn install(kinds: &[Kind], binary: &Path, folder: &Path) -> Result<Vec<Peer>, Trouble> {
    let others = kinds.iter().any(|kind| *kind != Kind::Althing);
    let told = match others {
        true => {
            let done = Command::new("bench/install").arg(folder).output()?;
            eprint!("{}", String::from_utf8_lossy(&done.stderr));
            if !done.status.success() {
                return Err(format!("bench/install: {}", done.status).into());
            }
            String::from_utf8(done.stdout)?
        }
        false => String::new(),
    };
    let mut peers = Vec::new();
    for kind in kinds {
        let installed = match kind {
            Kind::Althing => Some(binary.to_string_lossy().into_owned()),
            other => told
                .lines()
                .filter_map(|line| line.split_once(' '))
                .find(|(word, _)| *word == other.word())
                .map(|(_, installed)| installed.to_owned()),
        };
        match installed {
            Some(installed) => peers.push(Peer {
                kind: *kind,
                installed: PathBuf::from(installed),
            }),
            None => eprintln!("{kind} is left out: it is not installed"),
        }
    }
    if peers.is_empty() {
        return Err("there is nobody to measure".into());
    }
    Ok(peers)
}

impl Peer {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name and version, as it tells them.
    pub fn version(&self) -> Result<String, Trouble> {
        let mut command = match self.kind.protocol() {
            Protocol::ZooKeeper if self.kind != Kind::Althing => self.java(),
            _ => Command::new(&self.installed),
        };
        match self.kind {
            Kind::Althing | Kind::Etcd => command.arg("--version"),
            Kind::ZooKeeper39 | Kind::ZooKeeper38 => command.arg("org.apache.zookeeper.Version"),
        };
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", self.installed.display()))?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = told.lines().next().unwrap_or_default();
        Ok(match self.kind {
            Kind::Althing | Kind::Etcd => line.to_owned(),
            _ => format!("Apache ZooKeeper {line}"),
        })
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(&self.installed);
        command
    }

    /// The command that starts one server of `members`, whose files lie in `home`, which is there.
    pub fn command(
        &self,
        own: Member,
        members: &[Member],
        home: &Path,
    ) -> Result<Command, Trouble> {
        match self.kind {
            Kind::Althing => {
                let config = write_config(own, members, home)?;
                let mut command = Command::new(&self.installed);
                let told = ["serve", "--log-level", "warn", "--config"];
                command.args(told).arg(config);
                Ok(command)
            }
            Kind::ZooKeeper39 | Kind::ZooKeeper38 => {
                let config = write_config(own, members, home)?;
                let mut command = self.java();
                command
                    .arg(JAVA_HEAP)
                    .args([
                        "-Dzookeeper.admin.enableServer=false",
                        "-Dzookeeper.4lw.commands.whitelist=srvr",
                        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                    ])
                    .arg(config);
                Ok(command)
            }
            Kind::Etcd => Ok(self.etcd(own, members, home)),
        }
    }

    fn etcd(&self, own: Member, members: &[Member], home: &Path) -> Command {
        let name = |member: &Member| format!("server-{}", member.number);
        let all: Vec<String> = members
            .iter()
            .map(|member| format!("{}=http://{}", name(member), member.ports.peer))
            .collect();
        let mut command = Command::new(&self.installed);
        let (client, peer) = (
            format!("http://{}", own.ports.client),
            format!("http://{}", own.ports.peer),
        );
        command
            .args(["--name", &name(&own), "--log-level", "error"])
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(",")])
            .arg("--data-dir")
            .arg(home.join("data"));
        command
    }
}

/// What ZooKeeper's sample has, for ZooKeeper and for Althing alike; and as many connections from
/// one address as there are.
fn write_config(own: Member, members: &[Member], home: &Path) -> Result<PathBuf, Trouble> {
    let data = home.join("data");
    fs::create_dir_all(&data)?;
    let mut text = format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\ndataDir={}\n\
         clientPort={}\nclientPortAddress={}\n",
        data.display(),
        own.ports.client.port(),
        own.ports.client.ip(),
    );
    if members.len() > 1 {
        fs::write(data.join("myid"), own.number.to_string())?;
        for member in members {
            text += &format!(
                "server.{}={}:{}:{}\n",
                member.number,
                member.ports.peer.ip(),
                member.ports.peer.port(),
                member.ports.election.port(),
            );
        }
    }
    let config = home.join("zoo.cfg");
    fs::write(&config, text)?;
    Ok(config)
}
