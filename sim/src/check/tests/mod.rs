//! The checkers' own test: good histories are clean, and every kind of damage to one is named.

mod asking;
mod clients;
mod damage;
pub mod locals;
mod outside;
mod servers;
pub mod service;

use std::collections::BTreeSet;
use std::time::Duration;

use althing_core::ids::{DirectoryId, ServerId, Zxid};
use althing_core::quorum::log::Ballot;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use crate::check::check;
use crate::check::findings::{INVARIANTS, PER_INVARIANT_MAX};
use crate::check::tests::damage::kinds::{DAMAGES, DAMAGES_TO_AN_ENSEMBLE, DAMAGES_TO_ONE, Damage};
use crate::check::tests::service::{Wish, add_lock, good_history};
use crate::history::{History, Moment, Violation, What};
use crate::mix::Mix;
use crate::plan::{Expects, Fault, Plan, Workload};
use crate::span::Span;

fn plan(servers: u8) -> Plan {
    Plan {
        name: "good".to_owned(),
        absent: Vec::new(),
        operations: Default::default(),
        servers,
        learners: Vec::new(),
        groups: Vec::new(),
        weights: Vec::new(),
        lasts: Span::secs(60),
        settles: Span::secs(10),
        workload: Workload::Mix(Mix {
            clients: 4,
            rest: Span::millis(250),
            znodes: 30,
            session: Span::secs(4),
            rare: 0,
            wishes: None,
            quotas: None,
            readers: 0,
            proven: 0,
            thief: None,
        }),
        network: Default::default(),
        disk: Default::default(),
        server: Default::default(),
        faults: Vec::new(),
        reaches: Vec::new(),
        expects: Expects::Service,
        heals: crate::plan::Heals::default(),
    }
}

/// The same with these faults.
pub fn plan_with(servers: u8, faults: Vec<Fault>) -> Plan {
    let faultless = plan(servers);
    Plan {
        faults,
        ..faultless
    }
}

/// What happened, one thing every millisecond.
pub fn happened(what: impl IntoIterator<Item = What>) -> History {
    let moments = what.into_iter().zip(1..).map(|(what, ms)| Moment {
        at: Duration::from_millis(ms),
        what,
    });
    let moments = moments.collect();
    History { moments }
}

/// A server finds an empty disk.
pub fn recovered(server: ServerId) -> What {
    What::Recovered {
        server,
        directory: DirectoryId(server.0.into()),
        ballot: Ballot::default(),
        snapshot: Zxid::ZERO,
        entries: [].into(),
    }
}

/// One server, and enough misfortune for every kind of damage to find its place.
const ALONE: Wish = Wish {
    seed: 1,
    seconds: 60,
    servers: 1,
    clients: 4,
    power_losses: 3,
    cuts: 0,
    wipes: 0,
};

/// Three servers.
const THREE: Wish = Wish {
    servers: 3,
    cuts: 4,
    wipes: 1,
    ..ALONE
};

/// Histories in which a kind of damage is tried, and places in each.
const HISTORIES_MAX: usize = 8;
const PLACES_MAX: usize = 6;

/// Undamaged histories that are judged unless it is told otherwise.
const HISTORIES_DEFAULT: u32 = 32;

/// Kinds of damage that there are at least.
const KINDS_MIN: usize = 130;

fn base(wish: Wish) -> History {
    let mut history = good_history(wish);
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
fn every_damage_to_one_server_is_named() {
    every_damage_is_named(ALONE, DAMAGES);
    every_damage_is_named(ALONE, DAMAGES_TO_ONE);
}

#[test]
fn every_damage_to_an_ensemble_is_named() {
    every_damage_is_named(THREE, DAMAGES_TO_AN_ENSEMBLE);
    every_damage_is_named(THREE, DAMAGES);
}

fn every_damage_is_named(wish: Wish, damages: &[(&str, &str, Damage)]) {
    let plan = plan(wish.servers);
    // Not every history has a place for everything, so there may have to be a few.
    let mut good: Vec<History> = Vec::new();
    let mut history_of = |nth: usize| {
        if good.len() == nth {
            let seed = wish.seed + nth as u64;
            let history = base(Wish { seed, ..wish });
            let clean = check(&plan, &history);
            assert!(clean.is_empty(), "{}", told(&clean));
            good.push(history);
        }
        good[nth].clone()
    };
    let mut missed = Vec::new();
    for (what, invariant, damage) in damages {
        // Not every place can show it (a link may end there), so a few are tried.
        let mut last = "nowhere to do it".to_owned();
        let named = (0..HISTORIES_MAX * PLACES_MAX).any(|nth| {
            let mut history = history_of(nth / PLACES_MAX);
            if damage(&mut history, nth % PLACES_MAX).is_none() {
                return false;
            }
            let found = check(&plan, &history);
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
    let all = || {
        let alone = DAMAGES.iter().chain(DAMAGES_TO_ONE);
        alone.chain(DAMAGES_TO_AN_ENSEMBLE)
    };
    let broken: BTreeSet<&str> = all().map(|(_, invariant, _)| *invariant).collect();
    for (name, says) in INVARIANTS {
        // By the world, by a plan that no good history is made of, and by a story's own eyes.
        let elsewhere = [
            "A1 assertion",
            "A2 simulator",
            "L1 liveness",
            "L4 polite stop",
            "N3 at home",
            "O1 restored",
            "Q1 quota",
            "T4 proof",
        ];
        assert!(
            elsewhere.contains(name) || broken.contains(name),
            "nothing breaks {name}: {says}"
        );
        assert!(!says.is_empty());
    }
    let kinds: BTreeSet<&str> = all().map(|(what, ..)| *what).collect();
    assert!(kinds.len() >= KINDS_MIN, "{} kinds of damage", kinds.len());
}

#[test]
fn findings_are_bounded_and_in_order() {
    let mut history = base(ALONE);
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
    let found = check(&plan(1), &history);
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

/// How many undamaged histories are judged: `ALTHING_HISTORIES`, or a few.
fn histories() -> u32 {
    let asked = std::env::var("ALTHING_HISTORIES").ok();
    asked.map_or(HISTORIES_DEFAULT, |count| {
        count.parse().expect("a number of histories")
    })
}

#[test]
fn an_empty_history_is_clean() {
    assert_eq!(check(&plan(1), &History::default()), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories() / 2, ..ProptestConfig::default() })]

    #[test]
    fn good_histories_are_clean(seed in any::<u64>(), power_losses in 0_u32..6) {
        let wish = Wish { seed, seconds: 20, clients: 3, power_losses, ..ALONE };
        let found = check(&plan(1), &good_history(wish));
        prop_assert_eq!(told(&found), "");
    }

    #[test]
    fn good_histories_of_ensembles_are_clean(
        seed in any::<u64>(),
        servers in 2_u8..6,
        power_losses in 0_u32..5,
        cuts in 0_u32..5,
        wipes in 0_u32..2,
    ) {
        let wish = Wish { seed, seconds: 20, servers, clients: 3, power_losses, cuts, wipes };
        let found = check(&plan(servers), &good_history(wish));
        prop_assert_eq!(told(&found), "");
    }
}
