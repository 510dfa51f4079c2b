//! `cargo sim run`: campaigns over scenarios, one after the other or in turns, with progress,
//! verdict lines, result files, and folders of what is red.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::campaign::{self, Flaky, Orders, RED_SEEDS_MAX, Red, Repeat, Tally};
use crate::cast;
use crate::command::arguments::{Asked, CampaignOptions, jobs, seeds};
use crate::command::failure::Failure;
use crate::command::keep::Keeper;
use crate::command::progress::{Progress, Until};
use crate::command::signals::stop_on_signals;
use crate::draw::draw;
use crate::library::{Entry, Library};
use crate::performance::Perform;
use crate::plan::Plan;
use crate::portfolio::Portfolio;
use crate::preference::{Preference, Reached};
use crate::red::commit::commit;
use crate::red::kept::kept;
use crate::results::{Played, Results, VERSION};
use crate::scenario::Scenario;
use crate::seeds::{Seeds, Selection};
use crate::stopwatch::Stopwatch;
use crate::verdict::{self, REDS_TOLD_MAX, Verdict};

/// After its first two turns a scenario plays so many seeds in a turn, for each thread: enough that
/// the threads rarely wait for the last of a turn.
const TURN_SEEDS: u64 = 4;

/// What is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everything that there is: what none of it reaches is told.
    Library,
    /// What was asked for.
    Chosen,
}

/// Plays `entries`, one after the other; returns the gravest verdict.
pub fn play(
    library: &Library,
    entries: Vec<Entry>,
    scope: Scope,
    options: &CampaignOptions,
    perform: &Perform,
    out: &mut dyn Write,
) -> Result<Verdict, Failure> {
    let stop = stop_on_signals()?;
    let jobs = jobs(options.jobs)?;
    let commit = commit(library.root());
    let keeper = Keeper {
        library,
        perform,
        jobs,
        options: &options.shrink,
        stop: &stop,
        commit: commit.clone(),
        shrunk: BTreeSet::new(),
    };
    let names = entries.iter().map(|entry| entry.scenario.plan.name.len());
    let company = Company {
        width: names.max().unwrap_or(0),
        asked: seeds(options)?,
        options,
        perform,
        jobs,
        stop: &stop,
        keeper,
        results: Results {
            version: VERSION,
            commit,
            stopped: false,
            scenarios: Vec::new(),
        },
        total: Tally::default(),
        verdicts: Vec::new(),
        out,
    };
    company.play(&entries, scope)
}

/// Everything that plays, and what was learnt.
struct Company<'a> {
    /// The longest name's.
    width: usize,
    asked: Asked,
    options: &'a CampaignOptions,
    perform: &'a Perform,
    jobs: usize,
    stop: &'a AtomicBool,
    keeper: Keeper<'a>,
    results: Results,
    total: Tally,
    verdicts: Vec<Verdict>,
    out: &'a mut dyn Write,
}

