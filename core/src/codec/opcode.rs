//! The numbers of the operations: ZooKeeper's `ZooDefs.OpCode`.

use crate::tree::op::{Create, Op, Telling};

pub(crate) const CREATE: i32 = 1;
pub(crate) const DELETE: i32 = 2;
pub(crate) const EXISTS: i32 = 3;
pub(crate) const GET_DATA: i32 = 4;
pub(crate) const SET_DATA: i32 = 5;
pub(crate) const GET_ACL: i32 = 6;
pub(crate) const SET_ACL: i32 = 7;
pub(crate) const GET_CHILDREN: i32 = 8;
pub(crate) const SYNC: i32 = 9;
pub(crate) const PING: i32 = 11;
pub(crate) const GET_CHILDREN2: i32 = 12;
pub(crate) const CHECK: i32 = 13;
pub(crate) const MULTI: i32 = 14;
pub(crate) const CREATE2: i32 = 15;
pub(crate) const AUTH: i32 = 100;
pub(crate) const SET_WATCHES: i32 = 101;
pub(crate) const CLOSE_SESSION: i32 = -11;
/// Stands before a refused operation's result in the answer to a multi.
pub(crate) const ERROR: i32 = -1;

/// The number of a change.
pub(crate) fn of_op(op: &Op) -> i32 {
    match op {
        Op::Create(Create { telling, .. }) => of_create(*telling),
        Op::Delete { .. } => DELETE,
        Op::SetData { .. } => SET_DATA,
        Op::SetAcl { .. } => SET_ACL,
        Op::Check { .. } => CHECK,
    }
}

/// The number of a create whose reply tells this.
pub(crate) fn of_create(telling: Telling) -> i32 {
    match telling {
        Telling::Path => CREATE,
        Telling::PathAndStat => CREATE2,
    }
}
