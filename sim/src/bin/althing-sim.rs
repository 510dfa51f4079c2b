//! The binary behind `cargo sim`.

use std::process::ExitCode;

use althing_sim::campaign::Outcome;
use althing_sim::command::{self, Performance};
use althing_sim::plan::Plan;
use althing_sim::run;

fn main() -> ExitCode {
    ExitCode::from(command::main(&perform))
}

/// One run with everything that was seen to be wrong with it, the first first.
fn perform(plan: &Plan, seed: u64) -> Performance {
    let run = run::run(plan, seed);
    let mut violations = run.violations;
    violations.sort_by_key(|violation| violation.at);
    Performance {
        outcome: Outcome {
            digest: run.digest,
            events: run.events,
            simulated: run.simulated,
            counts: run.counts,
            violations,
            unavailable: run.unavailable,
        },
        history: run.history,
    }
}
