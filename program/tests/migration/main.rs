//! A real Apache ZooKeeper's data is taken over, and every znode is the same to a client; and the
//! other way.
//!
//! Needs Java and ZooKeeper's jars, so it is ignored unless asked for; `tests/differential/run`
//! fetches them and asks.

#[path = "../../../tests/differential/apache.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod apache;
mod history;
#[path = "../../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;
mod wire;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use althing_core::ids::Zxid;
use serde_json::Value;
use tempfile::TempDir;

use crate::apache::{Apache, Manner};
use crate::history::{SUPER_DIGEST, Tree, learn};
use crate::process::Server;
use crate::wire::{Secret, Wire};

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// What every znode below it tells of the ensemble, which is another one.
const CONFIG: &str = "/zookeeper/config";

/// Runs `althing import zookeeper`: its exit code, and what it said.
fn import(from: &Path, into: &Path, flags: &[&str]) -> (i32, String) {
    let output = Command::new(BINARY)
        .args(["import", "zookeeper"])
        .arg(from)
        .arg("--into")
        .arg(into)
        .args(flags)
        .output()
        .expect("the binary");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().expect("an exit code"), said)
}

/// ZooKeeper with small logs and many snapshots.
fn zookeeper(directory: &Path, compression: &str, lines: &str) -> Apache {
    let superdigest = format!("zookeeper.DigestAuthenticationProvider.superDigest={SUPER_DIGEST}");
    let compression = format!("zookeeper.snapshot.compression.method={compression}");
    Apache::start_in(Manner {
        directory,
        properties: &[
            "zookeeper.extendedTypesEnabled=true",
            "znode.container.checkIntervalMs=86400000",
            "zookeeper.preAllocSize=64",
            "zookeeper.snapCount=100",
            &superdigest,
            &compression,
        ],
        lines,
    })
}

/// Althing, with what was imported.
struct Heir {
    server: Server,
    _directory: TempDir,
}

