//! The command line behind `cargo sim`: what is asked for, and what is printed where.

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::campaign::{self, Flaky, Orders, Outcome, Red, Repeat, Tally};
use crate::draw;
use crate::explore::options::{self, ExploreOptions, Explored, Unexplored};
use crate::history::History;
use crate::library::{Entry, Library, Unreadable};
use crate::performance::Performance;
use crate::plan::Plan;
use crate::scenario;
use crate::span::Span;
use crate::timeline::{self, Colours, Detail, View};
use crate::verdict::{self, Verdict};

/// Seeds of each scenario unless it is told otherwise: all the scenarios together, of which most
/// play three to eleven servers, take some minutes on two cores.
const SEEDS_DEFAULT: u64 = 20;
/// The exit code of bad input; also that of a command line that cannot be read.
const EXIT_BAD_INPUT: u8 = 2;
/// The exit code when a second Ctrl-C ends everything at once, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// Plays one plan with one seed.
pub type Perform = dyn Fn(&Plan, u64) -> Performance + Sync;

/// Althing under its simulator: stories, faults, verdicts.
#[derive(Debug, Parser)]
#[command(
    name = "cargo sim",
    bin_name = "cargo sim",
    version,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    campaign: CampaignOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
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
        #[arg(long, value_parser = parse_number)]
        seed: u64,
        #[command(flatten)]
        view: ViewOptions,
    },
    /// See every state of small ensembles, within bounds, and check what must hold in each
    Explore(ExploreOptions),
    /// Print the plan that a seed draws, which is a scenario itself
    Plan {
        /// A scenario file, or the bare name of a scenario
        file: String,
        /// The seed
        #[arg(long, value_parser = parse_number)]
        seed: u64,
    },
}

#[derive(Debug, Args)]
struct CampaignOptions {
    /// Only this seed
    #[arg(long, value_parser = parse_number, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds A..B (without B), A..=B, or A.. together with --for
    #[arg(long, value_parser = parse_seeds)]
    seeds: Option<Seeds>,
    /// Threads that play; as many as there are processors if it is left out
    #[arg(long)]
    jobs: Option<usize>,
    /// Play new seeds for about this long in all, such as 60s or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,
    /// Play every seed twice and compare, not only the red ones
    #[arg(long)]
    twice: bool,
}

#[derive(Debug, Args)]
struct ViewOptions {
    /// Only what happened around this time of the run, such as 12.345s; the first violation's if
    /// there is one
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    around: Option<Duration>,
    /// How far around
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "5s")]
    within: Duration,
    /// The whole run, even if it is red
    #[arg(long, conflicts_with = "around")]
    whole: bool,
    /// Only these clients and servers, beside faults: client-1,server-1
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// At most so many lines; what is left out is in the middle
    #[arg(long, default_value_t = timeline::LINES_DEFAULT)]
    lines: usize,
    /// Heartbeats, saves and executions too
    #[arg(long)]
    everything: bool,
}

/// A range of seeds; open-ended if it has no end.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seeds {
    first: u64,
    end: Option<u64>,
}

fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("`{text}` is no seed: {error}"))
}

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let (first, end) = text
        .split_once("..")
        .ok_or("a range of seeds is written A..B")?;
    let first = parse_number(first)?;
    let end = match end.strip_prefix('=') {
        _ if end.is_empty() => None,
        Some(last) => Some(
            parse_number(last)?
                .checked_add(1)
                .ok_or("the last seed is too large")?,
        ),
        None => Some(parse_number(end)?),
    };
    if end.is_some_and(|end| end <= first) {
        return Err("the range is empty".to_owned());
    }
    Ok(Seeds { first, end })
}

