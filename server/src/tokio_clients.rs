//! The clients, as tokio's sockets bring them: one port or two, with TLS or without.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

use crate::config::client_ports::{ClientPorts, Speaks};
use crate::tls::clients::ClientTls;
use crate::tls::files::TlsError;
use crate::tls::stream::MaybeTls;

/// Why clients cannot be served.
#[derive(Debug, Error)]
pub enum ClientsError {
    /// A port.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The files of TLS.
    #[error("TLS with clients: {0}")]
    Tls(#[from] TlsError),
}

#[derive(Debug)]
struct Port {
    listener: TcpListener,
    speaks: Speaks,
}

/// Where clients come in.
#[derive(Debug)]
pub struct TokioClients {
    ports: Vec<Port>,
    tls: Option<ClientTls>,
    /// Which port is looked at first: they take turns, so that neither holds up the other.
    turn: AtomicUsize,
}

impl TokioClients {
    /// Listens at the ports.
    ///
    /// # Errors
    /// If one cannot be had, or what TLS needs is of no use.
    pub async fn bind(wanted: &ClientPorts) -> Result<TokioClients, ClientsError> {
        let tls = wanted.tls.as_ref().map(ClientTls::load).transpose()?;
        let mut ports = vec![listen(wanted.listen, wanted.speaks).await?];
        if let Some(secure) = wanted.secure_listen {
            ports.push(listen(secure, Speaks::Tls).await?);
        }
        Ok(TokioClients {
            ports,
            tls,
            turn: AtomicUsize::new(0),
        })
    }

    /// The addresses of the ports, the first one first.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let ports = self.ports.iter();
        ports.map(|port| port.listener.local_addr()).collect()
    }

    /// Waits for the next client.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn accept(&self) -> io::Result<(MaybeTls, SocketAddr)> {
        let count = self.ports.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let (accepted, speaks) = poll_fn(|context| {
            for offset in 0..count {
                let port = &self.ports[first.wrapping_add(offset) % count];
                if let Poll::Ready(accepted) = port.listener.poll_accept(context) {
                    return Poll::Ready((accepted, port.speaks));
                }
            }
            Poll::Pending
        })
        .await;
        let (stream, address) = accepted?;
        // A reply is complete when it is written: nothing would come that could share its packet.
        stream.set_nodelay(true)?;
        Ok((self.begin(stream, speaks), address))
    }

    fn begin(&self, stream: TcpStream, speaks: Speaks) -> MaybeTls {
        match (&self.tls, speaks) {
            (None, _) | (_, Speaks::Plain) => MaybeTls::Plain(stream),
            (Some(tls), Speaks::Tls) => tls.accept(stream),
            (Some(tls), Speaks::Either) => tls.accept_either(stream),
        }
    }
}

async fn listen(address: SocketAddr, speaks: Speaks) -> Result<Port, ClientsError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ClientsError::Listen { address, source })?;
    Ok(Port { listener, speaks })
}
