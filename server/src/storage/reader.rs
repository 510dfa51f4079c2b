//! Reads pieces of this server's own snapshots, for servers that lag behind.

use althing_core::ids::{ServerId, Zxid};

/// A piece that is to be read; the answer is `ChunkRead` or `ChunkMissed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadJob {
    /// For whom it is.
    pub to: ServerId,
    /// The snapshot's position.
    pub zxid: Zxid,
    /// Bytes of the snapshot before the piece.
    pub offset: u64,
}
