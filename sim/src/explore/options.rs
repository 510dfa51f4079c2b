//! The command `cargo sim explore`: which configurations, how far, and the table of what came of
//! it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use crate::explore::configurations::{self, Configuration, Size};
use crate::explore::search::{Limits, Tally, Verdict, search};
use crate::explore::story::{Trouble, first};
use crate::explore::trace::{self, Counterexample};
use crate::explore::walk::walk;
use crate::explore::world::World;

/// A gibibyte.
const GIB: u64 = 1 << 30;

/// What is asked for.
#[derive(Debug, Args)]
pub struct ExploreOptions {
    /// Names of configurations; all of the wanted size if none is named
    pub names: Vec<String>,
    /// List the configurations and their bounds
    #[arg(long)]
    list: bool,
    /// Only the configurations that `cargo test` explores
    #[arg(long)]
    small: bool,
    /// How: a large configuration is searched for half of its time, and if that has not seen
    /// every state, walked through for the other half
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    search: Ways,
    /// Only walk, with this seed
    #[arg(long, value_name = "SEED", conflicts_with = "search")]
    walk: Option<u64>,
    /// Real time for each configuration, such as 60s or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration,
          default_value = "10m")]
    lasts: Duration,
    /// And at most so much processor time; for a machine that has much else to do
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    busy: Option<Duration>,
    /// Memory for the set of states, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 8)]
    memory: u64,
    /// Unique states of each configuration
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX)]
    states: u64,
    /// Tell a counterexample again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "walk", "search", "list"])]
    replay: Option<PathBuf>,
    /// Where counterexamples are written
    #[arg(long, value_name = "FOLDER", default_value = "target/explore")]
    into: PathBuf,
}

/// The seed of walks unless it is told otherwise.
const WALK_SEED: u64 = 1;

/// How a configuration is explored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Ways {
    /// In order, and where that does not come to an end, also at random from states of new shapes.
    #[default]
    Both,
    /// Every state in order, as far as time and memory go.
    InOrder,
    /// At random from states of new shapes.
    Walks,
}

/// What a configuration came to, by the ways in which it was explored.
pub struct Portfolio {
    /// Of the search in order.
    pub in_order: Option<Tally>,
    /// Of the walks.
    pub walks: Option<Tally>,
}

/// Explores a configuration within these limits.
pub fn explore_one(
    first: &World,
    size: Size,
    ways: Ways,
    seed: u64,
    limits: &Limits<'_>,
) -> Portfolio {
    let shared = ways == Ways::Both && size == Size::Large;
    let half = Limits {
        states_max: limits.states_max.div_ceil(2),
        real_max: limits.real_max / 2,
        busy_max: limits.busy_max / 2,
        ..*limits
    };
    let limits = if shared { &half } else { limits };
    let in_order = (ways != Ways::Walks).then(|| search(first.clone(), limits));
    let unfinished = in_order
        .as_ref()
        .is_some_and(|tally| matches!(tally.verdict, Verdict::Partial(_)));
    let stopped = limits.stop.load(Ordering::Relaxed);
    let walks = ways == Ways::Walks || shared && unfinished && !stopped;
    Portfolio {
        in_order,
        walks: walks.then(|| walk(first.clone(), seed, limits)),
    }
}

/// Did anything break?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Explored {
    /// Nothing did.
    Well,
    /// Something did.
    Broken,
}

/// Why there is nothing to tell.
#[derive(Debug)]
pub enum Unexplored {
    /// What was asked for does not make sense.
    Input(String),
    /// The table or a counterexample cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Unexplored {
    fn from(error: io::Error) -> Unexplored {
        Unexplored::Output(error)
    }
}

