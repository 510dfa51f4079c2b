//! Many lives on one disk: whatever ends them, nothing that was saved is lost, nothing that was
//! refused comes back, and the disk can be opened again.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::storage::settings::StorageSettings;
use crate::storage::tests::books::Books;
use crate::storage::tests::crash_disk::{Chance, CrashDisk, Faults};
use crate::storage::tests::feeder::{Ask, Reach, Shipment, block_on};

#[derive(Clone, Debug)]
struct Life {
    asks: Vec<Ask>,
    faults: Faults,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Kill,
    PowerLoss,
}

fn ask() -> impl Strategy<Value = Ask> {
    let reach = prop_oneof![Just(Reach::Beyond), Just(Reach::Within)];
    let shipment = prop_oneof![
        6 => Just(Shipment::Sound),
        1 => (0..1000usize).prop_map(Shipment::Damaged),
        1 => Just(Shipment::Incomplete),
        1 => Just(Shipment::Abandoned),
    ];
    prop_oneof![
        8 => (0..700usize).prop_map(Ask::Entry),
        1 => (700..3000usize).prop_map(Ask::Entry),
        1 => Just(Ask::Ballot),
        1 => Just(Ask::Epoch),
        2 => (1..6usize).prop_map(Ask::Cut),
        1 => Just(Ask::Snapshot),
        1 => Just(Ask::Read),
        1 => (reach, shipment).prop_map(|(reach, shipment)| Ask::Install(reach, shipment)),
        6 => Just(Ask::Rest),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let faults = (
        proptest::option::of(0..80u64),
        proptest::option::weighted(0.2, 0..20u64),
        proptest::option::weighted(0.3, 1000..20_000usize),
    );
    let asks = proptest::collection::vec(ask(), 0..40);
    let end = prop_oneof![Just(End::Kill), Just(End::PowerLoss)];
    (asks, faults, end).prop_map(|(asks, faults, end)| Life {
        asks,
        faults: Faults {
            dies_after: faults.0,
            sync_fails_after: faults.1,
            space: faults.2,
        },
        end,
    })
}

fn run(settings: StorageSettings, lives: &[Life], seed: u64) -> Books {
    let disk = CrashDisk::default();
    let mut chance = Chance(seed);
    let mut books = Books::default();
    for life in lives {
        let Faults { space, .. } = life.faults;
        // The space is back in the second half, and recovery has enough: a directory that cannot
        // be opened for want of space is opened later.
        disk.set_faults(life.faults);
        let lift = || {
            let faults = Faults {
                space: None,
                ..Faults::default()
            };
            if space.is_some() && !disk.is_dead() {
                disk.set_faults(faults);
            }
        };
        let result = block_on(books.live(disk.clone(), settings, &life.asks, lift));
        if let Err(error) = result {
            let expected = disk.is_dead()
                || life.faults.sync_fails_after.is_some()
                || life.faults.space.is_some();
            assert!(expected, "{error}");
        }
        match life.end {
            End::Kill => disk.kill(),
            End::PowerLoss => disk.lose_power(&mut chance),
        }
    }
    let result = block_on(books.live(disk, settings, &[], || {}));
    result.expect("a disk without faults can be opened");
    books
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_saved_is_lost_and_nothing_refused_comes_back(
        lives in proptest::collection::vec(life(), 1..6),
        segment_bytes in prop_oneof![Just(1u64), Just(2048), Just(8192)],
        snapshots_kept in 1..4usize,
        seed in any::<u64>(),
    ) {
        let settings = StorageSettings { segment_bytes, snapshots_kept };
        run(settings, &lives, seed);
    }
}

/// The property above says nothing if its lives are too short or too calm.
#[test]
fn the_lives_reach_what_they_are_for() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut total = Books::default();
    for seed in 0..60 {
        let lives = proptest::collection::vec(life(), 1..6);
        let lives = lives.new_tree(&mut runner).expect("a value").current();
        let settings = StorageSettings {
            segment_bytes: 2048,
            snapshots_kept: 2,
        };
        let books = run(settings, &lives, seed);
        total.saves += books.saves;
        total.cuts += books.cuts;
        total.installs += books.installs;
        total.installs_found += books.installs_found;
        total.pieces_refused += books.pieces_refused;
        total.pieces_read += books.pieces_read;
        total.refused += books.refused;
        total.snapshots_made += books.snapshots_made;
        total.snapshots_refused += books.snapshots_refused;
        total.found_torn += books.found_torn;
    }
    assert!(total.saves > 500, "{}", total.saves);
    assert!(total.cuts > 50, "{}", total.cuts);
    assert!(total.installs > 20, "{}", total.installs);
    assert!(total.installs_found > 0, "{}", total.installs_found);
    assert!(total.pieces_refused > 20, "{}", total.pieces_refused);
    assert!(total.pieces_read > 10, "{}", total.pieces_read);
    assert!(total.refused > 20, "{}", total.refused);
    assert!(total.snapshots_made > 50, "{}", total.snapshots_made);
    assert!(total.snapshots_refused > 0, "{}", total.snapshots_refused);
    assert!(total.found_torn > 5, "{}", total.found_torn);
}
