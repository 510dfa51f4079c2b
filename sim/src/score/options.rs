//! The command `cargo sim score`: which mutants, in which ways, for how long, and where the table
//! is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use crate::score::catalogue::{impossible, uncovered};
use crate::score::mutant::{Mutant, read_all};
use crate::score::page::{Score, line, put_into};
use crate::score::results::{Results, Standing};
use crate::score::scratch::{Build, Scratch, run};
use crate::score::session::{Breadth, Report, Session, Stamp, Task};
use crate::score::trial::Way;
use crate::score::trouble::Trouble;

/// Where the mutants are, below the workspace's root.
const FOLDER: &str = "tests/mutants";
/// What is known of them, below the workspace's root.
const KNOWN: &str = "docs/score.toml";

/// What is asked for.
#[derive(Debug, Args)]
pub struct ScoreOptions {
    /// Parts of the names of mutants; all if none is named
    pub names: Vec<String>,
    /// Only see that every patch applies, and that every bug of the catalogue has one or a reason
    #[arg(long, conflicts_with_all = ["rotate", "out"])]
    check: bool,
    /// Only so many of the mutants that are known to be caught, others with every commit; each
    /// until one way has caught it as its patch says
    #[arg(long, value_name = "COUNT", conflicts_with = "out")]
    rotate: Option<usize>,
    /// The ways in which each is tried; all if it is left out
    #[arg(long, value_delimiter = ',', value_enum)]
    ways: Vec<Way>,
    /// Processor time for each way of each mutant
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration,
          default_value = "60s")]
    lasts: Duration,
    /// How many mutants are tried at a time; as many as there are processors if it is left out
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Do not shrink the plan that caught a mutant soonest
    #[arg(long)]
    no_shrink: bool,
    /// Only mutants of which the wanted ways were not tried yet, by what is kept
    #[arg(long, requires = "out")]
    missing: bool,
    /// Keep the table in this page, such as docs/score.md; what it is made of is kept beside it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scored {
    /// Everything is as it should be.
    Well,
    /// A mutant got away, a harmless one did not, or a patch does not apply.
    Badly,
}

/// Tries mutants, and tells what came of it.
///
/// # Errors
/// If a mutant cannot be built, or files cannot be read or written.
pub fn score(
    options: &ScoreOptions,
    root: &Path,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<Scored, Trouble> {
    let mutants = read_all(&root.join(FOLDER))?;
    let chosen = choose(options, &mutants, root)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = root.join(target.unwrap_or_else(|| PathBuf::from("target")));
    let build = match options.rotate {
        Some(_) => Build::Hasty,
        None => Build::Quick,
    };
    let mut scratch = Scratch::of(root, &target, build)?;
    if options.check {
        return check(&mut scratch, &mutants, &chosen, out);
    }
    let mut kept = Kept::read(options.out.as_deref())?;
    let session = Session {
        tester_folder: target.join("score/red"),
        root,
        scratch: Mutex::new(scratch),
        stamp: Stamp::now(root)?,
        busy_max: options.lasts,
        breadth: match (options.rotate, options.no_shrink) {
            (Some(_), _) => Breadth::UntilCaught,
            (None, true) => Breadth::EveryWay,
            (None, false) => Breadth::EveryWayAndSmaller,
        },
    };
    let names = chosen.iter().map(|mutant| mutant.name.len());
    let width = names.max().unwrap_or(0);
    let tasks = chosen.iter().map(|mutant| Task {
        mutant,
        ways: wanted(options, &kept.results, mutant),
    });
    let tasks = tasks.filter(|task| !task.ways.is_empty()).collect();
    let mut scored = Scored::Well;
    session.work(tasks, jobs(options), stop, |report| {
        if kept.note(&report, width, out)? == Scored::Badly {
            scored = Scored::Badly;
        }
        kept.write(&mutants, root)
    })?;
    kept.write(&mutants, root)?;
    Ok(scored)
}

fn jobs(options: &ScoreOptions) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    options.jobs.map_or_else(processors, usize::from)
}

/// The ways in which a mutant is to be tried.
fn wanted(options: &ScoreOptions, results: &Results, mutant: &Mutant) -> Vec<Way> {
    let asked = match options.ways.is_empty() {
        true => Way::ALL.to_vec(),
        false => options.ways.clone(),
    };
    let known = results.of(mutant);
    let is_new = |way: &Way| known.is_none_or(|tried| tried.by(*way).is_none());
    let is_given = |way: &Way| match way {
        Way::Trigger => mutant.trigger.is_some(),
        Way::Swarm => true,
        Way::Explorer => mutant.explore.is_some(),
    };
    let wanted = asked.into_iter().filter(is_given);
    wanted
        .filter(|way| !options.missing || is_new(way))
        .collect()
}

