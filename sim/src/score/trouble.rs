//! Why there is no score.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::library::Unreadable;

/// Why there is no score.
#[derive(Debug, Error)]
pub enum Trouble {
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A program that is needed failed.
    #[error("{program}: {told}")]
    Program {
        /// Which, with its arguments.
        program: String,
        /// What it said.
        told: String,
    },
    /// What a file says makes no sense.
    #[error("{}: {what}", path.display())]
    Nonsense {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Input(String),
    /// There is no such scenario.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// Nobody reads what is told.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
}

impl Trouble {
    /// Makes an error of one about this path.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
        let path = path.to_owned();
        move |error| Trouble::File { path, error }
    }

    pub(super) fn nonsense(path: &Path, what: impl Into<String>) -> Trouble {
        Trouble::Nonsense {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
