//! The measured ensemble: processes with the default configuration, on loopback.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::loopback::{self, Ports};
use crate::process::Running;

/// What must happen and has not happened for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a word may take: a server that is stopped never answers.
const WORD_PATIENCE: Duration = Duration::from_millis(300);

/// Do the servers gossip?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gossip {
    On,
    Off,
}

/// What befalls a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blow {
    /// `kill -9`.
    Kill,
    /// SIGSTOP.
    Stop,
}

struct Member {
    server: u8,
    client: SocketAddr,
    running: Running,
}

/// The processes and what they keep.
pub struct Ensemble {
    binary: std::path::PathBuf,
    home: TempDir,
    members: Vec<Member>,
}

impl Ensemble {
    pub fn start(
        binary: &Path,
        servers: u8,
        gossip: Gossip,
        above: &Path,
    ) -> Result<Ensemble, Box<dyn Error>> {
        let home = tempfile::tempdir_in(above)?;
        let ports = loopback::free(servers)?;
        for server in 1..=servers {
            configure(&home, server, &ports, gossip)?;
        }
        let mut ensemble = Ensemble {
            binary: binary.to_owned(),
            home,
            members: Vec::new(),
        };
        for (server, ports) in (1..).zip(&ports) {
            let running = ensemble.spawn(server)?;
            ensemble.members.push(Member {
                server,
                client: ports.client,
                running,
            });
        }
        Ok(ensemble)
    }

    fn spawn(&self, server: u8) -> Result<Running, Box<dyn Error>> {
        let path = |end: &str| self.home.path().join(format!("server-{server}.{end}"));
        let log = File::options()
            .append(true)
            .create(true)
            .open(path("log"))?;
        let spawned = Command::new(&self.binary)
            .args(["serve", "--log-level", "warn", "--config"])
            .arg(path("cfg"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let spawned = spawned.map_err(|error| format!("{}: {error}", self.binary.display()))?;
        Ok(Running(spawned))
    }

    /// Where clients are served, by the numbers of the servers.
    pub fn addresses(&self) -> Vec<(u8, SocketAddr)> {
        let members = self.members.iter();
        members
            .map(|member| (member.server, member.client))
            .collect()
    }

    /// The server that says that it leads.
    pub fn leader(&self) -> Option<u8> {
        let leads = |member: &&Member| {
            let told = word(member.client, "srvr");
            told.is_some_and(|told| told.contains("Mode: leader"))
        };
        self.members.iter().find(leads).map(|member| member.server)
    }

    /// Waits until one leads and all others follow.
    pub fn await_leader(&self) -> Result<u8, Box<dyn Error>> {
        wait_for("one leader and followers", || {
            let told = self
                .members
                .iter()
                .map(|member| word(member.client, "srvr"));
            let told: Option<Vec<String>> = told.collect();
            let count = |mode: &str| {
                let told = told.as_ref();
                told.map_or(0, |told| {
                    told.iter().filter(|one| one.contains(mode)).count()
                })
            };
            let others = self.members.len() - 1;
            match (count("Mode: leader"), count("Mode: follower")) {
                (1, followers) if followers == others => self.leader(),
                _ => None,
            }
        })
    }

    /// The newest epoch that any server has executed something of.
    pub fn epoch(&self) -> Option<u64> {
        let epochs = self.members.iter().filter_map(|member| {
            let told = word(member.client, "srvr")?;
            let zxid = told
                .lines()
                .find_map(|line| line.strip_prefix("Zxid: 0x"))?;
            Some(u64::from_str_radix(zxid.trim(), 16).ok()? >> 32)
        });
        epochs.max()
    }

    fn member(&mut self, server: u8) -> &mut Member {
        &mut self.members[usize::from(server) - 1]
    }

    /// Strikes a server.
    pub fn strike(&mut self, server: u8, blow: Blow) -> Result<(), Box<dyn Error>> {
        let Running(child) = &mut self.member(server).running;
        match blow {
            Blow::Stop => kill_process(Pid::from_child(child), Signal::STOP)?,
            Blow::Kill => {
                child.kill()?;
                child.wait()?;
            }
        }
        Ok(())
    }

    /// Takes that back.
    pub fn revive(&mut self, server: u8, blow: Blow) -> Result<(), Box<dyn Error>> {
        match blow {
            Blow::Stop => {
                let Running(child) = &self.member(server).running;
                kill_process(Pid::from_child(child), Signal::CONT)?;
            }
            Blow::Kill => self.member(server).running = self.spawn(server)?,
        }
        Ok(())
    }
}

/// A server's file: nothing but who the servers are, so that everything is at its default.
fn configure(
    home: &TempDir,
    server: u8,
    ports: &[Ports],
    gossip: Gossip,
) -> Result<(), Box<dyn Error>> {
    let home = home.path();
    let data = home.join(format!("server-{server}"));
    fs::create_dir(&data)?;
    fs::write(data.join("myid"), server.to_string())?;
    let own = ports[usize::from(server) - 1];
    let mut text = format!(
        "dataDir={}\nclientPortAddress={}\nclientPort={}\n",
        data.display(),
        own.client.ip(),
        own.client.port(),
    );
    for (number, Ports { client, peer, .. }) in (1..=u8::MAX).zip(ports) {
        writeln!(text, "server.{number}={peer};{client}")?;
    }
    if gossip == Gossip::On {
        let secret = home.join("gossip-secret");
        fs::write(&secret, "what only the servers know")?;
        fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
        writeln!(text, "althing.gossipSecretFile={}", secret.display())?;
    }
    fs::write(home.join(format!("server-{server}.cfg")), text)?;
    Ok(())
}

/// Asks a four-letter word; `None` if nobody answers in time.
fn word(address: SocketAddr, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, WORD_PATIENCE).ok()?;
    stream.set_read_timeout(Some(WORD_PATIENCE)).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut told = String::new();
    stream.read_to_string(&mut told).ok()?;
    (!told.is_empty()).then_some(told)
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Box<dyn Error>> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("never: {what}").into());
        }
        sleep(Duration::from_millis(5));
    }
}
