//! One run and everything that is wrong with it: the world's own findings, and those of the
//! checkers over what clients saw.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::backstage::{Backstage, Recording};
use crate::campaign::Outcome;
use crate::check;
use crate::history::{History, Violation};
use crate::plan::Plan;
use crate::run::{self, Run};
use crate::world::caught;

/// One run, with its history.
pub struct Performance {
    /// What came of it.
    pub outcome: Outcome,
    /// Everything that happened.
    pub history: History,
    /// What went on behind it, if that was to be recorded.
    pub backstage: Backstage,
}

/// Plays one plan with one seed.
pub type Perform = dyn Fn(&Plan, u64) -> Performance + Sync;

/// Plays one plan with one seed, and checks what happened.
pub fn perform(plan: &Plan, seed: u64) -> Performance {
    perform_recorded(plan, seed, Recording::Stage)
}

/// As [`perform`], with so much written down; what happens is the same.
pub fn perform_recorded(plan: &Plan, seed: u64, recording: Recording) -> Performance {
    judged(plan, run::run_recorded(plan, seed, recording))
}

/// A run of `plan`, with what the checkers make of it.
pub fn judged(plan: &Plan, run: Run) -> Performance {
    let mut violations = run.violations;
    let checked = catch_unwind(AssertUnwindSafe(|| check::check(plan, &run.history)));
    violations.extend(checked.unwrap_or_else(|payload| {
        vec![Violation {
            invariant: "A2 simulator",
            at: run.simulated,
            detail: format!("a checker panicked: {}", caught::message(&*payload)),
            session: None,
        }]
    }));
    // Stable: at the same time, the world's first.
    violations.sort_by_key(|violation| violation.at);
    Performance {
        outcome: Outcome {
            digest: run.digest,
            events: run.events,
            simulated: run.simulated,
            counts: run.counts,
            operations: run.operations,
            violations,
            unavailable: run.unavailable,
            leaderless: run.leaderless,
        },
        history: run.history,
        backstage: run.backstage,
    }
}
