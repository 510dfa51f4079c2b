//! The identity of a data directory: whose it is, and which one it is. The file is written when the
//! directory is first used, before anything else, and never again.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `ALTHNODE` |
//! | 8..12 | the version of this format |
//! | 12 | the server's id |
//! | 13..29 | the directory's id: 16 random bytes |
//! | 29..33 | CRC-32C of the bytes above |

use althing_core::ids::{DirectoryId, ServerId};

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{RESTORE, StorageError};
use crate::storage::names::{self, IDENTITY, Name};

/// The version of this format.
const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"ALTHNODE";
const BYTES: usize = 33;
const CHECKED_BYTES: usize = BYTES - 4;

/// The id of the directory, which must be `server`'s. If the directory was never used, it is
/// `server`'s from here on, durably, and its id is `fresh`.
///
/// # Errors
/// If it is another server's; if nobody can tell whose it is; or if the disk fails.
pub async fn establish<D: Disk>(
    disk: &D,
    server: ServerId,
    fresh: DirectoryId,
) -> Result<DirectoryId, StorageError> {
    let names = directory::list(disk).await?;
    if names.iter().any(|name| name == IDENTITY) {
        return read(disk, server).await;
    }
    for name in &names {
        match Name::parse(name) {
            Some(Name::Temporary) => directory::remove(disk, name).await?,
            Some(_) => {
                let found = name.clone();
                return Err(StorageError::NoIdentity { found });
            }
            None => {}
        }
    }
    write(disk, server, fresh).await?;
    tracing::info!(%server, directory = %fresh, "a new data directory");
    Ok(fresh)
}

pub(super) async fn write<D: Disk>(
    disk: &D,
    server: ServerId,
    directory: DirectoryId,
) -> Result<(), StorageError> {
    let name = names::temporary(IDENTITY);
    let created = disk.create(&name).await;
    let file = created.map_err(StorageError::io(&name, "create"))?;
    let written = file.write_at(0, &encode(server, directory)).await;
    written.map_err(StorageError::io(&name, "write"))?;
    let synced = file.sync().await;
    synced.map_err(StorageError::io(&name, "sync"))?;
    directory::rename(disk, &name, IDENTITY).await?;
    directory::sync(disk).await
}

fn encode(server: ServerId, directory: DirectoryId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.push(server.0);
    bytes.extend_from_slice(&directory.0.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    assert!(bytes.len() == BYTES);
    bytes
}

async fn read<D: Disk>(disk: &D, server: ServerId) -> Result<DirectoryId, StorageError> {
    let opened = disk.open(IDENTITY).await;
    let file = opened.map_err(StorageError::io(IDENTITY, "open"))?;
    // One byte more than there should be.
    let bytes = file.read_at(0, BYTES + 1).await;
    let bytes = bytes.map_err(StorageError::io(IDENTITY, "read"))?;
    let damaged = |what: &str| StorageError::Damaged {
        file: IDENTITY.to_owned(),
        offset: 0,
        what: what.to_owned(),
        remedy: RESTORE.to_owned(),
    };
    let Ok(bytes) = <[u8; BYTES]>::try_from(bytes) else {
        return Err(damaged("it has not the length of an identity"));
    };
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
    if bytes[..8] != MAGIC || word(CHECKED_BYTES) != crc32c::crc32c(&bytes[..CHECKED_BYTES]) {
        return Err(damaged("its checksum is wrong"));
    }
    let found = word(8);
    if found != VERSION {
        return Err(StorageError::Unsupported {
            file: IDENTITY.to_owned(),
            format: "identity",
            found,
            known: VERSION,
        });
    }
    let found = ServerId(bytes[12]);
    if found != server {
        return Err(StorageError::ForeignDirectory {
            found,
            expected: server,
        });
    }
    let directory = bytes[13..29].try_into().expect("sixteen");
    Ok(DirectoryId(u128::from_be_bytes(directory)))
}
