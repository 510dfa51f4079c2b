//! The files of one server, as the storage sees them: a flat directory.
//!
//! The operations are asynchronous so that the simulator can let time pass, and faults fall, within
//! them. In production they block, on threads that are there for it, and are ready at once.

use std::future::Future;
use std::io;

/// One server's data directory. A handle: cloning it is cheap, all clones are the same directory.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// The names of all files, sorted.
    fn list(&self) -> impl Future<Output = io::Result<Vec<String>>> + Send;

    /// Opens a file that is there, for reading and writing.
    fn open(&self, name: &str) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Creates a file that is not there, for reading and writing. Its name is durable only after
    /// [`Disk::sync_directory`].
    fn create(&self, name: &str) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Renames a file, replacing what had the name; atomic, and durable only after
    /// [`Disk::sync_directory`].
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file; durable only after [`Disk::sync_directory`].
    fn remove(&self, name: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes creations, renames and removals durable.
    fn sync_directory(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// One open file.
#[allow(
    clippy::len_without_is_empty,
    reason = "nobody asks whether a file is empty"
)]
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send;

    /// Reads up to `bytes` bytes from `offset`; fewer only at the end of the file.
    fn read_at(
        &self,
        offset: u64,
        bytes: usize,
    ) -> impl Future<Output = io::Result<Vec<u8>>> + Send;

    /// Writes all of `bytes` at `offset`, extending the file if it is too short. `StorageFull`
    /// may have written a part.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes the file's bytes and length durable. After an error nobody knows what is durable: it
    /// is never tried again.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send;
}
