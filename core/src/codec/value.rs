//! Values that several messages of the client protocol hold: paths, lists of permissions, Stats,
//! and the header that precedes each operation of a multi.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::cursor::Cursor;
use crate::codec::jute::{self, INT_BYTES};
use crate::codec::malformed::Malformed;
use crate::ids::Zxid;
use crate::time::WallTime;
use crate::tree::acl::{ACL_ENTRIES_MAX, Acl, AclEntry, Identity, Perms};
use crate::tree::data::Data;
use crate::tree::path::Path;
use crate::tree::stat::Stat;

/// Why a message could not be read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It is no message: the connection is closed.
    Malformed(Malformed),
    /// It is one, but a value in it breaks a rule: it is answered with this code.
    Refused(Code),
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

/// A path; null, and a text that is none, is refused.
pub(crate) fn path(input: &mut Cursor<'_>) -> Result<Path, Fault> {
    let text = jute::text(input, "path")?.ok_or(Fault::Refused(Code::BadArguments))?;
    Path::parse(text).map_err(|_| Fault::Refused(Code::BadArguments))
}

/// The path of a znode that is looked at. As in ZooKeeper, nothing is found at a text that is no
/// path; null is refused.
pub(crate) fn path_of_read(input: &mut Cursor<'_>) -> Result<Path, Fault> {
    let text = jute::text(input, "path")?.ok_or(Fault::Refused(Code::BadArguments))?;
    Path::parse(text).map_err(|_| Fault::Refused(Code::NoNode))
}

/// An access control list; null is the empty one, as in ZooKeeper. Null in the place of an id is no
/// text: `auth` needs none, and kazoo writes its empty texts so. Refuses null in the place of a
/// scheme, and a list that is too long before it costs anything. What else can be wrong with a
/// list, such as that it is empty, is found at execution, in its turn.
pub(crate) fn acl(input: &mut Cursor<'_>) -> Result<Acl, Fault> {
    let invalid = Fault::Refused(Code::InvalidACL);
    let count = jute::count(input, 3 * INT_BYTES, "access control list")?.unwrap_or(0);
    if count > ACL_ENTRIES_MAX {
        return Err(invalid);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let perms = Perms(jute::int(input, "permissions")?);
        let scheme = jute::text(input, "scheme")?;
        let id = jute::text(input, "id")?;
        entries.push(AclEntry {
            perms,
            who: Identity::new(scheme.ok_or(invalid)?, id.unwrap_or_default()),
        });
    }
    Ok(Acl(Arc::from(entries)))
}

pub(crate) fn put_data(out: &mut Vec<u8>, data: Option<&Data>) {
    match data {
        Some(data) => jute::put_buffer(out, data),
        None => jute::put_null(out),
    }
}

pub(crate) fn put_acl(out: &mut Vec<u8>, acl: &Acl) {
    jute::put_count(out, acl.0.len());
    for entry in acl.0.iter() {
        jute::put_int(out, entry.perms.0);
        jute::put_text(out, &entry.who.scheme);
        jute::put_text(out, &entry.who.id);
    }
}

pub(crate) fn stat(input: &mut Cursor<'_>) -> Result<Stat, Malformed> {
    let what = "stat";
    Ok(Stat {
        czxid: Zxid::from_wire(jute::long(input, what)?),
        mzxid: Zxid::from_wire(jute::long(input, what)?),
        ctime: WallTime(jute::long(input, what)?),
        mtime: WallTime(jute::long(input, what)?),
        version: jute::int(input, what)?,
        cversion: jute::int(input, what)?,
        aversion: jute::int(input, what)?,
        ephemeral_owner: jute::long(input, what)?,
        data_length: jute::int(input, what)?,
        num_children: jute::int(input, what)?,
        pzxid: Zxid::from_wire(jute::long(input, what)?),
    })
}

pub(crate) fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    jute::put_long(out, stat.czxid.to_wire());
    jute::put_long(out, stat.mzxid.to_wire());
    jute::put_long(out, stat.ctime.0);
    jute::put_long(out, stat.mtime.0);
    jute::put_int(out, stat.version);
    jute::put_int(out, stat.cversion);
    jute::put_int(out, stat.aversion);
    jute::put_long(out, stat.ephemeral_owner);
    jute::put_int(out, stat.data_length);
    jute::put_int(out, stat.num_children);
    jute::put_long(out, stat.pzxid.to_wire());
}

/// What precedes each operation of a multi, each of its results, and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MultiHeader {
    /// An operation of this number, or its result, follows. The number of an error is its own.
    Part {
        opcode: i32,
        error: i32,
    },
    End,
}

impl MultiHeader {
    pub(crate) fn read(input: &mut Cursor<'_>) -> Result<MultiHeader, Malformed> {
        let what = "header of a multi's part";
        let opcode = jute::int(input, what)?;
        let done = jute::truth(input, what)?;
        let error = jute::int(input, what)?;
        Ok(match done {
            true => MultiHeader::End,
            false => MultiHeader::Part { opcode, error },
        })
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        let (opcode, done, error) = match self {
            MultiHeader::Part { opcode, error } => (opcode, false, error),
            MultiHeader::End => (-1, true, -1),
        };
        jute::put_int(out, opcode);
        jute::put_truth(out, done);
        jute::put_int(out, error);
    }
}
