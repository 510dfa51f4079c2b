//! The other servers, as tokio's sockets reach them: links over TCP, datagrams over UDP.
//!
//! Both use the same port number. Names are resolved again for every link that is dialled, and for
//! datagrams from time to time, since a server may come back under another address.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use althing_core::ids::ServerId;
use althing_core::membership::Membership;
use althing_core::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::limits::{DATAGRAM_BYTES_MAX, DIAL_MAX};
use crate::tls::peers::PeerTls;
use crate::tls::stream::MaybeTls;

/// How long datagrams go to the address that a name had.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

/// Where the other servers are, and where they find this one.
#[derive(Debug)]
pub struct TokioPeers {
    listener: TcpListener,
    datagrams: UdpSocket,
    /// Host and port of each other server, by this one's configuration.
    hosts: BTreeMap<ServerId, String>,
    /// The same, as the members have agreed on it. If nobody answers there, the configuration may
    /// be newer.
    agreed: Mutex<BTreeMap<ServerId, String>>,
    /// `None` if links are not secret.
    tls: Option<PeerTls>,
    resolved: Mutex<BTreeMap<ServerId, Resolved>>,
}

/// What a name was last resolved to.
#[derive(Clone, Copy, Debug)]
struct Resolved {
    address: Option<SocketAddr>,
    asked_at: Instant,
}

impl TokioPeers {
    /// Listens at `listen`; the others are at `hosts`. All of them are `host:port`.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(
        listen: &str,
        hosts: BTreeMap<ServerId, String>,
        tls: Option<PeerTls>,
    ) -> io::Result<TokioPeers> {
        let listener = TcpListener::bind(listen).await?;
        let datagrams = UdpSocket::bind(listener.local_addr()?).await?;
        let resolved = Mutex::default();
        Ok(TokioPeers {
            listener,
            datagrams,
            hosts,
            agreed: Mutex::default(),
            tls,
            resolved,
        })
    }

    /// Where the members are, as they have agreed on it.
    pub fn learn(&self, membership: &Membership) {
        let addresses = membership.addresses.iter();
        let addresses = addresses.map(|(server, at)| (*server, at.peer.to_string()));
        *self.agreed() = addresses.collect();
    }

    /// Connects to another server.
    ///
    /// # Errors
    /// If it is not known, or nobody answers there.
    pub async fn dial(&self, server: ServerId) -> io::Result<MaybeTls> {
        let mut hosts = self.hosts(server).into_iter();
        let first = hosts.next().ok_or_else(not_known)?;
        // Both have a turn before the dialer loses patience.
        let mut stream = timeout(DIAL_MAX / 2, TcpStream::connect(first)).await;
        if let (Some(other), Err(_) | Ok(Err(_))) = (hosts.next(), &stream) {
            stream = timeout(DIAL_MAX / 2, TcpStream::connect(other)).await;
        }
        let stream = stream??;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => tls.connect(stream).await,
            None => Ok(MaybeTls::Plain(stream)),
        }
    }

    /// Waits for the next server that dials this one.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn accept(&self) -> io::Result<MaybeTls> {
        let (stream, address) = self.listener.accept().await?;
        tracing::debug!(%address, "somebody dials this server");
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some(tls) => tls.accept(stream),
            None => MaybeTls::Plain(stream),
        })
    }

    /// Where a server may be, the likeliest place first.
    fn hosts(&self, server: ServerId) -> Vec<String> {
        let agreed = self.agreed().get(&server).cloned();
        let configured = self.hosts.get(&server).cloned();
        let other = configured.filter(|configured| agreed.as_ref() != Some(configured));
        agreed.into_iter().chain(other).collect()
    }

    fn agreed(&self) -> MutexGuard<'_, BTreeMap<ServerId, String>> {
        // Nothing here can panic between two halves of a change.
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolved(&self) -> MutexGuard<'_, BTreeMap<ServerId, Resolved>> {
        // Nothing here can panic between two halves of a change.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one datagram, or loses it: to one whose address is not known yet, or to a socket that
    /// has no room.
    pub fn send_datagram(this: &Arc<TokioPeers>, runtime: &Handle, to: ServerId, bytes: &[u8]) {
        let Some(host) = this.hosts(to).into_iter().next() else {
            return;
        };
        let known = this.resolved().get(&to).copied();
        if known.is_none_or(|known| known.asked_at.elapsed() > RESOLVED_FOR) {
            let address = known.and_then(|known| known.address);
            let asked_at = Instant::now();
            this.resolved().insert(to, Resolved { address, asked_at });
            let (peers, host) = (Arc::clone(this), host);
            runtime.spawn(async move { peers.resolve(to, host).await });
        }
        if let Some(address) = known.and_then(|known| known.address)
            && let Err(error) = this.datagrams.try_send_to(bytes, address)
        {
            tracing::trace!(%to, %error, "a datagram is lost");
        }
    }

    async fn resolve(&self, server: ServerId, host: String) {
        let found = lookup_host(&host).await;
        let family_v4 = self
            .datagrams
            .local_addr()
            .is_ok_and(|local| local.is_ipv4());
        match found {
            Ok(mut addresses) => {
                // A socket of one family cannot send to the other.
                let address = addresses.find(|address| address.is_ipv4() == family_v4);
                let asked_at = Instant::now();
                let resolved = Resolved { address, asked_at };
                self.resolved().insert(server, resolved);
            }
            Err(error) => tracing::debug!(%server, host, %error, "no address for datagrams"),
        }
    }

    /// Waits for the next datagram.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn datagram(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let (length, _) = self.datagrams.recv_from(&mut bytes).await?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn not_known() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "its address is not known")
}
