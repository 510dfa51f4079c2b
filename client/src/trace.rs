//! The trace of a client: every frame that it sends and receives, as lines of JSON that
//! `cargo sim verify-trace` holds against the traces of the servers. `docs/traces.md` is the
//! format, which any client can write.
//!
//! A frame is written down before it leaves and after it has arrived, so what stands later in the
//! traces of one machine was later indeed.
//!
//! ```no_run
//! use althing_client::client::Client;
//! use althing_client::config::ClientConfig;
//! use althing_client::trace::Traced;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Traced::new("client-1", "client-1.trace".as_ref())?;
//! let client = Client::connect(runtime, ClientConfig::new(["127.0.0.1:2181"])).await?;
//! # client.close().await?;
//! # Ok(())
//! # }
//! ```

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::runtime::{Runtime, Tokio};

/// The version of the format.
const VERSION: u32 = 1;

/// Where Linux says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Debug)]
struct Book {
    file: File,
    links: u64,
}

/// Tokio's runtime, with a trace of every connection. A handle; all clones write into one file.
///
/// If the file cannot be written any more, connections fail with the error: a trace with holes
/// would accuse servers of what they have not done.
#[derive(Clone, Debug)]
pub struct Traced(Arc<Mutex<Book>>);

impl Traced {
    /// The runtime of the client with this name, which is in no other trace of the same run. The
    /// lines are added at the end of `file`.
    ///
    /// # Errors
    /// If the file cannot be written, or the system does not tell which boot this is.
    pub fn new(client: &str, file: &Path) -> io::Result<Traced> {
        let mut file = File::options().append(true).create(true).open(file)?;
        let boot = fs::read_to_string(BOOT_ID)?;
        // The line that an earlier life may have torn ends here. A name's debug text is a string
        // of JSON as long as it has no control characters.
        let client: String = client.chars().filter(|c| !c.is_control()).collect();
        let header = format!(
            "\n{{\"althing-trace\":{VERSION},\"at\":{},\"boot\":{:?},\"client\":{client:?}}}\n",
            monotonic_ns(),
            boot.trim(),
        );
        file.write_all(header.as_bytes())?;
        Ok(Traced(Arc::new(Mutex::new(Book { file, links: 0 }))))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no panic while it is held")
    }
}

impl Book {
    /// The clock is read under the lock, so hours rise with places.
    fn note(&mut self, link: u64, did: &str) -> io::Result<()> {
        let at = monotonic_ns();
        let line = format!("{{\"at\":{at},\"link\":{link},{did}}}\n");
        self.file.write_all(line.as_bytes())
    }
}

impl Runtime for Traced {
    type Stream = TracedStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Tokio.spawn(task);
    }

    async fn sleep(&self, delay: Duration) {
        Tokio.sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<TracedStream> {
        let stream = Tokio.connect(address).await?;
        let (server, from) = (stream.peer_addr()?, stream.local_addr()?.ip());
        let mut book = self.book();
        book.links += 1;
        let link = book.links;
        let opened = format!("\"did\":\"opened\",\"server\":\"{server}\",\"from\":\"{from}\"");
        book.note(link, &opened)?;
        drop(book);
        Ok(TracedStream {
            stream,
            trace: self.clone(),
            link,
            has_ended: false,
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

/// A connection with a trace.
#[derive(Debug)]
pub struct TracedStream {
    stream: TcpStream,
    trace: Traced,
    link: u64,
    has_ended: bool,
    /// What the client wrote and the trace has; some of it may have to leave yet.
    written: Vec<u8>,
    /// How much of it has left.
    sent_bytes: usize,
}

impl TracedStream {
    fn note(&self, what: &str, bytes: &[u8]) -> io::Result<()> {
        let bytes = STANDARD.encode(bytes);
        let did = format!("\"did\":\"{what}\",\"bytes\":\"{bytes}\"");
        self.trace.book().note(self.link, &did)
    }

    fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        self.trace.book().note(self.link, "\"did\":\"ended\"")
    }

    /// Hands the system what it has not taken yet.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent_bytes < self.written.len() {
            let rest = &self.written[self.sent_bytes..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => self.sent_bytes += bytes,
                Err(error) => {
                    self.end()?;
                    return Poll::Ready(Err(error));
                }
            }
        }
        self.written.clear();
        self.sent_bytes = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TracedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = &mut *self;
        let before = into.filled().len();
        let result = ready!(Pin::new(&mut end.stream).poll_read(context, into));
        match (&result, &into.filled()[before..]) {
            (Ok(()), read @ [_, ..]) => end.note("received", read)?,
            _ => end.end()?,
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for TracedStream {
    /// Takes all of it at once, and writes it down before the first byte leaves.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        self.note("sent", bytes)?;
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

impl Drop for TracedStream {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the trace cannot be written");
        }
    }
}

/// The machine's monotonic clock, which all its processes share.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
