//! `althing restore`: new data directories from a snapshot of ours, one for each server of an
//! ensemble.
//!
//! All of them get the same state at the same moment, and none knows of what came after it: so no
//! two servers differ, as they would if one of a running ensemble were set back.

use std::path::PathBuf;
use std::process::ExitCode;

use althing_core::ids::Epoch;
use clap::Args;

use crate::founding::Whither;
use crate::whole::{self, Failure};

/// What to restore, and where.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Stop all servers before, and start them with the new directories only: a server that goes on with \
an old one belongs to another history.

Exit codes: 0 done; 1 the snapshot is damaged, and nothing was written; 2 there was nothing to \
read, or nowhere to write.")]
pub struct Restore {
    /// A snapshot of ours (snapshot.POSITION)
    #[arg(value_name = "FILE")]
    pub snapshot: PathBuf,

    /// Where to.
    #[command(flatten)]
    pub whither: Whither,

    /// The last epoch of the ensemble, if it went on after the snapshot (`epoch` of the metrics):
    /// the new one begins above it. Else clients that have seen later positions are refused
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(..i64::from(Epoch::MAX.0)))]
    pub epoch: u32,
}

/// Restores, and tells the exit code.
pub fn run(flags: &Restore) -> ExitCode {
    match restore(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.told_by("restore"),
    }
}

fn restore(flags: &Restore) -> Result<(), Failure> {
    let directories = flags.whither.plan()?;
    let runtime = whole::runtime();
    let store = whole::read(&runtime, &flags.snapshot)?;
    runtime.block_on(directories.fill(&store, Epoch(flags.epoch)))?;
    let (znodes, applied) = (store.tree().count(), store.applied());
    for (server, path) in &directories.of {
        let path = path.display();
        println!("{path}: server {server}, {znodes} znodes, the state at {applied}");
    }
    Ok(())
}
