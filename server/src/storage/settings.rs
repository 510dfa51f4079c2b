//! The limits of the storage.

/// A segment of this many bytes is followed by a new one: small enough that pruning returns space
/// soon and that a recovery reads little that the snapshot already has, large enough that creating
/// files is rare.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// Snapshots that are kept: if the newest is damaged, the one before it and the log replace it, and
/// the third is for the case that damage is found late.
pub const SNAPSHOTS_KEPT_DEFAULT: usize = 3;

/// A group of records that are synced together is closed when it has reached this many bytes, so
/// that the first of them does not wait for ever longer writes.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest record. A client's frame is limited far below it; a larger one is a mistake of the
/// program, and a length beyond it in a file is damage.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Snapshots are written in pieces of about this size, with a pause between them.
pub const SNAPSHOT_PIECE_BYTES: usize = 256 * 1024;

/// The largest piece of a snapshot that is read: a piece holds whole items, and an item is a znode
/// with its data or a session.
pub const SNAPSHOT_PIECE_BYTES_MAX: usize = RECORD_BYTES_MAX;

/// Another server's snapshot travels in pieces of this size. The next piece is asked for when one
/// is stored: so small that what waits behind it on the link, a heartbeat for one, is not late; so
/// large that the way there and back costs little of the time.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Files are read in pieces of this size.
pub const READ_BYTES: usize = 1024 * 1024;

/// What an operator, or a scenario, may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StorageSettings {
    /// A log segment of this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// How many snapshots are kept; at least one.
    pub snapshots_kept: usize,
}

impl Default for StorageSettings {
    fn default() -> StorageSettings {
        StorageSettings {
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            snapshots_kept: SNAPSHOTS_KEPT_DEFAULT,
        }
    }
}
