//! The measured server: a process, and what the operating system tells of it.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

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
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts `binary` on `data` and waits until it says where it listens. Its log, from warnings
    /// on, goes where ours goes.
    pub fn start(binary: &Path, data: &Path) -> Result<Server, Box<dyn Error>> {
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
            child,
            address: any,
        };
        let mut line = String::new();
        let stdout = server.child.stdout.take().ok_or("no pipe to the server")?;
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
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let began = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}").into()),
                None if began.elapsed() > PATIENCE => return Err("the server does not stop".into()),
                None => thread::sleep(PAUSE),
            }
        }
    }

    /// Processor time of all its threads, living and ended, in the operating system's ticks.
    pub fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        cpu_of(&fs::read_to_string(format!(
            "/proc/{}/stat",
            self.child.id()
        ))?)
    }

    pub fn resident_bytes(&self) -> Result<u64, Box<dyn Error>> {
        self.status("VmRSS:")
    }

    pub fn resident_peak_bytes(&self) -> Result<u64, Box<dyn Error>> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Result<u64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or_else(|| format!("no {field} in the status of the server"))?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Waits until it has done what it does behind its clients' backs: snapshots above all.
    pub fn settle(&self, data: &Path) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        let mut used = self.cpu()?;
        while began.elapsed() < PATIENCE {
            thread::sleep(QUIET);
            let now = self.cpu()?;
            if now - used < QUIET_CPU && Stored::look(data)?.unfinished == 0 {
                return Ok(());
            }
            used = now;
        }
        Err("the server does not come to rest".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time in the text of `/proc/PID/stat`, whose second field is a name in brackets.
fn cpu_of(stat: &str) -> Result<Duration, Box<dyn Error>> {
    let (_, fields) = stat.rsplit_once(')').ok_or("a stat without a name")?;
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks = 0;
    for _ in ["user", "system"] {
        ticks += times.next().ok_or("a stat without times")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(
        ticks * (1_000_000_000 / clock_ticks_per_second()),
    ))
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
    pub fn look(data: &Path) -> Result<Stored, Box<dyn Error>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "77 (a) (b c) S 1 77 77 0 -1 4194560 900 0 0 0 30 12 5 6 20 0 6 0 99 1 2";
        let tick = Duration::from_nanos(1_000_000_000 / clock_ticks_per_second());
        assert_eq!(cpu_of(stat).expect("a stat"), tick * 42);
        assert!(cpu_of("77 (althing) S 1").is_err());
    }
}
