//! A whole server, files included, over streams in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use althing_core::node::reply::{Reply, Response};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::path::{Path as NodePath, Place};

use crate::disk::{Disk, DiskFile};
use crate::limits::Limits;
use crate::os_disk::OsDisk;
use crate::rig::{Life, Rig, TestClient, run, soon};

/// The data of a large znode.
const LARGE_BYTES: usize = 10_000;

struct Running {
    rig: Rig,
    life: Life,
}

fn start(directory: &Path, limits: Limits) -> Running {
    start_on(OsDisk::lock(directory).expect("a directory"), limits)
}

fn start_on(disk: impl Disk, limits: Limits) -> Running {
    let rig = Rig::new();
    let mut setup = rig.setup();
    setup.limits = limits;
    let life = rig.start(setup, disk);
    Running { rig, life }
}

impl Running {
    async fn client(&self, stream_bytes: usize) -> TestClient {
        let mut client = self.rig.client(stream_bytes);
        let connected = client.connect().await;
        assert!(connected.session.is_some());
        client
    }

    async fn stop(self) {
        self.life.stop().await;
    }

    async fn word(&self, word: &str) -> String {
        self.rig.word(word).await
    }
}

fn create(path: &str, bytes: usize) -> Request {
    Request::Write(Op::Create(Create {
        place: Place::exact(path).expect("a place"),
        data: Some(Data::from(vec![1; bytes])),
        acl: Acl::open(),
        lifetime: Lifetime::Persistent,
        naming: Naming::Exact,
        telling: Telling::Path,
    }))
}

fn get(path: &str, watching: Watching) -> Request {
    let path = NodePath::parse(path).expect("a path");
    Request::Read(Read::GetData { path, watching })
}

fn set(path: &str) -> Request {
    Request::Write(Op::SetData {
        path: NodePath::parse(path).expect("a path"),
        data: None,
        version: ANY_VERSION,
    })
}

async fn done(client: &mut TestClient, xid: i32, request: &Request) -> Response {
    client.ask(xid, request).await;
    match client.reply(request).await {
        Reply::Answer {
            xid: told, result, ..
        } => {
            assert_eq!(told.0, xid);
            result.expect("it is done")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let server = start(directory.path(), Limits::default());
        let mut client = server.client(1024).await;
        done(&mut client, 1, &create("/a", 3)).await;
        server.stop().await;
        assert_eq!(client.frame().await, None, "its connection is closed");

        let server = start(directory.path(), Limits::default());
        let mut client = server.client(1024).await;
        match done(&mut client, 1, &get("/a", Watching::No)).await {
            Response::Data { data, .. } => assert_eq!(data.as_deref(), Some(&[1, 1, 1][..])),
            other => panic!("{other:?}"),
        }
        server.stop().await;
    });
}

#[test]
fn a_stop_answers_what_is_under_way() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let server = start(directory.path(), Limits::default());
        let mut client = server.client(100_000).await;
        let creates: Vec<Request> = (0..100).map(|i| create(&format!("/n{i}"), 3)).collect();
        // The first answer tells that the server has read; what it has read, it answers.
        let mut bytes = Vec::new();
        for (xid, create) in creates.iter().enumerate() {
            bytes.extend(crate::rig::request_bytes(xid as i32, create));
        }
        client.send(&bytes).await;
        client.reply(&creates[0]).await;
        server.stop().await;
        let mut answered = 1;
        while let Some(_reply) = client.frame().await {
            answered += 1;
        }

        let server = start(directory.path(), Limits::default());
        let mut client = server.client(1024).await;
        for i in 0..answered {
            done(&mut client, 1, &get(&format!("/n{i}"), Watching::No)).await;
        }
        server.stop().await;
    });
}

#[test]
fn who_does_not_read_is_slowed_and_alone() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let limits = Limits {
            unread_bytes_soft: 3 * LARGE_BYTES,
            unread_bytes_max: 5 * LARGE_BYTES,
            ..Limits::default()
        };
        let server = start(directory.path(), limits);
        let mut lazy = server.client(100).await;
        let mut busy = server.client(1024).await;
        done(&mut busy, 1, &create("/large", LARGE_BYTES)).await;
        // Far more than the server would hold for it; it has 100 bytes of replies in its stream.
        let get = get("/large", Watching::No);
        for xid in 1..=60 {
            lazy.ask(xid, &get).await;
        }
        for xid in 2..=50 {
            done(&mut busy, xid, &Request::Ping).await;
        }
        let clients = server.word("stat").await;
        let queued: Vec<usize> = clients
            .lines()
            .filter_map(|line| line.split_once("queued=")?.1.split_once(','))
            .map(|(queued, _)| queued.parse().expect("a number"))
            .collect();
        assert!(queued[0] >= 50 && queued[1] == 0, "{clients}");
        for xid in 1..=60 {
            match lazy.reply(&get).await {
                Reply::Answer { xid: told, .. } => assert_eq!(told.0, xid),
                other => panic!("{other:?}"),
            }
        }
        server.stop().await;
    });
}

