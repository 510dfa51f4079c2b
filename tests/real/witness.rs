//! The witness of a run of real processes: writes down what every client sends and receives, in
//! true order, for the simulator's checkers.
//!
//! A request is written down before it leaves and an answer after it has arrived, so what stands
//! later here was later indeed.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use althing_client::runtime::{Runtime, Tokio};
use althing_core::ids::ServerId;
use althing_sim::history::{History, LinkId, Moment, Violation, What};
use althing_sim::world::tap::{Book, Tap};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[derive(Default)]
struct Notes {
    history: History,
    violations: Vec<Violation>,
    links: u64,
}

struct Shared {
    began: Instant,
    servers: BTreeMap<SocketAddr, ServerId>,
    notes: Mutex<Notes>,
}

/// A handle; all clones write into the same book.
#[derive(Clone)]
pub struct Witness(Arc<Shared>);

impl Witness {
    /// Of the clients of these servers.
    pub fn new(servers: BTreeMap<SocketAddr, ServerId>) -> Witness {
        Witness(Arc::new(Shared {
            began: Instant::now(),
            servers,
            notes: Mutex::default(),
        }))
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// The runtime of a client of this name.
    pub fn runtime(&self, client: &str) -> Tapped {
        Tapped {
            witness: self.clone(),
            client: client.into(),
        }
    }

    /// Everything so far, and the rules that taps and clients saw broken.
    pub fn finish(&self) -> (History, Vec<Violation>) {
        let mut notes = self.notes();
        (
            std::mem::take(&mut notes.history),
            std::mem::take(&mut notes.violations),
        )
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().expect("no panic while it is held")
    }
}

impl Book for Witness {
    fn record(&self, what: What) {
        let mut notes = self.notes();
        // The clock is read under the lock, so hours rise with places.
        let at = self.now();
        notes.history.moments.push(Moment { at, what });
    }

    fn record_frame(&self, what: What, _: &[u8]) {
        self.record(what);
    }

    fn violate(&self, invariant: &'static str, detail: String) {
        let at = self.now();
        self.notes().violations.push(Violation {
            invariant,
            at,
            detail,
            session: None,
        });
    }
}

/// Tokio with a tap on every stream.
#[derive(Clone)]
pub struct Tapped {
    witness: Witness,
    client: Arc<str>,
}

impl Runtime for Tapped {
    type Stream = TappedStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (witness, client) = (self.witness.clone(), self.client.clone());
        let task = tokio::spawn(task);
        // Detached, but not unseen: a panic in the client library is a finding.
        drop(tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                witness.violate("A1 assertion", format!("{client}: {error}"));
            }
        }));
    }

    async fn sleep(&self, delay: Duration) {
        Tokio.sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<TappedStream> {
        let stream = Tokio.connect(address).await?;
        let servers = &self.witness.0.servers;
        let peer = stream.peer_addr()?;
        let server = servers.get(&peer).copied();
        let server = server.ok_or_else(|| io::Error::other(format!("{peer} is no server")))?;
        let link = {
            let mut notes = self.witness.notes();
            notes.links += 1;
            LinkId(notes.links)
        };
        let local = stream.local_addr().map(|local| local.ip());
        self.witness.record(What::LinkOpened {
            client: self.client.clone(),
            link,
            server,
            address: local.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        });
        Ok(TappedStream {
            stream,
            tap: Tap::new(self.witness.clone(), self.client.clone(), link),
            written: Vec::new(),
            sent_bytes: 0,
        })
    }

    fn random(&self) -> u64 {
        Tokio.random()
    }

    fn now(&self) -> Duration {
        Tokio.now()
    }
}

/// A connection with a tap.
pub struct TappedStream {
    stream: TcpStream,
    tap: Tap<Witness>,
    /// What the client wrote and the tap wrote down; some of it may have to leave yet.
    written: Vec<u8>,
    /// How much of it has left.
    sent_bytes: usize,
}

impl TappedStream {
    /// Hands the system what it has not taken yet.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent_bytes < self.written.len() {
            let rest = &self.written[self.sent_bytes..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => self.sent_bytes += bytes,
                Err(error) => {
                    self.tap.ended();
                    return Poll::Ready(Err(error));
                }
            }
        }
        self.written.clear();
        self.sent_bytes = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TappedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = &mut *self;
        let before = into.filled().len();
        let result = ready!(Pin::new(&mut end.stream).poll_read(context, into));
        match (&result, &into.filled()[before..]) {
            (Ok(()), read @ [_, ..]) => end.tap.read(read),
            _ => end.tap.ended(),
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for TappedStream {
    /// Takes all of it at once, and writes it down before the first byte leaves.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        self.tap.wrote(bytes);
        self.written.extend_from_slice(bytes);
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What has to wait leaves with the next write or flush.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for TappedStream {
    fn drop(&mut self) {
        self.tap.ended();
    }
}
