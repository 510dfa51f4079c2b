//! Processes that are measured: they end with who started them, and the operating system tells what
//! processor time and memory they take.

use std::fs;
use std::process::Child;
use std::time::Duration;

use althing_program::bench::connection::Trouble;
use rustix::param::clock_ticks_per_second;

/// A process that runs until this is dropped.
pub struct Running(pub Child);

impl Running {
    /// What the operating system tells of it.
    pub fn process(&self) -> Process {
        Process(self.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of ours.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

impl Process {
    /// Processor time of all its threads, living and ended, in the operating system's ticks.
    pub fn cpu(self) -> Result<Duration, Trouble> {
        cpu_of(&fs::read_to_string(format!("/proc/{}/stat", self.0))?)
    }

    pub fn resident_bytes(self) -> Result<u64, Trouble> {
        self.status("VmRSS:")
    }

    pub fn resident_peak_bytes(self) -> Result<u64, Trouble> {
        self.status("VmHWM:")
    }

    fn status(self, field: &str) -> Result<u64, Trouble> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or_else(|| format!("no {field} in the status of the process"))?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}

/// User and system time in the text of `/proc/PID/stat`, whose second field is a name in brackets.
fn cpu_of(stat: &str) -> Result<Duration, Trouble> {
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
