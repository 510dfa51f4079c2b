//! The servers of an ensemble, as an operator lists them: `host:peerPort` and what follows it in
//! ZooKeeper's notation.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use crate::ids::ServerId;

/// A server's number: ZooKeeper's `myid`.
pub const ID: RangeInclusive<u8> = 1..=255;

/// Does a server vote?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerRole {
    /// Yes; ZooKeeper's participant.
    Voter,
    /// No, it only learns; ZooKeeper's observer.
    Observer,
}

/// A host, by name or address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// Without brackets.
    pub host: String,
    /// From 1.
    pub port: u16,
}

impl fmt::Display for HostPort {
    /// As resolvers read it: an address of IPv6 is in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl HostPort {
    /// Reads `host:port`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<HostPort, String> {
        let (host, rest) = split_host(text)?;
        let port = rest.ok_or_else(|| format!("`{text}` has no port"))?;
        let host = host.to_owned();
        let port = port_of(port)?;
        Ok(HostPort { host, port })
    }

    /// Do both name the same port of the same host, as far as their spelling tells?
    pub fn is_same(&self, other: &HostPort) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// Where a server serves clients, as far as the list says it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientAddress {
    /// `None` if only the port is given.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl fmt::Display for ClientAddress {
    /// As ZooKeeper shows it: without an address, all are meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        write!(f, "{}", SocketAddr::new(address, self.port))
    }
}

/// Where a server is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// Where the other servers find it.
    pub peer: HostPort,
    /// ZooKeeper's port for elections, which nobody needs here, and which is only shown again.
    pub election_port: Option<u16>,
    /// Where it serves clients.
    pub client: Option<ClientAddress>,
}

impl Address {
    /// Do both name a port of the other servers, or of the clients, that only one server can have?
    pub fn collides(&self, other: &Address) -> bool {
        let same_client = match (&self.client, &other.client) {
            (Some(one), Some(other)) => one == other && one.address.is_some_and(is_one_host),
            _ => false,
        };
        self.peer.is_same(&other.peer) || same_client
    }
}

/// Does the address stand for one machine, and not for whichever it is on?
fn is_one_host(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_loopback()
}

/// One server of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedServer {
    /// Where it is.
    pub at: Address,
    /// Does it vote?
    pub role: PeerRole,
}

impl fmt::Display for ListedServer {
    /// In ZooKeeper's notation, which has a port for elections in any case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            PeerRole::Voter => "participant",
            PeerRole::Observer => "observer",
        };
        let Address {
            peer,
            election_port,
            client,
        } = &self.at;
        let election_port = election_port.unwrap_or_else(|| beside(peer.port));
        write!(f, "{peer}:{election_port}:{role}")?;
        match client {
            None => Ok(()),
            Some(client) => write!(f, ";{client}"),
        }
    }
}

impl ListedServer {
    /// Reads the notation of ZooKeeper:
    /// `host:peerPort[:electionPort][:observer|:participant][;[clientAddress:]clientPort]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<ListedServer, String> {
        if text.contains('|') {
            let what = "several addresses of one server are not supported";
            return Err(what.to_owned());
        }
        let (text, client) = match text.split_once(';') {
            Some((text, client)) => (text, Some(client_address(client.trim())?)),
            None => (text, None),
        };
        let (host, rest) = split_host(text.trim())?;
        let mut fields = rest
            .ok_or_else(|| "has no peer port".to_owned())?
            .split(':');
        let port = port_of(fields.next().unwrap_or_default())?;
        let mut next = fields.next();
        let mut election_port = None;
        if let Some(field) = next
            && field.starts_with(|c: char| c.is_ascii_digit())
        {
            election_port = Some(port_of(field)?);
            next = fields.next();
        }
        let role = match next {
            None => PeerRole::Voter,
            Some(word) => role(word)?,
        };
        if let Some(more) = fields.next() {
            return Err(format!("`{more}` does not belong there"));
        }
        let peer = HostPort {
            host: host.to_owned(),
            port,
        };
        let at = Address {
            peer,
            election_port,
            client,
        };
        Ok(ListedServer { at, role })
    }
}

/// A port for elections where none was given. ZooKeeper's tools read no line in which it is missing
/// or the peer port; theirs are a thousand apart as a rule.
fn beside(port: u16) -> u16 {
    const APART: u16 = 1000;
    port.checked_add(APART).unwrap_or_else(|| port - APART)
}

/// Reads a server's role.
///
/// # Errors
/// If it is none.
pub fn role(word: &str) -> Result<PeerRole, String> {
    match word.to_ascii_lowercase().as_str() {
        "participant" | "voter" => Ok(PeerRole::Voter),
        "observer" => Ok(PeerRole::Observer),
        _ => Err(format!("`{word}` is neither participant nor observer")),
    }
}

/// Reads a server's number.
///
/// # Errors
/// If it is none.
pub fn id(text: &str) -> Result<ServerId, String> {
    let id = text.parse().ok().filter(|id| ID.contains(id));
    let (least, most) = (ID.start(), ID.end());
    id.map(ServerId)
        .ok_or_else(|| format!("`{text}` is not a server's number, from {least} to {most}"))
}

