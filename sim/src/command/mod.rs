//! The command line behind `cargo sim`: what is asked for, and what is printed where.

pub mod arguments;
mod debug;
pub mod failure;
mod keep;
mod merge;
mod play;
mod progress;
mod replay;
mod report;
mod shrink;
mod signals;

use std::io::{self, Write};

use clap::Parser;

use crate::command::arguments::{Arguments, CampaignOptions, Command};
use crate::command::debug::debug;
use crate::command::failure::Failure;
use crate::command::merge::merge;
use crate::command::play::{Scope, play};
use crate::command::replay::replay;
use crate::command::report::{report, reports};
use crate::command::shrink::shrink;
use crate::command::signals::stop_on_signals;
use crate::draw;
use crate::explore::options::{self, Explored};
use crate::library::{Entry, Library};
use crate::performance::Perform;
use crate::scenario;
use crate::score::options::{Scored, score};
use crate::traces::options::{Traced, verify};
use crate::verdict::Verdict;

/// The exit code of bad input; also that of a command line that cannot be read.
const EXIT_BAD_INPUT: u8 = 2;

/// Does what the process's arguments ask for; returns its exit code.
pub fn main(perform: &Perform) -> u8 {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    match obey(arguments, perform, &mut out) {
        Ok(verdict) => verdict.exit_code(),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_BAD_INPUT,
        Err(failure) => {
            eprintln!("error: {failure}");
            EXIT_BAD_INPUT
        }
    }
}

/// Plays these scenarios, and draws what is to be drawn.
fn run(
    library: &Library,
    files: &[String],
    options: &CampaignOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let entries: Result<Vec<Entry>, _> = files.iter().map(|file| library.open(file)).collect();
    let entries = entries?;
    let drawn = entries.clone();
    let verdict = play(library, entries, Scope::Chosen, options, perform, out)?;
    reports(library, &drawn, options, out)?;
    Ok(verdict)
}

fn obey(arguments: Arguments, perform: &Perform, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let library = Library::find()?;
    match arguments.command {
        None => {
            let options = &arguments.campaign;
            play(
                &library,
                library.all()?,
                Scope::Library,
                options,
                perform,
                out,
            )
        }
        Some(Command::Run { files, campaign }) => run(&library, &files, &campaign, perform, out),
        Some(Command::Replay { file, seed, view }) => {
            replay(&library.open(&file)?, seed, &view, perform, out)
        }
        Some(Command::Report {
            file,
            seed,
            out: folder,
            around,
        }) => report(&library, &library.open(&file)?, seed, folder, around, out),
        Some(Command::Shrink {
            file,
            seed,
            shrink: options,
            jobs,
        }) => shrink(
            &library,
            &library.open(&file)?,
            seed,
            &options,
            jobs,
            perform,
            out,
        ),
        Some(Command::Debug { file, seed }) => {
            let entry = library.open(&file)?;
            debug(&entry, seed, perform, &mut io::stdin().lock(), out)
        }
        Some(Command::Merge { files, out: joined }) => merge(&files, joined.as_deref(), out),
        Some(Command::Explore(options)) => {
            let stop = stop_on_signals()?;
            let explored = options::explore(&options, &stop, out)?;
            Ok(match explored {
                Explored::Well => Verdict::Green,
                Explored::Broken => Verdict::Red,
            })
        }
        Some(Command::Score(options)) => {
            let stop = stop_on_signals()?;
            let scored = score(&options, library.root(), &stop, out)?;
            Ok(match scored {
                Scored::Well => Verdict::Green,
                Scored::Badly => Verdict::Red,
            })
        }
        Some(Command::VerifyTrace(options)) => Ok(match verify(&options, out)? {
            Traced::Well => Verdict::Green,
            Traced::Broken => Verdict::Red,
        }),
        Some(Command::Plan { file, seed }) => print_plan(&library.open(&file)?, seed, out),
    }
}

fn print_plan(entry: &Entry, seed: u64, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let plan = draw::draw(&entry.scenario, seed);
    let file = entry.file.display();
    writeln!(out, "# What seed {seed} draws from {file}.\n")?;
    out.write_all(scenario::print(&plan).as_bytes())?;
    Ok(Verdict::Green)
}