impl Company<'_> {
    fn play(mut self, entries: &[Entry], scope: Scope) -> Result<Verdict, Failure> {
        match self.asked {
            Asked::From(seeds) => self.in_turns(entries, seeds)?,
            Asked::These(seeds) => self.one_after_the_other(entries, seeds)?,
        }
        let (total, verdicts) = (&self.total, &self.verdicts);
        if scope == Scope::Library
            && let Some(line) = never_reached(entries, total, verdicts)
        {
            writeln!(self.out, "{line}")?;
        }
        writeln!(self.out, "{}", verdict::summary(total, verdicts))?;
        if self.stop.load(Ordering::Relaxed) {
            writeln!(
                self.out,
                "Stopped before the end: this is what was learnt until then."
            )?;
        }
        self.write_results()?;
        Ok(self.verdicts.into_iter().max().unwrap_or(Verdict::Unplayed))
    }

    /// Precisely these seeds of each, in their order.
    fn one_after_the_other(&mut self, entries: &[Entry], seeds: Seeds) -> Result<(), Failure> {
        let stopwatch = Stopwatch::start();
        for entry in entries {
            let mut tally = self.try_kept(entry)?;
            let time_left = |lasts: Duration| lasts.saturating_sub(stopwatch.real());
            let selection = Selection::Range(seeds);
            let orders = self.orders(selection, self.options.lasts.map(time_left));
            if !self.is_red_enough(&tally) {
                let until = Until::Seeds(seeds.count);
                let progress = Progress::new(&entry.scenario.plan.name, until);
                let shown = &mut |tally: &Tally| progress.show_tally(tally);
                let play = |plan: &Plan, seed: u64| (self.perform)(plan, seed).outcome;
                tally.merge(campaign::campaign(&entry.scenario, &orders, &play, shown));
                progress.end();
            }
            let over = self.is_red_enough(&tally);
            let played = Vec::from([seeds.begin(tally.seeds)]);
            self.conclude(entry, tally, played)?;
            if over {
                break;
            }
        }
        Ok(())
    }

    /// In turns of a few seeds, until time is up or somebody is red.
    fn in_turns(&mut self, entries: &[Entry], seeds: Seeds) -> Result<(), Failure> {
        let stopwatch = Stopwatch::start();
        let mut tallies = Vec::new();
        for entry in entries {
            tallies.push(self.try_kept(entry)?);
        }
        let mut portfolio = Portfolio::new(self.options.search, entries.len());
        let mut preferences = vec![Preference::new(self.options.search, seeds); entries.len()];
        let until = self.options.lasts.map_or(Until::Red, Until::Time);
        let progress = Progress::new("", until);
        loop {
            let findings: usize = tallies.iter().map(Tally::findings).sum();
            let left = (self.options.lasts).map(|lasts| lasts.saturating_sub(stopwatch.real()));
            let over = left == Some(Duration::ZERO) || self.options.until_red && findings > 0;
            if over || self.stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(place) = portfolio.take_turn() else {
                break;
            };
            let (seeds_before, events_before) = tally_sums(&tallies);
            progress.name(&entries[place].scenario.plan.name);
            let shown = &mut |turn: &Tally| {
                let seeds = seeds_before + turn.seeds;
                let findings = findings + turn.findings();
                progress.show(seeds, events_before + turn.events, findings);
            };
            let (scenario, tally) = (&entries[place].scenario, &mut tallies[place]);
            let (before, events) = (tally.coverage.size(), tally.events);
            self.take_turn(scenario, &mut preferences[place], tally, left, shown);
            portfolio.note(place, tally.coverage.size() - before, tally.events - events);
            if preferences[place].is_exhausted() || tally.findings() >= RED_SEEDS_MAX {
                portfolio.close(place);
            }
        }
        progress.end();
        for ((entry, tally), preference) in entries.iter().zip(tallies).zip(preferences) {
            self.conclude(entry, tally, preference.into_played())?;
        }
        Ok(())
    }

    /// Plays one turn of a scenario, with the seeds that are preferred.
    fn take_turn(
        &self,
        scenario: &Scenario,
        preference: &mut Preference,
        tally: &mut Tally,
        left: Option<Duration>,
        shown: &mut dyn FnMut(&Tally),
    ) {
        let count = match tally.seeds < 2 * self.jobs as u64 {
            true => self.jobs as u64,
            false => self.jobs as u64 * TURN_SEEDS,
        };
        let turn = preference.take_turn(count, &|seed| draw(scenario, seed));
        let reached = Mutex::new(BTreeMap::new());
        let known = &tally.coverage;
        let play = |plan: &Plan, seed: u64| {
            let outcome = (self.perform)(plan, seed).outcome;
            let run = Reached::of(plan, &outcome.counts, known);
            let mut reached = reached.lock().expect("no panic within");
            reached.insert(seed, run);
            outcome
        };
        let orders = self.orders(turn.clone(), left);
        let played = campaign::campaign(scenario, &orders, &play, shown);
        let reached = reached.into_inner().expect("no panic within");
        preference.note(&turn, played.seeds, &reached);
        tally.merge(played);
    }

    fn orders(&self, seeds: Selection, real_time_max: Option<Duration>) -> Orders<'_> {
        Orders {
            seeds,
            jobs: self.jobs,
            repeat: match self.options.twice {
                true => Repeat::Always,
                false => Repeat::IfRed,
            },
            real_time_max,
            findings_max: match self.options.until_red {
                true => 1,
                false => RED_SEEDS_MAX,
            },
            stop: self.stop,
        }
    }

    fn is_red_enough(&self, tally: &Tally) -> bool {
        self.options.until_red && tally.findings() > 0
    }

    /// Plays the red seeds that earlier campaigns have kept of this scenario, unless a single seed
    /// is asked for; what is red among them.
    fn try_kept(&mut self, entry: &Entry) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        if self.options.no_kept || self.options.seed.is_some() {
            return Ok(tally);
        }
        let library = self.keeper.library;
        let name = &entry.scenario.plan.name;
        let (kept, warnings) = kept(&library.red_folder(), name);
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        let mut told = Vec::new();
        for kept in kept {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let play = || (self.perform)(&kept.plan, kept.seed).outcome;
            let first = play();
            if first.violations.is_empty() {
                told.push(format!("{} green now", kept.seed));
                continue;
            }
            let second = play();
            if (first.digest, &first.violations) != (second.digest, &second.violations) {
                told.push(format!("{} non-deterministic", kept.seed));
                let digests = [first.digest, second.digest];
                let seed = kept.seed;
                tally.flaky.push(Flaky { seed, digests });
                continue;
            }
            told.push(format!("{} still red", kept.seed));
            tally.reds.push(Red {
                seed: kept.seed,
                violations: first.violations,
                plan: kept.plan,
                kept: Some(library.short(&kept.file).display().to_string()),
            });
        }
        if !told.is_empty() {
            let told = told.join(", ");
            writeln!(
                self.out,
                "{name}: tried the seeds first that were red before: {told} (--no-kept leaves them out)"
            )?;
        }
        Ok(tally)
    }

    /// Tells what a scenario came to, and keeps it.
    fn conclude(&mut self, entry: &Entry, tally: Tally, seeds: Vec<Seeds>) -> Result<(), Failure> {
        let plan = &entry.scenario.plan;
        self.verdicts.push(Verdict::of(plan, &tally));
        writeln!(self.out, "{}", verdict::line(plan, &tally, self.width))?;
        self.out.flush()?;
        let mut notes = BTreeMap::new();
        for red in tally.reds.iter().take(REDS_TOLD_MAX) {
            if red.kept.is_some() {
                continue;
            }
            let told = match self.options.no_shrink {
                true => self.keeper.keep_whole(entry, red),
                false => self.keeper.keep(entry, red),
            };
            notes.insert(red.seed, told);
        }
        for red in tally.reds.iter().skip(REDS_TOLD_MAX) {
            if red.kept.is_none() {
                self.keeper.keep_whole(entry, red);
            }
        }
        let noted = |red: &Red| match red.kept {
            None => notes.get(&red.seed).cloned().unwrap_or_default(),
            Some(_) => Vec::new(),
        };
        let findings = verdict::findings(plan, &tally, &entry.file, &noted);
        self.out.write_all(findings.as_bytes())?;
        self.out.flush()?;
        let file = entry.file.display().to_string();
        let played = Played::new(&entry.scenario, &file, &entry.text, seeds, &tally);
        self.results.scenarios.push(played);
        self.total.merge(Tally {
            reds: Vec::new(),
            flaky: Vec::new(),
            ..tally
        });
        self.write_results()
    }

    /// Writes what was learnt until now, if that is wanted.
    fn write_results(&mut self) -> Result<(), Failure> {
        self.results.stopped = self.stop.load(Ordering::Relaxed);
        match &self.options.out {
            Some(file) => self.results.write(file).map_err(|error| {
                Failure::Input(format!("{} cannot be written: {error}", file.display()))
            }),
            None => Ok(()),
        }
    }
}

fn tally_sums(tallies: &[Tally]) -> (u64, u64) {
    let seeds = tallies.iter().map(|tally| tally.seeds).sum();
    (seeds, tallies.iter().map(|tally| tally.events).sum())
}

/// What scenarios can name and none of them has reached, if every one of them was played.
fn never_reached(entries: &[Entry], total: &Tally, verdicts: &[Verdict]) -> Option<String> {
    if verdicts.len() < entries.len() || verdicts.contains(&Verdict::Unplayed) {
        return None;
    }
    let names = entries
        .iter()
        .flat_map(|entry| cast::names(&entry.scenario.plan.workload));
    let names: BTreeSet<&str> = names.collect();
    let reached: BTreeSet<&str> = total.coverage.names().collect();
    let never: Vec<&str> = names.difference(&reached).copied().collect();
    Some(match never.is_empty() {
        true => format!("All {} names were reached in this campaign.", names.len()),
        false => format!(
            "Never reached in this campaign: {} ({} of {} names)",
            never.join(", "),
            never.len(),
            names.len()
        ),
    })
}
