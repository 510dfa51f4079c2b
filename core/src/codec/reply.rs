//! The bodies of answers and events, both ways: the server writes them, the client reads them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::code::Code;
use crate::codec::cursor::Cursor;
use crate::codec::jute::{self, INT_BYTES};
use crate::codec::malformed::Malformed;
use crate::codec::opcode;
use crate::codec::value::{self, Fault, MultiHeader};
use crate::ids::Zxid;
use crate::node::reply::{EventKind, PartRead, Response, WatchEvent};
use crate::node::request::{Listing, Read, ReadPart, Request};
use crate::tree::acl::Identity;
use crate::tree::data::Data;
use crate::tree::op::{Create, Done, Op, Telling};
use crate::tree::path::Path;
use crate::tree::stat::Stat;

/// ZooKeeper's `KeeperState.SyncConnected`, the only state in which a server of an ensemble tells
/// events.
const SYNC_CONNECTED: i32 = 3;

/// Appends what follows the header of a reply that is no error.
pub(crate) fn put_body(out: &mut Vec<u8>, response: &Response) {
    match response {
        Response::Done(done) => {
            put_done(out, done);
            // Only a check that stands alone is answered with a Stat.
            if let Done::Checked(stat) = done {
                value::put_stat(out, stat);
            }
        }
        Response::AllDone(all) => {
            for done in all {
                MultiHeader::Part {
                    opcode: opcode_of(done),
                    error: 0,
                }
                .put(out);
                put_done(out, done);
            }
            MultiHeader::End.put(out);
        }
        Response::NoneDone { count, index, code } => put_none_done(out, *count, *index, *code),
        Response::Exists(stat) => value::put_stat(out, stat),
        Response::Data { data, stat } => {
            value::put_data(out, data.as_ref());
            value::put_stat(out, stat);
        }
        Response::Children { names, stat } => {
            put_names(out, names);
            if let Some(stat) = stat {
                value::put_stat(out, stat);
            }
        }
        Response::Acl { acl, stat } => {
            value::put_acl(out, acl);
            value::put_stat(out, stat);
        }
        Response::Synced { path } => jute::put_text(out, path.as_str()),
        Response::Ephemerals(paths) => {
            jute::put_count(out, paths.len());
            for path in paths {
                jute::put_text(out, path.as_str());
            }
        }
        Response::Count(count) => jute::put_int(out, *count),
        Response::Identities(identities) => {
            jute::put_count(out, identities.len());
            for identity in identities {
                jute::put_text(out, &identity.scheme);
                jute::put_text(out, &identity.id);
            }
        }
        Response::Several(parts) => put_several(out, parts),
        Response::Sasl(token) => value::put_data(out, token.as_ref()),
        Response::Added => jute::put_int(out, 0),
        Response::Empty => {}
    }
}

fn put_names(out: &mut Vec<u8>, names: &[Arc<str>]) {
    jute::put_count(out, names.len());
    for name in names {
        jute::put_text(out, name);
    }
}

fn put_several(out: &mut Vec<u8>, parts: &[Result<PartRead, Code>]) {
    for part in parts {
        let (opcode, error) = match part {
            Ok(PartRead::Data { .. }) => (opcode::GET_DATA, 0),
            Ok(PartRead::Children(_)) => (opcode::GET_CHILDREN, 0),
            Err(code) => (opcode::ERROR, code.number()),
        };
        MultiHeader::Part { opcode, error }.put(out);
        match part {
            Ok(PartRead::Data { data, stat }) => {
                value::put_data(out, data.as_ref());
                value::put_stat(out, stat);
            }
            Ok(PartRead::Children(names)) => put_names(out, names),
            Err(code) => jute::put_int(out, code.number()),
        }
    }
    MultiHeader::End.put(out);
}

fn put_done(out: &mut Vec<u8>, done: &Done) {
    match done {
        Done::Created {
            path,
            stat,
            telling,
        } => {
            jute::put_text(out, path.as_str());
            if *telling == Telling::PathAndStat {
                value::put_stat(out, stat);
            }
        }
        Done::DataSet(stat) | Done::AclSet(stat) => value::put_stat(out, stat),
        Done::Deleted | Done::Checked(_) => {}
    }
}

fn opcode_of(done: &Done) -> i32 {
    match done {
        Done::Created { telling, .. } => opcode::of_create(*telling),
        Done::Deleted => opcode::DELETE,
        Done::DataSet(_) => opcode::SET_DATA,
        Done::AclSet(_) => opcode::SET_ACL,
        Done::Checked(_) => opcode::CHECK,
    }
}

