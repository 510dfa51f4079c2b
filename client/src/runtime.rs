//! The world as a client sees it. [`Tokio`] is the ordinary one; the simulator brings its own, so
//! that the same client and recipes run in both.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// Spawn, sleep, connect, random, and a clock: all that the client needs of its surroundings.
/// A handle: cloning it is cheap.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A connection to a server, as a stream of bytes in both directions.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Runs `task` beside the caller.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Ends after `delay`, or a little later.
    fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send;

    /// Connects to `address` (`host:port`).
    ///
    /// # Errors
    /// What the network says. It may also never end; the caller bounds it.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// 64 random bits, for jitter.
    fn random(&self) -> u64;

    /// Time since an origin of the runtime's choice; it never goes back.
    fn now(&self) -> Duration;
}

/// The runtime of ordinary programs: tokio's tasks, timers and TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = tokio::net::TcpStream;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Detached: the task ends by itself when those who use it are gone.
        drop(tokio::spawn(task));
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        // Requests are small and wait for their answers.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn random(&self) -> u64 {
        // The standard library's only source that the operating system seeds.
        let state = std::hash::RandomState::new();
        std::hash::Hasher::finish(&std::hash::BuildHasher::build_hasher(&state))
    }

    fn now(&self) -> Duration {
        static ORIGIN: std::sync::OnceLock<tokio::time::Instant> = std::sync::OnceLock::new();
        ORIGIN.get_or_init(tokio::time::Instant::now).elapsed()
    }
}
