//! What a server must never forget: its ballot and its log.

use crate::ids::{Epoch, ServerId, Zxid};
use crate::store::txn::Entry;

/// The newest epoch that a server knows of, and whom it voted for in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ballot {
    /// The epoch.
    pub epoch: Epoch,
    /// Who has this server's vote in that epoch.
    pub voted_for: Option<ServerId>,
}

/// One record of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Replaces the ballot that was saved before.
    Ballot(Ballot),
    /// Follows the entry that was saved before; within an epoch the counters are dense.
    Entry(Entry),
    /// Takes back every entry after this position: a leader that was deposed proposed them, and
    /// they were never agreed. The next entry, if any, opens an epoch and follows this position.
    Cut(Zxid),
}
