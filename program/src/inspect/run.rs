//! An inspection from its flags to its exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use althing_core::store::store::Store;

use crate::inspect::arguments::{Inspect, Kind, Log, Manner, Snapshot};
use crate::inspect::compared;
use crate::inspect::findings::{Finding, Notation, Output, Trouble, Verdict};
use crate::inspect::place::Place;
use crate::inspect::segments::{self, Window};
use crate::inspect::snapshots;

/// The exit code where something is damaged or different.
const BAD: u8 = 1;

/// The exit code where nothing could be looked at; clap's, too.
const TROUBLE: u8 = 2;

/// Inspects, and tells the exit code.
pub fn run(flags: &Inspect) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without timers and sockets needs nothing");
    let inspected = runtime.block_on(async {
        match &flags.kind {
            Kind::Log(flags) => log(flags).await,
            Kind::Snapshot(flags) => snapshot(flags).await,
        }
    });
    match inspected {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(BAD),
        // Whoever reads has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("althing inspect: {trouble}");
            ExitCode::from(TROUBLE)
        }
    }
}

fn output(manner: &Manner) -> Output {
    Output::new(match manner.json {
        true => Notation::Json,
        false => Notation::Text,
    })
}

async fn log(flags: &Log) -> Result<Verdict, Trouble> {
    let places = |paths: &[PathBuf]| -> Result<Vec<Place>, Trouble> {
        paths.iter().map(|path| Place::of(path)).collect()
    };
    let (files, others) = (places(&flags.files)?, places(&flags.diff)?);
    let window = Window::of(flags);
    let mut out = output(&flags.manner);
    let first = segments::read(&files, window, &mut out).await?;
    let mut verdict = first.verdict;
    if !others.is_empty() {
        let second = segments::read(&others, window, &mut out).await?;
        let (one, other) = (first.entries, second.entries);
        let compared = compared::logs(one, other, flags.manner.data, &mut out)?;
        verdict = verdict.max(second.verdict).max(compared);
    }
    out.end()?;
    Ok(verdict)
}

async fn snapshot(flags: &Snapshot) -> Result<Verdict, Trouble> {
    let place = Place::of(&flags.file)?;
    let mut out = output(&flags.manner);
    let verdict = match snapshots::read(&place).await? {
        Err(finding) => bad(&finding, &mut out)?,
        Ok(store) => with(flags, &place, &store, &mut out).await?,
    };
    out.end()?;
    Ok(verdict)
}

/// Shows or compares the state that was found.
async fn with(
    flags: &Snapshot,
    place: &Place,
    store: &Store,
    out: &mut Output,
) -> Result<Verdict, Trouble> {
    let (below, showing) = (flags.path.as_deref(), flags.manner.data);
    let Some(other) = &flags.diff else {
        match flags.manner.check {
            true => snapshots::sum(place, store, out)?,
            false => snapshots::show(place, store, below, showing, out)?,
        }
        return Ok(Verdict::Good);
    };
    let other = Place::of(other)?;
    snapshots::sum(place, store, out)?;
    match snapshots::read(&other).await? {
        Err(finding) => bad(&finding, out),
        Ok(second) => {
            snapshots::sum(&other, &second, out)?;
            Ok(compared::states(store, &second, below, showing, out)?)
        }
    }
}

fn bad(finding: &Finding, out: &mut Output) -> Result<Verdict, Trouble> {
    out.finding(finding)?;
    Ok(Verdict::Bad)
}
