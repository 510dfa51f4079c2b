//! The flags of `althing import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::founding::Whither;

/// Takes over what another service has kept.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// Whose data it is.
    #[command(subcommand)]
    pub source: Source,
}

/// The services that are known.
#[derive(Clone, Debug, Subcommand)]
pub enum Source {
    /// A data directory of Apache ZooKeeper 3.5 to 3.9: snapshots and transaction logs
    Zookeeper(Zookeeper),
}

/// What to read, and what to make of it.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Stop ZooKeeper before: what it writes later is not taken over. Nothing is written where ZooKeeper's \
files are.

Exit codes: 0 done; 1 the files are damaged or incomplete, and nothing was written; 2 there was \
nothing to read, or nowhere to write.")]
pub struct Zookeeper {
    /// ZooKeeper's dataDir, or the directory version-2 in it
    #[arg(value_name = "DIRECTORY")]
    pub data_dir: PathBuf,

    /// ZooKeeper's dataLogDir, if it is another one
    #[arg(long, value_name = "DIRECTORY")]
    pub log_dir: Option<PathBuf>,

    /// Where to.
    #[command(flatten)]
    pub whither: Whither,

    /// Take the sessions over, with their time-outs and ephemeral znodes: clients find them again
    /// within their time-outs from the start of the new servers
    #[arg(long)]
    pub keep_sessions: bool,

    /// Take what ZooKeeper itself would take without a word: logs with gaps, without a snapshot, or
    /// with something behind their ends, and a tree whose digest is not the one in the log
    #[arg(long)]
    pub lenient: bool,

    /// Tell what was done as a JSON object
    #[arg(long)]
    pub json: bool,
}
