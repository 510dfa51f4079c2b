//! The bodies of requests, both ways: the server reads them, the client writes them.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::cursor::Cursor;
use crate::codec::jute::{self, INT_BYTES};
use crate::codec::malformed::Malformed;
use crate::codec::opcode;
use crate::codec::value::{self, Fault, MultiHeader};
use crate::ids::Zxid;
use crate::node::request::{Listing, Read, Request, SetWatches, Watching};
use crate::tree::data::Data;
use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
use crate::tree::path::{Path, Place};

/// Longest name of a scheme of authentication; the longest that ZooKeeper ships has eight.
const SCHEME_BYTES_MAX: usize = 64;

/// Longest proof of an identity: far above a user's name and password, and room for a token.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

const FLAG_EPHEMERAL: i32 = 1;
const FLAG_SEQUENTIAL: i32 = 2;

/// The number of an operation.
///
/// # Panics
/// If the request is [`Request::Refused`]: that is a server's judgement, nothing that is sent.
pub(crate) fn opcode_of(request: &Request) -> i32 {
    match request {
        Request::Write(op) => opcode::of_op(op),
        Request::Multi(_) => opcode::MULTI,
        Request::Read(read) => match read {
            Read::Exists { .. } => opcode::EXISTS,
            Read::GetData { .. } => opcode::GET_DATA,
            Read::GetChildren { listing, .. } => match listing {
                Listing::Names => opcode::GET_CHILDREN,
                Listing::NamesAndStat => opcode::GET_CHILDREN2,
            },
            Read::GetAcl { .. } => opcode::GET_ACL,
        },
        Request::Sync { .. } => opcode::SYNC,
        Request::Ping => opcode::PING,
        Request::Auth { .. } => opcode::AUTH,
        Request::SetWatches(_) => opcode::SET_WATCHES,
        Request::CloseSession => opcode::CLOSE_SESSION,
        Request::Refused(code) => panic!("a refusal ({code}) is no request that can be sent"),
        Request::Unknown { opcode } => *opcode,
    }
}

/// Reads what follows a request's header. The rest of a request that is refused is not looked at,
/// nor is the body of one that is not known.
pub(crate) fn decode_body(opcode: i32, input: &mut Cursor<'_>) -> Result<Request, Malformed> {
    match body(opcode, input) {
        Ok(unknown @ Request::Unknown { .. }) => Ok(unknown),
        Ok(request) => input.end("end of the request").map(|()| request),
        Err(Fault::Refused(code)) => Ok(Request::Refused(code)),
        Err(Fault::Malformed(malformed)) => Err(malformed),
    }
}

fn body(opcode: i32, input: &mut Cursor<'_>) -> Result<Request, Fault> {
    Ok(match opcode {
        opcode::CREATE
        | opcode::CREATE2
        | opcode::DELETE
        | opcode::SET_DATA
        | opcode::SET_ACL
        | opcode::CHECK => Request::Write(op(opcode, input)?),
        opcode::MULTI => Request::Multi(multi(input)?),
        opcode::EXISTS => {
            let (path, watching) = watched_path(input)?;
            Request::Read(Read::Exists { path, watching })
        }
        opcode::GET_DATA => {
            let (path, watching) = watched_path(input)?;
            Request::Read(Read::GetData { path, watching })
        }
        opcode::GET_CHILDREN => get_children(input, Listing::Names)?,
        opcode::GET_CHILDREN2 => get_children(input, Listing::NamesAndStat)?,
        opcode::GET_ACL => Request::Read(Read::GetAcl {
            path: value::path(input)?,
        }),
        opcode::SYNC => Request::Sync {
            path: value::path(input)?,
        },
        opcode::PING => Request::Ping,
        opcode::AUTH => auth(input)?,
        opcode::SET_WATCHES => Request::SetWatches(SetWatches {
            relative_zxid: Zxid::from_wire(jute::long(input, "relative zxid")?),
            data: paths(input)?,
            exist: paths(input)?,
            child: paths(input)?,
        }),
        opcode::CLOSE_SESSION => Request::CloseSession,
        opcode => Request::Unknown { opcode },
    })
}

