//! The simulator's command line in a binary of this package, so that `cargo test` never runs a
//! stale one.

use std::process::ExitCode;

use althing_sim::{command, performance};

fn main() -> ExitCode {
    ExitCode::from(command::main(&performance::perform))
}
