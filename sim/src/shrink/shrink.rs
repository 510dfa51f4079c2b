//! The order in which a red plan is made smaller: what shortens trials most comes first, and then
//! round by round, until a round takes nothing more away.

use std::time::Duration;

use crate::campaign::{Outcome, Play};
use crate::cast;
use crate::plan::Plan;
use crate::shrink::culprit::Culprit;
use crate::shrink::search::{Budget, Ended, Search};
use crate::shrink::size::Size;
use crate::shrink::steps;
use crate::span::Span;

/// How long shrinking takes at most, unless it is told otherwise.
pub const REAL_TIME_DEFAULT: Duration = Duration::from_secs(60);

/// So many candidates are looked at together: what is found does not depend on the threads.
const WINDOW: usize = 16;

/// A smaller plan and what came of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Is red for the same reason under the same seed.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it is red.
    pub culprit: Culprit,
    /// How large it was.
    pub from: Size,
    /// How large it is.
    pub to: Size,
    /// How many smaller plans were tried.
    pub trials: u64,
    /// Why it is no smaller.
    pub ended: Ended,
}

impl Shrunk {
    /// One line for people.
    pub fn line(&self) -> String {
        let end = match self.ended {
            Ended::Minimal => "",
            Ended::BudgetSpent => ", the budget is spent",
            Ended::Stopped => ", stopped",
        };
        let trials = self.trials;
        format!(
            "shrunk: {}, {trials} trials{end}",
            self.to.beside(&self.from)
        )
    }
}

/// Makes `plan`, of which `outcome` came under `seed`, as small as the budget allows; `told` hears
/// how many trials were begun.
///
/// # Panics
/// If the outcome is not red.
pub fn shrink(
    plan: &Plan,
    seed: u64,
    outcome: &Outcome,
    budget: &Budget<'_>,
    play: &Play<'_>,
    told: &(dyn Fn(u64) + Sync),
) -> Shrunk {
    let culprit = Culprit::of(&outcome.violations[0]);
    let search = Search::new(seed, culprit.clone(), play, budget, told);
    let mut work = Work {
        search,
        plan: steps::named(plan),
        outcome: outcome.clone(),
    };
    // A small plan says nothing of what it should reach: its violation is what it is about.
    work.plan.reaches.clear();
    loop {
        let before = work.plan.clone();
        work.round();
        if work.plan == before || work.search.is_over() {
            break;
        }
    }
    Shrunk {
        from: Size::of(plan, outcome),
        to: Size::of(&work.plan, &work.outcome),
        trials: work.search.trials(),
        ended: work.search.ended(),
        plan: work.plan,
        outcome: work.outcome,
        culprit,
    }
}

struct Work<'a> {
    search: Search<'a>,
    /// The smallest that is known to be red.
    plan: Plan,
    /// What came of it.
    outcome: Outcome,
}

