//! Why the storage gave up. Every message names the file and says what an operator can do.

use std::io;

use althing_core::ids::{ServerId, Zxid};
use thiserror::Error;

/// The storage gave up: the server stops, or does not start. Nothing of it is ever tried again by
/// itself.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The operating system refused something.
    #[error(
        "{file}: cannot {doing}: {source}. The server stops, since it cannot know what is durable; \
         check the disk, then start it again"
    )]
    Io {
        /// The file; `.` for the data directory itself.
        file: String,
        /// What was being done.
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// Bytes that were durable are no longer what they were.
    #[error("{file}: damaged at byte {offset}: {what}. {remedy}")]
    Damaged {
        /// The file.
        file: String,
        /// Where the damage begins.
        offset: u64,
        /// What was expected there, and what was found.
        what: String,
        /// What an operator can do.
        remedy: String,
    },
    /// The file was written by another version of this program.
    #[error(
        "{file}: its {format} format has version {found}, this program knows version {known}. \
         Start the version of the program that wrote it"
    )]
    Unsupported {
        /// The file.
        file: String,
        /// Which of the formats in it.
        format: &'static str,
        /// The version in the file.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// The data directory is another server's.
    #[error(
        "identity: this data directory is that of server {found}, and this is server {expected}. \
         Configure the data directory of server {expected}, or correct this server's id"
    )]
    ForeignDirectory {
        /// Whose it is.
        found: ServerId,
        /// Who this server is.
        expected: ServerId,
    },
    /// There is data, but nobody can tell whose.
    #[error(
        "identity: this file is missing, although there is {found}. Put it back, restore the data \
         directory from a backup, or move it away to start empty"
    )]
    NoIdentity {
        /// A file that is there.
        found: String,
    },
    /// A directory that should be filled was used before.
    #[error(
        "this data directory holds {found}: it was used before. Name one that does not exist yet"
    )]
    InUse {
        /// A file that is there.
        found: String,
    },
    /// There was no space for what must be written at once.
    #[error("{file}: no space left. Make space, remove the directory, and begin anew")]
    Full {
        /// What was being written.
        file: String,
    },
    /// A part of the log is not there.
    #[error(
        "{file}: a part of the log is missing: what follows {expected_after} was expected, but \
         {found}. Put the missing files back, or restore the data directory from a backup"
    )]
    Gap {
        /// The file in which, or after which, it was noticed.
        file: String,
        /// The last position that is there.
        expected_after: Zxid,
        /// What is there instead.
        found: String,
    },
}

impl StorageError {
    /// What is wrong, without what it means for this server's start.
    pub fn finding(&self) -> String {
        match self {
            StorageError::Damaged {
                file, offset, what, ..
            } => format!("{file}: damaged at byte {offset}: {what}"),
            other => other.to_string(),
        }
    }

    /// Turns what the operating system says about `file` into an error; for `map_err`.
    pub fn io(file: &str, doing: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        let file = file.to_owned();
        move |source| StorageError::Io {
            file,
            doing,
            source,
        }
    }
}

/// What an operator can do about damage to what was durable.
pub const RESTORE: &str = "The server does not start, since what was acknowledged would be lost. \
    Restore the data directory from a backup, or move it away to start empty";

/// What ended an attempt to write.
#[derive(Debug)]
pub enum Failure {
    /// Want of space, before any sync: the attempt is taken back, and the server goes on.
    Full,
    /// The storage gives up.
    Fatal(StorageError),
}

impl Failure {
    /// As [`StorageError::io`], but want of space is told apart.
    pub fn io(file: &str, doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
        let file = file.to_owned();
        move |source| match is_full(&source) {
            true => Failure::Full,
            false => Failure::Fatal(StorageError::Io {
                file,
                doing,
                source,
            }),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        Failure::Fatal(error)
    }
}

/// Is this want of space, which passes, and no failure? A limit on the size of files is one too.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
