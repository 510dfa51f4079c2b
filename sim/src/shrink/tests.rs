//! Shrinking with artificial plays: a run is red if its plan holds what the play looks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use crate::campaign::Outcome;
use crate::cast;
use crate::cue::Cue;
use crate::history::Violation;
use crate::numbers::Numbers;
use crate::plan::{Fault, FaultKind, Plan, Which, Who};
use crate::scenario::Scenario;
use crate::shrink::search::{Budget, Ended};
use crate::shrink::shrink::{Shrunk, shrink};
use crate::shrink::steps;
use crate::span::Span;

/// How many operations each client comes to in an artificial run.
const OPERATIONS: u32 = 30;

fn plan(faults: usize) -> Plan {
    let text = "servers = 5\nlasts = \"60s\"\nsettles = \"90s\"\nreaches = [\"elected\"]\n\
                [network]\nloss = 0.1\nshuffle = 0.1\n[server]\nsnapCount = 10\n\
                [workload.mix]\nclients = 6\nrest = \"1s\"\nznodes = 9\nsession = \"5s\"\n";
    let mut plan = Scenario::parse(text, "x.toml", "x").unwrap().plan;
    plan.faults = (0..faults).map(fault).collect();
    plan
}

/// Crashes of the five servers in turn, every third cued by the one before it.
fn fault(place: usize) -> Fault {
    let when = match place % 3 {
        2 => Cue::Then {
            then: Span::millis(20),
        },
        _ => Cue::At {
            at: Span::millis(100 * place as u64),
        },
    };
    let server = Which::Number(1 + (place % 5) as u8);
    let crash = FaultKind::Crash {
        who: Who::Server(server),
        down: Some(Span::secs(7)),
    };
    Fault::new(when, crash)
}

/// What an artificial play looks for: faults, an absent client less, and operations.
#[derive(Clone, Debug, Default)]
struct Needs {
    faults: BTreeSet<u32>,
    operations: BTreeSet<(String, u32)>,
    servers: u8,
}

impl Needs {
    fn are_met(&self, plan: &Plan) -> bool {
        let ids: BTreeSet<u32> = (0..plan.faults.len())
            .map(|place| plan.fault_id(place))
            .collect();
        let done = |(name, number): &(String, u32)| {
            let only = plan.operations.get(name);
            !plan.absent.contains(name) && only.is_none_or(|only| only.0.contains(number))
        };
        self.faults.is_subset(&ids)
            && self.operations.iter().all(done)
            && plan.servers >= self.servers
    }

    fn play(&self, plan: &Plan, _: u64) -> Outcome {
        let violation = Violation {
            invariant: "W2 result",
            at: Duration::from_secs(20),
            detail: "expected 1, saw 2".to_owned(),
            session: None,
        };
        let clients = cast::clients(&plan.workload).into_iter();
        let present = clients.filter(|name| !plan.absent.contains(name));
        Outcome {
            violations: self
                .are_met(plan)
                .then_some(violation)
                .into_iter()
                .collect(),
            operations: present.map(|name| (name, OPERATIONS)).collect(),
            ..Outcome::default()
        }
    }

    fn shrink(&self, plan: &Plan, jobs: usize, trials_max: u64) -> Shrunk {
        let budget = Budget {
            real_time_max: Duration::from_secs(3600),
            trials_max,
            jobs,
            stop: &AtomicBool::new(false),
        };
        let play = |plan: &Plan, seed| self.play(plan, seed);
        let outcome = self.play(plan, 7);
        shrink(plan, 7, &outcome, &budget, &play, &|_| ())
    }
}

