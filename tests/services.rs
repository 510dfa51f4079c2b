//! The testbed's two example services in the world for which they are written: the same code that
//! is tried under faults, as processes on real sockets, against the real server.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use althing_tests::process::{PATIENCE, Server, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");
const SCHEDULER: &str = env!("CARGO_BIN_EXE_scheduler_under_test");
const CACHE: &str = env!("CARGO_BIN_EXE_cache_under_test");

/// A process of a service, killed at the end; what it prints is read line by line.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(binary: &str, arguments: &[&str]) -> Process {
        let mut child = Command::new(binary)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example's binary");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Who has seen enough hangs up.
            for line in stdout.lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Process { child, lines }
    }

    /// Waits for a line in which this stands; gives all lines up to it.
    fn says(&self, what: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            seen.push(line.unwrap_or_else(|_| panic!("never said: {what}; but {seen:?}")));
            if seen.last().is_some_and(|line| line.contains(what)) {
                return seen;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command of an example to its end; gives what it prints.
fn run(binary: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary).args(arguments).output();
    let output = output.expect("the example's binary");
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}{complaints}");
    told
}

#[test]
fn a_submitted_job_is_worked_on_and_has_its_effect_once() {
    let server = Server::start(BINARY);
    let servers = server.address().to_string();
    let store = Process::start(SCHEDULER, &["store", "--listen", "127.0.0.1:0"]);
    let listens = store.says("the store listens on ").remove(0);
    let words = listens.split_whitespace();
    let address = words.map(|word| word.trim_end_matches(',')).nth(4);
    let address = address.expect("the store's address");
    let serve = |name: &str| {
        let arguments = ["serve", "--name", name, "--servers", &servers];
        Process::start(SCHEDULER, &[&arguments[..], &["--store", address]].concat())
    };
    let alpha = serve("alpha");
    alpha.says("TermBegun");
    let submit = |what: &str| {
        let created = run(SCHEDULER, &["submit", what, "--servers", &servers]);
        let job = created.rsplit('/').next().expect("a path").to_owned();
        assert!(job.starts_with("job-"), "{created}");
        job
    };
    let first = submit("print the report");
    alpha.says(&format!("{first}: print the report"));
    store.says(&format!("{first} has its effect"));
    // The master dies, and another one goes on.
    drop(alpha);
    let beta = serve("beta");
    let second = submit("print it again");
    beta.says("TermBegun");
    beta.says(&format!("{second}: print it again"));
    let effects = store.says(&format!("{second} has its effect"));
    assert_eq!(effects.len(), 1, "once each: {effects:?}");
}

#[test]
fn what_is_put_into_the_cache_is_got_from_it() {
    let server = Server::start(BINARY);
    let servers = server.address().to_string();
    let port = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener
            .local_addr()
            .expect("its address")
            .port()
            .to_string()
    };
    let (at_origin, at_shard) = (port(), port());
    let origin = Process::start(CACHE, &["origin", "--port", &at_origin]);
    origin.says("the origin listens on");
    let source = format!("127.0.0.1:{at_origin}");
    let arguments = [
        "--servers",
        &servers,
        "shard",
        "--name",
        "one",
        "--port",
        &at_shard,
    ];
    let _shard = Process::start(CACHE, &[&arguments[..], &["--origin", &source]].concat());
    let ask = |words: &[&str]| run(CACHE, &[&["--servers", &servers], words].concat());
    // Until the shard owns the slots, nobody knows.
    wait_for("a key to be set", || {
        (ask(&["put", "fish", "7"]) == "set").then_some(())
    });
    assert_eq!(ask(&["get", "fish"]), "7");
    assert_eq!(ask(&["put", "fish", "8"]), "set");
    assert_eq!(ask(&["get", "fish"]), "8");
}
