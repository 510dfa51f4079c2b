//! The production server's `main` in a binary of this package, so that `cargo test` never runs a
//! stale server.

use std::process::ExitCode;

fn main() -> ExitCode {
    althing::program::main()
}