/// Explores; writes the table.
///
/// # Errors
/// If nobody takes the table, or a name is unknown.
pub fn explore(
    options: &ExploreOptions,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<Explored, Unexplored> {
    if let Some(file) = &options.replay {
        return replay(file, out);
    }
    let chosen = choose(options)?;
    if options.list {
        for configuration in &chosen {
            writeln!(out, "{}", describe(configuration))?;
        }
        return Ok(Explored::Well);
    }
    writeln!(out, "{}", heading())?;
    let mut explored = Explored::Well;
    let mut states = 0;
    for configuration in &chosen {
        let limits = Limits {
            states_max: options.states,
            real_max: options.lasts,
            busy_max: options.busy.unwrap_or(Duration::MAX),
            bytes_max: options.memory.saturating_mul(GIB),
            stop,
        };
        let Some(first) = begin(configuration, out)? else {
            explored = Explored::Broken;
            continue;
        };
        let (ways, seed) = match options.walk {
            Some(seed) => (Ways::Walks, seed),
            None => (options.search, WALK_SEED),
        };
        let found = explore_one(&first, configuration.size, ways, seed, &limits);
        let name = configuration.name;
        let rows = [
            (name.to_owned(), found.in_order),
            (format!("{name}, walks"), found.walks),
        ];
        for (name, tally) in rows {
            let Some(tally) = tally else { continue };
            states += tally.states;
            writeln!(out, "{}", row(&name, configuration, &tally))?;
            if let Verdict::Broken(actions, violation) = tally.verdict {
                explored = Explored::Broken;
                let found = Counterexample::new(configuration, &first, &actions, violation);
                let file = write(&options.into, &found)?;
                let story = found.story();
                writeln!(
                    out,
                    "\n{story}\nReplay: cargo sim explore --replay {file}\n"
                )?;
            }
            out.flush()?;
        }
    }
    writeln!(out, "{states} unique states in all")?;
    Ok(explored)
}

/// The state that the exploring begins with; `None` if something is broken on the way there, and
/// that is told.
fn begin(configuration: &Configuration, out: &mut dyn Write) -> Result<Option<World>, Unexplored> {
    match first(configuration) {
        Ok(first) => Ok(Some(first)),
        Err(Trouble::Broken(violation)) => {
            let mut tally = Tally::of_nothing();
            tally.verdict = Verdict::Broken(Vec::new(), violation);
            writeln!(out, "{}", row(configuration.name, configuration, &tally))?;
            writeln!(out, "\nIt is broken before the exploring begins, within:")?;
            for command in configuration.prelude {
                writeln!(out, "{command}")?;
            }
            Ok(None)
        }
        Err(trouble) => {
            let name = configuration.name;
            Err(Unexplored::Input(format!("{name}: {trouble}")))
        }
    }
}

fn choose(options: &ExploreOptions) -> Result<Vec<Configuration>, Unexplored> {
    if options.names.is_empty() {
        let size = if options.small {
            Size::Small
        } else {
            Size::Large
        };
        let all = configurations::all().into_iter();
        return Ok(all
            .filter(|configuration| configuration.size == size || options.list)
            .collect());
    }
    let named = options.names.iter().map(|name| {
        let found = configurations::find(name);
        found.ok_or_else(|| Unexplored::Input(format!("there is no configuration `{name}`")))
    });
    named.collect()
}

fn replay(file: &Path, out: &mut dyn Write) -> Result<Explored, Unexplored> {
    let story = std::fs::read_to_string(file)
        .map_err(|error| Unexplored::Input(format!("{}: {error}", file.display())))?;
    let (told, end) = trace::tell(&story);
    out.write_all(told.as_bytes())?;
    Ok(match end {
        Ok(()) => Explored::Well,
        Err(_) => Explored::Broken,
    })
}

fn write(folder: &Path, found: &Counterexample) -> io::Result<String> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}.txt", found.configuration));
    std::fs::write(&file, found.story())?;
    Ok(file.display().to_string())
}

/// The names of the columns.
pub fn heading() -> String {
    format!(
        "{:<24} {:>12} {:>10} {:>12} {:>6} {:>9} {:>10} {:>8}  verdict",
        "configuration", "states", "beyond", "transitions", "depth", "CPU s", "states/s", "MiB"
    )
}

/// What came of a configuration, in a row of this name.
pub fn row(name: &str, configuration: &Configuration, tally: &Tally) -> String {
    let seconds = tally.busy.as_secs_f64();
    let missing: Vec<&str> = missing(configuration, tally);
    let verdict = match &tally.verdict {
        Verdict::Whole if missing.is_empty() => "whole, all invariants held".to_owned(),
        Verdict::Whole => format!("whole, but never seen: {}", missing.join(", ")),
        Verdict::Partial(reason) => format!("all held until it ended: {reason}"),
        Verdict::Broken(_, violation) => format!("BROKEN {violation}"),
    };
    format!(
        "{:<24} {:>12} {:>10} {:>12} {:>6} {:>9.1} {:>10.0} {:>8}  {verdict}",
        name,
        tally.states,
        tally.beyond,
        tally.transitions,
        tally.depth,
        seconds,
        tally.states as f64 / seconds.max(1e-9),
        tally.bytes >> 20,
    )
}

/// Events that the configuration is about and that did not happen.
pub fn missing(configuration: &Configuration, tally: &Tally) -> Vec<&'static str> {
    let marks = configuration.marks.iter().copied();
    marks
        .filter(|mark| !tally.notes.marks().contains_key(mark))
        .collect()
}

fn describe(configuration: &Configuration) -> String {
    let rules = &configuration.rules;
    let allowed = rules
        .allowed
        .named()
        .map(|(name, count)| format!("{count} {name}"));
    let allowed: Vec<String> = allowed.collect();
    format!(
        "{}: {}\n  {} servers, {} founders; epochs to {}; {} messages in flight, in {} order; saves {}; {}",
        configuration.name,
        configuration.about,
        rules.servers,
        rules.founders,
        rules.epoch_max,
        rules.flight_max,
        format!("{:?}", rules.order).to_lowercase(),
        format!("{:?}", rules.saves).to_lowercase(),
        allowed.join(", "),
    )
}
