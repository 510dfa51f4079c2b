//! The names in a data directory: listed, removed, renamed, and made durable.

use crate::disk::Disk;
use crate::storage::error::StorageError;

/// The names of all files, sorted.
pub(super) async fn list<D: Disk>(disk: &D) -> Result<Vec<String>, StorageError> {
    let listed = disk.list().await;
    listed.map_err(StorageError::io(".", "list the directory"))
}

/// Removes a file.
pub(super) async fn remove<D: Disk>(disk: &D, name: &str) -> Result<(), StorageError> {
    let removed = disk.remove(name).await;
    removed.map_err(StorageError::io(name, "remove"))
}

/// Removes a file if it is there: want of space may have kept it from being created.
pub(super) async fn discard<D: Disk>(disk: &D, name: &str) -> Result<(), StorageError> {
    match list(disk).await?.iter().any(|there| there == name) {
        true => remove(disk, name).await,
        false => Ok(()),
    }
}

/// Gives a file another name.
pub(super) async fn rename<D: Disk>(disk: &D, from: &str, to: &str) -> Result<(), StorageError> {
    let renamed = disk.rename(from, to).await;
    renamed.map_err(StorageError::io(from, "rename"))
}

/// Makes all this durable.
pub(super) async fn sync<D: Disk>(disk: &D) -> Result<(), StorageError> {
    let synced = disk.sync_directory().await;
    synced.map_err(StorageError::io(".", "sync the directory"))
}
