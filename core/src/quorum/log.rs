//! What a server must never forget: its ballot and its log.

use crate::ids::{Epoch, ServerId, Zxid};
use crate::store::txn::Entry;

/// Does a data directory speak for its server?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Standing {
    /// Not yet: no agreed transaction that is known to it names it. It learns the log, but gives no
    /// vote, and what it has saved does not count: its predecessor may have voted or saved
    /// something that it knows nothing of.
    #[default]
    Stranger,
    /// Yes, and for ever: it was one of the founders, or its admission is agreed.
    Admitted,
}

/// The newest epoch that a server knows of, and whom it voted for in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ballot {
    /// The epoch.
    pub epoch: Epoch,
    /// Who has this server's vote in that epoch.
    pub voted_for: Option<ServerId>,
    /// Does this data directory speak for its server?
    pub standing: Standing,
}

/// One record of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Replaces the ballot that was saved before.
    Ballot(Ballot),
    /// Follows the entry that was saved before; within an epoch the counters are dense.
    Entry(Entry),
    /// Takes back every entry after this position: a leader that was deposed proposed them, and
    /// they were never agreed. The next entry, if any, follows this position: the next of its
    /// epoch, or the first of a newer one.
    Cut(Zxid),
}