fn op(opcode: i32, input: &mut Cursor<'_>) -> Result<Op, Fault> {
    Ok(match opcode {
        opcode::CREATE => Op::Create(create(input, Telling::Path)?),
        opcode::CREATE2 => Op::Create(create(input, Telling::PathAndStat)?),
        opcode::DELETE => Op::Delete {
            path: value::path(input)?,
            version: jute::int(input, "version")?,
        },
        opcode::SET_DATA => Op::SetData {
            path: value::path(input)?,
            data: jute::buffer(input, "data")?.map(Data::copy_of),
            version: jute::int(input, "version")?,
        },
        opcode::SET_ACL => Op::SetAcl {
            path: value::path(input)?,
            acl: value::acl(input)?,
            version: jute::int(input, "version")?,
        },
        opcode::CHECK => Op::Check {
            path: value::path(input)?,
            version: jute::int(input, "version")?,
        },
        _ => return Err(Fault::Refused(Code::Unimplemented)),
    })
}

fn create(input: &mut Cursor<'_>, telling: Telling) -> Result<Create, Fault> {
    let text = jute::text(input, "path")?;
    let data = jute::buffer(input, "data")?;
    let acl = value::acl(input)?;
    let flags = jute::int(input, "flags")?;
    if flags & !(FLAG_EPHEMERAL | FLAG_SEQUENTIAL) != 0 {
        return Err(Fault::Refused(Code::Unimplemented));
    }
    let lifetime = match flags & FLAG_EPHEMERAL {
        0 => Lifetime::Persistent,
        _ => Lifetime::Ephemeral,
    };
    let naming = match flags & FLAG_SEQUENTIAL {
        0 => Naming::Exact,
        _ => Naming::Sequential,
    };
    let place = match (text, naming) {
        (None, _) => return Err(Fault::Refused(Code::BadArguments)),
        // The root is a path like any other, only it is always there.
        (Some("/"), Naming::Exact) => return Err(Fault::Refused(Code::NodeExists)),
        (Some(text), Naming::Exact) => Place::exact(text),
        (Some(text), Naming::Sequential) => Place::prefix(text),
    };
    Ok(Create {
        place: place.map_err(|_| Fault::Refused(Code::BadArguments))?,
        data: data.map(Data::copy_of),
        acl,
        lifetime,
        naming,
        telling,
    })
}

/// The operations of a multi. As in ZooKeeper an access control list cannot be set in one.
fn multi(input: &mut Cursor<'_>) -> Result<Vec<Op>, Fault> {
    let mut ops = Vec::new();
    while let MultiHeader::Part { opcode, error: _ } = MultiHeader::read(input)? {
        match opcode {
            opcode::SET_ACL => return Err(Fault::Refused(Code::Unimplemented)),
            opcode => ops.push(op(opcode, input)?),
        }
    }
    Ok(ops)
}

fn watched_path(input: &mut Cursor<'_>) -> Result<(Path, Watching), Fault> {
    let path = value::path(input)?;
    let watching = match jute::truth(input, "watch")? {
        true => Watching::Once,
        false => Watching::No,
    };
    Ok((path, watching))
}

fn get_children(input: &mut Cursor<'_>, listing: Listing) -> Result<Request, Fault> {
    let (path, watching) = watched_path(input)?;
    Ok(Request::Read(Read::GetChildren {
        path,
        watching,
        listing,
    }))
}