/// Reads `[address:]port`.
///
/// # Errors
/// What is wrong with it.
pub fn client_address(text: &str) -> Result<ClientAddress, String> {
    if let Ok(port) = text.parse::<u16>() {
        let address = None;
        return Ok(ClientAddress { address, port });
    }
    let (host, rest) = split_host(text)?;
    let port = rest.ok_or_else(|| format!("`{text}` has no port"))?;
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port"))?;
    let address = match host {
        // As for `clientPortAddress`.
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host
            .parse()
            .map_err(|_| format!("`{host}` is not an IP address"))?,
    };
    let address = Some(address);
    Ok(ClientAddress { address, port })
}

/// Splits the host from what follows the colon behind it. An address of IPv6 is in brackets.
fn split_host(text: &str) -> Result<(&str, Option<&str>), String> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, rest) = inside
                .split_once(']')
                .ok_or_else(|| format!("`{text}` has no closing bracket"))?;
            let rest = match rest {
                "" => None,
                rest => Some(
                    rest.strip_prefix(':')
                        .ok_or_else(|| format!("`{rest}` does not belong there"))?,
                ),
            };
            (host, rest)
        }
        None => match text.split_once(':') {
            Some((host, rest)) => (host, Some(rest)),
            None => (text, None),
        },
    };
    match host.is_empty() {
        true => Err(format!("`{text}` names no host")),
        false => Ok((host, rest)),
    }
}

fn port_of(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("`{text}` is not a port, from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn shown(text: &str) -> String {
        match ListedServer::parse(text) {
            Ok(server) => {
                let shown = server.to_string();
                let again = ListedServer::parse(&shown).expect("what is shown is read");
                assert_eq!(again.to_string(), shown);
                shown
            }
            Err(what) => what,
        }
    }

    #[test]
    fn the_notation_of_zookeeper_is_read_and_shown_as_zookeeper_shows_it() {
        for (text, expected) in [
            ("zk1:2888:3888", "zk1:2888:3888:participant"),
            ("zk1:2888", "zk1:2888:3888:participant"),
            ("10.0.0.1:2888:3888:observer", "10.0.0.1:2888:3888:observer"),
            ("zk1:2888:PARTICIPANT", "zk1:2888:3888:participant"),
            (
                "zk1:2888:3888;2181",
                "zk1:2888:3888:participant;0.0.0.0:2181",
            ),
            (
                "zk1:2888:3888:participant;0.0.0.0:2181",
                "zk1:2888:3888:participant;0.0.0.0:2181",
            ),
            (
                "[2001:db8::1]:2888:3888;[::1]:2181",
                "[2001:db8::1]:2888:3888:participant;[::1]:2181",
            ),
            (
                "zk1:2888:3888;localhost:7",
                "zk1:2888:3888:participant;127.0.0.1:7",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_port_for_elections_is_beside_every_port() {
        assert_eq!(beside(0), 1000);
        assert_eq!(beside(999), 1999);
        assert_eq!(beside(u16::MAX - 1000), u16::MAX);
        assert_eq!(beside(u16::MAX - 999), u16::MAX - 1999);
    }

    #[test]
    fn two_servers_cannot_have_one_port() {
        let collide = |one: &str, other: &str| {
            let at = |text| ListedServer::parse(text).expect("a server").at;
            at(one).collides(&at(other))
        };
        assert!(collide("zk1:1:2", "ZK1:1:3:observer;5"));
        assert!(collide("zk1:1:2;10.0.0.1:5", "zk2:1:2;10.0.0.1:5"));
        assert!(!collide("zk1:1:2;5", "zk2:1:2;5"));
        assert!(!collide("zk1:1:2;127.0.0.1:5", "zk2:1:2;127.0.0.1:5"));
        assert!(!collide("zk1:1:2", "zk1:2:2"));
    }

    #[test]
    fn complaints_tell_what_is_wrong() {
        for (text, expected) in [
            ("zk1", "has no peer port"),
            ("", "`` names no host"),
            (":2888", "`:2888` names no host"),
            ("zk1:0", "`0` is not a port, from 1 to 65535"),
            ("zk1:peer", "`peer` is not a port, from 1 to 65535"),
            ("zk1:2888:99999", "`99999` is not a port, from 1 to 65535"),
            (
                "zk1:2888:3888:boss",
                "`boss` is neither participant nor observer",
            ),
            ("zk1:2888:3888:observer:1", "`1` does not belong there"),
            ("zk1:2888;here:2181", "`here` is not an IP address"),
            ("zk1:2888;", "`` names no host"),
            ("[::1:2888", "`[::1:2888` has no closing bracket"),
            ("[::1]2888", "`2888` does not belong there"),
            (
                "zk1:2888:3888|zk2:2888:3888",
                "several addresses of one server are not supported",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for text in ["0", "256", "-1", "a", ""] {
            assert!(id(text).is_err(), "{text}");
        }
        assert_eq!(id("255"), Ok(ServerId(255)));
    }
}