fn put_none_done(out: &mut Vec<u8>, count: usize, index: usize, code: Code) {
    for position in 0..count {
        let error = match position.cmp(&index) {
            core::cmp::Ordering::Less => 0,
            core::cmp::Ordering::Equal => code.number(),
            core::cmp::Ordering::Greater => Code::RuntimeInconsistency.number(),
        };
        MultiHeader::Part {
            opcode: opcode::ERROR,
            error,
        }
        .put(out);
        jute::put_int(out, error);
    }
    MultiHeader::End.put(out);
}

/// Reads the answer to `request`.
pub(crate) fn decode_body(
    input: &mut Cursor<'_>,
    request: &Request,
) -> Result<Response, Malformed> {
    let response = match request {
        Request::Write(op) => Response::Done(match done(input, op)? {
            Done::Checked(_) => Done::Checked(value::stat(input)?),
            done => done,
        }),
        Request::Multi(ops) => multi(input, ops)?,
        Request::Read(read) => read_response(input, read)?,
        Request::Reconfigure(_) => data_and_stat(input)?,
        Request::Sync { .. } => Response::Synced { path: path(input)? },
        Request::AddWatch { .. } => {
            jute::int(input, "code of an added watch")?;
            Response::Added
        }
        Request::Sasl { .. } => Response::Sasl(jute::buffer(input, "token")?.map(Data::copy_of)),
        Request::Ping
        | Request::Auth { .. }
        | Request::SetWatches(_)
        | Request::CheckWatches { .. }
        | Request::RemoveWatches { .. }
        | Request::CloseSession
        | Request::Refused(_)
        | Request::Unknown { .. } => Response::Empty,
    };
    input.end("end of the reply")?;
    Ok(response)
}

fn done(input: &mut Cursor<'_>, op: &Op) -> Result<Done, Malformed> {
    Ok(match op {
        Op::Create(Create { telling, .. }) => Done::Created {
            path: path(input)?,
            stat: match telling {
                Telling::Path => Stat::default(),
                Telling::PathAndStat => value::stat(input)?,
            },
            telling: *telling,
        },
        Op::Delete { .. } => Done::Deleted,
        Op::SetData { .. } => Done::DataSet(value::stat(input)?),
        Op::SetAcl { .. } => Done::AclSet(value::stat(input)?),
        Op::Check { .. } => Done::Checked(Stat::default()),
    })
}

fn multi(input: &mut Cursor<'_>, ops: &[Op]) -> Result<Response, Malformed> {
    let mut peek = input.clone();
    if let MultiHeader::Part {
        opcode: opcode::ERROR,
        ..
    } = MultiHeader::read(&mut peek)?
    {
        return none_done(input, ops.len());
    }
    let what = "result of a multi's operation";
    let mut all = Vec::with_capacity(ops.len());
    for op in ops {
        let at = input.malformed(what);
        match MultiHeader::read(input)? {
            MultiHeader::Part { opcode, error: 0 } if opcode == opcode::of_result(op) => {
                all.push(done(input, op)?);
            }
            _ => return Err(at),
        }
    }
    end_of_multi(input)?;
    Ok(Response::AllDone(all))
}

fn none_done(input: &mut Cursor<'_>, count: usize) -> Result<Response, Malformed> {
    let what = "error of a multi's operation";
    let mut failed: Option<(usize, Code)> = None;
    for position in 0..count {
        let at = input.malformed(what);
        let MultiHeader::Part {
            opcode: opcode::ERROR,
            error: _,
        } = MultiHeader::read(input)?
        else {
            return Err(at);
        };
        // The header repeats it, but servers differ in what they write there.
        let error = jute::int(input, what)?;
        match (failed, error) {
            (None, 0) => {}
            (None, error) => failed = Some((position, Code::from_number(error).ok_or(at)?)),
            (Some(_), error) if error == Code::RuntimeInconsistency.number() => {}
            (Some(_), _) => return Err(at),
        }
    }
    end_of_multi(input)?;
    let (index, code) = failed.ok_or(input.malformed(what))?;
    Ok(Response::NoneDone { count, index, code })
}

fn end_of_multi(input: &mut Cursor<'_>) -> Result<(), Malformed> {
    let at = input.malformed("end of a multi");
    match MultiHeader::read(input)? {
        MultiHeader::End => Ok(()),
        MultiHeader::Part { .. } => Err(at),
    }
}

