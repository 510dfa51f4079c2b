//! The real binary as a process: started, killed and restarted on a port and in a directory of its
//! own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything that must happen may take before the test fails: far longer than ever needed,
/// since a busy machine is no defect.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server process. Its data and its port outlive its deaths.
pub struct Server {
    binary: &'static str,
    directory: PathBuf,
    /// Goes with the server, if nobody else has it.
    _temporary: Option<TempDir>,
    arguments: Vec<String>,
    address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts a server with an empty directory on a free port. `binary` is
    /// `env!("CARGO_BIN_EXE_server_under_test")`, which only an integration test knows.
    pub fn start(binary: &'static str) -> Server {
        Server::start_with(binary, &[])
    }

    /// The same, with further arguments.
    pub fn start_with(binary: &'static str, arguments: &[&str]) -> Server {
        let temporary = TempDir::new().expect("a temporary directory");
        let mut server = Server::start_in(binary, temporary.path(), arguments);
        server._temporary = Some(temporary);
        server
    }

    /// The same, with data that is there already.
    pub fn start_in(binary: &'static str, directory: &Path, arguments: &[&str]) -> Server {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let any = "127.0.0.1:0".parse().expect("an address");
        let mut child = spawn(binary, directory, any, &arguments);
        let address = await_listening(&mut child).expect("the server starts");
        Server {
            binary,
            directory: directory.to_owned(),
            _temporary: None,
            arguments,
            address,
            child,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its data lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("a killed process");
    }

    /// Starts it again after its death.
    ///
    /// # Errors
    /// What it printed, if it refuses to start.
    pub fn restart(&mut self) -> Result<(), String> {
        self.child = spawn(self.binary, &self.directory, self.address, &self.arguments);
        self.address = await_listening(&mut self.child)?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill");
        assert!(sent.success(), "SIGTERM could not be sent");
        wait_for("the server to stop", || {
            self.child.try_wait().expect("a child")
        })
    }

    /// Has the process ended by itself?
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Runs a second server on the same directory and gives what it printed to stderr.
    pub fn second_on_same_directory(&self) -> String {
        let any = "127.0.0.1:0".parse().expect("an address");
        let mut child = spawn(self.binary, &self.directory, any, &[]);
        await_listening(&mut child).expect_err("a second server must not start")
    }

    /// Asks a four-letter word.
    pub fn word(&self, word: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(word.as_bytes()).expect("a request");
        let mut told = String::new();
        stream.read_to_string(&mut told).expect("an answer");
        told
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(binary: &str, directory: &Path, address: SocketAddr, arguments: &[String]) -> Child {
    Command::new(binary)
        .args(["serve", "--listen", &address.to_string(), "--data-dir"])
        .arg(directory)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server's binary")
}

/// Reads the line that tells where the server listens. Its log is drained from then on.
fn await_listening(child: &mut Child) -> Result<SocketAddr, String> {
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    let mut stderr = child.stderr.take().expect("a pipe");
    let address = line
        .split_whitespace()
        .find_map(|word| word.trim_end_matches(',').parse().ok());
    match address {
        Some(address) => {
            std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
            Ok(address)
        }
        None => {
            let mut told = String::new();
            stderr.read_to_string(&mut told).expect("text");
            child.wait().expect("a child");
            Err(told)
        }
    }
}

/// Runs a command to its end: its exit code, what it said, and what it complained of.
pub fn told(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the binary");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("an exit code");
    (code, text(output.stdout), text(output.stderr))
}

/// Asks until there is an answer.
///
/// # Panics
/// If there is none within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
