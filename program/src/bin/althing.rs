//! The production binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    althing_program::program::main()
}
