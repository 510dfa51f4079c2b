//! Why an import is not done.

use std::io;
use std::path::{Path, PathBuf};

use althing_core::ids::Zxid;
use thiserror::Error;

use crate::founding::FoundingError;
use crate::zookeeper::source::Fault;

/// Why an import is not done.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The operating system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is no new data directory.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// No ZooKeeper has been here.
    #[error("{}: there is neither a snapshot.* nor a log.*, here or in version-2", .0.display())]
    Nothing(PathBuf),
    /// Snapshots and logs are asked for at different places, and logs are at both.
    #[error(
        "{} holds logs, and so does {}: ZooKeeper starts with logs at one place only. Find out \
         which are the current ones, and move the others away",
        data.display(), logs.display()
    )]
    LogsTwice {
        /// Where the snapshots are.
        data: PathBuf,
        /// Where the logs should be.
        logs: PathBuf,
    },
    /// A file is damaged.
    #[error("{}: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        fault: Fault,
    },
    /// Something that ZooKeeper would take and that may mean a loss.
    #[error("{0}. If ZooKeeper's word on it is enough, say --lenient")]
    Doubtful(String),
    /// Something that our state cannot hold.
    #[error("{0}")]
    Unfit(String),
}

impl Refusal {
    /// The operating system says `source` about `path`; for `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Refusal + use<> {
        let path = path.to_owned();
        move |source| Refusal::Io { path, source }
    }

    /// There is a `fault` in the file at `path`; for `map_err`.
    pub fn fault(path: &Path) -> impl FnOnce(Fault) -> Refusal + use<> {
        let path = path.to_owned();
        move |fault| match fault {
            Fault::Io(source) => Refusal::Io { path, source },
            fault => Refusal::Damaged { path, fault },
        }
    }

    /// Is it about what ZooKeeper has written, and not about where to find or to put it?
    pub fn is_about_content(&self) -> bool {
        match self {
            Refusal::Damaged { .. } | Refusal::Doubtful(_) | Refusal::Unfit(_) => true,
            Refusal::Io { .. }
            | Refusal::Founding(_)
            | Refusal::Nothing(_)
            | Refusal::LogsTwice { .. } => false,
        }
    }
}

/// What to do with what ZooKeeper would take without a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rigour {
    /// It ends the import.
    Strict,
    /// It is told, and taken.
    Lenient,
}

impl Rigour {
    /// Judges `what`: refused, or noted in `tolerated`.
    ///
    /// # Errors
    /// If it is refused.
    pub fn judge(self, what: String, tolerated: &mut Vec<String>) -> Result<(), Refusal> {
        match self {
            Rigour::Strict => Err(Refusal::Doubtful(what)),
            Rigour::Lenient => {
                tolerated.push(what);
                Ok(())
            }
        }
    }
}

/// A position as ZooKeeper writes it.
pub fn hex(zxid: i64) -> String {
    crate::inspect::spelling::hex(Zxid::from_wire(zxid))
}
