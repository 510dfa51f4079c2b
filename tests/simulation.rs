//! The simulator as part of `cargo test`: every scenario over a few seeds, and the promise that a
//! run is a function of its seed. Longer campaigns are commands of `cargo sim`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use althing_sim::campaign::{Orders, Outcome, RED_SEEDS_MAX, Repeat, campaign};
use althing_sim::draw::draw;
use althing_sim::library::Library;
use althing_sim::performance::perform;
use althing_sim::plan::Plan;
use althing_sim::seeds::{Seeds, Selection};

/// Seeds of each scenario. Each is played twice, with all assertions; the sweep of `.ci/run` plays
/// ten, once.
const SEEDS: u64 = 1;

fn library() -> Library {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    Library::at(root.expect("the workspace"))
}

fn play(plan: &Plan, seed: u64) -> Outcome {
    perform(plan, seed).outcome
}

/// Does this for each of them, on all processors.
fn for_each<T: Sync>(all: &[T], what: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().expect("a number of processors");
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    what(one);
                }
            });
        }
    });
}

#[test]
fn every_scenario_is_green_and_deterministic() {
    let entries = library().all().expect("readable scenarios");
    assert!(entries.len() >= 10, "only {} scenarios", entries.len());
    let stop = AtomicBool::new(false);
    for_each(&entries, |entry| {
        let orders = Orders {
            seeds: Selection::Range(Seeds::range(0, SEEDS)),
            jobs: 1,
            repeat: Repeat::Always,
            real_time_max: None,
            findings_max: RED_SEEDS_MAX,
            stop: &stop,
        };
        let tally = campaign(&entry.scenario, &orders, &play, &mut |_| {});
        let name = &entry.scenario.plan.name;
        assert_eq!(tally.seeds, SEEDS, "{name}: seeds played");
        assert!(tally.reds.is_empty(), "{name}: {:?}", tally.reds);
        assert!(tally.flaky.is_empty(), "{name}: {:?}", tally.flaky);
    });
}

/// What leads to planted bugs leads nowhere without them.
#[test]
fn every_trigger_is_green_without_its_mutant() {
    let triggers = library().triggers().expect("readable triggers");
    assert!(triggers.len() >= 10, "only {} triggers", triggers.len());
    for_each(&triggers, |entry| {
        let plan = draw(&entry.scenario, 0);
        let violations = play(&plan, 0).violations;
        assert!(violations.is_empty(), "{}: {violations:?}", plan.name);
    });
}

/// Alone and beside others, in whichever thread: the same plan and seed give the same digest; and
/// another seed gives another one.
#[test]
fn a_digest_depends_on_plan_and_seed_only() {
    let entry = library().open("mix-of-everything").expect("the scenario");
    let plans: Vec<Plan> = (0..3).map(|seed| draw(&entry.scenario, seed)).collect();
    let digest = |seed: u64| play(&plans[usize::try_from(seed).expect("small")], seed).digest;
    let alone: Vec<u128> = (0..3).map(digest).collect();
    let beside: Vec<u128> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|seed| scope.spawn(move || digest(seed)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a run"))
            .collect()
    });
    assert_eq!(alone, beside);
    assert!(alone[0] != alone[1] && alone[1] != alone[2], "seeds differ");
}
