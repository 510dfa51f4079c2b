//! What becomes of a red seed: its plan is shrunk, and a folder is written that explains it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::{Outcome, Red};
use crate::command::arguments::ShrinkOptions;
use crate::library::{Entry, Library};
use crate::performance::{Perform, Performance};
use crate::plan::Plan;
use crate::red::folder::{self, Report, stem};
use crate::red::nearby::{Nearby, nearby};
use crate::shrink::search::Budget;
use crate::shrink::shrink::{Shrunk, shrink};
use crate::stopwatch::Stopwatch;
use crate::verdict::span;

/// Keeps red seeds.
pub struct Keeper<'a> {
    /// Where.
    pub library: &'a Library,
    /// Who plays.
    pub perform: &'a Perform,
    /// How many at once.
    pub jobs: usize,
    /// How far plans are shrunk.
    pub options: &'a ShrinkOptions,
    /// When it is set, nothing more is shrunk.
    pub stop: &'a AtomicBool,
    /// The state of the code, if it is known.
    pub commit: Option<String>,
    /// The invariants of which a red seed was shrunk.
    pub shrunk: BTreeSet<&'static str>,
}

impl Keeper<'_> {
    /// Shrinks the first red seed of each invariant, and writes the folder of any; returns what is
    /// to be said of it.
    pub fn keep(&mut self, entry: &Entry, red: &Red) -> Vec<String> {
        let first = self.shrunk.insert(red.violations[0].invariant);
        match first && !self.stop.load(Ordering::Relaxed) {
            true => self.keep_shrunk(entry, red),
            false => self.keep_whole(entry, red),
        }
    }

    /// Writes the folder of a red seed without shrinking it.
    pub fn keep_whole(&self, entry: &Entry, red: &Red) -> Vec<String> {
        let performance = (self.perform)(&red.plan, red.seed);
        self.write(entry, red, &performance, None)
    }

    fn keep_shrunk(&self, entry: &Entry, red: &Red) -> Vec<String> {
        let performance = (self.perform)(&red.plan, red.seed);
        let play = |plan: &Plan, seed: u64| (self.perform)(plan, seed).outcome;
        let stopwatch = Stopwatch::start();
        let shrunk = self.shrink(red, &performance.outcome, &play);
        let busy = span(stopwatch.busy());
        let smallest = (self.perform)(&shrunk.plan, red.seed);
        let near = nearby(
            &shrunk.plan,
            red.seed,
            &shrunk.culprit,
            self.jobs,
            self.stop,
            &play,
        );
        let mut notes = Vec::from([
            format!("{}, {busy} of processor time", shrunk.line()),
            format!("the shrunk plan is {near}"),
        ]);
        if smallest.outcome.digest != shrunk.outcome.digest {
            notes.push("NON-DETERMINISTIC: the shrunk plan gave two different runs".to_owned());
        }
        let found = (&shrunk, &smallest, near);
        notes.extend(self.write(entry, red, &performance, Some(found)));
        notes
    }

    fn shrink(
        &self,
        red: &Red,
        outcome: &Outcome,
        play: &(dyn Fn(&Plan, u64) -> Outcome + Sync),
    ) -> Shrunk {
        let bar = ProgressBar::new_spinner();
        let template = "shrinking seed {prefix} {spinner} {human_pos} trials, {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is right"));
        bar.set_prefix(red.seed.to_string());
        bar.enable_steady_tick(Duration::from_millis(200));
        let budget = Budget {
            real_time_max: self.options.shrink_for,
            trials_max: self.options.shrink_trials.unwrap_or(u64::MAX),
            jobs: self.jobs,
            stop: self.stop,
        };
        let told = |trials| bar.set_position(trials);
        let shrunk = shrink(&red.plan, red.seed, outcome, &budget, play, &told);
        bar.finish_and_clear();
        shrunk
    }

    fn write(
        &self,
        entry: &Entry,
        red: &Red,
        performance: &Performance,
        shrunk: Option<(&Shrunk, &Performance, Nearby)>,
    ) -> Vec<String> {
        let name = &entry.scenario.plan.name;
        let path = self.library.red_folder().join(stem(name, red.seed));
        let shown = self.library.short(&path);
        let report = Report {
            file: &entry.file,
            red,
            performance,
            shrunk,
            commit: self.commit.as_deref(),
            shown: &shown,
        };
        match folder::write(&path, &report) {
            Ok(()) => Vec::from([format!("folder: {}", shown.display())]),
            Err(error) => {
                eprintln!("warning: {} cannot be written: {error}", path.display());
                Vec::new()
            }
        }
    }
}
