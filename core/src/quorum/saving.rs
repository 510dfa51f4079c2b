//! What a save is for.

use crate::ids::{Epoch, ServerId, Zxid};

/// What a save is for, so that its answer finds its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Saving {
    /// A ballot that nobody waits for.
    Ballot,
    /// The vote for itself in this epoch.
    OwnVote(Epoch),
    /// A vote for another.
    Vote(Epoch, ServerId),
    /// An entry.
    Entry(Zxid),
    /// The end of the log was taken back to this position.
    Cut(Zxid),
    /// An entry that was taken back before it was durable.
    Void,
}

impl Saving {
    pub fn digest_into(self, number: &mut impl FnMut(u64)) {
        let (kind, a, b) = match self {
            Saving::Ballot => (1, 0, 0),
            Saving::OwnVote(epoch) => (2, epoch.0.into(), 0),
            Saving::Vote(epoch, server) => (3, epoch.0.into(), server.0.into()),
            Saving::Entry(zxid) => (4, zxid.0, 0),
            Saving::Cut(zxid) => (5, zxid.0, 0),
            Saving::Void => (6, 0, 0),
        };
        number(kind);
        number(a);
        number(b);
    }
}
