//! Ports of loopback for servers that are measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Where one server is reached.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub client: SocketAddr,
    /// By other servers; free for UDP, too, since gossip takes the same.
    pub peer: SocketAddr,
    /// What ZooKeeper elects on.
    pub election: SocketAddr,
}

/// Ports for so many servers, which are free now.
pub fn free(servers: u8) -> io::Result<Vec<Ports>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All are held until all are chosen.
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    while chosen.len() < usize::from(servers) {
        let (client, peer, election) = (bind()?, bind()?, bind()?);
        if let Ok(gossip) = UdpSocket::bind(peer.local_addr()?) {
            chosen.push(Ports {
                client: client.local_addr()?,
                peer: peer.local_addr()?,
                election: election.local_addr()?,
            });
            held.push((client, peer, election, gossip));
        }
    }
    Ok(chosen)
}
