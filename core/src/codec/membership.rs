//! The members of an ensemble, in the log, in snapshots and between servers.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::ids::{DirectoryId, ServerId};
use crate::listed::{Address, ClientAddress, HostPort};
use crate::membership::Membership;
use crate::voters::{Share, Voters};

/// What follows the voters, bit by bit.
const CHANGING: u8 = 1;
const ADDRESSED: u8 = 2;
/// The voters are in groups, or the incoming ones are: their shares stand at the end, in the order
/// of the voters.
const GROUPED: u8 = 4;
const INCOMING_GROUPED: u8 = 8;

const NO_PORT: u8 = 0;
const PORT: u8 = 1;
const ADDRESS_AND_PORT: u8 = 2;

/// The shortest address: a server's number, no host, its port and two that are not there.
const ADDRESS_BYTES_MIN: usize = 6;

/// Appends the members.
///
/// # Panics
/// If they name the server 0: there is none.
pub(super) fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    put_servers(out, membership.voters.servers());
    let changing = membership.incoming.as_ref().map_or(0, |_| CHANGING);
    let addressed = match membership.addresses.is_empty() {
        true => 0,
        false => ADDRESSED,
    };
    let is_grouped = |voters: &&Voters| !voters.shares().is_empty();
    let grouped = Some(&membership.voters).filter(is_grouped);
    let incoming_grouped = membership.incoming.as_ref().filter(is_grouped);
    let bit = |voters: Option<&Voters>, bit| voters.map_or(0, |_| bit);
    let groups = bit(grouped, GROUPED) | bit(incoming_grouped, INCOMING_GROUPED);
    out.push(changing | addressed | groups);
    if let Some(incoming) = &membership.incoming {
        put_servers(out, incoming.servers());
    }
    put_servers(out, &membership.learners);
    compact::put_count(out, membership.directories.len());
    for (server, directory) in &membership.directories {
        put_server(out, *server);
        out.extend_from_slice(&directory.0.to_le_bytes());
    }
    if addressed == ADDRESSED {
        compact::put_count(out, membership.addresses.len());
        for (server, address) in &membership.addresses {
            put_server(out, *server);
            put_address(out, address);
        }
    }
    for voters in [grouped, incoming_grouped].into_iter().flatten() {
        for share in voters.shares().values() {
            compact::put_number(out, share.group.into());
            compact::put_number(out, share.weight.into());
        }
    }
}

fn put_address(out: &mut Vec<u8>, address: &Address) {
    let Address {
        peer,
        election_port,
        client,
    } = address;
    compact::put_text(out, &peer.host);
    out.extend_from_slice(&peer.port.to_le_bytes());
    match election_port {
        None => out.push(NO_PORT),
        Some(port) => {
            out.push(PORT);
            out.extend_from_slice(&port.to_le_bytes());
        }
    }
    match client {
        None => out.push(NO_PORT),
        Some(client) => {
            out.push(match client.address {
                None => PORT,
                Some(_) => ADDRESS_AND_PORT,
            });
            out.extend_from_slice(&client.port.to_le_bytes());
            if let Some(address) = client.address {
                compact::put_text(out, &address.to_string());
            }
        }
    }
}

fn address(input: &mut Cursor<'_>) -> Result<Address, Malformed> {
    let host = compact::text(input, "host")?.to_owned();
    let port = u16::from_le_bytes(input.array("port")?);
    let at = input.malformed("port for elections");
    let election_port = match compact::byte(input, "port for elections")? {
        NO_PORT => None,
        PORT => Some(u16::from_le_bytes(input.array("port for elections")?)),
        _ => return Err(at),
    };
    Ok(Address {
        peer: HostPort { host, port },
        election_port,
        client: client_address(input)?,
    })
}

fn client_address(input: &mut Cursor<'_>) -> Result<Option<ClientAddress>, Malformed> {
    let at = input.malformed("port for clients");
    let kind = compact::byte(input, "port for clients")?;
    if kind == NO_PORT {
        return Ok(None);
    }
    let port = u16::from_le_bytes(input.array("port for clients")?);
    let address = match kind {
        PORT => None,
        ADDRESS_AND_PORT => {
            let text = compact::text(input, "address for clients")?;
            // Exactly one spelling.
            let address = text.parse::<IpAddr>().ok();
            Some(
                address
                    .filter(|address| address.to_string() == text)
                    .ok_or(at)?,
            )
        }
        _ => return Err(at),
    };
    Ok(Some(ClientAddress { address, port }))
}

