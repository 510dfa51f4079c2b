//! The judgement from outside, tried as the others are: what is good is clean, and what clients or
//! disks show is named.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::ServerId;
use althing_core::store::txn::Entry;

use crate::check::agreement::agreement;
use crate::check::findings::Findings;
use crate::check::outside::{Disk, check, seen_by_clients};
use crate::check::sessions::TICK_DEFAULT;
use crate::check::tests::damage::kinds::{DAMAGES, DAMAGES_TO_AN_ENSEMBLE};
use crate::check::tests::service::{Wish, good_history};
use crate::check::tests::{HISTORIES_MAX, PLACES_MAX, THREE, told};
use crate::history::{History, Violation};
use crate::quorums::Quorums;

/// What clients alone can show to be broken.
const SHOWN: &[&str] = &[
    "G1 garbage",
    "I4 no rollback",
    "W1 linearizable",
    "W2 result",
    "W3 order",
    "W4 atomic",
    "W5 once",
    "R1 read",
    "R2 monotone",
    "R3 own writes",
    "R4 sync",
    "R5 linearizable",
    "V1 one-shot",
    "V2 true event",
    "V3 no lost watch",
    "V4 event order",
    "V5 re-arm",
    "V6 watches kept",
    "E4 no orphan",
    "E5 identity",
    "E6 negotiation",
    "N1 read only",
    "T1 sequence",
    "T2 stat",
    "T3 access",
];

/// A good history, and what the disks hold after it.
fn good(seed: u64) -> (History, Vec<Disk>) {
    let history = good_history(Wish { seed, ..THREE });
    let mut findings = Findings::default();
    let log = agreement::build(Quorums::most_of(THREE.servers), &history, &mut findings);
    assert!(findings.sorted().is_empty(), "a good history is good");
    let entries = log.agreed.iter().map(|agreed| Entry {
        zxid: agreed.zxid,
        txn: agreed.txn.clone(),
    });
    let entries: Vec<Entry> = entries.collect();
    let disk = |server| Disk {
        server: ServerId(server),
        entries: entries.clone(),
    };
    (history, (1..=THREE.servers).map(disk).collect())
}

/// Judges what clients saw, and nothing else.
fn judge(history: &History, disks: &[Disk]) -> Vec<Violation> {
    check(&seen_by_clients(history), disks, TICK_DEFAULT)
}

#[test]
fn what_is_good_is_clean_and_what_clients_show_is_named() {
    let mut missed: BTreeSet<&str> = SHOWN.iter().copied().collect();
    for seed in 1..=HISTORIES_MAX as u64 {
        let (history, disks) = good(seed);
        let clean = judge(&history, &disks);
        assert!(clean.is_empty(), "{}", told(&clean));
        for (_, invariant, damage) in DAMAGES.iter().chain(DAMAGES_TO_AN_ENSEMBLE) {
            for place in 0..PLACES_MAX {
                let mut damaged = history.clone();
                if !missed.contains(invariant) || damage(&mut damaged, place).is_none() {
                    break;
                }
                for found in judge(&damaged, &disks) {
                    missed.remove(found.invariant);
                }
            }
        }
        if missed.is_empty() {
            return;
        }
    }
    panic!("nothing shows {missed:?} from outside");
}

#[test]
fn what_disks_show_is_named() {
    let (history, good) = good(1);
    let named = |disks: &[Disk], invariant: &str| {
        let found = judge(&history, disks);
        let is = |found: &Violation| found.invariant == invariant;
        assert!(found.iter().any(is), "no {invariant}:\n{}", told(&found));
    };
    let middle = good[0].entries.len() / 2;
    let mut hole = good.clone();
    hole[0].entries.remove(middle);
    named(&hole, "I2 zxid");
    let mut torn = good.clone();
    for disk in &mut torn[..2] {
        disk.entries.truncate(middle);
    }
    named(&torn, "I4 no rollback");
    let mut other = good.clone();
    let entry = &mut other[1].entries[middle];
    let mut txn = (*entry.txn).clone();
    txn.wall.0 += 1;
    entry.txn = Arc::new(txn);
    named(&other, "I5 log matching");
    // One server may be behind, or have what was never agreed.
    let mut behind = good;
    behind[2].entries.truncate(middle);
    let clean = judge(&history, &behind);
    assert!(clean.is_empty(), "{}", told(&clean));
    assert!(
        history
            .moments
            .last()
            .is_some_and(|last| last.at > Duration::ZERO)
    );
}
