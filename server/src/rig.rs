//! A small world for tests: streams in memory, the tokio runtime's time, a client by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use althing_core::codec::client::{
    decode_connect_response, decode_reply, encode_connect, encode_request, peek_xid,
};
use althing_core::config::Config;
use althing_core::ids::{Password, ServerId, Xid, Zxid};
use althing_core::node::effect::Effect;
use althing_core::node::input::Input;
use althing_core::node::node::{Node, Recovered};
use althing_core::node::reply::{ConnectResponse, Reply};
use althing_core::node::request::{ConnectRequest, Request};
use althing_core::prng::Seed;
use althing_core::time::{Duration, Instant, Now, WallTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::disk::Disk;
use crate::frames::FrameBuffer;
use crate::limits::Limits;
use crate::reports::Described;
use crate::server::{Attendance, Fatal, Setup, serve};
use crate::shell::{Shell, Task};
use crate::storage::settings::StorageSettings;
use crate::words::Whitelist;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a link holds in either direction.
const LINK_BYTES: usize = 64 * 1024;

type Arrival = (DuplexStream, SocketAddr);

/// What comes to one server from outside, and where it is put.
struct Door<T> {
    out: UnboundedSender<T>,
    into: Mutex<UnboundedReceiver<T>>,
}

impl<T> Door<T> {
    fn new() -> Door<T> {
        let (out, into) = unbounded_channel();
        let into = Mutex::new(into);
        Door { out, into }
    }

    fn put(&self, what: T) {
        assert!(self.out.send(what).is_ok(), "the door holds both");
    }

    async fn take(&self) -> T {
        let taken = self.into.lock().await.recv().await;
        taken.expect("the door holds both")
    }
}

/// One server's doors.
struct Doors {
    clients: Door<Arrival>,
    links: Door<DuplexStream>,
    datagrams: Door<Vec<u8>>,
}

impl Doors {
    fn new() -> Doors {
        Doors {
            clients: Door::new(),
            links: Door::new(),
            datagrams: Door::new(),
        }
    }
}

/// The world of one server; the worlds of an ensemble share their streets.
#[derive(Clone)]
pub struct Rig {
    born: tokio::time::Instant,
    server: ServerId,
    streets: Arc<BTreeMap<ServerId, Doors>>,
    drawn: Arc<AtomicU8>,
}

impl Rig {
    /// A server on its own.
    pub fn new() -> Rig {
        Rig::ensemble(1).remove(0)
    }

    /// The servers 1 to `servers`.
    pub fn ensemble(servers: u8) -> Vec<Rig> {
        let ids = || (1..=servers).map(ServerId);
        let streets = Arc::new(ids().map(|id| (id, Doors::new())).collect());
        let born = tokio::time::Instant::now();
        ids()
            .map(|server| Rig {
                born,
                server,
                streets: Arc::clone(&streets),
                drawn: Arc::new(AtomicU8::new(server.0)),
            })
            .collect()
    }

    fn doors(&self) -> &Doors {
        &self.streets[&self.server]
    }

    /// What a server of this world is told at its start: all are voters, and nobody gossips.
    pub fn setup(&self) -> Setup {
        let mut config = Config::standalone(self.server);
        config.voters = self.streets.keys().copied().collect();
        let peers = config.voters.iter().copied();
        Setup {
            config: config.clone(),
            peers: peers.filter(|peer| *peer != self.server).collect(),
            observers: BTreeSet::new(),
            gossip: None,
            limits: Limits::default(),
            storage: StorageSettings::default(),
            attendance: Attendance {
                words: Whitelist::all(),
                ..Attendance::default()
            },
            described: Described {
                listen: ([127, 0, 0, 1], 2181).into(),
                data_dir: "/data".to_owned(),
                config,
                servers: BTreeMap::new(),
            },
        }
    }

    /// Lets the server live.
    pub fn start(&self, setup: Setup, disk: impl Disk) -> Life {
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(setup, self.clone(), disk, async {
            let _ = stopped.await;
        });
        let ended = tokio::spawn(serving);
        Life { stop, ended }
    }

    /// What the server answers to a four-letter word.
    pub async fn word(&self, word: &str) -> String {
        let mut client = self.client(16 * 1024);
        client.send(word.as_bytes()).await;
        String::from_utf8(client.rest().await).expect("text")
    }

    /// A client's stream, which the server will accept; either direction holds `bytes`.
    pub fn client(&self, bytes: usize) -> TestClient {
        let (near, far) = tokio::io::duplex(bytes);
        let address = SocketAddr::from(([10, 0, 0, 7], 4711));
        self.doors().clients.put((far, address));
        TestClient::new(near)
    }
}

/// One life of a server.
pub struct Life {
    stop: oneshot::Sender<()>,
    pub ended: JoinHandle<Result<(), Fatal>>,
}

impl Life {
    /// Tells the server to stop, and waits until it has.
    pub async fn stop(self) {
        self.stop.send(()).expect("it runs");
        soon(self.ended).await.expect("no panic").expect("no error");
    }
}

impl Shell for Rig {
    type Stream = DuplexStream;
    type Link = DuplexStream;

    fn now(&self) -> Now {
        Now {
            clock: Instant(self.born.elapsed().as_nanos() as u64),
            wall: WallTime(1_700_000_000_000),
        }
    }

    async fn sleep_until(&self, until: Instant) {
        tokio::time::sleep_until(self.born + Duration::from_nanos(until.0)).await;
    }

    fn spawn(&self, _: Task, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn accept(&self) -> io::Result<Arrival> {
        Ok(self.doors().clients.take().await)
    }

    async fn dial(&self, server: ServerId) -> io::Result<DuplexStream> {
        let doors = self.streets.get(&server).ok_or(io::ErrorKind::NotFound)?;
        let (near, far) = tokio::io::duplex(LINK_BYTES);
        doors.links.put(far);
        Ok(near)
    }

    async fn accept_link(&self) -> io::Result<DuplexStream> {
        Ok(self.doors().links.take().await)
    }

    fn send_datagram(&self, to: ServerId, bytes: &[u8]) {
        if let Some(doors) = self.streets.get(&to) {
            doors.datagrams.put(bytes.to_vec());
        }
    }

    async fn datagram(&self) -> io::Result<Vec<u8>> {
        Ok(self.doors().datagrams.take().await)
    }

    fn entropy(&self) -> Seed {
        Seed([self.drawn.fetch_add(1, Ordering::Relaxed); 32])
    }

    fn observe_recovered(&self, _: &Recovered) {}
    fn observe_input(&self, _: Now, _: &Input) {}

    fn observe_node(&self, _: Now, node: &Node) {
        node.check();
    }

    fn observe_effect(&self, _: Now, _: &Effect) {}
}

/// Runs a test on one thread, and not for ever.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { soon(test).await })
}

/// What `future` gives, soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("waited too long")
}

