//! Who waits for a transaction, from the asking to the execution.

use alloc::sync::Arc;

use crate::ids::{ConnectionId, SessionId, Zxid};
use crate::store::txn::Action;
use crate::tree::acl::Identity;

/// Who waits for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    /// A connection that wants a session.
    Attaching(ConnectionId),
    /// A connection's oldest write that waits.
    Writing(ConnectionId),
    /// The leader, for the end of a session whose heartbeats stayed away.
    Expiring(SessionId),
    /// The leader, for its epoch.
    Opening,
}

/// A transaction that cannot be proposed yet: the epoch is not open, its counter is exhausted, or
/// the disk was full and the storage has not answered everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub waiter: Waiter,
    pub identities: Arc<[Identity]>,
    pub action: Action,
}

/// A transaction that is in the log and not yet executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Proposed {
    pub zxid: Zxid,
    pub waiter: Waiter,
    /// The number of the write, if it is a connection's.
    pub sequence: u64,
}
