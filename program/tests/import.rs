//! `althing import`, `export` and `restore` on files that a real Apache ZooKeeper 3.9.3 has
//! written (`zookeeper-3.9.3/`): three lives, each killed, with a snapshot that is not packed, one
//! in gzip and one in Snappy. `migration/` compares with a ZooKeeper that runs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::runtime::Tokio;
use serde_json::Value;
use tempfile::TempDir;

use process::Server;

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// What the last of the lives had left.
const ZNODES: [&str; 8] = [
    "/",
    "/a",
    "/a/b",
    "/a/n-0000000001",
    "/c",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota",
];

/// Where the record of `/c` begins, in the last log, and where it ends.
const LAST_LOG: &str = "log.18";

fn run(arguments: &[&str], paths: &[&Path]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .args(paths)
        .output()
        .expect("the binary");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().expect("an exit code"), said)
}

/// A copy of ZooKeeper's files, but for these.
fn files_without(left_out: &[&str]) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zookeeper-3.9.3/version-2");
    let copy = TempDir::new().expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("text");
        if !left_out.contains(&name.as_str()) {
            fs::copy(entry.path(), copy.path().join(name)).expect("copied");
        }
    }
    copy
}

/// Imports with these flags: the exit code, what was said, and the new directory.
fn import(from: &Path, flags: &[&str]) -> (i32, String, TempDir) {
    let into = TempDir::new().expect("a directory");
    let flags = [&["import", "zookeeper"], flags, &["--into"]].concat();
    let (code, said) = run(&flags, &[into.path(), from]);
    (code, said, into)
}

fn snapshot(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    let is_snapshot = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.starts_with("snapshot.")
    };
    paths.find(is_snapshot).expect("a snapshot")
}

/// The znodes of a snapshot, without when and by which transactions they came to be.
fn znodes(snapshot: &Path) -> Vec<(String, String)> {
    let (code, said) = run(&["inspect", "snapshot", "--json"], &[snapshot]);
    assert_eq!(code, 0, "{said}");
    let lines = said.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("an object a line");
        line
    });
    lines
        .filter(|line| line["kind"] == "znode")
        .map(|line| {
            let path = line["path"].as_str().expect("a path").to_owned();
            (path, line.to_string())
        })
        .collect()
}

#[test]
fn the_state_is_found_from_every_snapshot() {
    let newest = {
        let (code, said, into) = import(files_without(&[]).path(), &[]);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.starts_with("read snapshot.17.snappy and 3 transactions"),
            "{said}"
        );
        assert!(
            said.contains("1 sessions were ended, with 1 ephemeral znodes"),
            "{said}"
        );
        assert!(said.contains("    /a/mine of session 0x"), "{said}");
        znodes(&snapshot(into.path()))
    };
    let paths: Vec<&str> = newest.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ZNODES);
    for left_out in [
        &["snapshot.17.snappy"][..],
        &["snapshot.17.snappy", "snapshot.9.gz"],
        &["snapshot.9.gz", "snapshot.0", "log.1", "log.a"],
    ] {
        let (code, said, into) = import(files_without(left_out).path(), &[]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(znodes(&snapshot(into.path())), newest, "{left_out:?}");
    }
    let (code, said, into) = import(files_without(&[]).path(), &["--keep-sessions"]);
    assert!(code == 0 && said.contains("1 sessions were kept"), "{said}");
    let kept = znodes(&snapshot(into.path()));
    assert_eq!(kept.len(), newest.len() + 1);
    assert!(kept.iter().any(|(path, _)| path == "/a/mine"));
}

