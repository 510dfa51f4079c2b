//! `cargo sim verify-trace`: what it is asked for, and what it prints.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use thiserror::Error;

use crate::timeline::{self, Colours, Detail, LINES_DEFAULT, View};
use crate::traces::judge::judge;
use crate::traces::merge::{self, Unread};
use crate::verdict::grouped;

/// How much of the run is shown before the first violation and after it.
const AROUND: Duration = Duration::from_millis(500);

/// What is to be judged.
#[derive(Clone, Debug, Args)]
pub struct TraceOptions {
    /// The traces of all servers, and of the clients that wrote one
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Why traces could not be judged.
#[derive(Debug, Error)]
pub enum Unjudged {
    /// They are no run.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// The verdict cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traced {
    /// No rule was broken.
    Well,
    /// One was.
    Broken,
}

/// Judges the traces and tells the verdict.
///
/// # Errors
/// If a file is no trace, together they are no run, or nobody reads the verdict.
pub fn verify(options: &TraceOptions, out: &mut dyn Write) -> Result<Traced, Unjudged> {
    let merged = merge::read(&options.files)?;
    let (broken, figures) = judge(&merged);
    let grouped = |count: usize| grouped(count as u64);
    for violation in &broken {
        let (invariant, at, detail) = (violation.invariant, violation.at, &violation.detail);
        writeln!(
            out,
            "FAIL {invariant} at t={:.6}s: {detail}",
            at.as_secs_f64()
        )?;
    }
    if let Some(first) = broken.first() {
        let view = View {
            window: Some((first.at.saturating_sub(AROUND), first.at + AROUND)),
            only: Vec::new(),
            lines_max: LINES_DEFAULT,
            detail: Detail::Story,
            colours: Colours::None,
        };
        let text = timeline::draw(&merged.history, &broken, &view);
        writeln!(
            out,
            "\nWhat the traces tell around the first of them:\n{text}"
        )?;
    }
    let lasts = merged
        .history
        .moments
        .last()
        .map_or(Duration::ZERO, |last| last.at);
    writeln!(
        out,
        "{}  {} servers in {} lives, {} clients on {} connections, {:.1}s: {} epochs, {} \
         transactions agreed, {} answers, {} moments",
        match broken.is_empty() {
            true => "GREEN",
            false => "RED  ",
        },
        merged.servers,
        grouped(figures.lives),
        merged.clients,
        grouped(figures.links),
        lasts.as_secs_f64(),
        grouped(figures.epochs),
        grouped(figures.agreed),
        grouped(figures.answers),
        grouped(merged.history.moments.len()),
    )?;
    Ok(match broken.is_empty() {
        true => Traced::Well,
        false => Traced::Broken,
    })
}
