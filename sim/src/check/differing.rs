//! When two answers are the same to a client, and which invariant is broken if they are not.

use althing_core::code::Code;
use althing_core::node::reply::{PartRead, Response};
use althing_core::node::request::{Read, Request};
use althing_core::tree::op::{Done, Naming, Op, Telling};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

/// The znode that an operation is about; of a sequential create, its parent.
pub fn op_path(op: &Op) -> Path {
    match op {
        Op::Create(create) => {
            Path::parse(&create.place.to_text()).unwrap_or_else(|_| create.place.parent().clone())
        }
        Op::Delete { path, .. }
        | Op::SetData { path, .. }
        | Op::SetAcl { path, .. }
        | Op::Check { path, .. } => path.clone(),
    }
}

/// The znode that a read is about, if it is about one.
pub fn read_path(read: &Read) -> Option<&Path> {
    match read {
        Read::Exists { path, .. }
        | Read::GetData { path, .. }
        | Read::GetChildren { path, .. }
        | Read::GetAcl { path }
        | Read::CountBelow { path } => Some(path),
        Read::GetEphemerals { .. } | Read::WhoAmI | Read::Several(_) => None,
    }
}

/// An answer without what a client cannot see: the Stat of a plain create, the order of children.
fn visible(answer: &Result<Response, Code>) -> Result<Response, Code> {
    let mut answer = answer.clone();
    match &mut answer {
        Ok(Response::Done(done)) => hide(done),
        Ok(Response::AllDone(done)) => done.iter_mut().for_each(hide_in_multi),
        Ok(Response::Children { names, .. }) => names.sort(),
        Ok(Response::Ephemerals(paths)) => paths.sort(),
        Ok(Response::Several(parts)) => {
            for part in parts {
                if let Ok(PartRead::Children(names)) = part {
                    names.sort();
                }
            }
        }
        _ => {}
    }
    answer
}

/// Only a check that stands alone is answered with a Stat.
fn hide_in_multi(done: &mut Done) {
    match done {
        Done::Checked(stat) => *stat = Stat::default(),
        done => hide(done),
    }
}

fn hide(done: &mut Done) {
    if let Done::Created {
        stat,
        telling: Telling::Path,
        ..
    } = done
    {
        *stat = Stat::default();
    }
}

/// Does a client see the same in both?
pub fn same_answer(expected: &Result<Response, Code>, got: &Result<Response, Code>) -> bool {
    expected == got || visible(expected) == visible(got)
}

/// The session that owns an ephemeral znode which an answer shows.
pub fn owner_shown(got: &Result<Response, Code>) -> Option<i64> {
    let owner = stat_of(got.as_ref().ok()?)?.ephemeral_owner;
    Some(owner).filter(|owner| *owner != 0)
}

fn stat_of(response: &Response) -> Option<&Stat> {
    match response {
        Response::Exists(stat) | Response::Data { stat, .. } | Response::Acl { stat, .. } => {
            Some(stat)
        }
        Response::Children { stat, .. } => stat.as_ref(),
        Response::Done(
            Done::Created { stat, .. }
            | Done::DataSet(stat)
            | Done::AclSet(stat)
            | Done::Checked(stat),
        ) => Some(stat),
        _ => None,
    }
}

fn without_stats(answer: &Result<Response, Code>) -> Result<Response, Code> {
    let mut answer = visible(answer);
    match &mut answer {
        Ok(Response::Exists(stat) | Response::Data { stat, .. } | Response::Acl { stat, .. }) => {
            *stat = Stat::default();
        }
        Ok(Response::Children { stat, .. }) => *stat = stat.map(|_| Stat::default()),
        Ok(Response::Done(done)) => *done = without_stat(done),
        Ok(Response::AllDone(done)) => {
            done.iter_mut().for_each(|done| *done = without_stat(done));
        }
        _ => {}
    }
    answer
}

fn without_stat(done: &Done) -> Done {
    match done.clone() {
        Done::Created { path, telling, .. } => Done::Created {
            path,
            telling,
            stat: Stat::default(),
        },
        Done::DataSet(_) => Done::DataSet(Stat::default()),
        Done::AclSet(_) => Done::AclSet(Stat::default()),
        Done::Checked(_) => Done::Checked(Stat::default()),
        done => done,
    }
}

/// Which invariant an answer breaks that is not the expected one.
pub fn differing(
    request: &Request,
    expected: &Result<Response, Code>,
    got: &Result<Response, Code>,
) -> &'static str {
    let denied = |answer: &Result<Response, Code>| *answer == Err(Code::NoAuth);
    if denied(expected) != denied(got) {
        return "T3 access";
    }
    if without_stats(expected) == without_stats(got) {
        return "T2 stat";
    }
    if let (Request::Read(Read::GetAcl { .. }), Ok(_), Ok(_)) = (request, expected, got) {
        return "T3 access";
    }
    match request {
        Request::Write(Op::Create(create))
            if create.naming == Naming::Sequential && expected.is_ok() && got.is_ok() =>
        {
            "T1 sequence"
        }
        Request::Multi(_) => "W4 atomic",
        Request::Write(_) | Request::Reconfigure(_) | Request::CloseSession => "W2 result",
        _ => "R1 read",
    }
}