/// Seconds as verdicts and timelines write them (`12.345s`), or any span of time.
fn parse_time(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>();
    match seconds {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Why a command ends without a verdict.
enum Failure {
    /// What was asked for does not make sense.
    Input(String),
    /// Nobody reads the output any more, or it cannot be written.
    Output(io::Error),
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Failure {
        Failure::Input(error.to_string())
    }
}

impl From<Unexplored> for Failure {
    fn from(error: Unexplored) -> Failure {
        match error {
            Unexplored::Input(message) => Failure::Input(message),
            Unexplored::Output(error) => Failure::Output(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Input(message) => f.write_str(message),
            Failure::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

/// Does what the process's arguments ask for; returns its exit code.
pub fn main(perform: &Perform) -> u8 {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    match obey(arguments, perform, &mut out) {
        Ok(verdict) => verdict.exit_code(),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_BAD_INPUT,
        Err(failure) => {
            eprintln!("error: {failure}");
            EXIT_BAD_INPUT
        }
    }
}

fn obey(arguments: Arguments, perform: &Perform, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let library = Library::find()?;
    match arguments.command {
        None => play(&library, library.all()?, &arguments.campaign, perform, out),
        Some(Command::Run { files, campaign }) => {
            let entries: Result<Vec<Entry>, _> =
                files.iter().map(|file| library.open(file)).collect();
            play(&library, entries?, &campaign, perform, out)
        }
        Some(Command::Replay { file, seed, view }) => {
            replay(&library.open(&file)?, seed, &view, perform, out)
        }
        Some(Command::Explore(options)) => {
            let stop = stop_on_signals()?;
            let explored = options::explore(&options, &stop, out)?;
            Ok(match explored {
                Explored::Well => Verdict::Green,
                Explored::Broken => Verdict::Red,
            })
        }
        Some(Command::Plan { file, seed }) => {
            let entry = library.open(&file)?;
            let plan = draw::draw(&entry.scenario, seed);
            writeln!(
                out,
                "# What seed {seed} draws from {}.\n",
                entry.file.display()
            )?;
            out.write_all(scenario::print(&plan).as_bytes())?;
            Ok(Verdict::Green)
        }
    }
}

/// Plays `entries`, one after the other; returns the gravest verdict.
fn play(
    library: &Library,
    entries: Vec<Entry>,
    options: &CampaignOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let stop = stop_on_signals()?;
    let width = entries
        .iter()
        .map(|entry| entry.scenario.plan.name.len())
        .max()
        .unwrap_or(0);
    let mut total = Tally::default();
    let mut verdicts = Vec::new();
    let mut time_left = options.lasts;
    for (index, entry) in entries.iter().enumerate() {
        let waiting = u32::try_from(entries.len() - index).expect("there are few scenarios");
        let orders = Orders {
            seeds: seeds(options)?,
            jobs: jobs(options)?,
            repeat: match options.twice {
                true => Repeat::Always,
                false => Repeat::IfRed,
            },
            // What a scenario leaves of its share falls to those that come after it.
            real_time_max: time_left.map(|left| left / waiting),
            stop: &stop,
        };
        let tally = campaign_with_progress(entry, &orders, perform);
        time_left = time_left.map(|left| left.saturating_sub(tally.real));
        total.add_figures(&tally);
        let plan = &entry.scenario.plan;
        verdicts.push(Verdict::of(plan, &tally));
        writeln!(out, "{}", verdict::line(plan, &tally, width))?;
        let saved = |red: &Red| save(library, entry, red);
        out.write_all(verdict::findings(plan, &tally, &entry.file, &saved).as_bytes())?;
        out.flush()?;
    }
    writeln!(out, "{}", verdict::summary(&total, &verdicts))?;
    if stop.load(Ordering::Relaxed) {
        writeln!(
            out,
            "Stopped before the end: this is what was learnt until then."
        )?;
    }
    Ok(verdicts.into_iter().max().unwrap_or(Verdict::Unplayed))
}

fn seeds(options: &CampaignOptions) -> Result<Range<u64>, Failure> {
    let timed = options.lasts.is_some();
    match (options.seed, &options.seeds) {
        (Some(seed), _) => match seed.checked_add(1) {
            Some(end) => Ok(seed..end),
            None => Err(Failure::Input("the seed is too large".to_owned())),
        },
        (None, Some(Seeds { first, end: None })) if timed => Ok(*first..u64::MAX),
        (None, Some(Seeds { end: None, .. })) => Err(Failure::Input(
            "a range of seeds without an end needs --for".to_owned(),
        )),
        (
            None,
            Some(Seeds {
                first,
                end: Some(end),
            }),
        ) => Ok(*first..*end),
        (None, None) if timed => Ok(0..u64::MAX),
        (None, None) => Ok(0..SEEDS_DEFAULT),
    }
}

fn jobs(options: &CampaignOptions) -> Result<usize, Failure> {
    match options.jobs {
        Some(0) => Err(Failure::Input(
            "somebody has to play: --jobs is at least 1".to_owned(),
        )),
        Some(jobs) => Ok(jobs),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// A flag that Ctrl-C and SIGTERM set; the second Ctrl-C ends the process at once.
fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let register = || -> io::Result<()> {
        let armed = Arc::clone(&stop);
        signal_hook::flag::register_conditional_shutdown(SIGINT, EXIT_INTERRUPTED, armed)?;
        signal_hook::flag::register(SIGINT, Arc::clone(&stop))?;
        signal_hook::flag::register(SIGTERM, Arc::clone(&stop))?;
        Ok(())
    };
    register().map_err(|error| Failure::Input(format!("signals cannot be caught: {error}")))?;
    Ok(stop)
}

fn campaign_with_progress(entry: &Entry, orders: &Orders<'_>, perform: &Perform) -> Tally {
    // It draws on the standard error, and only if that is a terminal.
    let bar = match orders.real_time_max {
        None => ProgressBar::new(orders.seeds.end - orders.seeds.start),
        Some(_) => ProgressBar::new_spinner(),
    };
    let template = match orders.real_time_max {
        None => "{prefix} [{bar:30}] {pos}/{len} seeds, {elapsed}{msg}",
        Some(_) => "{prefix} {spinner} {pos} seeds, {elapsed}{msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right");
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(entry.scenario.plan.name.clone());
    bar.enable_steady_tick(Duration::from_millis(200));
    let play = |plan: &Plan, seed: u64| perform(plan, seed).outcome;
    let tally = campaign::campaign(&entry.scenario, orders, &play, &mut |tally| {
        bar.set_position(tally.seeds);
        let findings = tally.reds.len() + tally.flaky.len();
        if findings > 0 {
            bar.set_message(format!(", {findings} RED"));
        }
    });
    bar.finish_and_clear();
    tally
}

fn save(library: &Library, entry: &Entry, red: &Red) -> Option<String> {
    let folder = library.red_folder();
    let file = folder.join(format!("{}-{}.toml", entry.scenario.plan.name, red.seed));
    let text = verdict::saved_plan(&entry.file, red);
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
    match written {
        Ok(()) => Some(library.short(&file).display().to_string()),
        Err(error) => {
            eprintln!("warning: {} cannot be written: {error}", file.display());
            None
        }
    }
}

/// Plays one seed twice; prints the first run's timeline, and what is wrong.
fn replay(
    entry: &Entry,
    seed: u64,
    options: &ViewOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let plan = draw::draw(&entry.scenario, seed);
    let first = perform(&plan, seed);
    let second = perform(&plan, seed);
    let view = view(options, &first.outcome);
    if let Some((from, to)) = view.window {
        writeln!(
            out,
            "From {} to {} of {}:",
            Span(from),
            Span(to),
            Span(first.outcome.simulated)
        )?;
    }
    let violations = &first.outcome.violations;
    out.write_all(timeline::draw(&first.history, violations, &view).as_bytes())?;
    let mut tally = Tally {
        seeds: 1,
        simulated: first.outcome.simulated,
        events: first.outcome.events,
        ..Tally::default()
    };
    let file = PathBuf::from(&entry.file);
    let same = first.outcome.digest == second.outcome.digest
        && first.outcome.violations == second.outcome.violations;
    if !same {
        tally.flaky.push(Flaky {
            seed,
            digests: [first.outcome.digest, second.outcome.digest],
        });
        writeln!(out, "{}", first_difference(&first.history, &second.history))?;
    } else if !violations.is_empty() {
        tally.reds.push(Red {
            seed,
            violations: violations.clone(),
            plan: plan.clone(),
        });
    }
    let verdict = Verdict::of(&plan, &tally);
    writeln!(
        out,
        "{} {} seed={seed}: {} simulated, {} events, digest {:032x}, the same twice: {}",
        verdict.word(),
        plan.name,
        Span(Duration::from_millis(
            first.outcome.simulated.as_millis() as u64
        )),
        verdict::grouped(first.outcome.events),
        first.outcome.digest,
        if same { "yes" } else { "NO" },
    )?;
    let unsaved = |_: &Red| None;
    out.write_all(verdict::findings(&plan, &tally, &file, &unsaved).as_bytes())?;
    Ok(verdict)
}

fn view(options: &ViewOptions, outcome: &Outcome) -> View {
    let first_violation = outcome.violations.first().map(|violation| violation.at);
    let middle = options
        .around
        .or(first_violation.filter(|_| !options.whole));
    let window = middle.map(|at| {
        let to = (at + options.within).min(outcome.simulated.max(at));
        (at.saturating_sub(options.within), to)
    });
    View {
        window,
        only: options.only.clone(),
        lines_max: options.lines,
        detail: match options.everything {
            true => Detail::Everything,
            false => Detail::Story,
        },
        colours: match io::stdout().is_terminal() {
            true => Colours::Ansi,
            false => Colours::None,
        },
    }
}

fn first_difference(first: &History, second: &History) -> String {
    let (a, b) = (&first.moments, &second.moments);
    let index = a.iter().zip(b).position(|(a, b)| a != b);
    let index = index.unwrap_or(a.len().min(b.len()));
    let told = |moments: &[crate::history::Moment]| match moments.get(index) {
        Some(moment) => format!("{moment:?}"),
        None => "nothing more".to_owned(),
    };
    format!(
        "The two runs differ from moment {index} on:\n  first:  {}\n  second: {}",
        told(a),
        told(b)
    )
}
