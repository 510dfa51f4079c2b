//! Measurements, side by side with what could have been chosen instead.

mod tree;

use std::error::Error;

use clap::Parser;

/// Measures Althing and what could have been chosen instead.
#[derive(Parser)]
enum Command {
    /// Three structures for the tree of znodes, on the same work.
    Tree(tree::Args),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse() {
        Command::Tree(args) => tree::run(&args),
    }
}