fn read_response(input: &mut Cursor<'_>, read: &Read) -> Result<Response, Malformed> {
    Ok(match read {
        Read::Exists { .. } => Response::Exists(value::stat(input)?),
        Read::GetData { .. } => data_and_stat(input)?,
        Read::GetChildren { listing, .. } => Response::Children {
            names: names(input)?,
            stat: match listing {
                Listing::Names => None,
                Listing::NamesAndStat => Some(value::stat(input)?),
            },
        },
        Read::GetAcl { .. } => Response::Acl {
            acl: judged(value::acl, input, "access control list")?,
            stat: value::stat(input)?,
        },
        Read::GetEphemerals { .. } => Response::Ephemerals(paths(input)?),
        Read::CountBelow { .. } => Response::Count(jute::int(input, "count")?),
        Read::WhoAmI => Response::Identities(identities(input)?),
        Read::Several(parts) => Response::Several(several(input, parts)?),
    })
}

fn data_and_stat(input: &mut Cursor<'_>) -> Result<Response, Malformed> {
    Ok(Response::Data {
        data: jute::buffer(input, "data")?.map(Data::copy_of),
        stat: value::stat(input)?,
    })
}

fn paths(input: &mut Cursor<'_>) -> Result<Vec<Path>, Malformed> {
    let count = jute::count(input, INT_BYTES, "list of paths")?.unwrap_or(0);
    let mut paths = Vec::with_capacity(count);
    for _ in 0..count {
        paths.push(path(input)?);
    }
    Ok(paths)
}

fn identities(input: &mut Cursor<'_>) -> Result<Vec<Identity>, Malformed> {
    let what = "identity";
    let count = jute::count(input, 2 * INT_BYTES, what)?.unwrap_or(0);
    let mut identities = Vec::with_capacity(count);
    for _ in 0..count {
        let scheme = jute::text(input, what)?.unwrap_or("");
        let id = jute::text(input, what)?.unwrap_or("");
        identities.push(Identity::new(scheme, id));
    }
    Ok(identities)
}

fn several(
    input: &mut Cursor<'_>,
    parts: &[ReadPart],
) -> Result<Vec<Result<PartRead, Code>>, Malformed> {
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let at = input.malformed("result of a read");
        let MultiHeader::Part { opcode, error: _ } = MultiHeader::read(input)? else {
            return Err(at);
        };
        all.push(match (opcode, part) {
            (opcode::ERROR, _) => {
                let code = Code::from_number(jute::int(input, "code of a read")?);
                Err(code.ok_or(at)?)
            }
            (opcode::GET_DATA, ReadPart::Data(_)) => Ok(PartRead::Data {
                data: jute::buffer(input, "data")?.map(Data::copy_of),
                stat: value::stat(input)?,
            }),
            (opcode::GET_CHILDREN, ReadPart::Children(_)) => Ok(PartRead::Children(names(input)?)),
            _ => return Err(at),
        });
    }
    let at = input.malformed("end of the results");
    match MultiHeader::read(input)? {
        MultiHeader::End => Ok(all),
        MultiHeader::Part { .. } => Err(at),
    }
}

fn names(input: &mut Cursor<'_>) -> Result<Vec<Arc<str>>, Malformed> {
    let what = "names of children";
    let count = jute::count(input, INT_BYTES, what)?.unwrap_or(0);
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let at = input.malformed(what);
        names.push(Arc::from(jute::text(input, what)?.ok_or(at)?));
    }
    Ok(names)
}

fn path(input: &mut Cursor<'_>) -> Result<Path, Malformed> {
    judged(value::path, input, "path")
}

/// Reads a value; a server that breaks its rules has sent no reply.
fn judged<T>(
    read: fn(&mut Cursor<'_>) -> Result<T, Fault>,
    input: &mut Cursor<'_>,
    what: &'static str,
) -> Result<T, Malformed> {
    let at = input.malformed(what);
    read(input).map_err(|fault| match fault {
        Fault::Malformed(malformed) => malformed,
        Fault::Refused(_) => at,
    })
}

/// Appends what follows an event's header.
pub(crate) fn put_event(out: &mut Vec<u8>, event: &WatchEvent) {
    jute::put_int(out, event.kind as i32);
    jute::put_int(out, SYNC_CONNECTED);
    jute::put_text(out, event.path.as_str());
}

/// Reads what follows an event's header. The state it was told in is of no consequence: the
/// connection itself says whether the client is connected.
pub(crate) fn decode_event(input: &mut Cursor<'_>, zxid: Zxid) -> Result<WatchEvent, Malformed> {
    let what = "kind of an event";
    let at = input.malformed(what);
    let kind = EventKind::from_number(jute::int(input, what)?).ok_or(at)?;
    jute::int(input, "state of an event")?;
    let path = path(input)?;
    input.end("end of the event")?;
    Ok(WatchEvent { zxid, kind, path })
}
