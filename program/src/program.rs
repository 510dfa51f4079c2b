//! The program: finds out what it is to do.

use std::process::ExitCode;

use althing::program;
use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::{admin, bench, cli, export, import, inspect, restore};

/// Runs the program. For a binary that is nothing but this call.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Servers(command) => program::run(command, Some(admin::office::attend)),
        Command::Cli(flags) => cli::run::run(&flags),
        Command::Inspect(flags) => inspect::run::run(&flags),
        Command::Import(flags) => import::run::run(&flags),
        Command::Export(flags) => export::run::run(&flags),
        Command::Restore(flags) => restore::run(&flags),
        Command::Bench(flags) => bench::run::run(&flags),
    }
}
