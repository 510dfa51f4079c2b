//! Fills a data directory that was never used with a state that came about elsewhere: imported, or
//! restored from a snapshot.
//!
//! The identity is written last. A directory in which that was interrupted has files and no
//! identity, which no server starts with.

use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::quorum::log::Ballot;
use althing_core::store::store::Store;

use crate::disk::{Disk, DiskFile};
use crate::storage::directory;
use crate::storage::error::{Failure, StorageError};
use crate::storage::identity;
use crate::storage::names::{self, Name};
use crate::storage::segment;
use crate::storage::snapshot_file;

/// Makes the directory that of `server`, with `store` as its state and a log that goes on there.
///
/// # Errors
/// If there is something of a storage in it already, or the disk fails or is full.
pub async fn found<D: Disk>(
    disk: &D,
    server: ServerId,
    directory: DirectoryId,
    ballot: Ballot,
    store: Store,
) -> Result<(), StorageError> {
    let names = directory::list(disk).await?;
    if let Some(found) = names.into_iter().find(|name| Name::parse(name).is_some()) {
        return Err(StorageError::InUse { found });
    }
    let zxid = store.applied();
    begin_log(disk, zxid, ballot).await?;
    let name = names::snapshot(zxid);
    match snapshot_file::write(disk, store).await {
        Ok(()) => {}
        Err(Failure::Full) => return Err(StorageError::Full { file: name }),
        Err(Failure::Fatal(error)) => return Err(error),
    }
    directory::rename(disk, &names::temporary(&name), &name).await?;
    directory::sync(disk).await?;
    identity::write(disk, server, directory).await
}

async fn begin_log<D: Disk>(disk: &D, zxid: Zxid, ballot: Ballot) -> Result<(), StorageError> {
    let name = names::segment(zxid);
    let created = disk.create(&name).await;
    let file = created.map_err(StorageError::io(&name, "create"))?;
    let written = file.write_at(0, &segment::header(zxid, ballot)).await;
    written.map_err(StorageError::io(&name, "write"))?;
    let synced = file.sync().await;
    synced.map_err(StorageError::io(&name, "sync"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use althing_core::config::Settings;
    use althing_core::ids::Epoch;
    use althing_core::membership::Membership;
    use althing_core::quorum::log::Standing;
    use althing_core::tree::tree::Tree;
    use tempfile::TempDir;

    use crate::os_disk::OsDisk;
    use crate::storage::settings::StorageSettings;
    use crate::storage::storage::open;

    #[tokio::test]
    async fn a_state_is_found_and_only_where_nothing_was() {
        let (server, directory) = (ServerId(2), DirectoryId(7));
        let members = Membership::founding([(server, directory)].into());
        let zxid = Zxid::new(Epoch(5), 9);
        let (settings, sessions) = (Settings::default(), [].into());
        let store = Store::from_parts(zxid, settings, members, sessions, Tree::new());
        let ballot = Ballot {
            epoch: Epoch(6),
            voted_for: None,
            standing: Standing::Admitted,
        };
        let place = TempDir::new().unwrap();
        let disk = OsDisk::lock(place.path()).unwrap();
        let found_again = || found(&disk, server, directory, ballot, store.clone());
        found_again().await.unwrap();
        let again = found_again().await.unwrap_err();
        assert!(matches!(again, StorageError::InUse { .. }), "{again}");

        let (settings, fresh) = (StorageSettings::default(), DirectoryId(8));
        let opened = open(disk.clone(), settings, server, fresh).await.unwrap();
        let recovered = opened.recovered;
        assert_eq!(recovered.directory, directory);
        assert_eq!(recovered.ballot, ballot);
        assert_eq!(recovered.store.digest(), store.digest());
        assert!(recovered.entries.is_empty());

        // As if it had been interrupted before the end.
        std::fs::remove_file(place.path().join(names::IDENTITY)).unwrap();
        let refused = open(disk, settings, server, fresh).await.err().unwrap();
        assert!(
            matches!(refused, StorageError::NoIdentity { .. }),
            "{refused}"
        );
    }
}
