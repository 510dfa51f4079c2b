//! The command line.

use althing::arguments;
use clap::{Parser, Subcommand};

use crate::bench::arguments::Bench;
use crate::cli::arguments::Cli;
use crate::export::arguments::Export;
use crate::import::arguments::Import;
use crate::inspect::arguments::Inspect;
use crate::restore::Restore;

/// A coordination service that speaks ZooKeeper's client protocol.
#[derive(Clone, Debug, Parser)]
#[command(name = "althing", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Servers.
    #[command(flatten)]
    Servers(arguments::Command),
    /// Ask servers, as ZooKeeper's zkCli does: one command, or many
    Cli(Cli),
    /// Show, check or compare files of a data directory; writes nothing
    Inspect(Inspect),
    /// Take over the data of another service into a new data directory
    Import(Import),
    /// Make a data directory for another service of a snapshot
    Export(Export),
    /// Make new data directories of a snapshot
    Restore(Restore),
    /// Load servers for a while, and tell what they answered and how fast
    Bench(Bench),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
