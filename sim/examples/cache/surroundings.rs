//! What this service needs of its surroundings beyond the client library's runtime: a port. Two
//! short implementations keep all other code the same on tokio and in the simulator.

use std::future::Future;
use std::io;

use althing_client::runtime::{Runtime, Tokio};
use althing_sim::world::listener::SimListener;
use althing_sim::world::runtime::SimRuntime;
use tokio::net::TcpListener;

/// A runtime on which one can listen.
pub trait Surroundings: Runtime {
    /// A port on which this program listens.
    type Listener: Send + Sync + 'static;

    /// Listens.
    ///
    /// # Errors
    /// What the system says.
    fn listen(&self, port: u16) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The next connection.
    ///
    /// # Errors
    /// What the system says.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Surroundings for Tokio {
    type Listener = TcpListener;

    async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        TcpListener::bind(("0.0.0.0", port)).await
    }

    async fn accept(listener: &TcpListener) -> io::Result<Self::Stream> {
        listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Surroundings for SimRuntime {
    type Listener = SimListener;

    async fn listen(&self, port: u16) -> io::Result<SimListener> {
        SimRuntime::listen(self, port)
    }

    async fn accept(listener: &SimListener) -> io::Result<Self::Stream> {
        listener.accept().await.map(|(stream, _)| stream)
    }
}
