//! Measures a server's binary under load: throughput, latency, processor time, memory, start-up.
//!
//! The binary is built beforehand and started as an operator would, on a free port and in an empty
//! directory. The only generator is one thread of this process, that of `althing bench`, so that
//! server and generator share a small machine in a way that can be told apart.

pub mod figures;
pub mod machine;
pub mod population;
pub mod report;
mod server;
pub mod throughput;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use althing_program::bench::connection::Trouble;
use clap::value_parser;

use machine::Alone;
use report::{About, Run};
use server::Server;
use throughput::{CELLS, Loaded, Targets};

#[derive(clap::Args)]
pub struct Args {
    /// The server's binary, built with `cargo build --release`.
    #[arg(long, default_value = "target/release/althing")]
    binary: PathBuf,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    runs: u32,
    /// How long each cell of a table is measured.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many znodes the large tree has.
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u32).range(1..))]
    znodes: u32,
    /// Where the data lies while it is measured, by default the directory for temporary files. It
    /// should be on the kind of disk that a server has.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Writes the report into this file too.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Trouble> {
    let about = About {
        machine: machine::describe()?,
        server: version(&args.binary)?,
        cell_lasts: Duration::from_secs(args.seconds),
        znodes: usize::try_from(args.znodes)?,
    };
    let above = args.directory.clone().unwrap_or_else(env::temp_dir);
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        eprintln!("run {number} of {}", args.runs);
        runs.push(run_once(&args.binary, &above, &about)?);
    }
    let report = report::write(&about, runs);
    print!("{report}");
    if let Some(out) = &args.out {
        fs::write(out, &report).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    Ok(())
}

fn version(binary: &Path) -> Result<String, Trouble> {
    let output = Command::new(binary)
        .arg("--version")
        .output()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run_once(binary: &Path, above: &Path, about: &About) -> Result<Run, Trouble> {
    let directory = tempfile::tempdir_in(above)?;
    let directory = directory.path();
    eprintln!("  the machine alone");
    let alone = Alone::measure(directory, about.cell_lasts)?;

    let server = Server::start(binary, &directory.join("load"))?;
    let targets = Targets::create(server.address())?;
    let mut cells = Vec::new();
    let loaded = Loaded {
        addresses: vec![server.address()],
        processes: vec![server.process()],
    };
    for cell in CELLS {
        let sample = throughput::measure(&loaded, &targets, cell, about.cell_lasts)?;
        eprintln!("  {cell:?}: {:.0} requests/s", sample.per_second);
        cells.push(sample);
    }
    server.stop()?;

    eprintln!("  {} znodes", about.znodes);
    let population = population::measure(binary, &directory.join("large"), about.znodes)?;
    Ok(Run {
        alone,
        cells,
        population,
    })
}
