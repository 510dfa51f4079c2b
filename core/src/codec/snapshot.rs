//! A state as a stream of chunks, and back. The storage frames the chunks with checksums.

use alloc::vec::Vec;

use crate::codec::malformed::Malformed;
use crate::store::store::Store;

/// The version of this format; stands at the head of every snapshot.
pub const SNAPSHOT_VERSION: u32 = 1;

/// Writes a state in pieces, so that whoever writes it can pause between them.
#[derive(Debug)]
pub struct SnapshotEncoder {
    store: Store,
}

impl SnapshotEncoder {
    /// Begins with the first piece of `store`.
    pub fn new(store: Store) -> SnapshotEncoder {
        SnapshotEncoder { store }
    }

    /// Appends about `bytes` bytes of whole items to `out` (more if one item is larger); `false`
    /// and nothing when all has been written.
    pub fn next(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        let _ = (bytes, out, &self.store);
        todo!()
    }
}

/// Reads what [`SnapshotEncoder`] wrote, piece by piece, divided as it was written.
#[derive(Debug, Default)]
pub struct SnapshotDecoder {}

impl SnapshotDecoder {
    /// Begins.
    pub fn new() -> SnapshotDecoder {
        SnapshotDecoder::default()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If it is not one.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        let _ = piece;
        todo!()
    }

    /// The state.
    ///
    /// # Errors
    /// If pieces are missing, or the tree's digest is not the one that was written.
    pub fn finish(self) -> Result<Store, Malformed> {
        todo!()
    }
}