impl Heir {
    /// Imports with these flags, and serves it.
    fn of(from: &Path, flags: &[&str]) -> (Heir, Value) {
        let directory = TempDir::new().expect("a directory");
        let data = directory.path().join("data");
        let flags = [flags, &["--json"]].concat();
        let (code, said) = import(from, &data, &flags);
        assert_eq!(code, 0, "{said}");
        let told = serde_json::from_str(&said).expect("an object");
        let server = serve(&data, directory.path());
        let heir = Heir {
            server,
            _directory: directory,
        };
        (heir, told)
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// Serves `data`, with a super user.
fn serve(data: &Path, directory: &Path) -> Server {
    let config = directory.join("althing.toml");
    let text = format!("super_digest = \"{SUPER_DIGEST}\"\n");
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("text");
    Server::start_in(BINARY, data, &["--config", config])
}

/// The first difference between what clients learn of both.
fn compare(theirs: &Tree, ours: &Tree) {
    for (path, learnt) in theirs {
        if path == CONFIG {
            continue;
        }
        let found = ours.get(path);
        assert_eq!(Some(learnt), found, "{path} differs");
    }
    let more: Vec<&String> = ours
        .keys()
        .filter(|path| !theirs.contains_key(*path))
        .collect();
    assert!(more.is_empty(), "there is more: {more:?}");
}

/// Without the ephemeral znodes of `theirs`, and without what tells of them in their parents.
fn without_ephemerals(tree: &Tree, theirs: &Tree) -> Tree {
    let mut rest = tree.clone();
    for (path, (_, stat, _)) in theirs {
        if stat.ephemeral_owner != 0 {
            let parent = &path[..path.rfind('/').expect("a path").max(1)];
            let was_there = rest.remove(path).is_some();
            let (_, stat, _) = rest.get_mut(parent).expect("a parent");
            stat.pzxid = Zxid::ZERO;
            // Each that is gone counts once more as a change.
            stat.num_children -= i32::from(was_there);
            stat.cversion += i32::from(was_there);
        }
    }
    rest
}

/// A session that stays open, with ephemeral znodes.
fn lasting(address: SocketAddr, top: &str) -> Secret {
    let mut wire = Wire::open(address, None);
    wire.create(top, None, 0);
    for name in ["one", "two"] {
        wire.create(&format!("{top}/{name}"), Some(b"mine"), 1);
    }
    wire.secret
}

/// The newest snapshots of a directory, the newest first.
fn snapshots(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut found: Vec<(i64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name()?.to_str()?.to_owned();
            let position = name.strip_prefix("snapshot.")?.split('.').next()?;
            Some((i64::from_str_radix(position, 16).ok()?, path))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// A copy of a data directory without its newest snapshots: more of the log must be replayed.
fn without_newest(from: &Path, count: usize) -> TempDir {
    let copy = TempDir::new().expect("a directory");
    let from = from.join("version-2");
    let left_out = &snapshots(&from)[..count];
    for entry in fs::read_dir(&from).expect("a directory") {
        let path = entry.expect("an entry").path();
        if !left_out.contains(&path) {
            let name = path.file_name().expect("a name");
            fs::copy(&path, copy.path().join(name)).expect("copied");
        }
    }
    copy
}

/// Two imports differ in nothing but the identities of their directories.
fn assert_same_state(one: &Path, other: &Path) {
    let output = Command::new(BINARY)
        .args(["inspect", "snapshot", "--json", "--diff"])
        .args([&snapshots(one)[0], &snapshots(other)[0]])
        .output()
        .expect("the binary");
    let said = String::from_utf8(output.stdout).expect("text");
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).expect("an object a line");
        let kind = line["kind"].as_str().expect("a kind");
        assert!(
            ["snapshot", "members", "comparison"].contains(&kind),
            "{line:#}"
        );
    }
    assert!(said.contains("\"kind\":\"comparison\""), "{said}");
}

/// The sessions that were open can be found again, and theirs is what they had.
fn assert_found_again(heir: &Heir, told: &Value, sessions: &[Secret]) {
    let zxid = told["zxid"].as_str().expect("a position");
    let zxid = zxid.strip_prefix("0x").expect("hexadecimal");
    let seen = i64::from_str_radix(zxid, 16).expect("a position");
    for (number, session) in sessions.iter().enumerate() {
        let mut wire = Wire::open(heir.address(), Some((session, seen)));
        assert_eq!((&wire.secret, wire.timeout_ms), (session, 40_000));
        assert!(wire.is_alive());
        assert!(wire.is_null(&format!("/lasting-{number}")));
    }
}

#[test]
#[ignore = "needs ZooKeeper's jars: tests/differential/run"]
fn every_znode_is_taken_over() {
    let directory = TempDir::new().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let from = directory.path().join("data");
    let mut sessions = Vec::new();
    for (life, compression) in ["", "gz", "snappy"].into_iter().enumerate() {
        let apache = zookeeper(directory.path(), compression, "");
        sessions.push(lasting(apache.address(), &format!("/lasting-{life}")));
        runtime.block_on(history::live(apache.address(), life));
        // As if it were killed: no snapshot, and no end of any session.
        drop(apache);

        let (kept, told) = Heir::of(&from, &["--keep-sessions"]);
        assert_eq!(told["sessions"], sessions.len(), "{told:#}");
        assert!(
            told["ephemerals_left_out"]
                .as_array()
                .expect("a list")
                .is_empty()
        );
        let ours = runtime.block_on(learn(kept.address()));
        assert_found_again(&kept, &told, &sessions);
        let (ended, told) = Heir::of(&from, &[]);
        let gone = told["ephemerals_left_out"].as_array().expect("a list");
        assert_eq!(gone.len(), 2 * sessions.len(), "{told:#}");
        let rest = runtime.block_on(learn(ended.address()));

        let apache = zookeeper(directory.path(), compression, "");
        let theirs = runtime.block_on(learn(apache.address()));
        drop(apache);
        assert!(theirs.len() > 500, "{} znodes", theirs.len());
        compare(&theirs, &ours);
        let expected = without_ephemerals(&theirs, &theirs);
        compare(&expected, &without_ephemerals(&rest, &theirs));
    }
    let newest = imported(&from);
    export_is_the_same(&runtime, &snapshots(newest.path())[0]);
    let count = snapshots(&from.join("version-2")).len();
    assert!(count > 6, "{count} snapshots");
    for fewer in 1..6 {
        let older = imported(without_newest(&from, fewer).path());
        assert_same_state(newest.path(), older.path());
    }
}

/// What comes of an import that keeps sessions.
fn imported(from: &Path) -> TempDir {
    let into = TempDir::new().expect("a directory");
    let (code, said) = import(from, into.path(), &["--keep-sessions"]);
    assert_eq!(code, 0, "{said}");
    into
}

/// ZooKeeper starts with what comes of an export, and it is what we serve.
fn export_is_the_same(runtime: &tokio::runtime::Runtime, snapshot: &Path) {
    let directory = TempDir::new().expect("a directory");
    let data = directory.path().join("data");
    let output = Command::new(BINARY)
        .args(["export", "zookeeper", "--into"])
        .args([&data, snapshot])
        .output()
        .expect("the binary");
    assert!(output.status.success(), "{output:?}");
    let restored = directory.path().join("restored");
    let output = Command::new(BINARY)
        .args(["restore", "--into"])
        .args([&restored, snapshot])
        .output()
        .expect("the binary");
    assert!(output.status.success(), "{output:?}");
    let heir = serve(&restored, directory.path());
    let ours = runtime.block_on(learn(heir.address()));
    let apache = zookeeper(directory.path(), "", "");
    let theirs = runtime.block_on(learn(apache.address()));
    assert!(ours.values().any(|(_, stat, _)| stat.ephemeral_owner != 0));
    compare(
        &without_ephemerals(&ours, &ours),
        &without_ephemerals(&theirs, &ours),
    );
}
