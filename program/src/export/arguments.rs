//! The flags of `althing export`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Makes a data directory for another service.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// For which.
    #[command(subcommand)]
    pub target: Target,
}

/// The services that are known.
#[derive(Clone, Debug, Subcommand)]
pub enum Target {
    /// Apache ZooKeeper 3.5 to 3.9: a snapshot that it starts with
    Zookeeper(Zookeeper),
}

/// What to write, and from what.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Sessions end, and their ephemeral znodes are left out: ZooKeeper makes passwords in a way of its \
own, so no client could find its session again. Each server of an ensemble of ZooKeeper's gets a \
copy.

Exit codes: 0 done; 1 the snapshot is damaged, and nothing was written; 2 there was nothing to \
read, or nowhere to write.")]
pub struct Zookeeper {
    /// A snapshot of ours (snapshot.POSITION)
    #[arg(value_name = "FILE")]
    pub snapshot: PathBuf,

    /// ZooKeeper's dataDir; it must not exist yet, or be empty
    #[arg(long, value_name = "DIRECTORY")]
    pub into: PathBuf,
}