/// Reads the members.
pub(super) fn membership(input: &mut Cursor<'_>) -> Result<Membership, Malformed> {
    let voters = servers(input)?;
    let at = input.malformed("membership");
    let parts = compact::byte(input, "membership")?;
    if parts & !(CHANGING | ADDRESSED | GROUPED | INCOMING_GROUPED) != 0 {
        return Err(at);
    }
    let incoming = match parts & CHANGING {
        0 => None,
        _ => Some(servers(input)?),
    };
    let learners = servers(input)?;
    let count = compact::count(input, 17, "directories")?;
    let mut directories = BTreeMap::new();
    for _ in 0..count {
        let at = input.malformed("order of the directories");
        let named = server(input)?;
        let directory = DirectoryId(u128::from_le_bytes(input.array("directory")?));
        let ordered = directories
            .last_key_value()
            .is_none_or(|(last, _)| *last < named);
        if !ordered {
            return Err(at);
        }
        directories.insert(named, directory);
    }
    let addresses = match parts & ADDRESSED {
        0 => BTreeMap::new(),
        _ => addresses(input)?,
    };
    let voters = in_groups(input, voters, parts & GROUPED)?;
    let incoming = match incoming {
        Some(incoming) => Some(in_groups(input, incoming, parts & INCOMING_GROUPED)?),
        None if parts & INCOMING_GROUPED != 0 => return Err(at),
        None => None,
    };
    Ok(Membership {
        voters,
        incoming,
        learners,
        directories,
        addresses,
    })
}

/// The voters with their shares, if there are groups; then there is at least one voter.
fn in_groups(
    input: &mut Cursor<'_>,
    voters: BTreeSet<ServerId>,
    grouped: u8,
) -> Result<Voters, Malformed> {
    if grouped == 0 {
        return Ok(Voters::from(voters));
    }
    let at = input.malformed("groups");
    let mut shares = BTreeMap::new();
    for server in voters {
        let group = compact::number32(input, "group")?;
        let weight = compact::number32(input, "weight")?;
        shares.insert(server, Share { group, weight });
    }
    match shares.is_empty() {
        true => Err(at),
        false => Ok(Voters::in_groups(shares)),
    }
}

/// At least one: none are not spelled.
fn addresses(input: &mut Cursor<'_>) -> Result<BTreeMap<ServerId, Address>, Malformed> {
    let at = input.malformed("addresses");
    let count = compact::count(input, ADDRESS_BYTES_MIN, "addresses")?;
    let mut addresses = BTreeMap::new();
    for _ in 0..count {
        let named = server(input)?;
        let ordered = addresses
            .last_key_value()
            .is_none_or(|(last, _)| *last < named);
        if !ordered {
            return Err(at);
        }
        addresses.insert(named, address(input)?);
    }
    match addresses.is_empty() {
        true => Err(at),
        false => Ok(addresses),
    }
}

fn put_servers(out: &mut Vec<u8>, servers: &BTreeSet<ServerId>) {
    compact::put_count(out, servers.len());
    servers.iter().for_each(|server| put_server(out, *server));
}

fn servers(input: &mut Cursor<'_>) -> Result<BTreeSet<ServerId>, Malformed> {
    let count = compact::count(input, 1, "servers")?;
    let mut servers = BTreeSet::new();
    for _ in 0..count {
        let at = input.malformed("order of the servers");
        let named = server(input)?;
        if servers.last().is_some_and(|last| *last >= named) {
            return Err(at);
        }
        servers.insert(named);
    }
    Ok(servers)
}

/// Appends a server's number.
pub(super) fn put_server(out: &mut Vec<u8>, server: ServerId) {
    assert!(server.0 != 0, "no server has the number 0");
    out.push(server.0);
}

/// Reads a server's number.
pub(super) fn server(input: &mut Cursor<'_>) -> Result<ServerId, Malformed> {
    let at = input.malformed("server");
    match compact::byte(input, "server")? {
        0 => Err(at),
        server => Ok(ServerId(server)),
    }
}
