//! A server that does as its test says, and the runtime through which the client reaches it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use althing_core::code::Code;
use althing_core::codec::client::{decode_connect, decode_request, encode_reply};
use althing_core::ids::{Password, SessionId, Xid, Zxid};
use althing_core::node::reply::{ConnectResponse, EventKind, Reply, Response, WatchEvent};
use althing_core::node::request::{ConnectRequest, Request, SetWatches};
use althing_core::tree::data::Data;
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Client;
use crate::config::ClientConfig;
use crate::runtime::Runtime;

pub(super) const SESSION: SessionId = SessionId(0x1_0000_0007);
pub(super) const PASSWORD: Password = Password([9; 16]);
pub(super) const TIMEOUT: Duration = Duration::from_secs(12);

/// Frames are small here; a full pipe would hide a client that waits.
const PIPE_BYTES: usize = 1024 * 1024;

/// Tokio's paused clock, and connections to the test.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    origin: Instant,
    draws: Arc<AtomicU64>,
    connections: mpsc::UnboundedSender<(String, DuplexStream)>,
}

impl Runtime for Fake {
    type Stream = DuplexStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(task));
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        self.connections
            .send((address.to_owned(), far))
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }

    fn random(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Where connections arrive.
pub(super) struct Servers {
    pub(super) runtime: Fake,
    accepted: mpsc::UnboundedReceiver<(String, DuplexStream)>,
}

impl Servers {
    pub(super) fn new() -> Servers {
        let (connections, accepted) = mpsc::unbounded_channel();
        Servers {
            runtime: Fake {
                origin: Instant::now(),
                draws: Arc::default(),
                connections,
            },
            accepted,
        }
    }

    pub(super) fn config() -> ClientConfig {
        ClientConfig::new(["one:2181", "two:2181"]).session_timeout(TIMEOUT)
    }

    /// The next connection.
    pub(super) async fn accept(&mut self) -> Peer {
        let (address, stream) = self.accepted.recv().await.expect("the runtime is there");
        Peer {
            address,
            stream,
            pings: 0,
        }
    }

    /// A client with a session, and the connection that serves it.
    pub(super) async fn client(&mut self) -> (Client<Fake>, Peer) {
        let connecting = Client::connect(self.runtime.clone(), Servers::config());
        let accepting = async {
            let mut peer = self.accept().await;
            peer.greet().await;
            peer
        };
        let (client, peer) = tokio::join!(connecting, accepting);
        (client.unwrap(), peer)
    }
}

/// The server's end of a connection.
pub(super) struct Peer {
    pub(super) address: String,
    stream: DuplexStream,
    /// Heartbeats that were answered in passing.
    pub(super) pings: usize,
}

impl Peer {
    /// Reads the first frame and gives the session, or takes it up again.
    pub(super) async fn greet(&mut self) -> ConnectRequest {
        self.greet_with(Some(SESSION)).await
    }

    /// Reads the first frame and says that the session has expired.
    pub(super) async fn refuse(&mut self) -> ConnectRequest {
        self.greet_with(None).await
    }

    /// Reads the first frame and gives `session`, as a server that has no leader.
    pub(super) async fn greet_reader(&mut self, session: SessionId) -> ConnectRequest {
        let request = self.first_frame().await;
        self.connected(Some(session), Some(true)).await;
        request
    }

    /// Reads the first frame and hangs up, as a server that cannot serve the client.
    pub(super) async fn hang_up(mut self) -> ConnectRequest {
        self.first_frame().await
    }

    /// The first frame.
    pub(super) async fn first_frame(&mut self) -> ConnectRequest {
        let frame = self.frame().await.expect("a client sends its first frame");
        decode_connect(&frame).unwrap()
    }

    /// Answers the first frame.
    pub(super) async fn welcome(&mut self, session: SessionId) {
        self.connected(Some(session), Some(false)).await;
    }

    /// The watches that the client sets again.
    pub(super) async fn set_again(&mut self) -> (Xid, SetWatches) {
        match self.asked().await {
            (xid, Request::SetWatches(watches)) => (xid, watches),
            other => panic!("{other:?}"),
        }
    }

    /// Reads the first frame and gives `session`, or says that it is over.
    pub(super) async fn greet_with(&mut self, session: Option<SessionId>) -> ConnectRequest {
        let request = self.first_frame().await;
        self.connected(session, Some(false)).await;
        request
    }

    async fn connected(&mut self, session: Option<SessionId>, read_only: Option<bool>) {
        let timeout_ms = i32::try_from(TIMEOUT.as_millis()).unwrap();
        self.say(&Reply::Connected(ConnectResponse {
            timeout_ms: session.map_or(0, |_| timeout_ms),
            session,
            password: session.map_or(Password::NONE, |_| PASSWORD),
            read_only,
        }))
        .await;
    }

    /// The next request that is no heartbeat; those are answered.
    pub(super) async fn asked(&mut self) -> (Xid, Request) {
        self.heard().await.expect("the client is connected")
    }

    /// As [`Peer::asked`]; `None` when the client has hung up.
    pub(super) async fn heard(&mut self) -> Option<(Xid, Request)> {
        loop {
            let frame = self.frame().await?;
            let (xid, request) = decode_request(&frame).unwrap();
            if request != Request::Ping {
                return Some((xid, request));
            }
            self.pings += 1;
            self.answer(Xid::PING, 0, Ok(Response::Empty)).await;
        }
    }

    /// Reads, and answers nothing, until the client hangs up.
    pub(super) async fn be_silent(&mut self) {
        while self.frame().await.is_some() {}
    }

    pub(super) async fn answer(&mut self, xid: Xid, zxid: u64, result: Result<Response, Code>) {
        let zxid = Zxid(zxid);
        self.say(&Reply::Answer { xid, zxid, result }).await;
    }

    pub(super) async fn tell(&mut self, zxid: u64, kind: EventKind, path: &str) {
        self.say(&Reply::Event(WatchEvent {
            zxid: Zxid(zxid),
            kind,
            path: Path::parse(path).unwrap(),
        }))
        .await;
    }

    pub(super) async fn say(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        encode_reply(reply, &mut bytes);
        self.say_bytes(&bytes).await;
    }

    pub(super) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn frame(&mut self) -> Option<Vec<u8>> {
        let length = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame)
    }
}

/// A znode's data, as a server answers.
pub(super) fn data(text: &str, mzxid: u64) -> Result<Response, Code> {
    Ok(Response::Data {
        data: Some(Data::from(text)),
        stat: stat(mzxid),
    })
}

pub(super) fn stat(mzxid: u64) -> Stat {
    Stat {
        mzxid: Zxid(mzxid),
        ..Stat::default()
    }
}
