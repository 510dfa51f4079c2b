//! Measures fail-over: how long an ensemble of real processes acknowledges nothing after its leader
//! is killed, or stopped; and whether it holds an election that nobody needs when it is busy.

mod ensemble;
mod load;
mod report;
mod writers;

use std::error::Error;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use clap::{ValueEnum, value_parser};

use ensemble::{Blow, Ensemble, Gossip};
use writers::Writers;

/// How long the ensemble rests when all is well again, so that a kill does not meet what the one
/// before left behind.
const REST: Duration = Duration::from_secs(1);

/// How long acknowledgements are watched after they have come back: the first may be a last one
/// of the old leader.
const WATCHED: Duration = Duration::from_millis(1500);

/// With gossip or without.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum With {
    On,
    Off,
    Both,
}

#[derive(clap::Args)]
pub struct Args {
    /// The server's binary, built with `cargo build --release`.
    #[arg(long, default_value = "target/release/althing")]
    binary: PathBuf,
    /// How many servers.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u8).range(3..=11))]
    servers: u8,
    /// How often the leader is killed.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u32).range(1..))]
    kills: u32,
    /// SIGSTOP instead of kill -9: the leader is silent and its connections stay open.
    #[arg(long)]
    stop: bool,
    /// Whether the servers gossip.
    #[arg(long, value_enum, default_value_t = With::Both)]
    gossip: With,
    /// Instead of killing anybody: full load for so long (`10m`), during which nobody must be
    /// elected.
    #[arg(long, value_parser = humantime::parse_duration)]
    calm: Option<Duration>,
    /// Where the data lies while it is measured, by default the directory for temporary files.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Writes the report into this file too.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let gossips: &[Gossip] = match args.gossip {
        With::On => &[Gossip::On],
        With::Off => &[Gossip::Off],
        With::Both => &[Gossip::On, Gossip::Off],
    };
    let mut told = report::head(&args.binary)?;
    let start = |gossip| {
        let above = args.directory.clone().unwrap_or_else(env::temp_dir);
        Ensemble::start(&args.binary, args.servers, gossip, &above)
    };
    let mut elections = 0;
    match args.calm {
        Some(lasts) => {
            // Once is enough: gossip only ever makes elections likelier.
            let gossip = gossips[0];
            let calm = load::calm(&start(gossip)?, lasts)?;
            told.push_str(&report::calm(args.servers, gossip, &calm));
            elections = calm.elections;
        }
        None => {
            let blow = match args.stop {
                true => Blow::Stop,
                false => Blow::Kill,
            };
            let mut rows = Vec::new();
            for gossip in gossips {
                rows.push((*gossip, kills(start(*gossip)?, args.kills, blow)?));
            }
            told.push_str(&report::kills(args.servers, blow, &rows));
        }
    }
    print!("{told}");
    if let Some(out) = &args.out {
        fs::write(out, &told).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    match elections {
        0 => Ok(()),
        _ => Err("there was an election that nobody needed".into()),
    }
}

/// The longest time without an acknowledged write around each kill, in the order of the kills.
fn kills(mut ensemble: Ensemble, kills: u32, blow: Blow) -> Result<Vec<Duration>, Box<dyn Error>> {
    ensemble.await_leader()?;
    let writers = Writers::start(&ensemble.addresses())?;
    let mut gaps = Vec::new();
    while gaps.len() < kills as usize {
        let leader = ensemble.await_leader()?;
        writers.await_all_since(Instant::now(), None)?;
        sleep(REST);
        // Somebody else may lead by now, on a machine that is too busy to measure on.
        if ensemble.leader() != Some(leader) {
            eprintln!(
                "  an election before kill {}: it is waited out",
                gaps.len() + 1
            );
            continue;
        }
        let at = Instant::now();
        ensemble.strike(leader, blow)?;
        writers.await_all_since(at, Some(leader))?;
        sleep(WATCHED);
        let gap = writers.longest_gap(at, leader);
        eprintln!(
            "  kill {} of {}: server {leader}, {gap:?}",
            gaps.len() + 1,
            kills
        );
        gaps.push(gap);
        ensemble.revive(leader, blow)?;
    }
    Ok(gaps)
}
