//! What the machine can do without any server: how fast its disk syncs, how fast loopback is.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use althing_program::bench::connection::Trouble;
use rustix::param::clock_ticks_per_second;

use super::figures::Latencies;

/// What the server's log writes at least for one sync.
const APPEND_BYTES: usize = 512;

/// A small request.
const MESSAGE_BYTES: usize = 100;

/// What the machine can do alone.
pub struct Alone {
    pub syncs: Latencies,
    pub loopback: Latencies,
}

impl Alone {
    /// Tries both, one after the other, each for so long; the disk is that of `directory`.
    pub fn measure(directory: &Path, lasts: Duration) -> Result<Alone, Trouble> {
        Ok(Alone {
            syncs: sync_rate(directory, lasts)?,
            loopback: loopback(lasts)?,
        })
    }
}

/// Appends and syncs (fdatasync) one small piece after the other.
fn sync_rate(directory: &Path, lasts: Duration) -> Result<Latencies, Trouble> {
    let path = directory.join("syncs");
    let mut file = File::create(&path)?;
    let mut latencies = Latencies::default();
    let began = Instant::now();
    while began.elapsed() < lasts {
        let start = Instant::now();
        file.write_all(&[b'x'; APPEND_BYTES])?;
        file.sync_data()?;
        latencies.add(start.elapsed());
    }
    latencies.took(began.elapsed());
    fs::remove_file(&path)?;
    Ok(latencies)
}

/// Sends a small message to a thread that sends it back, one after the other.
fn loopback(lasts: Duration) -> Result<Latencies, Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    for end in [&stream, &other] {
        end.set_nodelay(true)?;
    }
    // It ends with an error when this end closes the connection.
    let echo = thread::spawn(move || {
        let mut message = [0; MESSAGE_BYTES];
        while other.read_exact(&mut message).is_ok() {
            other.write_all(&message)?;
        }
        Ok::<(), std::io::Error>(())
    });
    let mut latencies = Latencies::default();
    let mut message = [b'x'; MESSAGE_BYTES];
    let began = Instant::now();
    while began.elapsed() < lasts {
        let start = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        latencies.add(start.elapsed());
    }
    latencies.took(began.elapsed());
    drop(stream);
    echo.join().map_err(|_| "the echo panicked")??;
    Ok(latencies)
}

/// Processor time that all processes have used since the machine was started.
pub fn cpu_of_all() -> Result<Duration, Trouble> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("an empty /proc/stat")?;
    let mut ticks = 0;
    // user nice system idle iowait irq softirq steal; the guests' time is in the user's.
    for (index, field) in line.split_whitespace().skip(1).take(8).enumerate() {
        if !matches!(index, 3 | 4) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(
        ticks * (1_000_000_000 / clock_ticks_per_second()),
    ))
}

/// The date, the processors, the kernel.
pub fn describe() -> Result<String, Trouble> {
    let date = Command::new("date").args(["-u", "+%F %H:%M"]).output()?;
    let date = String::from_utf8(date.stdout)?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{} UTC, {} cores ({model}), Linux {}",
        date.trim(),
        thread::available_parallelism()?,
        kernel.trim()
    ))
}
