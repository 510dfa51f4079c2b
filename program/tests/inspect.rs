//! `althing inspect` on the files of a real server: what it shows, that it finds damage where it
//! is, tells two histories apart, and writes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::runtime::Tokio;
use althing_client::znode::{CreateMode, Version};
use serde_json::Value;
use tempfile::TempDir;

use process::{PATIENCE, Server};

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// Runs `althing inspect`: its exit code and what it said.
fn inspect(arguments: &[&str], files: &[&Path]) -> (i32, String) {
    let output = Command::new(BINARY)
        .arg("inspect")
        .args(arguments)
        .args(files)
        .output()
        .expect("the binary");
    let mut said = String::from_utf8(output.stdout).expect("text");
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("an exit code"), said)
}

/// The files of a directory whose names begin so, in order.
fn files(directory: &Path, beginning: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with(beginning)
        })
        .collect();
    found.sort();
    found
}

fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = files(directory, "").into_iter();
    paths
        .map(|path| (path.clone(), fs::read(&path).expect("a readable file")))
        .collect()
}

/// A server that has done something, and made snapshots of it; stopped in order.
fn history(names: &[&str]) -> (TempDir, Server) {
    let settings = TempDir::new().expect("a directory");
    let config = settings.path().join("althing.toml");
    fs::write(&config, "snapshot_every = 4\n").expect("written");
    let config = config.to_str().expect("text").to_owned();
    let mut server = Server::start_with(BINARY, &["--config", &config]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let servers = [server.address().to_string()];
    let written = runtime.block_on(async {
        let client = Client::connect(Tokio, ClientConfig::new(servers)).await?;
        for name in names {
            client.create(name, "hello", CreateMode::Persistent).await?;
        }
        client
            .set_data(names[0], &b"\x00\xff"[..], Version::Any)
            .await?;
        // A second snapshot comes after the znodes above, whenever the first one was made.
        let began = Instant::now();
        while files(server.directory(), "snapshot.").len() < 2 {
            assert!(began.elapsed() < PATIENCE, "never: two snapshots");
            let mode = CreateMode::PersistentSequential;
            client.create("/filler-", "x", mode).await?;
        }
        client.close().await
    });
    written.expect("all is written");
    assert!(server.terminate().success());
    (settings, server)
}

#[test]
fn logs_and_snapshots_are_shown_and_checked_and_nothing_is_written() {
    let (_settings, server) = history(&["/a", "/a/b", "/c", "/d"]);
    let before = contents(server.directory());
    let logs = files(server.directory(), "log.");
    let logs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();

    let (code, said) = inspect(&["log"], &logs);
    assert_eq!(code, 0, "{said}");
    for expected in [
        "open epoch: leader 1",
        "open session:",
        "create /a/b Persistent Exact, 5 bytes \"hello\", acl world:anyone:cdrwa",
        "set /a, 2 bytes \"\\x00\\xff\"",
        "sealed: all of it was synced",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing:\n{said}");
    }
    let (code, said) = inspect(&["log", "--json", "--data", "full"], &logs);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let set = lines
        .iter()
        .find(|line| line["action"]["name"] == "set")
        .expect("the set is there");
    assert_eq!(set["action"]["path"], "/a");
    assert_eq!(set["action"]["data"]["base64"], "AP8=");
    let zxid = set["zxid"].as_str().expect("a position").to_owned();
    let (code, said) = inspect(&["log", "--json", "--from", &zxid, "--to", &zxid], &logs);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("\"kind\":\"entry\"").count(), 1, "{said}");

    let snapshot = files(server.directory(), "snapshot.").pop().expect("one");
    let (code, said) = inspect(&["snapshot"], &[&snapshot]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("\n/a: 5 bytes \"hello\", version 0") || said.contains("\n/a: 2 bytes"),
        "{said}"
    );
    // The snapshot's position is drawn: it may lie behind the end of the session.
    let sessions = said.lines().filter(|line| line.starts_with("session 0x"));
    let counted = format!("), {} sessions, ", sessions.count());
    assert!(said.contains(&counted), "{counted:?} is missing:\n{said}");
    assert!(said.contains("whole, the state at 1."), "{said}");
    let (_, said) = inspect(&["snapshot", "--path", "/zookeeper"], &[&snapshot]);
    assert!(
        !said.contains("\n/a:") && said.contains("/zookeeper/quota: "),
        "{said}"
    );
    let (code, said) = inspect(&["snapshot", "--check"], &[&snapshot]);
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");

    assert!(
        before == contents(server.directory()),
        "something was written"
    );
}

