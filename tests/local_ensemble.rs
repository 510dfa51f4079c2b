//! `althing ensemble`: real processes, started and ended by one command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use althing_tests::process::{PATIENCE, wait_for};
use tempfile::TempDir;

/// A server of the ensemble, as the command tells of it.
#[derive(Clone, Debug)]
struct Told {
    address: SocketAddr,
    pid: u32,
}

struct Ensemble {
    command: Child,
    /// Kept, so that the command can write.
    _stdout: BufReader<ChildStdout>,
    servers: Vec<Told>,
    _directory: TempDir,
}

impl Ensemble {
    fn start(servers: usize) -> Ensemble {
        let directory = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_server_under_test"))
            .args(["ensemble", "--client-port", "0", "--peer-port", "0"])
            .args(["--servers", &servers.to_string(), "--data-dir"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let mut stdout = BufReader::new(command.stdout.take().expect("a pipe"));
        let mut told = Vec::new();
        let connect = loop {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            match line.trim_end().strip_prefix("althing ensemble serves at ") {
                Some(connect) => break connect.to_owned(),
                None => told.push(parse(&line)),
            }
        };
        let addresses: Vec<String> = told.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(connect, addresses.join(","));
        assert_eq!(told.len(), servers);
        Ensemble {
            command,
            _stdout: stdout,
            servers: told,
            _directory: directory,
        }
    }

    /// Waits until nobody listens where the servers did.
    fn await_silence(&self) {
        for Told { address, .. } in &self.servers {
            wait_for("a server to end", || match TcpStream::connect(address) {
                Ok(_) => None,
                Err(_) => Some(()),
            });
        }
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.command.kill();
        let _ = self.command.wait();
    }
}

/// Reads `server 1: ADDRESS, process PID, log FILE`.
fn parse(line: &str) -> Told {
    let parts: Option<(&str, &str)> = line
        .split_once(": ")
        .and_then(|(_, rest)| rest.split_once(", process "));
    let (address, rest) = parts.unwrap_or_else(|| panic!("a line of another form: {line:?}"));
    let (pid, _) = rest.split_once(',').expect("a number and more");
    Told {
        address: address.parse().expect("an address"),
        pid: pid.parse().expect("a number"),
    }
}

/// The mode of a server, if it answers.
fn mode(server: &Told) -> Option<String> {
    let mut stream = TcpStream::connect(server.address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"srvr").ok()?;
    let mut told = String::new();
    stream.read_to_string(&mut told).ok()?;
    let mode = told.lines().find_map(|line| line.strip_prefix("Mode: "))?;
    Some(mode.to_owned())
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .expect("kill");
    assert!(sent.success(), "SIG{name} could not be sent");
}

#[test]
fn a_local_ensemble_outlives_its_leader_and_ends_at_once() {
    let mut ensemble = Ensemble::start(3);
    let leads = |server: &Told| mode(server).as_deref() == Some("leader");
    let leader = wait_for("a leader", || {
        ensemble.servers.iter().find(|one| leads(one)).cloned()
    });
    signal(leader.pid, "KILL");
    ensemble.servers.retain(|one| one.pid != leader.pid);
    wait_for("a successor", || {
        ensemble.servers.iter().find(|one| leads(one)).cloned()
    });
    assert!(mode(&leader).is_none(), "nobody has started it again");
    signal(ensemble.command.id(), "TERM");
    let status = wait_for("the command to end", || {
        ensemble.command.try_wait().expect("a child")
    });
    assert!(status.success(), "{status}");
    ensemble.await_silence();
}

#[test]
fn no_server_outlives_the_command() {
    let mut ensemble = Ensemble::start(2);
    ensemble.command.kill().expect("a process to kill");
    ensemble.command.wait().expect("a killed process");
    ensemble.await_silence();
}
