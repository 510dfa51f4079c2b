//! The checkers' own test: good histories are clean, and every kind of damage to one is named.

mod asking;
mod damage;
mod service;

use std::collections::BTreeSet;

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use crate::check::check;
use crate::check::findings::{INVARIANTS, PER_INVARIANT_MAX};
use crate::check::tests::damage::kinds::DAMAGES;
use crate::check::tests::service::{add_lock, good_history};
use crate::history::{History, Violation};
use crate::plan::{Expects, Plan, Workload};
use crate::span::Span;

fn plan() -> Plan {
    Plan {
        name: "good".to_owned(),
        servers: 1,
        learners: Vec::new(),
        lasts: Span::secs(60),
        settles: Span::secs(10),
        workload: Workload::Mix {
            clients: 4,
            rest: Span::millis(250),
            znodes: 30,
            session: Span::secs(4),
        },
        network: Default::default(),
        disk: Default::default(),
        server: Default::default(),
        faults: Vec::new(),
        reaches: Vec::new(),
        expects: Expects::Service,
        heals: crate::plan::Heals::default(),
    }
}

fn base() -> History {
    let mut history = good_history(1, 60, 4, 3);
    add_lock(&mut history);
    history
}

fn told(violations: &[Violation]) -> String {
    let lines = violations
        .iter()
        .map(|found| format!("{:?} {}: {}", found.at, found.invariant, found.detail));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_damage_is_named() {
    let good = base();
    let clean = check(&plan(), &good);
    assert!(clean.is_empty(), "{}", told(&clean));
    let mut missed = Vec::new();
    for (what, invariant, damage) in DAMAGES {
        // Not every place can show it (a link may end there), so a few are tried.
        let mut last = "nowhere to do it".to_owned();
        let named = (0..12).any(|nth| {
            let mut history = good.clone();
            if damage(&mut history, nth).is_none() {
                return false;
            }
            let found = check(&plan(), &history);
            last = told(&found);
            found.iter().any(|found| found.invariant == *invariant)
        });
        if !named {
            missed.push(format!("{what}: expected {invariant}, found:\n{last}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[test]
fn every_invariant_is_broken_by_some_damage() {
    let broken: BTreeSet<&str> = DAMAGES.iter().map(|(_, invariant, _)| *invariant).collect();
    for (name, says) in INVARIANTS {
        let by_the_world = ["A1 assertion", "A2 simulator", "L1 liveness"].contains(name);
        assert!(
            by_the_world || broken.contains(name),
            "nothing breaks {name}: {says}"
        );
        assert!(!says.is_empty());
    }
    assert!(DAMAGES.len() >= 60, "{} kinds of damage", DAMAGES.len());
}

#[test]
fn findings_are_bounded_and_in_order() {
    let mut history = base();
    // Every answer is lost from its place: the checkers must not drown.
    for moment in &mut history.moments {
        moment.what = match &moment.what {
            crate::history::What::Received { client, link, .. } => crate::history::What::Received {
                client: client.clone(),
                link: *link,
                frame: crate::history::Received::Garbage("noise".to_owned()),
            },
            what => what.clone(),
        };
    }
    let found = check(&plan(), &history);
    for (name, _) in INVARIANTS {
        let count = found
            .iter()
            .filter(|found| found.invariant == *name)
            .count();
        assert!(count <= PER_INVARIANT_MAX, "{count} of {name}");
        assert!(*name != "G1 garbage" || count == PER_INVARIANT_MAX);
    }
    assert!(found.is_sorted_by_key(|found| found.at));
}

#[test]
fn an_empty_history_is_clean() {
    assert_eq!(check(&plan(), &History::default()), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn good_histories_are_clean(seed in any::<u64>(), losses in 0_u32..6) {
        let history = good_history(seed, 20, 3, losses);
        let found = check(&plan(), &history);
        prop_assert_eq!(told(&found), "");
    }
}
