//! How many bytes answers take, so that none is sent that its client takes for damage.
//!
//! A client of ZooKeeper has a limit for what a server sends it (`jute.maxbuffer`). Beyond it the
//! client ends the connection, connects again, asks again, and so on for ever. An answer that is
//! too large is an error instead; a change whose answer might be is refused before it is proposed.

use crate::code::Code;
use crate::node::reply::{PartRead, Response};
use crate::tree::op::{Naming, Op, Telling};

/// What an answer has before its body: number, position, error.
pub const HEADER_BYTES: usize = 16;

const INT_BYTES: usize = 4;
const STAT_BYTES: usize = 68;

/// Before each part of a multi's answer, and at its end.
const PART_BYTES: usize = 9;

/// The longest number that execution can append to a name.
const SEQUENCE_BYTES_MAX: usize = 20;

/// What the answer to `getData` has beside the data.
pub const DATA_OVERHEAD_BYTES: usize = HEADER_BYTES + INT_BYTES + STAT_BYTES;

/// The response, unless its frame would be larger than `bytes_max`.
///
/// # Errors
/// `MarshallingError` if it would.
pub(super) fn fitting(response: Response, bytes_max: usize) -> Result<Response, Code> {
    match HEADER_BYTES + of_read(&response) <= bytes_max {
        true => Ok(response),
        false => Err(Code::MarshallingError),
    }
}

/// The bytes of a read's answer, without its header.
pub fn of_read(response: &Response) -> usize {
    match response {
        Response::Exists(_) => STAT_BYTES,
        Response::Data { data, .. } => of_data(data.as_deref()) + STAT_BYTES,
        Response::Children { names, stat } => {
            of_texts(names.iter().map(|name| name.len())) + stat.as_ref().map_or(0, |_| STAT_BYTES)
        }
        Response::Acl { acl, .. } => {
            let entries = acl.0.iter();
            let of_entry = entries.map(|entry| of_pair(&entry.who.scheme, &entry.who.id));
            INT_BYTES + of_entry.map(|bytes| INT_BYTES + bytes).sum::<usize>() + STAT_BYTES
        }
        Response::Ephemerals(paths) => of_texts(paths.iter().map(|path| path.as_str().len())),
        Response::Count(_) => INT_BYTES,
        Response::Identities(identities) => {
            let pairs = identities.iter().map(|who| of_pair(&who.scheme, &who.id));
            INT_BYTES + pairs.sum::<usize>()
        }
        Response::Several(parts) => parts.iter().map(of_part).sum::<usize>() + PART_BYTES,
        // These are no reads, and are no larger than what was asked.
        Response::Done(_)
        | Response::AllDone(_)
        | Response::NoneDone { .. }
        | Response::Synced { .. }
        | Response::Sasl(_)
        | Response::Added
        | Response::Empty => 0,
    }
}

/// The bytes of one read's answer among several.
pub(super) fn of_part(part: &Result<PartRead, Code>) -> usize {
    PART_BYTES
        + match part {
            Ok(PartRead::Data { data, .. }) => of_data(data.as_deref()) + STAT_BYTES,
            Ok(PartRead::Children(names)) => of_texts(names.iter().map(|name| name.len())),
            Err(_) => INT_BYTES,
        }
}

/// The most that the frame of a multi's answer can have, whatever comes of it.
pub fn of_multi_at_most(ops: &[Op]) -> usize {
    let of_op = |op: &Op| match op {
        Op::Create(create) => {
            let path: usize = create.place.pieces().map(str::len).iter().sum();
            let number = match create.naming {
                Naming::Exact => 0,
                Naming::Sequential => SEQUENCE_BYTES_MAX,
            };
            let stat = match create.telling {
                Telling::Path => 0,
                Telling::PathAndStat => STAT_BYTES,
            };
            INT_BYTES + path + number + stat
        }
        Op::SetData { .. } | Op::SetAcl { .. } => STAT_BYTES,
        // Nothing, or an error.
        Op::Delete { .. } | Op::Check { .. } => INT_BYTES,
    };
    let parts: usize = ops.iter().map(|op| PART_BYTES + of_op(op)).sum();
    HEADER_BYTES + parts + PART_BYTES
}

fn of_data(data: Option<&[u8]>) -> usize {
    INT_BYTES + data.map_or(0, <[u8]>::len)
}

fn of_pair(scheme: &str, id: &str) -> usize {
    2 * INT_BYTES + scheme.len() + id.len()
}

fn of_texts(lengths: impl Iterator<Item = usize>) -> usize {
    INT_BYTES + lengths.map(|bytes| INT_BYTES + bytes).sum::<usize>()
}