/// Some clients send null for a proof of no bytes.
fn auth(input: &mut Cursor<'_>) -> Result<Request, Fault> {
    jute::int(input, "type of authentication")?;
    let scheme = jute::text(input, "scheme")?.ok_or(Fault::Refused(Code::BadArguments))?;
    let credential = jute::buffer(input, "credential")?.unwrap_or(&[]);
    if scheme.len() > SCHEME_BYTES_MAX || credential.len() > CREDENTIAL_BYTES_MAX {
        return Err(Fault::Refused(Code::AuthFailed));
    }
    Ok(Request::Auth {
        scheme: scheme.to_owned(),
        credential: Data::copy_of(credential),
    })
}

/// A list of paths; null is the empty list.
fn paths(input: &mut Cursor<'_>) -> Result<Vec<Path>, Fault> {
    let count = jute::count(input, INT_BYTES, "list of paths")?.unwrap_or(0);
    let mut paths = Vec::with_capacity(count);
    for _ in 0..count {
        paths.push(value::path(input)?);
    }
    Ok(paths)
}

/// Appends what follows the request's header.
pub(crate) fn put_body(out: &mut Vec<u8>, request: &Request) {
    match request {
        Request::Write(op) => put_op(out, op),
        Request::Multi(ops) => {
            for op in ops {
                // ZooKeeper's clients put -1 where an answer has its error.
                MultiHeader::Part {
                    opcode: opcode::of_op(op),
                    error: -1,
                }
                .put(out);
                put_op(out, op);
            }
            MultiHeader::End.put(out);
        }
        Request::Read(read) => put_read(out, read),
        Request::Sync { path } => jute::put_text(out, path.as_str()),
        Request::Auth { scheme, credential } => {
            jute::put_int(out, 0);
            jute::put_text(out, scheme);
            jute::put_buffer(out, credential);
        }
        Request::SetWatches(watches) => {
            jute::put_long(out, watches.relative_zxid.to_wire());
            put_paths(out, &watches.data);
            put_paths(out, &watches.exist);
            put_paths(out, &watches.child);
        }
        Request::Ping
        | Request::CloseSession
        | Request::Refused(_)
        | Request::Unknown { opcode: _ } => {}
    }
}

fn put_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Create(create) => put_create(out, create),
        Op::Delete { path, version } | Op::Check { path, version } => {
            jute::put_text(out, path.as_str());
            jute::put_int(out, *version);
        }
        Op::SetData {
            path,
            data,
            version,
        } => {
            jute::put_text(out, path.as_str());
            value::put_data(out, data.as_ref());
            jute::put_int(out, *version);
        }
        Op::SetAcl { path, acl, version } => {
            jute::put_text(out, path.as_str());
            value::put_acl(out, acl);
            jute::put_int(out, *version);
        }
    }
}

fn put_create(out: &mut Vec<u8>, create: &Create) {
    put_place(out, &create.place);
    value::put_data(out, create.data.as_ref());
    value::put_acl(out, &create.acl);
    let ephemeral = match create.lifetime {
        Lifetime::Persistent => 0,
        Lifetime::Ephemeral => FLAG_EPHEMERAL,
    };
    let sequential = match create.naming {
        Naming::Exact => 0,
        Naming::Sequential => FLAG_SEQUENTIAL,
    };
    jute::put_int(out, ephemeral | sequential);
}

fn put_place(out: &mut Vec<u8>, place: &Place) {
    let pieces = place.pieces();
    jute::put_count(out, pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn put_read(out: &mut Vec<u8>, read: &Read) {
    match read {
        Read::Exists { path, watching }
        | Read::GetData { path, watching }
        | Read::GetChildren {
            path,
            watching,
            listing: _,
        } => {
            jute::put_text(out, path.as_str());
            jute::put_truth(out, *watching == Watching::Once);
        }
        Read::GetAcl { path } => jute::put_text(out, path.as_str()),
    }
}

fn put_paths(out: &mut Vec<u8>, paths: &[Path]) {
    jute::put_count(out, paths.len());
    for path in paths {
        jute::put_text(out, path.as_str());
    }
}
