//! Measures Althing beside what could have been chosen instead: Apache ZooKeeper and etcd, each
//! with its default durable configuration, under the same load on the same machine, in turns.
//!
//! The turns are what makes a ratio worth something on a machine that is not quiet: in every run
//! each peer is started, measured and stopped before the run after it begins, and what is shown
//! is the median of the runs.

mod cluster;
mod etcd;
mod kind;
mod plot;
mod report;
mod turn;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use althing_program::bench::connection::Trouble;
use clap::value_parser;

use crate::load::machine::{self, Alone};
use kind::{Kind, Peer};
use report::{About, Run, Setting};

#[derive(clap::Args)]
pub struct Args {
    /// Althing's binary; if it is left out, it is built first.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Who is measured.
    #[arg(long, value_delimiter = ',', default_values_t = Kind::ALL)]
    peers: Vec<Kind>,
    /// Ensembles of so many servers.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 3],
        value_parser = value_parser!(u8).range(1..=11)
    )]
    servers: Vec<u8>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    runs: u32,
    /// How long each cell of the table is measured.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where the data lies while it is measured, by default the directory for temporary files. It
    /// should be on the kind of disk that a server has.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Where the peers are installed.
    #[arg(long, default_value = "target/peers")]
    install: PathBuf,
    /// The folder for the table and the plots.
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Trouble> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => kind::build()?,
    };
    let peers = kind::install(&args.peers, &binary, &args.install)?;
    let cell_lasts = Duration::from_secs(args.seconds);
    let about = About {
        machine: machine::describe()?,
        versions: peers
            .iter()
            .map(Peer::version)
            .collect::<Result<_, Trouble>>()?,
        cell_lasts,
    };
    let above = args.directory.clone().unwrap_or_else(env::temp_dir);
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        eprintln!("run {number} of {}", args.runs);
        let directory = tempfile::tempdir_in(&above)?;
        let mut run = Run {
            alone: Alone::measure(directory.path(), cell_lasts)?,
            turns: Vec::new(),
        };
        for servers in &args.servers {
            for peer in &peers {
                let setting = Setting {
                    kind: peer.kind(),
                    servers: *servers,
                };
                eprintln!("  {setting}");
                let turn = turn::play(peer, *servers, directory.path(), cell_lasts)?;
                run.turns.push((setting, turn));
            }
        }
        runs.push(run);
    }
    fs::create_dir_all(&args.out)?;
    let report = report::write(&about, &mut runs);
    print!("{report}");
    let written = |name: &str, text: &str| -> Result<(), Trouble> {
        let path = args.out.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
    };
    written("peers.md", &report)?;
    for (name, picture) in plot::draw(&runs)? {
        written(&name, &picture)?;
    }
    Ok(())
}
