//! The server that is fuzzed: a process, its memory, and whether anything in it panicked.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// It serves within this time, or never.
const SERVES_WITHIN: Duration = Duration::from_secs(30);

/// Short times, so that sessions of connections that were cut are gone soon; a long one for the
/// client that looks on.
const SETTINGS: &str = "tick_ms = 100\nsession_timeout_min_ms = 200\n\
                        session_timeout_max_ms = 30000\nlog_level = \"error\"\n";

/// One server.
pub struct Subject {
    directory: TempDir,
    child: Child,
    /// Where it serves clients.
    pub address: SocketAddr,
}

impl Subject {
    /// Starts one with further lines of its configuration.
    pub fn start(binary: &str, settings: &str) -> Subject {
        let directory = TempDir::new().expect("a temporary directory");
        let address = free_address();
        let config = directory.path().join("althing.toml");
        let data = directory.path().join("data");
        let text = format!("data_dir = {data:?}\nlisten = \"{address}\"\n{SETTINGS}{settings}");
        fs::write(&config, text).expect("a configuration");
        let errors = File::create(directory.path().join("stderr")).expect("a file");
        let child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("the server's binary");
        Subject {
            directory,
            child,
            address,
        }
    }

    /// Waits until it leads or follows.
    pub fn await_serving(&self) {
        let began = Instant::now();
        while self.word("isro") != "rw" {
            assert!(
                began.elapsed() < SERVES_WITHIN,
                "it never serves: {}",
                self.complaints()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it answers to a four-letter word; nothing, if it does not answer.
    pub fn word(&self, word: &str) -> String {
        let mut told = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let limit = Some(SERVES_WITHIN);
            stream.set_read_timeout(limit).expect("a socket");
            let asked = stream.write_all(word.as_bytes());
            if asked
                .and_then(|()| stream.read_to_string(&mut told))
                .is_err()
            {
                return String::new();
            }
        }
        told
    }

    /// The memory that it holds, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a size") / 1024
    }

    /// Panics if it has ended, or anything in it has panicked.
    pub fn assert_well(&mut self) {
        let ended = self.child.try_wait().expect("a child");
        let complaints = self.complaints();
        assert!(ended.is_none(), "the server ended: {ended:?}\n{complaints}");
        assert!(
            !complaints.contains("panicked"),
            "it panicked:\n{complaints}"
        );
    }

    fn complaints(&self) -> String {
        let path: PathBuf = self.directory.path().join("stderr");
        let file = BufReader::new(File::open(path).expect("a file"));
        let lines = file.lines().map(|line| line.expect("text"));
        lines.take(200).map(|line| line + "\n").collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}
