//! The bodies of requests, both ways: the server reads them, the client writes them.

use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::cursor::Cursor;
use crate::codec::jute::{self, INT_BYTES};
use crate::codec::malformed::Malformed;
use crate::codec::opcode;
use crate::codec::value::{self, Fault, MultiHeader};
use crate::ids::Zxid;
use crate::node::request::{Listing, Read, ReadPart, Request, SetWatches, Watching};
use crate::store::roster::{WISH_BYTES_MAX, Wish};
use crate::tree::data::Data;
use crate::tree::op::{Create, Lifetime, Naming, Op, Telling};
use crate::tree::owner::Ttl;
use crate::tree::path::{Path, Place};
use crate::watch::{WatchMode, Whichever};

/// Longest name of a scheme of authentication; the longest that ZooKeeper ships has eight.
const SCHEME_BYTES_MAX: usize = 64;

/// Longest proof of an identity: far above a user's name and password, and room for a token.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

/// Longest part of a SASL exchange: RFC 2831 gives an answer 4096 bytes.
const SASL_TOKEN_BYTES_MAX: usize = 4096;

/// ZooKeeper's `CreateMode`.
const PERSISTENT: i32 = 0;
const EPHEMERAL: i32 = 1;
const PERSISTENT_SEQUENTIAL: i32 = 2;
const EPHEMERAL_SEQUENTIAL: i32 = 3;
const CONTAINER: i32 = 4;
const PERSISTENT_WITH_TTL: i32 = 5;
const PERSISTENT_SEQUENTIAL_WITH_TTL: i32 = 6;

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
            Read::GetEphemerals { .. } => opcode::GET_EPHEMERALS,
            Read::CountBelow { .. } => opcode::GET_ALL_CHILDREN_NUMBER,
            Read::WhoAmI => opcode::WHO_AM_I,
            Read::Several(_) => opcode::MULTI_READ,
        },
        Request::Reconfigure(_) => opcode::RECONFIG,
        Request::Sync { .. } => opcode::SYNC,
        Request::Ping => opcode::PING,
        Request::Auth { .. } => opcode::AUTH,
        Request::Sasl { .. } => opcode::SASL,
        // Older servers know the older one only.
        Request::SetWatches(watches)
            if watches.persistent.is_empty() && watches.recursive.is_empty() =>
        {
            opcode::SET_WATCHES
        }
        Request::SetWatches(_) => opcode::SET_WATCHES2,
        Request::AddWatch { .. } => opcode::ADD_WATCH,
        Request::CheckWatches { .. } => opcode::CHECK_WATCHES,
        Request::RemoveWatches { .. } => opcode::REMOVE_WATCHES,
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
        | opcode::CREATE_CONTAINER
        | opcode::CREATE_TTL
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
            path: value::path_of_read(input)?,
        }),
        opcode::GET_EPHEMERALS => Request::Read(Read::GetEphemerals {
            prefix: Arc::from(jute::text(input, "beginning of paths")?.unwrap_or("")),
        }),
        opcode::GET_ALL_CHILDREN_NUMBER => Request::Read(Read::CountBelow {
            path: value::path_of_read(input)?,
        }),
        opcode::WHO_AM_I => Request::Read(Read::WhoAmI),
        opcode::MULTI_READ => Request::Read(Read::Several(several(input)?)),
        opcode::RECONFIG => Request::Reconfigure(wish(input)?),
        opcode::SYNC => Request::Sync {
            path: value::path(input)?,
        },
        opcode::PING => Request::Ping,
        opcode::AUTH => auth(input)?,
        opcode::SASL => sasl(input)?,
        opcode::SET_WATCHES | opcode::SET_WATCHES2 => {
            Request::SetWatches(set_watches(opcode, input)?)
        }
        opcode::ADD_WATCH => Request::AddWatch {
            path: value::path(input)?,
            mode: numbered(input, "mode of a watch", WatchMode::from_number)?,
        },
        opcode::CHECK_WATCHES => Request::CheckWatches {
            path: value::path(input)?,
            kinds: numbered(input, "kind of a watch", Whichever::from_number)?,
        },
        opcode::REMOVE_WATCHES => Request::RemoveWatches {
            path: value::path(input)?,
            kinds: numbered(input, "kind of a watch", Whichever::from_number)?,
        },
        opcode::CLOSE_SESSION => Request::CloseSession,
        opcode => Request::Unknown { opcode },
    })
}

