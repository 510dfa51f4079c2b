//! Why there is no local ensemble, or no longer one.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

/// Why there is no ensemble.
#[derive(Debug, Error)]
pub enum Failure {
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The directory is another ensemble's.
    #[error(
        "{directory} holds an ensemble of {found} servers, not of {wanted}; say --servers {found}, \
         or another --data-dir"
    )]
    OtherSize {
        /// The directory.
        directory: PathBuf,
        /// Its servers.
        found: usize,
        /// Those that are asked for.
        wanted: u8,
    },
    /// The ports end at 65535.
    #[error("there are no {servers} ports from {first} on")]
    Ports {
        /// How many are needed.
        servers: u8,
        /// The first.
        first: u16,
    },
    /// A server ended before all served.
    #[error("server {server} has ended at its start ({status}); its log tells why: {log}")]
    Stillborn {
        /// Which.
        server: u8,
        /// How.
        status: ExitStatus,
        /// Where its log is.
        log: PathBuf,
    },
    /// All servers have ended by themselves.
    #[error("no server is left")]
    NoneLeft,
    /// Anything else.
    #[error("the operating system refused: {0}")]
    System(#[from] io::Error),
}
