//! One server of a real ensemble: a process that is killed, stopped for a while, starved of space
//! and started again, on the data that it left.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::process::wait_for;
use crate::real::trace_pipe::TracePipe;

/// How long a word may take: one that is stopped never answers.
const WORD_PATIENCE: Duration = Duration::from_millis(500);

/// How often a server that cannot start is started again, at most. A port that another program
/// holds for a moment is no defect.
const STARTS_MAX: u32 = 3;

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address of its machine.
    pub host: IpAddr,
    /// Where it serves clients.
    pub client_port: u16,
    /// Where the other servers find it.
    pub peer_port: u16,
    /// The network namespace that it lives in; the test's own if none.
    pub namespace: Option<String>,
}

/// Is the process there, and does it run?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It runs.
    Runs,
    /// SIGSTOP was sent.
    Stopped,
    /// It is dead.
    Dead,
}

/// A server.
#[derive(Debug)]
pub struct Member {
    /// Its number.
    pub server: u8,
    place: Place,
    binary: &'static str,
    home: PathBuf,
    child: Option<Child>,
    life: Life,
    trace: TracePipe,
}

impl Member {
    /// One that is not started yet. Below `home` lie its configuration, its data and its log;
    /// `text` is the configuration.
    pub fn new(server: u8, place: Place, binary: &'static str, home: &Path, text: &str) -> Member {
        fs::write(home.join(format!("server-{server}.cfg")), text).expect("a file");
        Member {
            server,
            place,
            binary,
            home: home.to_owned(),
            child: None,
            life: Life::Dead,
            trace: TracePipe::new(home, server),
        }
    }

    /// The trace of all its lives.
    ///
    /// # Panics
    /// If it lives.
    pub fn trace(&mut self) -> &Path {
        assert_eq!(self.life, Life::Dead, "it goes on writing");
        self.trace.finish()
    }

    /// Where it serves clients.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.place.host, self.place.client_port)
    }

    /// Where its data lies.
    pub fn directory(&self) -> PathBuf {
        self.home.join(format!("server-{}", self.server))
    }

    /// How it is.
    pub fn life(&self) -> Life {
        self.life
    }

    /// What it logged last.
    pub fn last_words(&self) -> String {
        let name = self.home.join(format!("server-{}.log", self.server));
        let text = fs::read_to_string(name).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Starts it on the data that it has.
    pub fn start(&mut self) {
        assert_eq!(self.life, Life::Dead, "it is there already");
        let log = self.home.join(format!("server-{}.log", self.server));
        let log = File::options().append(true).create(true).open(log);
        // With a limit on the size of files the system sends SIGXFSZ, which kills who does not
        // ignore it; ignored, the write fails, as it does on a full disk.
        let mut command = match &self.place.namespace {
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, "sh"]);
                command
            }
            None => Command::new("sh"),
        };
        let child = command
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", self.binary])
            .args(["serve", "--config"])
            .arg(self.home.join(format!("server-{}.cfg", self.server)))
            .arg("--trace")
            .arg(self.trace.entrance())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        self.child = Some(child.expect("the server's binary"));
        self.life = Life::Runs;
    }

    /// Starts it until it answers.
    ///
    /// # Panics
    /// If it ends by itself each time.
    pub fn start_well(&mut self) {
        for _ in 0..STARTS_MAX {
            self.start();
            let up = wait_for("the server answers or ends", || {
                if self.has_ended() {
                    return Some(false);
                }
                self.word("ruok").map(|_| true)
            });
            if up {
                return;
            }
            self.life = Life::Dead;
        }
        panic!(
            "server {} does not start:\n{}",
            self.server,
            self.last_words()
        );
    }

    fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("it was started");
        Pid::from_raw(child.id() as i32).expect("a process has a number")
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process of our own takes signals");
    }

    /// `kill -9`, whether it runs or is stopped.
    pub fn kill(&mut self) {
        if self.life == Life::Dead {
            return;
        }
        self.assert_runs();
        self.signal(Signal::KILL);
        let status = self.wait();
        assert_eq!(status.signal(), Some(9), "it was killed");
    }

    /// SIGSTOP: to everybody else it is a machine that hangs.
    pub fn stop(&mut self) {
        assert_eq!(self.life, Life::Runs, "only what runs can be stopped");
        self.assert_runs();
        self.signal(Signal::STOP);
        self.life = Life::Stopped;
    }

    /// SIGCONT.
    pub fn go_on(&mut self) {
        assert_eq!(self.life, Life::Stopped, "only what is stopped can go on");
        self.assert_runs();
        self.signal(Signal::CONT);
        self.life = Life::Runs;
    }

    /// SIGTERM, and waits for the polite end.
    pub fn terminate(&mut self) {
        assert_eq!(self.life, Life::Runs, "only what runs can end politely");
        self.assert_runs();
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(
            status.success(),
            "server {} was asked to stop and ended with {status}:\n{}",
            self.server,
            self.last_words()
        );
    }

    /// No file of it may grow beyond `bytes_max`; `None` takes the limit away.
    pub fn limit_files(&mut self, bytes_max: Option<u64>) {
        self.assert_runs();
        let limit = Rlimit {
            current: bytes_max,
            maximum: None,
        };
        prlimit(Some(self.pid()), Resource::Fsize, limit).expect("a limit can be lowered");
    }

    /// The size of its largest file.
    pub fn largest_file(&self) -> u64 {
        let files = fs::read_dir(self.directory()).expect("a data directory");
        // A file that goes meanwhile is not the largest.
        let sizes = files.filter_map(|file| file.ok()?.metadata().ok());
        sizes.map(|data| data.len()).max().unwrap_or(0)
    }

    /// Nothing that befalls a server here is a reason to end by itself.
    fn assert_runs(&mut self) {
        assert!(
            !self.has_ended(),
            "server {} has ended by itself:\n{}",
            self.server,
            self.last_words()
        );
    }

    /// Has it ended without being asked?
    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().expect("a child").is_some())
    }

    fn wait(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it was started");
        let status = wait_for("the server ends", || child.try_wait().expect("a child"));
        self.life = Life::Dead;
        status
    }

    /// Asks a four-letter word; `None` if nobody answers in time.
    pub fn word(&self, word: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.address(), WORD_PATIENCE).ok()?;
        stream.set_read_timeout(Some(WORD_PATIENCE)).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut told = String::new();
        stream.read_to_string(&mut told).ok()?;
        (!told.is_empty()).then_some(told)
    }

    /// Does it say that it leads?
    pub fn leads(&self) -> bool {
        let told = self.word("srvr");
        told.is_some_and(|told| told.contains("Mode: leader"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may be dead already, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
