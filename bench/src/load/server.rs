//! The measured server: a process on a free port, and what it keeps on its disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use althing_program::bench::connection::Trouble;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Process, Running};

/// What must happen and has not happened for so long never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that used less than [`QUIET_CPU`] in such a time has nothing left to do.
const QUIET: Duration = Duration::from_secs(1);

/// What a server without clients uses at most in [`QUIET`], for its timers.
const QUIET_CPU: Duration = Duration::from_millis(20);

/// How often the end of a process is looked for.
const PAUSE: Duration = Duration::from_millis(5);

/// A server process on a free port.
pub struct Server {
    running: Running,
    address: SocketAddr,
}

impl Server {
    /// Starts `binary` on `data` and waits until it says where it listens. Its log, from warnings
    /// on, goes where ours goes.
    pub fn start(binary: &Path, data: &Path) -> Result<Server, Trouble> {
        let child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "warn"])
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on, an error ends the process.
        let mut server = Server {
            running: Running(child),
            address: any,
        };
        let mut line = String::new();
        let stdout = server
            .running
            .0
            .stdout
            .take()
            .ok_or("no pipe to the server")?;
        BufReader::new(stdout).read_line(&mut line)?;
        server.address = line
            .split_whitespace()
            .find_map(|word| word.trim_end_matches(',').parse().ok())
            .ok_or_else(|| format!("the server did not start; it said {line:?}"))?;
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it in good order, with SIGTERM, and waits for its end.
    pub fn stop(mut self) -> Result<(), Trouble> {
        kill_process(Pid::from_child(&self.running.0), Signal::TERM)?;
        let began = Instant::now();
        loop {
            match self.running.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}").into()),
                None if began.elapsed() > PATIENCE => return Err("the server does not stop".into()),
                None => thread::sleep(PAUSE),
            }
        }
    }

    /// What the operating system tells of it.
    pub fn process(&self) -> Process {
        self.running.process()
    }

    /// Waits until it has done what it does behind its clients' backs: snapshots above all.
    pub fn settle(&self, data: &Path) -> Result<(), Trouble> {
        let began = Instant::now();
        let mut used = self.process().cpu()?;
        while began.elapsed() < PATIENCE {
            thread::sleep(QUIET);
            let now = self.process().cpu()?;
            if now - used < QUIET_CPU && Stored::look(data)?.unfinished == 0 {
                return Ok(());
            }
            used = now;
        }
        Err("the server does not come to rest".into())
    }
}

/// What lies in a data directory.
#[derive(Default)]
pub struct Stored {
    pub log_bytes: u64,
    pub snapshot_bytes: u64,
    pub snapshots: usize,
    /// Snapshots that are being written.
    pub unfinished: usize,
}

impl Stored {
    pub fn look(data: &Path) -> Result<Stored, Trouble> {
        let mut stored = Stored::default();
        for entry in fs::read_dir(data)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("temporary.") {
                stored.unfinished += 1;
            } else if name.starts_with("snapshot.") {
                stored.snapshots += 1;
                stored.snapshot_bytes += entry.metadata()?.len();
            } else if name.starts_with("log.") {
                stored.log_bytes += entry.metadata()?.len();
            }
        }
        Ok(stored)
    }
}
