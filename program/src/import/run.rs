//! An import from its flags to its exit code.

use std::process::ExitCode;

use althing_core::ids::Epoch;

use crate::import::arguments::{Import, Source, Zookeeper};
use crate::import::carried::{self, Sessions};
use crate::import::files::Files;
use crate::import::recovery;
use crate::import::refusal::{Refusal, Rigour};
use crate::import::report::Report;
use crate::whole;

/// The exit code where what ZooKeeper has written is not taken.
const REFUSED: u8 = 1;

/// The exit code where there was nothing to read, or nowhere to write; clap's, too.
const TROUBLE: u8 = 2;

/// Imports, and tells the exit code.
pub fn run(flags: &Import) -> ExitCode {
    let Source::Zookeeper(flags) = &flags.source;
    match import(flags) {
        Ok(report) => {
            match flags.json {
                true => println!("{:#}", report.json()),
                false => print!("{}", report.text()),
            }
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("althing import: {refusal}");
            ExitCode::from(match refusal.is_about_content() {
                true => REFUSED,
                false => TROUBLE,
            })
        }
    }
}

fn import(flags: &Zookeeper) -> Result<Report, Refusal> {
    let directories = flags.whither.plan()?;
    let rigour = match flags.lenient {
        true => Rigour::Lenient,
        false => Rigour::Strict,
    };
    let sessions = match flags.keep_sessions {
        true => Sessions::Kept,
        false => Sessions::Ended,
    };
    let files = Files::find(&flags.data_dir, flags.log_dir.as_deref())?;
    let found = recovery::recover(&files, rigour)?;
    let way = found.way.clone();
    let carried = carried::carry(found, sessions)?;
    whole::runtime().block_on(directories.fill(&carried.store, Epoch(files.epoch)))?;
    let into = directories.of.into_iter();
    Ok(Report {
        way,
        carried,
        sessions,
        into: into.map(|(server, path)| (server.0, path)).collect(),
    })
}