/// A client by hand.
pub struct TestClient {
    pub stream: DuplexStream,
    frames: FrameBuffer,
}

impl TestClient {
    pub fn new(stream: DuplexStream) -> TestClient {
        TestClient {
            stream,
            frames: FrameBuffer::default(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("sent");
    }

    /// Fails if the server has closed the connection.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        soon(self.stream.write_all(bytes)).await
    }

    pub async fn ask(&mut self, xid: i32, request: &Request) {
        self.send(&request_bytes(xid, request)).await;
    }

    /// The next frame; `None` at the end.
    pub async fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.frames.next_frame(1 << 30).expect("a length") {
                return Some(frame.to_vec());
            }
            if soon(self.frames.fill(&mut self.stream)).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub async fn connect(&mut self) -> ConnectResponse {
        self.send(&connect_bytes()).await;
        let frame = self.frame().await.expect("an answer");
        decode_connect_response(&frame).expect("an answer to connect")
    }

    /// The next reply, which answers `request` or is an event.
    pub async fn reply(&mut self, request: &Request) -> Reply {
        let frame = self.frame().await.expect("a reply");
        let event = peek_xid(&frame).expect("a header") == Xid::NOTIFICATION;
        decode_reply(&frame, (!event).then_some(request)).expect("a reply")
    }

    /// All that comes until the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.frames.waiting().to_vec();
        // A stream that is cut is at its end too.
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

pub fn connect_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 30_000,
        session: None,
        password: Password::NONE,
        read_only: Some(false),
    };
    encode_connect(&request, &mut bytes);
    bytes
}

pub fn request_bytes(xid: i32, request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(Xid(xid), request, &mut bytes);
    bytes
}
