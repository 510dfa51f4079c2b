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

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_is_saved_for_different_things_is_different() {
        let savings = [
            Saving::Ballot,
            Saving::OwnVote(Epoch(1)),
            Saving::OwnVote(Epoch(2)),
            Saving::Vote(Epoch(1), ServerId(1)),
            Saving::Vote(Epoch(1), ServerId(2)),
            Saving::Vote(Epoch(2), ServerId(1)),
            Saving::Entry(Zxid(1)),
            Saving::Entry(Zxid(2)),
            Saving::Cut(Zxid(1)),
            Saving::Cut(Zxid(2)),
            Saving::Void,
        ];
        let digest = |saving: Saving| {
            let mut numbers = Vec::new();
            saving.digest_into(&mut |number| numbers.push(number));
            numbers
        };
        let digests: BTreeSet<Vec<u64>> = savings.into_iter().map(digest).collect();
        assert_eq!(digests.len(), savings.len());
    }
}
