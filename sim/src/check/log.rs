//! The agreed sequence `L`: what every server executes, in this order.

use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use althing_core::node::request::Request;
use althing_core::store::txn::{Action, Ending, Txn};

/// One agreed transaction.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// Its position.
    pub zxid: Zxid,
    /// What it does.
    pub txn: Arc<Txn>,
    /// When a server was first seen to save it.
    pub saved_at: Duration,
    /// When a server was first known to have executed it.
    pub executed_at: Duration,
    /// Of the whole tree after it, as the first server said that executed it; `None` if none did,
    /// since its execution was no news.
    pub digest: Option<u128>,
}

/// The agreed sequence.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By position.
    pub agreed: Vec<Agreed>,
}

impl Log {
    /// Where a position stands, or would.
    pub fn place(&self, zxid: Zxid) -> Result<usize, usize> {
        // Most questions are about the end.
        match self.agreed.last() {
            Some(last) if last.zxid < zxid => Err(self.agreed.len()),
            Some(last) if last.zxid == zxid => Ok(self.agreed.len() - 1),
            _ => self
                .agreed
                .binary_search_by_key(&zxid, |agreed| agreed.zxid),
        }
    }

    /// The transaction at a position.
    pub fn at(&self, zxid: Zxid) -> Option<&Agreed> {
        self.place(zxid).ok().map(|index| &self.agreed[index])
    }

    /// What is after a position.
    pub fn after(&self, zxid: Zxid) -> &[Agreed] {
        let first = self.place(zxid).map_or_else(|place| place, |at| at + 1);
        &self.agreed[first..]
    }

    /// The end.
    pub fn last(&self) -> Zxid {
        self.agreed.last().map_or(Zxid::ZERO, |agreed| agreed.zxid)
    }

    /// What was agreed by then. In the order of time, as `L` is.
    pub fn by(&self, at: Duration) -> Zxid {
        let count = self
            .agreed
            .partition_point(|agreed| agreed.executed_at <= at);
        count
            .checked_sub(1)
            .map_or(Zxid::ZERO, |index| self.agreed[index].zxid)
    }
}

/// The action that a request becomes, if it becomes one.
pub fn becomes(request: &Request, action: &Action, session: Option<SessionId>) -> bool {
    match (request, action) {
        (Request::Write(op), Action::Write(done)) => op == done,
        (Request::Multi(ops), Action::Multi(done)) => ops == done,
        (Request::Reconfigure(asked), Action::Amend { wish, .. }) => asked == wish,
        (
            Request::CloseSession,
            Action::CloseSession {
                session: closed,
                ending,
            },
        ) => *ending == Ending::Closed && Some(*closed) == session,
        _ => false,
    }
}