#[test]
fn damage_is_told_with_file_and_byte() {
    let (_settings, server) = history(&["/a", "/b", "/c", "/d"]);
    let copies = TempDir::new().expect("a directory");
    let log = files(server.directory(), "log.").pop().expect("a log");
    let snapshot = files(server.directory(), "snapshot.").pop().expect("one");
    for (kind, path, byte, expected) in [
        // The second sector is the first group; a seal stands behind it.
        ("log", &log, 512 + 40, "DAMAGED at byte 512: "),
        ("log", &log, 3, "DAMAGED at byte 0: a wrong checksum"),
        (
            "snapshot",
            &snapshot,
            40,
            "DAMAGED at byte 28: a piece's checksum is wrong",
        ),
        (
            "snapshot",
            &snapshot,
            3,
            "DAMAGED at byte 0: this is not the header",
        ),
    ] {
        let copy = copies.path().join(path.file_name().expect("a name"));
        let mut bytes = fs::read(path).expect("a readable file");
        bytes[byte] ^= 1;
        fs::write(&copy, bytes).expect("written");
        for manner in [&[kind, "--check"][..], &[kind][..]] {
            let (code, said) = inspect(manner, &[&copy]);
            assert_eq!(code, 1, "{said}");
            let told = format!("{}: {expected}", copy.display());
            assert!(said.contains(&told), "{told:?} is missing:\n{said}");
        }
        let (code, said) = inspect(&[kind, "--json", "--check"], &[&copy]);
        let told: Value = serde_json::from_str(&said).expect("one object");
        assert_eq!(
            (code, &told["kind"]),
            (1, &Value::from("finding")),
            "{said}"
        );
    }
    let (code, said) = inspect(&["log"], &[&copies.path().join("nothing")]);
    assert_eq!(code, 2, "{said}");
    let absent = copies.path().join("log.00000000000000ff");
    let (code, said) = inspect(&["log"], &[&absent]);
    assert!(code == 2 && said.contains("No such file"), "{said}");
}

#[test]
fn two_histories_are_compared() {
    let (_settings, server) = history(&["/a", "/b", "/c", "/d"]);
    let (_other_settings, other) = history(&["/a", "/b", "/c", "/x"]);
    let [log, foreign] = [&server, &other].map(|server| {
        let logs = files(server.directory(), "log.");
        logs.first().expect("a log").clone()
    });
    let compare = |kind: &str, one: &Path, two: &Path| {
        let other = two.to_str().expect("text");
        inspect(&[kind, "--diff", other], &[one])
    };
    let (code, said) = compare("log", &log, &log);
    assert!(code == 0 && said.ends_with("equal\n"), "{said}");
    let (code, said) = compare("log", &log, &foreign);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("entries differ"), "{said}");
    let [one, two] = [&server, &other].map(|server| {
        let snapshots = files(server.directory(), "snapshot.");
        snapshots.last().expect("a snapshot").clone()
    });
    let (code, said) = compare("snapshot", &one, &one);
    assert!(code == 0 && said.ends_with("equal\n"), "{said}");
    let (code, said) = compare("snapshot", &one, &two);
    assert!(code == 1 && said.contains("things differ"), "{said}");
}
