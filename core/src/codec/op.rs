//! Operations on the tree in our own alphabet, for the log and what else keeps them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::compact;
use crate::codec::cursor::Cursor;
use crate::codec::malformed::Malformed;
use crate::tree::acl::{Acl, AclEntry, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
use crate::tree::owner::Ttl;
use crate::tree::path::{Path, Place};

/// The shortest operation: its tag, `/` with its length, a version.
pub(crate) const OP_BYTES_MIN: usize = 4;

/// The shortest identity: two lengths.
pub(crate) const IDENTITY_BYTES_MIN: usize = 2;

/// The shortest entry of a list: its permissions and an identity.
const ACL_ENTRY_BYTES_MIN: usize = 1 + IDENTITY_BYTES_MIN;

const CREATE: u8 = 1;
const DELETE: u8 = 2;
const SET_DATA: u8 = 3;
const SET_ACL: u8 = 4;
const CHECK: u8 = 5;

/// What a create is, bit by bit.
const EPHEMERAL: u8 = 1;
const SEQUENTIAL: u8 = 2;
const TELLS_STAT: u8 = 4;
const CONTAINER: u8 = 8;
const TTL: u8 = 16;

const NULL: u8 = 0;
const BYTES: u8 = 1;

pub(crate) fn put_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Create(create) => {
            out.push(CREATE);
            put_create(out, create);
        }
        Op::Delete { path, version } => {
            out.push(DELETE);
            compact::put_text(out, path.as_str());
            compact::put_signed(out, (*version).into());
        }
        Op::SetData {
            path,
            data,
            version,
        } => {
            out.push(SET_DATA);
            compact::put_text(out, path.as_str());
            put_data(out, data.as_ref());
            compact::put_signed(out, (*version).into());
        }
        Op::SetAcl { path, acl, version } => {
            out.push(SET_ACL);
            compact::put_text(out, path.as_str());
            put_acl(out, acl);
            compact::put_signed(out, (*version).into());
        }
        Op::Check { path, version } => {
            out.push(CHECK);
            compact::put_text(out, path.as_str());
            compact::put_signed(out, (*version).into());
        }
    }
}

pub(crate) fn op(input: &mut Cursor<'_>) -> Result<Op, Malformed> {
    let at = input.malformed("operation");
    Ok(match compact::byte(input, "operation")? {
        CREATE => Op::Create(create(input)?),
        DELETE => Op::Delete {
            path: path(input)?,
            version: version(input)?,
        },
        SET_DATA => Op::SetData {
            path: path(input)?,
            data: data(input)?,
            version: version(input)?,
        },
        SET_ACL => Op::SetAcl {
            path: path(input)?,
            acl: acl(input)?,
            version: version(input)?,
        },
        CHECK => Op::Check {
            path: path(input)?,
            version: version(input)?,
        },
        _ => return Err(at),
    })
}

fn put_create(out: &mut Vec<u8>, create: &Create) {
    let lifetime = match create.lifetime {
        Lifetime::Persistent => 0,
        Lifetime::Ephemeral => EPHEMERAL,
        Lifetime::Container => CONTAINER,
        Lifetime::Ttl(_) => TTL,
    };
    let naming = match create.naming {
        Naming::Exact => 0,
        Naming::Sequential => SEQUENTIAL,
    };
    let telling = match create.telling {
        Telling::Path => 0,
        Telling::PathAndStat => TELLS_STAT,
    };
    out.push(lifetime | naming | telling);
    if let Lifetime::Ttl(ttl) = create.lifetime {
        compact::put_number(out, ttl.ms());
    }
    put_place(out, &create.place);
    put_data(out, create.data.as_ref());
    put_acl(out, &create.acl);
}

fn create(input: &mut Cursor<'_>) -> Result<Create, Malformed> {
    let at = input.malformed("kind of create");
    let kind = compact::byte(input, "kind of create")?;
    let lifetime = match kind & !(SEQUENTIAL | TELLS_STAT) {
        0 => Lifetime::Persistent,
        EPHEMERAL => Lifetime::Ephemeral,
        CONTAINER => Lifetime::Container,
        TTL => {
            let ms = compact::number(input, "time to live")?;
            Lifetime::Ttl(Ttl::from_ms(ms).ok_or(at)?)
        }
        _ => return Err(at),
    };
    let naming = match kind & SEQUENTIAL {
        0 => Naming::Exact,
        _ => Naming::Sequential,
    };
    let telling = match kind & TELLS_STAT {
        0 => Telling::Path,
        _ => Telling::PathAndStat,
    };
    Ok(Create {
        place: place(input, naming)?,
        data: data(input)?,
        acl: acl(input)?,
        lifetime,
        naming,
        telling,
    })
}

fn put_place(out: &mut Vec<u8>, place: &Place) {
    let pieces = place.pieces();
    compact::put_count(out, pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// A place of the kind that the naming needs: an exact one can never be completed by mistake, nor
/// one that waits for its number be created without.
fn place(input: &mut Cursor<'_>, naming: Naming) -> Result<Place, Malformed> {
    let at = input.malformed("place");
    let text = compact::text(input, "place")?;
    match naming {
        Naming::Exact => Place::exact(text),
        Naming::Sequential => Place::prefix(text),
    }
    .map_err(|_| at)
}

pub(crate) fn path(input: &mut Cursor<'_>) -> Result<Path, Malformed> {
    let at = input.malformed("path");
    Path::parse(compact::text(input, "path")?).map_err(|_| at)
}

fn version(input: &mut Cursor<'_>) -> Result<i32, Malformed> {
    compact::signed32(input, "version")
}

pub(crate) fn put_data(out: &mut Vec<u8>, data: Option<&Data>) {
    match data {
        None => out.push(NULL),
        Some(data) => {
            out.push(BYTES);
            compact::put_bytes(out, data);
        }
    }
}

pub(crate) fn data(input: &mut Cursor<'_>) -> Result<Option<Data>, Malformed> {
    let at = input.malformed("data");
    match compact::byte(input, "data")? {
        NULL => Ok(None),
        BYTES => Ok(Some(Data::copy_of(compact::bytes(input, "data")?))),
        _ => Err(at),
    }
}

pub(crate) fn put_acl(out: &mut Vec<u8>, acl: &Acl) {
    compact::put_count(out, acl.0.len());
    for entry in acl.0.iter() {
        compact::put_signed(out, entry.perms.0.into());
        put_identity(out, &entry.who);
    }
}

pub(crate) fn acl(input: &mut Cursor<'_>) -> Result<Acl, Malformed> {
    let count = compact::count(input, ACL_ENTRY_BYTES_MIN, "access control list")?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(AclEntry {
            perms: Perms(compact::signed32(input, "permissions")?),
            who: identity(input)?,
        });
    }
    Ok(Acl(Arc::from(entries)))
}

pub(crate) fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    compact::put_text(out, &identity.scheme);
    compact::put_text(out, &identity.id);
}

pub(crate) fn identity(input: &mut Cursor<'_>) -> Result<Identity, Malformed> {
    let scheme = compact::text(input, "scheme")?;
    let id = compact::text(input, "id")?;
    Ok(Identity::new(scheme, id))
}
