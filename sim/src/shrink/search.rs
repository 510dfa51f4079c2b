//! Trials of smaller plans: several at once, of which the first in order counts, so that what is
//! found does not depend on how many threads look for it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use crate::campaign::{Outcome, Play};
use crate::plan::Plan;
use crate::scenario;
use crate::shrink::culprit::Culprit;
use crate::stopwatch::Stopwatch;

/// How much may be spent.
pub struct Budget<'a> {
    /// After this no further trial is begun.
    pub real_time_max: Duration,
    /// Most trials. Two searches that end by it give the same on every machine, with any number of
    /// threads.
    pub trials_max: u64,
    /// How many threads play.
    pub jobs: usize,
    /// When it is set no further trial is begun.
    pub stop: &'a AtomicBool,
}

/// Why a search ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Nothing smaller is red, as far as one thing is taken away at a time.
    Minimal,
    /// There was no more time, or there were no more trials.
    BudgetSpent,
    /// It was told to stop.
    Stopped,
}

/// What a candidate's play told.
type Found = (usize, Plan, Outcome);

/// A search for smaller plans that are red for the same reason under the same seed.
pub struct Search<'a> {
    seed: u64,
    culprit: Culprit,
    play: &'a Play<'a>,
    budget: &'a Budget<'a>,
    told: &'a (dyn Fn(u64) + Sync),
    stopwatch: Stopwatch,
    /// Trials that count: up to the one that was found, in order.
    trials: u64,
    /// Everything that was ever begun, for the display.
    begun: AtomicU64,
    /// Plans that are not red, by digest.
    green: BTreeSet<u128>,
    cut_short: bool,
}

impl<'a> Search<'a> {
    /// Begins; `told` hears how many trials were begun, from any thread.
    pub fn new(
        seed: u64,
        culprit: Culprit,
        play: &'a Play<'a>,
        budget: &'a Budget<'a>,
        told: &'a (dyn Fn(u64) + Sync),
    ) -> Search<'a> {
        assert!(budget.jobs > 0, "somebody has to play");
        Search {
            seed,
            culprit,
            play,
            budget,
            told,
            stopwatch: Stopwatch::start(),
            trials: 0,
            begun: AtomicU64::new(0),
            green: BTreeSet::new(),
            cut_short: false,
        }
    }

    /// What must stay red.
    pub fn culprit(&self) -> &Culprit {
        &self.culprit
    }

    /// How many trials there were.
    pub fn trials(&self) -> u64 {
        self.trials
    }

    /// Is the budget spent?
    pub fn is_over(&self) -> bool {
        self.cut_short || self.is_late() || self.trials >= self.budget.trials_max
    }

    /// Why it ended.
    pub fn ended(&self) -> Ended {
        match () {
            () if self.budget.stop.load(Ordering::Relaxed) => Ended::Stopped,
            () if self.is_over() => Ended::BudgetSpent,
            () => Ended::Minimal,
        }
    }

    fn is_late(&self) -> bool {
        self.stopwatch.real() >= self.budget.real_time_max
            || self.budget.stop.load(Ordering::Relaxed)
    }

    /// The first of `count` candidates that is red for the same reason: its number, its plan, and
    /// its run. `make` gives none for a candidate that is no sound plan.
    pub fn first_red(
        &mut self,
        count: usize,
        make: &(dyn Fn(usize) -> Option<Plan> + Sync),
    ) -> Option<Found> {
        if self.is_over() {
            return None;
        }
        let left = self.budget.trials_max - self.trials;
        // Those that need a trial, in order: the others are known, or are no plans.
        let mut worth = Vec::new();
        for number in 0..count {
            if worth.len() as u64 >= left {
                self.cut_short = true;
                break;
            }
            if let Some(plan) = make(number)
                && !self.green.contains(&digest(&plan))
            {
                worth.push(number);
            }
        }
        let found = self.try_all(&worth, make);
        let tried = found
            .as_ref()
            .map_or(worth.len(), |(place, _, _)| place + 1);
        if found.is_some() || !self.is_late() {
            self.trials += tried as u64;
            for number in &worth[..tried - usize::from(found.is_some())] {
                let plan = make(*number).expect("it was made before");
                self.green.insert(digest(&plan));
            }
        }
        if found.is_some() {
            // A cut list that held what was looked for was long enough.
            self.cut_short = false;
        }
        found.map(|(place, plan, outcome)| (worth[place], plan, outcome))
    }

    /// The first that is red of those that are worth a trial, by its place among them.
    fn try_all(
        &self,
        worth: &[usize],
        make: &(dyn Fn(usize) -> Option<Plan> + Sync),
    ) -> Option<Found> {
        let next = AtomicUsize::new(0);
        let first = AtomicUsize::new(usize::MAX);
        let best: Mutex<Option<Found>> = Mutex::new(None);
        let work = || {
            loop {
                let place = next.fetch_add(1, Ordering::SeqCst);
                let Some(number) = worth.get(place) else {
                    break;
                };
                if place > first.load(Ordering::SeqCst) || self.is_late() {
                    break;
                }
                let plan = make(*number).expect("it was made before");
                (self.told)(self.begun.fetch_add(1, Ordering::Relaxed) + 1);
                let outcome = (self.play)(&plan, self.seed);
                if self.culprit.is_in(&outcome) {
                    first.fetch_min(place, Ordering::SeqCst);
                    let mut best = best.lock().expect("no panic within");
                    if best.as_ref().is_none_or(|(other, _, _)| place < *other) {
                        *best = Some((place, plan, outcome));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.budget.jobs.min(worth.len()) {
                scope.spawn(work);
            }
        });
        best.into_inner().expect("no panic within")
    }
}

fn digest(plan: &Plan) -> u128 {
    xxh3_128(scenario::print(plan).as_bytes())
}