impl Work<'_> {
    fn round(&mut self) {
        self.end_earlier();
        self.drop_faults();
        self.drop_clients();
        self.drop_operations();
        self.drop_servers();
        self.first_of(steps::calmer);
        self.first_of(steps::smaller_stories);
        self.first_of(steps::shorter_faults);
        self.settle_sooner();
    }

    fn take(&mut self, found: Option<(usize, Plan, Outcome)>) -> Option<usize> {
        let (number, plan, outcome) = found?;
        (self.plan, self.outcome) = (plan, outcome);
        Some(number)
    }

    /// The first act ends soon after what went wrong.
    fn end_earlier(&mut self) {
        let violation = self.search.culprit().find(&self.outcome);
        let at = violation.expect("it is red").at;
        let mut ends: Vec<Span> = [0, 1, 3, 10]
            .map(|more| Span::secs(at.as_secs() + 1 + more))
            .into();
        let lasts_ms = u64::try_from(self.plan.lasts.0.as_millis()).expect("acts are short");
        ends.extend([8, 4, 2].map(|part| Span::millis(lasts_ms / part)));
        ends.sort_unstable();
        let plan = self.plan.clone();
        let found = self.search.first_red(ends.len(), &|number| {
            steps::ending_at(&plan, ends[number]).filter(|plan| plan.lasts >= Span::millis(1))
        });
        self.take(found);
    }

    fn drop_faults(&mut self) {
        let plan = self.plan.clone();
        let faults = (0..plan.faults.len()).collect();
        self.minimise(faults, &|kept| {
            steps::sound(steps::with_faults(&plan, &kept.iter().copied().collect()))
        });
    }

    fn drop_clients(&mut self) {
        let plan = self.plan.clone();
        let everybody = cast::clients(&plan.workload);
        let can_go = |name: &&String| {
            !plan.absent.contains(name) && cast::can_be_absent(&plan.workload, name)
        };
        let present: Vec<String> = everybody.iter().filter(can_go).cloned().collect();
        self.minimise(present.clone(), &|kept| {
            let gone = present.iter().filter(|name| !kept.contains(name));
            let absent: Vec<String> = plan.absent.iter().chain(gone).cloned().collect();
            steps::sound(steps::without_clients(&plan, &absent))
        });
    }

    fn drop_operations(&mut self) {
        let plan = self.plan.clone();
        let known = cast::clients(&plan.workload);
        let counts = self.outcome.operations.clone();
        let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
        counts.retain(|(name, _)| known.contains(name));
        let everybody: Vec<String> = counts.iter().map(|(name, _)| name.clone()).collect();
        let mut done = Vec::new();
        for (name, count) in &counts {
            let only = plan.operations.get(name);
            let is_done = |number: &u32| only.is_none_or(|only| only.0.contains(number));
            done.extend(
                (1..=*count)
                    .filter(is_done)
                    .map(|number| (name.clone(), number)),
            );
        }
        self.minimise(done, &|kept| {
            steps::sound(steps::with_operations(&plan, &everybody, kept))
        });
    }

    fn drop_servers(&mut self) {
        let plan = self.plan.clone();
        let fewer = usize::from(plan.servers) - 1;
        let found = self.search.first_red(fewer, &|number| {
            steps::with_servers(&plan, u8::try_from(number + 1).expect("fewer than before"))
        });
        self.take(found);
    }

    /// Takes the first of these that is red, again and again.
    fn first_of(&mut self, list: fn(&Plan) -> Vec<Plan>) {
        loop {
            let candidates = list(&self.plan);
            let make = |number: usize| Some(candidates[number].clone());
            let found = self.search.first_red(candidates.len(), &make);
            if self.take(found).is_none() {
                break;
            }
        }
    }

    /// The second act may be shorter, unless what is red is that it was too short.
    fn settle_sooner(&mut self) {
        if self.search.culprit().is_of_goals() {
            return;
        }
        let plan = self.plan.clone();
        let shorter = steps::shorter_spans(plan.settles);
        let found = self.search.first_red(shorter.len(), &|number| {
            steps::sound(Plan {
                settles: shorter[number],
                ..plan.clone()
            })
        });
        self.take(found);
    }

    /// Takes items away, in chunks that become smaller, until none can be taken away alone.
    fn minimise<T: Clone + Sync>(
        &mut self,
        mut items: Vec<T>,
        rebuild: &(dyn Fn(&[T]) -> Option<Plan> + Sync),
    ) {
        let mut chunk = items.len();
        while !items.is_empty() {
            let before = items.len();
            let mut from = 0;
            while from < items.len() && !self.search.is_over() {
                let left = (items.len() - from).div_ceil(chunk);
                let found = self.search.first_red(left.min(WINDOW), &|number| {
                    let start = from + number * chunk;
                    let end = (start + chunk).min(items.len());
                    let mut kept = items[..start].to_vec();
                    kept.extend_from_slice(&items[end..]);
                    rebuild(&kept)
                });
                match self.take(found) {
                    Some(number) => {
                        let start = from + number * chunk;
                        let end = (start + chunk).min(items.len());
                        items.drain(start..end);
                        from = start;
                    }
                    None => from += chunk * WINDOW,
                }
            }
            if self.search.is_over() || (chunk == 1 && items.len() == before) {
                break;
            }
            chunk = chunk.min(items.len()).div_ceil(2).max(1);
        }
    }
}
