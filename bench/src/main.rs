//! Measurements: of the tree beside what could have been chosen instead, and of the real server.

// The server is measured through what Linux tells of a process.
#[cfg(target_os = "linux")]
mod load;
mod tree;

use std::error::Error;

use clap::Parser;

/// Measures Althing and what could have been chosen instead.
#[derive(Parser)]
enum Command {
    /// Three structures for the tree of znodes, on the same work.
    Tree(tree::Args),
    /// A server's binary under load: throughput, latency, processor time, memory, start-up.
    #[cfg(target_os = "linux")]
    Load(load::Args),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse() {
        Command::Tree(args) => tree::run(&args),
        #[cfg(target_os = "linux")]
        Command::Load(args) => load::run(&args),
    }
}
