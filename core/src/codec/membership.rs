//! The members of an ensemble, in the log, in snapshots and between servers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::ids::{DirectoryId, ServerId};
use crate::membership::Membership;

const SETTLED: u8 = 0;
const CHANGING: u8 = 1;

/// Appends the members.
///
/// # Panics
/// If they name the server 0: there is none.
pub(super) fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    put_servers(out, &membership.voters);
    match &membership.incoming {
        None => out.push(SETTLED),
        Some(incoming) => {
            out.push(CHANGING);
            put_servers(out, incoming);
        }
    }
    put_servers(out, &membership.learners);
    compact::put_count(out, membership.directories.len());
    for (server, directory) in &membership.directories {
        put_server(out, *server);
        out.extend_from_slice(&directory.0.to_le_bytes());
    }
}

/// Reads the members.
pub(super) fn membership(input: &mut Cursor<'_>) -> Result<Membership, Malformed> {
    let voters = servers(input)?;
    let at = input.malformed("membership");
    let incoming = match compact::byte(input, "membership")? {
        SETTLED => None,
        CHANGING => Some(servers(input)?),
        _ => return Err(at),
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
    Ok(Membership {
        voters,
        incoming,
        learners,
        directories,
    })
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
