//! One run: a plan, a seed, and what came of them. The same code, plan and seed always give the same
//! run, wherever and beside whatever it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use madsim::Config;
use madsim::runtime::Runtime;

use crate::history::{History, Violation};
use crate::plan::Plan;
use crate::workload;
use crate::world::caught;
use crate::world::stage::Stage;
use crate::world::theatre;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Everything that happened.
    pub history: History,
    /// Of everything that happened: equal for two runs of the same plan and seed.
    pub digest: u128,
    /// How many things happened.
    pub events: u64,
    /// How much time passed in the world.
    pub simulated: Duration,
    /// How often what happened, by name of event, mark or fault.
    pub counts: BTreeMap<String, u64>,
    /// The rules that the world itself saw broken: assertions, liveness, garbage.
    pub violations: Vec<Violation>,
    /// How long clients were without an acknowledged write while the service was disturbed.
    pub unavailable: Duration,
}

/// Plays the plan's own story.
pub fn run(plan: &Plan, seed: u64) -> Run {
    run_story(plan, seed, workload::perform)
}

/// Plays `story` on the stage that `plan` describes, in a thread of its own, since some state of
/// the runtime beneath belongs to its thread.
pub fn run_story<F>(plan: &Plan, seed: u64, story: impl FnOnce(Stage) -> F + Send) -> Run
where
    F: Future<Output = ()> + 'static,
{
    let ended = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("seed {seed}"));
        let play = || {
            caught::keep_panics_of_this_thread();
            let play = || {
                Runtime::with_seed_and_config(seed, Config::default())
                    .block_on(theatre::play(plan, seed, story))
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(play))
                .map_err(|payload| caught::message(&*payload))
        };
        let thread = thread.spawn_scoped(scope, play);
        thread.expect("a thread can be spawned").join()
    });
    match ended.expect("panics are caught within the thread") {
        Ok((recorded, simulated)) => Run {
            events: recorded.history.moments.len() as u64,
            history: recorded.history,
            digest: recorded.digest,
            simulated,
            counts: recorded.counts,
            violations: recorded.violations,
            unavailable: Duration::ZERO,
        },
        Err(panic) => Run {
            violations: vec![Violation {
                invariant: "A2 simulator",
                at: Duration::ZERO,
                detail: format!("the simulator or the story itself panicked: {panic}"),
                session: None,
            }],
            ..Run::default()
        },
    }
}