#[test]
fn who_does_not_read_its_events_is_cut_and_alone() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let limits = Limits {
            unread_bytes_soft: 400,
            unread_bytes_max: 500,
            ..Limits::default()
        };
        let server = start(directory.path(), limits);
        let mut lazy = server.client(100).await;
        let mut busy = server.client(1024).await;
        for i in 0..50 {
            let path = format!("/n{i}");
            done(&mut busy, 1, &create(&path, 1)).await;
            done(&mut lazy, 1, &get(&path, Watching::Once)).await;
        }
        for i in 0..50 {
            done(&mut busy, 1, &set(&format!("/n{i}"))).await;
        }
        let rest = lazy.rest().await;
        assert!(rest.len() <= 100, "{} bytes", rest.len());
        let told = server.word("mntr").await;
        assert!(told.contains("zk_connections_cut\t1\n"), "{told}");
        server.stop().await;
    });
}

/// A disk whose syncs fail from some moment on.
#[derive(Clone)]
struct Dying {
    disk: OsDisk,
    fails: Arc<AtomicBool>,
}

struct DyingFile {
    file: <OsDisk as Disk>::File,
    fails: Arc<AtomicBool>,
}

impl Dying {
    fn file(&self, file: <OsDisk as Disk>::File) -> DyingFile {
        DyingFile {
            file,
            fails: Arc::clone(&self.fails),
        }
    }
}

impl Disk for Dying {
    type File = DyingFile;

    async fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list().await
    }
    async fn open(&self, name: &str) -> io::Result<DyingFile> {
        Ok(self.file(self.disk.open(name).await?))
    }
    async fn create(&self, name: &str) -> io::Result<DyingFile> {
        Ok(self.file(self.disk.create(name).await?))
    }
    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to).await
    }
    async fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name).await
    }
    async fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory().await
    }
}

impl DiskFile for DyingFile {
    async fn len(&self) -> io::Result<u64> {
        self.file.len().await
    }
    async fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.file.read_at(offset, bytes).await
    }
    async fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes).await
    }
    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).await
    }
    async fn sync(&self) -> io::Result<()> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is dying")),
            false => self.file.sync().await,
        }
    }
}

#[test]
fn a_failed_sync_ends_the_server_and_acknowledges_nothing() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let fails = Arc::new(AtomicBool::new(false));
        let disk = Dying {
            disk: OsDisk::lock(directory.path()).expect("a directory"),
            fails: Arc::clone(&fails),
        };
        let server = start_on(disk, Limits::default());
        let mut client = server.client(1024).await;
        done(&mut client, 1, &create("/a", 3)).await;
        fails.store(true, Ordering::SeqCst);
        client.ask(2, &create("/b", 3)).await;
        assert_eq!(client.frame().await, None, "no answer, only the end");
        let ended = soon(server.life.ended).await.expect("no panic");
        let told = ended.expect_err("it cannot go on").to_string();
        assert!(told.contains("the disk is dying"), "{told}");
    });
}

#[test]
fn reports_are_laid_out_as_in_zookeeper() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let server = start(directory.path(), Limits::default());
        let mut client = server.client(1024).await;
        done(&mut client, 7, &create("/a", 3)).await;
        done(&mut client, 8, &get("/a", Watching::Once)).await;
        let shown = [
            without_measures(&server.word("stat").await),
            server.word("wchs").await,
            server.word("wchp").await,
            server.word("dump").await,
            server.word("isro").await,
        ];
        assert_eq!(
            shown.concat(),
            "\
Zookeeper version: 3.9.5-althing-0.1.0
Clients:
 /10.0.0.7:4711[1](queued=0,recved=3,sent=3)

Latency min/avg/max: _
Received: 3
Sent: 3
Connections: _
Outstanding: 0
Zxid: 0x100000002
Mode: standalone
Node count: 5
1 connections watching 1 paths
Total watches:1
/a
\t0x100000001

SessionTracker dump:
Global Sessions(1):
0x100000001\t30000ms
ephemeral nodes dump:
Sessions with Ephemerals (0):
rw"
        );
        let client_line = server.word("cons").await;
        for part in [
            " /10.0.0.7:4711[1](queued=0,recved=3,sent=3,sid=0x100000001,lop=getData,est=",
            ",to=30000,lcxid=0x8,lzxid=0x100000002,lresp=",
        ] {
            assert!(client_line.contains(part), "{client_line}");
        }
        server.stop().await;
    });
}

/// Latencies are measured, and earlier askers may still be counted.
fn without_measures(report: &str) -> String {
    report
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((key @ ("Latency min/avg/max" | "Connections"), _)) => format!("{key}: _\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}
