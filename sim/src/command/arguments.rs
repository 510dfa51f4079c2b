//! The arguments of `cargo sim`, as clap reads them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::command::failure::Failure;
use crate::explore::options::ExploreOptions;
use crate::portfolio::Search;
use crate::score::options::ScoreOptions;
use crate::seeds::{self, SeedRange, Seeds, Shard};
use crate::timeline;
use crate::traces::options::TraceOptions;

/// Seeds of each scenario unless it is told otherwise: all the scenarios together, of which most
/// play three to eleven servers, take some minutes on two cores.
const SEEDS_DEFAULT: u64 = 20;
/// Althing under its simulator: stories, faults, verdicts.
#[derive(Debug, Parser)]
#[command(
    name = "cargo sim",
    bin_name = "cargo sim",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How, if it is left out.
    #[command(flatten)]
    pub campaign: CampaignOptions,
}

/// What to do; a campaign over everything if it is left out.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play scenarios over several seeds (without a subcommand: every file of scenarios/)
    Run {
        /// Scenario files, or the bare names of scenarios
        #[arg(required = true)]
        files: Vec<String>,
        #[command(flatten)]
        campaign: CampaignOptions,
    },
    /// Play one seed twice and print its timeline
    Replay {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = seeds::seed)]
        seed: u64,
        #[command(flatten)]
        view: ViewOptions,
    },
    /// Play one seed and write the page that draws it, and the same for other tools
    Report {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = seeds::seed)]
        seed: u64,
        /// Into this folder; below target/althing-sim/report if it is left out
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
        /// Around this time of the run, such as 12.345s; the first violation's if there is one
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        around: Option<Duration>,
    },
    /// Make the plan of a red seed as small as it can be while it stays red for the same reason
    Shrink {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = seeds::seed)]
        seed: u64,
        #[command(flatten)]
        shrink: ShrinkOptions,
        /// Threads that play; as many as there are processors if it is left out
        #[arg(long)]
        jobs: Option<usize>,
    },
    /// Walk through one seed: step, look at servers, tree and sessions, leave a fault out
    Debug {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = seeds::seed)]
        seed: u64,
    },
    /// Join the result files of several shards and print their common verdicts
    Merge {
        /// Files that --out has written
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Write what they tell together to this file, too
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// See every state of small ensembles, within bounds, and check what must hold in each
    Explore(ExploreOptions),
    /// Plant real bugs, one after the other, and see which of them are caught
    Score(ScoreOptions),
    /// Judge the traces that real servers and clients have written
    VerifyTrace(TraceOptions),
    /// Print the plan that a seed draws, which is a scenario itself
    Plan {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = seeds::seed)]
        seed: u64,
    },
}

/// Which seeds, how often, for how long.
#[derive(Debug, Args)]
pub struct CampaignOptions {
    /// Only this seed
    #[arg(long, value_parser = seeds::seed, conflicts_with_all = ["seeds", "shard"])]
    pub seed: Option<u64>,
    /// Seeds A..B (without B), A..=B, or A.. together with --for or --until-red
    #[arg(long)]
    pub seeds: Option<SeedRange>,
    /// Only every Nth of the seeds, beginning with the Kth, for one of N machines
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Threads that play; as many as there are processors if it is left out
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Play new seeds for about this long in all, such as 60s or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub lasts: Option<Duration>,
    /// Stop at the first red seed; without --seeds and --for, play until there is one
    #[arg(long)]
    pub until_red: bool,
    /// Which seeds of which scenarios the time of --for or --until-red is for
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub search: Search,
    /// Play every seed twice and compare, not only the red ones
    #[arg(long)]
    pub twice: bool,
    /// Write the page of the seed, too
    #[arg(long, requires = "seed")]
    pub report: bool,
    /// Write what is learnt to this file, which `cargo sim merge` joins with others
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Do not try the red seeds first that earlier campaigns have kept
    #[arg(long)]
    pub no_kept: bool,
    /// Do not shrink the first red seed of each invariant
    #[arg(long)]
    pub no_shrink: bool,
    /// How far to shrink.
    #[command(flatten)]
    pub shrink: ShrinkOptions,
}

/// How much is spent on shrinking.
#[derive(Debug, Args)]
pub struct ShrinkOptions {
    /// Shrink a plan for this long at most
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        default_value = "60s"
    )]
    pub shrink_for: Duration,
    /// Shrink a plan with so many trials at most: the result is then the same on every machine
    #[arg(long, value_name = "COUNT")]
    pub shrink_trials: Option<u64>,
}

/// What of a run is shown.
#[derive(Debug, Args)]
pub struct ViewOptions {
    /// Only what happened around this time of the run, such as 12.345s; the first violation's if
    /// there is one
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub around: Option<Duration>,
    /// How far around
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5s")]
    pub within: Duration,
    /// The whole run, even if it is red
    #[arg(long, conflicts_with = "around")]
    pub whole: bool,
    /// Only these clients and servers, beside faults: client-1,server-1
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// At most so many lines; what is left out is in the middle
    #[arg(long, default_value_t = timeline::LINES_DEFAULT)]
    pub lines: usize,
    /// Heartbeats, saves and executions too
    #[arg(long)]
    pub everything: bool,
}

/// Seconds as verdicts and timelines write them (`12.345s`), or any span of time.
fn parse_time(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>();
    match seconds {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Which seeds are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// These, and no others.
    These(Seeds),
    /// From the first on, until time is up or one is red.
    From(Seeds),
}

/// The seeds that are asked for.
pub fn seeds(options: &CampaignOptions) -> Result<Asked, Failure> {
    let endless = options.lasts.is_some() || options.until_red;
    let sharded = |seeds: Seeds| match options.shard {
        Some(shard) => seeds.of_shard(shard),
        None => seeds,
    };
    let range = |first, end| sharded(Seeds::range(first, end));
    match (options.seed, &options.seeds) {
        (Some(seed), _) => match seed.checked_add(1) {
            Some(end) => Ok(Asked::These(Seeds::range(seed, end))),
            None => Err(Failure::Input("the seed is too large".to_owned())),
        },
        (None, Some(SeedRange { first, end })) => match end {
            Some(end) => Ok(Asked::These(range(*first, *end))),
            None if endless => Ok(Asked::From(range(*first, u64::MAX))),
            None => Err(Failure::Input(
                "a range of seeds without an end needs --for or --until-red".to_owned(),
            )),
        },
        (None, None) if endless => Ok(Asked::From(range(0, u64::MAX))),
        (None, None) => Ok(Asked::These(range(0, SEEDS_DEFAULT))),
    }
}

/// How many threads shall play.
pub fn jobs(asked: Option<usize>) -> Result<usize, Failure> {
    match asked {
        Some(0) => Err(Failure::Input(
            "somebody has to play: --jobs is at least 1".to_owned(),
        )),
        Some(jobs) => Ok(jobs),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}
