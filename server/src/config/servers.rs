//! The servers of an ensemble, as an operator lists them: `host:peerPort` and what follows it in
//! ZooKeeper's notation.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use althing_core::ids::ServerId;

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
#[derive(Clone, PartialEq, Eq, Debug)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// `None` if only the port is given.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// One server of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedServer {
    /// Where the other servers find it.
    pub peer: HostPort,
    /// Does it vote?
    pub role: PeerRole,
    /// Where it serves clients.
    pub client: Option<ClientAddress>,
}

impl fmt::Display for ListedServer {
    /// In ZooKeeper's notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            PeerRole::Voter => "participant",
            PeerRole::Observer => "observer",
        };
        write!(f, "{}:{role}", self.peer)?;
        match self.client {
            None => Ok(()),
            Some(ClientAddress {
                address: None,
                port,
            }) => write!(f, ";{port}"),
            Some(ClientAddress {
                address: Some(address),
                port,
            }) => write!(f, ";{}", SocketAddr::new(address, port)),
        }
    }
}

/// Does a line of ZooKeeper's give a port for elections, which nobody needs here?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionPort {
    /// Yes.
    Given,
    /// No.
    Absent,
}

impl ListedServer {
    /// Reads the notation of ZooKeeper:
    /// `host:peerPort[:electionPort][:observer|:participant][;[clientAddress:]clientPort]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<(ListedServer, ElectionPort), String> {
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
        let mut election = ElectionPort::Absent;
        if let Some(field) = next
            && field.starts_with(|c: char| c.is_ascii_digit())
        {
            port_of(field)?;
            election = ElectionPort::Given;
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
        Ok((ListedServer { peer, role, client }, election))
    }
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
    use super::*;

    fn shown(text: &str) -> String {
        match ListedServer::parse(text) {
            Ok((server, election)) => {
                let again = ListedServer::parse(&server.to_string());
                assert_eq!(again, Ok((server.clone(), ElectionPort::Absent)));
                format!("{server} {election:?}")
            }
            Err(what) => what,
        }
    }

    #[test]
    fn the_notation_of_zookeeper_is_read() {
        for (text, expected) in [
            ("zk1:2888:3888", "zk1:2888:participant Given"),
            ("zk1:2888", "zk1:2888:participant Absent"),
            (
                "10.0.0.1:2888:3888:observer",
                "10.0.0.1:2888:observer Given",
            ),
            ("zk1:2888:PARTICIPANT", "zk1:2888:participant Absent"),
            ("zk1:2888:3888;2181", "zk1:2888:participant;2181 Given"),
            (
                "zk1:2888:3888:participant;0.0.0.0:2181",
                "zk1:2888:participant;0.0.0.0:2181 Given",
            ),
            (
                "[2001:db8::1]:2888:3888;[::1]:2181",
                "[2001:db8::1]:2888:participant;[::1]:2181 Given",
            ),
            (
                "zk1:2888:3888;localhost:7",
                "zk1:2888:participant;127.0.0.1:7 Given",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
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
