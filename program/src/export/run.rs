//! An export from its flags to its exit code.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use crate::export::arguments::{Export, Target, Zookeeper};
use crate::export::carried::{Carried, carry};
use crate::founding::{Directories, FoundingError};
use crate::whole::{self, Failure};
use crate::zookeeper::writing;

/// Exports, and tells the exit code.
pub fn run(flags: &Export) -> ExitCode {
    let Target::Zookeeper(flags) = &flags.target;
    match export(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.told_by("export"),
    }
}

fn export(flags: &Zookeeper) -> Result<(), Failure> {
    // Judged as any new directory is, though none of ours is made.
    Directories::plan(&flags.into, &[1])?;
    let carried = carry(whole::read(&whole::runtime(), &flags.snapshot)?);
    let directory = flags.into.join("version-2");
    let path = directory.join(format!("snapshot.{:x}", carried.zxid.0));
    write(&carried, &directory, &path).map_err(|source| FoundingError::Io {
        path: path.clone(),
        source,
    })?;
    let (znodes, zxid) = (carried.nodes.len(), carried.zxid);
    println!("{}: {znodes} znodes, the state at {zxid}", path.display());
    if carried.sessions > 0 {
        let (sessions, ephemerals) = (carried.sessions, carried.ephemerals.len());
        println!("  {sessions} sessions have ended, with {ephemerals} ephemeral znodes:");
    }
    for path in &carried.ephemerals {
        println!("    {path}");
    }
    Ok(())
}

fn write(carried: &Carried, directory: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let file = File::create_new(path)?;
    let mut out = BufWriter::new(file);
    writing::write(&carried.nodes, &mut out)?;
    out.into_inner()?.sync_all()?;
    File::open(directory)?.sync_all()
}
