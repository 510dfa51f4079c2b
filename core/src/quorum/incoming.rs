//! A snapshot that comes from the leader, piece by piece.

use crate::ids::Zxid;

/// A snapshot that is under way to this server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Incoming {
    pub zxid: Zxid,
    /// Bytes that are stored.
    pub stored: u64,
    pub phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// The next piece may come.
    Ready,
    /// A piece is being stored.
    Storing,
    /// The last piece is being stored, and the snapshot made this server's own.
    Installing,
}

impl Incoming {
    pub fn is_installing(&self) -> bool {
        self.phase == Phase::Installing
    }

    pub fn digest_into(self, number: &mut impl FnMut(u64)) {
        number(self.zxid.0);
        number(self.stored);
        number(self.phase as u64);
    }
}