fn op(opcode: i32, input: &mut Cursor<'_>) -> Result<Op, Fault> {
    Ok(match opcode {
        opcode::CREATE | opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
            Op::Create(create(opcode, input)?)
        }
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

fn create(opcode: i32, input: &mut Cursor<'_>) -> Result<Create, Fault> {
    let text = jute::text(input, "path")?;
    let data = jute::buffer(input, "data")?;
    let acl = value::acl(input)?;
    let flags = jute::int(input, "flags")?;
    let ttl = match opcode {
        opcode::CREATE_TTL => Some(jute::long(input, "time to live")?),
        _ => None,
    };
    let (lifetime, naming) = mode(opcode, flags, ttl).ok_or(Fault::Refused(Code::BadArguments))?;
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
        telling: match opcode {
            opcode::CREATE => Telling::Path,
            _ => Telling::PathAndStat,
        },
    })
}

/// What a mode means in a request of this kind. A time to live belongs into its own request, and
/// nothing else does.
fn mode(opcode: i32, flags: i32, ttl: Option<i64>) -> Option<(Lifetime, Naming)> {
    let ttl = ttl.map(|ms| u64::try_from(ms).ok().and_then(Ttl::from_ms));
    Some(match (opcode, flags, ttl) {
        (opcode::CREATE | opcode::CREATE2, PERSISTENT, _) => (Lifetime::Persistent, Naming::Exact),
        (opcode::CREATE | opcode::CREATE2, EPHEMERAL, _) => (Lifetime::Ephemeral, Naming::Exact),
        (opcode::CREATE | opcode::CREATE2, PERSISTENT_SEQUENTIAL, _) => {
            (Lifetime::Persistent, Naming::Sequential)
        }
        (opcode::CREATE | opcode::CREATE2, EPHEMERAL_SEQUENTIAL, _) => {
            (Lifetime::Ephemeral, Naming::Sequential)
        }
        (opcode::CREATE_CONTAINER, CONTAINER, _) => (Lifetime::Container, Naming::Exact),
        (opcode::CREATE_TTL, PERSISTENT_WITH_TTL, Some(Some(ttl))) => {
            (Lifetime::Ttl(ttl), Naming::Exact)
        }
        (opcode::CREATE_TTL, PERSISTENT_SEQUENTIAL_WITH_TTL, Some(Some(ttl))) => {
            (Lifetime::Ttl(ttl), Naming::Sequential)
        }
        _ => return None,
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

/// Servers that join and leave, or all of them. A text that is too long is not looked at.
fn wish(input: &mut Cursor<'_>) -> Result<Wish, Fault> {
    let mut text = |what| -> Result<Option<Arc<str>>, Fault> {
        match jute::text(input, what)? {
            Some(text) if text.len() > WISH_BYTES_MAX => Err(Fault::Refused(Code::BadArguments)),
            text => Ok(text.map(Arc::from)),
        }
    };
    Ok(Wish {
        joining: text("servers that join")?,
        leaving: text("servers that leave")?,
        members: text("all servers")?,
        version: jute::long(input, "version of the configuration")?,
    })
}

/// The reads of a multiRead: ZooKeeper has these two, and takes no notice of their watches.
fn several(input: &mut Cursor<'_>) -> Result<Vec<ReadPart>, Fault> {
    let mut parts = Vec::new();
    while let MultiHeader::Part { opcode, error: _ } = MultiHeader::read(input)? {
        let part = match opcode {
            opcode::GET_DATA => ReadPart::Data,
            opcode::GET_CHILDREN => ReadPart::Children,
            _ => return Err(Fault::Refused(Code::Unimplemented)),
        };
        parts.push(part(value::path(input)?));
        jute::truth(input, "watch")?;
    }
    Ok(parts)
}

/// The older request has no watches that stay.
fn set_watches(opcode: i32, input: &mut Cursor<'_>) -> Result<SetWatches, Fault> {
    let mut watches = SetWatches {
        relative_zxid: Zxid::from_wire(jute::long(input, "relative zxid")?),
        data: paths(input)?,
        exist: paths(input)?,
        child: paths(input)?,
        ..SetWatches::default()
    };
    if opcode == opcode::SET_WATCHES2 {
        watches.persistent = paths(input)?;
        watches.recursive = paths(input)?;
    }
    Ok(watches)
}

/// A value that has a number. ZooKeeper refuses a number that none has with this code.
fn numbered<T>(
    input: &mut Cursor<'_>,
    what: &'static str,
    from_number: fn(i32) -> Option<T>,
) -> Result<T, Fault> {
    from_number(jute::int(input, what)?).ok_or(Fault::Refused(Code::MarshallingError))
}

fn watched_path(input: &mut Cursor<'_>) -> Result<(Path, Watching), Fault> {
    let path = value::path_of_read(input)?;
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

/// Null begins an exchange, as no bytes do.
fn sasl(input: &mut Cursor<'_>) -> Result<Request, Fault> {
    let token = jute::buffer(input, "token")?.unwrap_or(&[]);
    match token.len() > SASL_TOKEN_BYTES_MAX {
        true => Err(Fault::Refused(Code::AuthFailed)),
        false => Ok(Request::Sasl {
            token: Data::copy_of(token),
        }),
    }
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
        Request::Reconfigure(wish) => {
            for text in [&wish.joining, &wish.leaving, &wish.members] {
                match text {
                    Some(text) => jute::put_text(out, text),
                    None => jute::put_null(out),
                }
            }
            jute::put_long(out, wish.version);
        }
        Request::Auth { scheme, credential } => {
            jute::put_int(out, 0);
            jute::put_text(out, scheme);
            jute::put_buffer(out, credential);
        }
        Request::Sasl { token } => jute::put_buffer(out, token),
        Request::SetWatches(watches) => {
            jute::put_long(out, watches.relative_zxid.to_wire());
            put_paths(out, &watches.data);
            put_paths(out, &watches.exist);
            put_paths(out, &watches.child);
            if opcode_of(request) == opcode::SET_WATCHES2 {
                put_paths(out, &watches.persistent);
                put_paths(out, &watches.recursive);
            }
        }
        Request::AddWatch { path, mode } => {
            jute::put_text(out, path.as_str());
            jute::put_int(out, mode.number());
        }
        Request::CheckWatches { path, kinds } | Request::RemoveWatches { path, kinds } => {
            jute::put_text(out, path.as_str());
            jute::put_int(out, kinds.number());
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
    let flags = match (create.lifetime, create.naming) {
        (Lifetime::Persistent, Naming::Exact) => PERSISTENT,
        (Lifetime::Ephemeral, Naming::Exact) => EPHEMERAL,
        (Lifetime::Persistent, Naming::Sequential) => PERSISTENT_SEQUENTIAL,
        (Lifetime::Ephemeral, Naming::Sequential) => EPHEMERAL_SEQUENTIAL,
        // ZooKeeper has no sequential one, and neither has the client.
        (Lifetime::Container, _) => CONTAINER,
        (Lifetime::Ttl(_), Naming::Exact) => PERSISTENT_WITH_TTL,
        (Lifetime::Ttl(_), Naming::Sequential) => PERSISTENT_SEQUENTIAL_WITH_TTL,
    };
    jute::put_int(out, flags);
    if let Lifetime::Ttl(ttl) = create.lifetime {
        let ms = i64::try_from(ttl.ms()).expect("a time to live has 40 bits");
        jute::put_long(out, ms);
    }
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
        Read::GetAcl { path } | Read::CountBelow { path } => jute::put_text(out, path.as_str()),
        Read::GetEphemerals { prefix } => jute::put_text(out, prefix),
        Read::WhoAmI => {}
        Read::Several(parts) => {
            for part in parts {
                let opcode = match part {
                    ReadPart::Data(_) => opcode::GET_DATA,
                    ReadPart::Children(_) => opcode::GET_CHILDREN,
                };
                MultiHeader::Part { opcode, error: -1 }.put(out);
                jute::put_text(out, part.path().as_str());
                jute::put_truth(out, false);
            }
            MultiHeader::End.put(out);
        }
    }
}

fn put_paths(out: &mut Vec<u8>, paths: &[Path]) {
    jute::put_count(out, paths.len());
    for path in paths {
        jute::put_text(out, path.as_str());
    }
}