fn ids(plan: &Plan) -> BTreeSet<u32> {
    (0..plan.faults.len())
        .map(|place| plan.fault_id(place))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_left_is_what_is_needed(
        faults in proptest::collection::btree_set(0_u32..40, 0..5),
        operations in proptest::collection::btree_set((1_u32..=6, 1..=OPERATIONS), 0..6),
        servers in 0_u8..=5,
    ) {
        let operations: BTreeSet<(String, u32)> = operations
            .into_iter()
            .map(|(client, number)| (format!("client-{client}"), number))
            .collect();
        // A crash of a server needs that server.
        let named = faults.iter().map(|id| 1 + (id % 5) as u8).max().unwrap_or(1);
        let needs = Needs { faults, operations, servers };
        let shrunk = needs.shrink(&plan(40), 2, u64::MAX);
        prop_assert_eq!(shrunk.ended, Ended::Minimal);
        // Red for the same, a subset, and nothing can be taken away alone.
        prop_assert!(needs.are_met(&shrunk.plan));
        prop_assert_eq!(&ids(&shrunk.plan), &needs.faults);
        let mut only = BTreeMap::<String, Numbers>::new();
        for (name, number) in &needs.operations {
            only.entry(name.clone()).or_default().0.insert(*number);
        }
        let mut left = shrunk.plan.operations.clone();
        left.retain(|_, numbers| !numbers.0.is_empty());
        prop_assert_eq!(&left, &only);
        prop_assert_eq!(shrunk.to.clients, only.len());
        prop_assert_eq!(shrunk.to.operations, needs.operations.len());
        prop_assert_eq!(shrunk.plan.servers, servers.max(named));
        prop_assert_eq!(&shrunk.plan.network, &Default::default());
        prop_assert_eq!(shrunk.plan.lasts, Span::secs(21).min(shrunk.plan.lasts));
    }
}

#[test]
fn what_is_found_depends_on_the_trials_and_not_on_the_threads() {
    let operations = [("client-2", 17), ("client-5", 3)];
    let needs = Needs {
        faults: BTreeSet::from([3, 11, 29]),
        operations: operations
            .map(|(name, number)| (name.to_owned(), number))
            .into(),
        servers: 3,
    };
    for trials in [5, 40, 100] {
        let found = [1, 2, 7].map(|jobs| needs.shrink(&plan(40), jobs, trials));
        assert!(found[0].trials <= trials);
        for other in &found[1..] {
            assert_eq!(other.plan, found[0].plan, "{trials} trials");
            assert_eq!(other.trials, found[0].trials);
        }
        assert!(needs.are_met(&found[0].plan));
    }
    let whole = needs.shrink(&plan(40), 2, u64::MAX);
    assert_eq!(
        whole.to.beside(&whole.from),
        "3 faults, 2 clients, 2 ops (from 40/6/180)"
    );
}

#[test]
fn a_search_that_is_told_to_stop_keeps_what_it_has() {
    let stop = AtomicBool::new(false);
    let needs = Needs {
        faults: BTreeSet::from([8]),
        ..Needs::default()
    };
    let budget = Budget {
        real_time_max: Duration::from_secs(3600),
        trials_max: u64::MAX,
        jobs: 1,
        stop: &stop,
    };
    let played = AtomicU64::new(0);
    let play = |plan: &Plan, seed| {
        if played.fetch_add(1, Ordering::Relaxed) == 10 {
            stop.store(true, Ordering::Relaxed);
        }
        needs.play(plan, seed)
    };
    let plan = plan(40);
    let shrunk = shrink(&plan, 7, &needs.play(&plan, 7), &budget, &play, &|_| ());
    assert_eq!(shrunk.ended, Ended::Stopped);
    assert!(needs.are_met(&shrunk.plan));
    assert!(shrunk.to.faults < 40);
}

#[test]
fn what_was_cued_by_a_fault_that_is_gone_falls_at_its_hour() {
    let named = steps::named(&plan(6));
    let less = steps::with_faults(&named, &BTreeSet::from([0, 2, 5]));
    let at = |millis| Cue::At {
        at: Span::millis(millis),
    };
    let cues: Vec<Cue> = less.faults.iter().map(|fault| fault.when.clone()).collect();
    assert_eq!(cues, [at(0), at(120), at(420)]);
    assert_eq!(ids(&less), BTreeSet::from([0, 2, 5]));
    let less = steps::with_faults(&named, &BTreeSet::from([1, 2]));
    let then = Span::millis(20);
    assert_eq!(less.faults[1].when, Cue::Then { then });
}
