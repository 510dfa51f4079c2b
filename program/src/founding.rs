//! New data directories with a state that came about elsewhere: one for each server of a new
//! ensemble, all with the same state, each with an identity of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use althing::entropy::entropy;
use althing::os_disk::{DirectoryError, OsDisk};
use althing::storage::error::StorageError;
use althing::storage::founding::found;
use althing_core::ids::{DirectoryId, Epoch, ServerId};
use althing_core::membership::Membership;
use althing_core::quorum::log::{Ballot, Standing};
use althing_core::store::store::Store;
use clap::Args;
use thiserror::Error;

/// Why there are no new data directories.
#[derive(Debug, Error)]
pub enum FoundingError {
    /// The operating system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The directory could not be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The directory could not be written.
    #[error("{}: {source}", path.display())]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What the storage says.
        source: StorageError,
    },
    /// What should be new is not.
    #[error("{}: there is something in it; name a directory that does not exist yet", .0.display())]
    NotEmpty(PathBuf),
    /// A server is named twice.
    #[error("--servers names server {0} twice")]
    Twice(u8),
}

/// The flags that say where a state goes.
#[derive(Clone, Debug, Args)]
pub struct Whither {
    /// The new data directory; it must not exist yet, or be empty
    #[arg(long, value_name = "DIRECTORY")]
    pub into: PathBuf,

    /// The servers of the new ensemble. Of one, --into is the data directory; of several, each has
    /// one of its own in it, server-NUMBER
    #[arg(
        long,
        value_name = "NUMBER,...",
        value_delimiter = ',',
        default_value = "1"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub servers: Vec<u8>,
}

impl Whither {
    /// The directories that are wanted.
    ///
    /// # Errors
    /// As [`Directories::plan`] says.
    pub fn plan(&self) -> Result<Directories, FoundingError> {
        Directories::plan(&self.into, &self.servers)
    }
}

/// The directories that are to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directories {
    /// Each server's.
    pub of: BTreeMap<ServerId, PathBuf>,
}

impl Directories {
    /// Of one server, `into` itself; of several, `server-NUMBER` in it.
    ///
    /// # Errors
    /// If a server is named twice, or there is something in `into`.
    pub fn plan(into: &Path, servers: &[u8]) -> Result<Directories, FoundingError> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = servers.iter().find(|server| !seen.insert(**server)) {
            return Err(FoundingError::Twice(*twice));
        }
        match fs::read_dir(into) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(FoundingError::NotEmpty(into.to_owned()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let path = into.to_owned();
                return Err(FoundingError::Io { path, source });
            }
        }
        let place = |server: &u8| match servers.len() {
            1 => into.to_owned(),
            _ => into.join(format!("server-{server}")),
        };
        let of = servers
            .iter()
            .map(|server| (ServerId(*server), place(server)));
        Ok(Directories { of: of.collect() })
    }

    /// Fills them with `store`, whose members are from here on these servers. All vote, and none
    /// has voted in `epoch` or before.
    ///
    /// # Errors
    /// If one cannot be filled. Those before it are whole then, and have no quorum.
    pub async fn fill(&self, store: &Store, epoch: Epoch) -> Result<(), FoundingError> {
        let ids: BTreeMap<ServerId, DirectoryId> =
            self.of.keys().map(|server| (*server, fresh())).collect();
        let store = Store::from_parts(
            store.applied(),
            store.settings(),
            Membership::founding(ids.clone()),
            store.sessions().clone(),
            store.tree().clone(),
        );
        let ballot = Ballot {
            epoch: epoch.max(store.applied().epoch()),
            voted_for: None,
            standing: Standing::Admitted,
        };
        for (server, path) in &self.of {
            let disk = OsDisk::lock(path)?;
            let filled = found(&disk, *server, ids[server], ballot, store.clone()).await;
            filled.map_err(|source| {
                let path = path.clone();
                FoundingError::Storage { path, source }
            })?;
        }
        Ok(())
    }
}

/// An id that no directory has.
fn fresh() -> DirectoryId {
    let bytes = entropy();
    let (first, _) = bytes.split_first_chunk().expect("more than sixteen");
    DirectoryId(u128::from_be_bytes(*first))
}