#[test]
fn damage_is_told_with_file_and_byte_and_nothing_is_written() {
    let files = files_without(&[]);
    let log = files.path().join(LAST_LOG);
    let whole = fs::read(&log).expect("a log");
    let refused = |expected: &str, flags: &[&str]| {
        let (code, said, into) = import(files.path(), flags);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(expected), "{expected:?} is missing: {said}");
        let left = fs::read_dir(into.path()).expect("a directory").count();
        assert_eq!(left, 0, "something was written");
    };
    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    fs::write(&log, &bytes).expect("written");
    refused(
        "log.18: at byte 16: a record's checksum is wrong",
        &["--lenient"],
    );

    let end = whole.len() - 100;
    let mut bytes = whole.clone();
    bytes[end + 50] = 1;
    fs::write(&log, &bytes).expect("written");
    let behind = format!(
        "ends at byte {end}, but something stands behind it, at byte {}",
        end + 50
    );
    refused(&behind, &[]);
    let (code, said, _into) = import(files.path(), &["--lenient"]);
    assert!(
        code == 0 && said.contains(&format!("taken, as asked: {LAST_LOG}")),
        "{said}"
    );

    // A record that was never finished is not damage.
    fs::write(&log, &whole[..end - 1]).expect("written");
    let (code, said, _into) = import(files.path(), &[]);
    assert!(
        code == 0 && said.contains("with a record that was never finished"),
        "{said}"
    );

    // A snapshot that was never finished is left out, if the log goes back to the one before.
    fs::write(&log, &whole).expect("written");
    fs::write(files.path().join("snapshot.17.snappy"), b"").expect("written");
    let (code, said, _into) = import(files.path(), &[]);
    assert!(
        code == 0 && said.starts_with("read snapshot.9.gz and"),
        "{said}"
    );
    assert!(
        said.contains("left out, since it is damaged: snapshot.17.snappy"),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_missed() {
    let refused = |left_out: &[&str], expected: &str, code_expected: i32| {
        let (code, said, _into) = import(files_without(left_out).path(), &[]);
        assert_eq!(code, code_expected, "{said}");
        assert!(said.contains(expected), "{expected:?} is missing: {said}");
    };
    let both = ["snapshot.17.snappy", "snapshot.9.gz"];
    let missing = "a part of the log is missing";
    refused(&[&both[..], &["log.a"]].concat(), missing, 1);
    let all = ["log.1", "log.a", "log.18"];
    refused(&all, "name it by --log-dir", 1);
    let snapshots = ["snapshot.0", "snapshot.9.gz", "snapshot.17.snappy"];
    refused(&snapshots, "logs and no snapshot", 1);
    refused(&[&snapshots[..], &all].concat(), "there is neither", 2);

    let files = files_without(&["snapshot.17.snappy", "snapshot.9.gz", "log.a"]);
    let (code, said, _into) = import(files.path(), &["--lenient"]);
    assert!(code == 0 && said.contains("taken, as asked"), "{said}");
    let (code, said) = run(
        &["import", "zookeeper", "--into"],
        &[files.path(), files.path()],
    );
    assert!(
        code == 2 && said.contains("there is something in it"),
        "{said}"
    );
}

#[test]
fn an_export_is_imported_again() {
    let (code, said, first) = import(files_without(&[]).path(), &["--keep-sessions"]);
    assert_eq!(code, 0, "{said}");
    let exported = TempDir::new().expect("a directory");
    let (code, said) = run(
        &["export", "zookeeper", "--into"],
        &[exported.path(), &snapshot(first.path())],
    );
    assert!(
        code == 0 && said.contains("1 sessions have ended"),
        "{said}"
    );
    assert!(said.ends_with("    /a/mine\n"), "{said}");
    let (code, said, second) = import(exported.path(), &["--lenient"]);
    assert_eq!(code, 0, "{said}");
    let (code, said, ended) = import(files_without(&[]).path(), &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        znodes(&snapshot(second.path())),
        znodes(&snapshot(ended.path()))
    );
}

/// An ensemble on this machine, in directories that are there already.
struct Ensemble {
    child: Child,
    servers: Vec<String>,
}

impl Ensemble {
    fn start(directory: &Path) -> Ensemble {
        let mut child = Command::new(BINARY)
            .args(["ensemble", "--servers", "3", "--client-port", "0"])
            .args(["--peer-port", "0", "--data-dir"])
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary");
        let stdout = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let servers = loop {
            let line = lines.next().expect("it serves").expect("text");
            if let Some(servers) = line.strip_prefix("althing ensemble serves at ") {
                break servers.split(',').map(str::to_owned).collect();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ensemble { child, servers }
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // It may have ended already; then there is nothing to stop, which is as well.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

/// The data of `/a` as each of these servers has it.
fn read(servers: &[String]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for server in servers {
        let read = runtime.block_on(async {
            let client = Client::connect(Tokio, ClientConfig::new([server.clone()])).await?;
            let data = client.get_data("/a").await?.data;
            client.close().await?;
            Ok::<_, althing_client::error::ClientError>(data.to_vec())
        });
        assert_eq!(read.expect("it is read"), b"changed");
    }
}

#[test]
fn one_server_and_three_serve_what_was_imported_or_restored() {
    let files = files_without(&[]);
    let (code, said, one) = import(files.path(), &[]);
    assert_eq!(code, 0, "{said}");
    let mut server = Server::start_in(BINARY, one.path(), &[]);
    read(&[server.address().to_string()]);
    assert!(server.terminate().success());

    let (code, said, three) = import(files.path(), &["--servers", "1,2,3"]);
    assert_eq!(code, 0, "{said}");
    read(&Ensemble::start(three.path()).servers);

    let restored = TempDir::new().expect("a directory");
    let (code, said) = run(
        &["restore", "--servers", "1,2,3", "--epoch", "9", "--into"],
        &[restored.path(), &snapshot(one.path())],
    );
    assert_eq!(code, 0, "{said}");
    let ensemble = Ensemble::start(restored.path());
    read(&ensemble.servers);
    drop(ensemble);
    let other = snapshot(one.path());
    let (code, said) = run(&["restore", "--into"], &[restored.path(), &other]);
    assert!(
        code == 2 && said.contains("there is something in it"),
        "{said}"
    );
}
