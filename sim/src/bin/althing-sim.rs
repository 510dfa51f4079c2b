//! The binary behind `cargo sim`.

use std::process::ExitCode;

use althing_sim::{command, performance};

fn main() -> ExitCode {
    ExitCode::from(command::main(&performance::perform))
}