fn say(out: &mut dyn Write, text: &str) -> Result<(), Trouble> {
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(Trouble::Output)
}

/// Which mutants are meant.
fn choose<'a>(
    options: &ScoreOptions,
    mutants: &'a [Mutant],
    root: &Path,
) -> Result<Vec<&'a Mutant>, Trouble> {
    let is_named = |mutant: &&Mutant| {
        let names = &options.names;
        names.is_empty() || names.iter().any(|name| mutant.name.contains(name))
    };
    let named: Vec<&Mutant> = mutants.iter().filter(is_named).collect();
    if named.is_empty() {
        return Err(Trouble::Input("no mutant has such a name".to_owned()));
    }
    let Some(count) = options.rotate else {
        return Ok(named);
    };
    // What once was caught must stay caught; what gets away is known, and is no news.
    let known = Results::read(&root.join(KNOWN))?;
    let caught = named.into_iter().filter(|mutant| {
        let standing = known.standing(mutant);
        matches!(standing, Standing::Caught | Standing::RightlyGreen)
    });
    let named: Vec<&Mutant> = caught.collect();
    if named.is_empty() {
        let message = format!("{KNOWN} knows of no such mutant that was caught");
        return Err(Trouble::Input(message));
    }
    // With every commit the next handful, so that all have their turn.
    let counted = run(git(root).args(["rev-list", "--count", "HEAD"]))?;
    let commits = String::from_utf8_lossy(&counted.stdout).trim().to_owned();
    let commits: usize = commits.parse().map_err(|_| {
        Trouble::Input(format!(
            "git counts `{commits}` commits, which is no number"
        ))
    })?;
    let first = commits.wrapping_mul(count) % named.len();
    let turn = named
        .iter()
        .cycle()
        .skip(first)
        .take(count.min(named.len()));
    Ok(turn.copied().collect())
}

/// Does every patch apply, and has every bug one, or a reason why there can be none?
fn check(
    scratch: &mut Scratch,
    mutants: &[Mutant],
    chosen: &[&Mutant],
    out: &mut dyn Write,
) -> Result<Scored, Trouble> {
    let mut scored = Scored::Well;
    for mutant in chosen {
        if let Err(trouble) = scratch.apply(mutant) {
            scored = Scored::Badly;
            say(out, &format!("{} does not apply: {trouble}", mutant.name))?;
        }
        scratch.refresh()?;
    }
    let impossible = impossible(&scratch.root().join(FOLDER))?;
    for id in uncovered(mutants, &impossible) {
        scored = Scored::Badly;
        say(out, &format!("{id} has no mutant, and no reason is given"))?;
    }
    let (tried, impossible) = (chosen.len(), impossible.len());
    say(
        out,
        &format!("{tried} patches tried, {impossible} kinds of bugs are impossible"),
    )?;
    Ok(scored)
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root);
    git
}

/// What is kept between runs.
struct Kept {
    page: Option<PathBuf>,
    results: Results,
}

impl Kept {
    fn read(page: Option<&Path>) -> Result<Kept, Trouble> {
        let results = match page {
            Some(page) => Results::read(&page.with_extension("toml"))?,
            None => Results::default(),
        };
        let page = page.map(Path::to_owned);
        Ok(Kept { page, results })
    }

    /// Notes what came of a mutant, and tells it.
    fn note(
        &mut self,
        report: &Report<'_>,
        width: usize,
        out: &mut dyn Write,
    ) -> Result<Scored, Trouble> {
        let mutant = report.mutant;
        self.results.keep(mutant, report.tried.clone());
        say(out, &line(mutant, &self.results, width))?;
        let standing = self.results.standing(mutant);
        let is_well = matches!(standing, Standing::Caught | Standing::RightlyGreen);
        if is_well && !report.is_as_named {
            say(out, "  caught by others than its patch names")?;
        }
        Ok(match is_well && report.is_as_named {
            true => Scored::Well,
            false => Scored::Badly,
        })
    }

    fn write(&mut self, mutants: &[Mutant], root: &Path) -> Result<(), Trouble> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        // What became of mutants that are gone is no news.
        let known: BTreeMap<&str, &Mutant> = mutants
            .iter()
            .map(|mutant| (mutant.name.as_str(), mutant))
            .collect();
        self.results
            .mutant
            .retain(|name, _| known.contains_key(name.as_str()));
        self.results.write(&page.with_extension("toml"))?;
        let impossible = impossible(&root.join(FOLDER))?;
        let score = Score {
            mutants,
            impossible: &impossible,
            results: &self.results,
        };
        let before = fs::read_to_string(page).map_err(Trouble::file(page))?;
        let after = put_into(&before, &score.markdown())
            .ok_or_else(|| Trouble::nonsense(page, "it has no place for a score"))?;
        fs::write(page, after).map_err(Trouble::file(page))
    }
}
