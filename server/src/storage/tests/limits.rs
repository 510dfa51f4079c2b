//! Want of space, rotation, pruning, and the errors that end a server.

use althing_core::ids::{Epoch, Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record, Standing};
use tokio::sync::mpsc;

use crate::storage::error::StorageError;
use crate::storage::log::LogJob;
use crate::storage::names::{self, IDENTITY, Name};
use crate::storage::settings::{GROUP_BYTES_MAX, StorageSettings};
use crate::storage::storage::open;
use crate::storage::tests::books::{self, Books};
use crate::storage::tests::crash_disk::{Chance, CrashDisk, Faults};
use crate::storage::tests::feeder::{Ask, FRESH, SERVER, block_on};

/// Opens the disk and does the jobs; what was recovered, and the answers.
fn run(
    disk: &CrashDisk,
    faults: Faults,
    jobs: Vec<LogJob>,
) -> (Vec<Zxid>, Vec<Input>, Result<(), StorageError>) {
    let opened = block_on(open(
        disk.clone(),
        StorageSettings::default(),
        SERVER,
        FRESH,
    ));
    let opened = opened.map_err(|error| error.to_string()).expect("whole");
    let entries = opened.recovered.entries.iter();
    let recovered = entries.map(|entry| entry.zxid).collect();
    disk.set_faults(faults);
    let (to_log, log_jobs) = mpsc::unbounded_channel();
    for job in jobs {
        to_log.send(job).expect("the receiver is here");
    }
    drop(to_log);
    let mut answers = Vec::new();
    let result = block_on(opened.log.run(log_jobs, |input| answers.push(input)));
    (recovered, answers, result)
}

fn ticket(number: u64) -> Ticket {
    Ticket {
        incarnation: 1,
        number,
    }
}

fn save(number: u64, record: Record) -> LogJob {
    LogJob::Save {
        ticket: ticket(number),
        record,
    }
}

fn at(counter: u32) -> Zxid {
    Zxid::new(Epoch(1), counter)
}

fn entry(zxid: Zxid, bytes: usize) -> Record {
    Record::Entry(books::entry(zxid, bytes))
}

/// Inputs cannot be compared, but what they say can.
fn assert_answers(answers: &[Input], expected: &[Input]) {
    assert_eq!(format!("{answers:?}"), format!("{expected:?}"));
}

fn new_ballot() -> Record {
    Record::Ballot(Ballot {
        epoch: Epoch(2),
        voted_for: None,
        standing: Standing::Admitted,
    })
}

/// How much space a directory takes that holds nothing.
fn identity_bytes() -> usize {
    let disk = CrashDisk::default();
    let (_, _, result) = run(&disk, Faults::default(), Vec::new());
    result.expect("no faults");
    disk.files()[IDENTITY].len()
}

#[test]
fn without_space_everything_up_to_the_resumption_is_refused() {
    let disk = CrashDisk::default();
    let (_, answers, result) = run(&disk, Faults::default(), vec![save(1, entry(at(0), 0))]);
    result.expect("space");
    assert_answers(&answers, &[Input::Saved(ticket(1))]);
    let before: usize = disk.files().values().map(Vec::len).sum();

    let faults = Faults {
        space: Some(before + 3000),
        ..Faults::default()
    };
    let jobs = vec![
        save(1, entry(at(1), GROUP_BYTES_MAX)),
        save(2, entry(at(2), 0)),
        save(3, new_ballot()),
        LogJob::Resume { ticket: ticket(1) },
        save(4, entry(at(1), 7)),
    ];
    let (recovered, answers, result) = run(&disk, faults, jobs);
    result.expect("want of space ends nothing");
    assert_eq!(recovered, [at(0)]);
    let expected = [
        Input::Refused(ticket(1)),
        Input::Refused(ticket(2)),
        Input::Refused(ticket(3)),
        Input::Saved(ticket(4)),
    ];
    assert_answers(&answers, &expected);

    disk.lose_power(&mut Chance(7));
    let (recovered, _, _) = run(&disk, Faults::default(), Vec::new());
    assert_eq!(recovered, [at(0), at(1)]);
}

/// Otherwise the log would take what builds on what it has refused.
#[test]
fn a_late_resumption_is_none_for_what_was_refused_later() {
    let disk = CrashDisk::default();
    let (_, answers, result) = run(&disk, Faults::default(), vec![save(1, entry(at(0), 0))]);
    result.expect("space");
    assert_answers(&answers, &[Input::Saved(ticket(1))]);
    let before: usize = disk.files().values().map(Vec::len).sum();

    let faults = Faults {
        space: Some(before + 3000),
        ..Faults::default()
    };
    let resume = |number| {
        let ticket = ticket(number);
        LogJob::Resume { ticket }
    };
    let jobs = vec![
        save(1, entry(at(1), GROUP_BYTES_MAX)),
        save(2, entry(at(2), 0)),
        resume(1),
        save(3, entry(at(1), GROUP_BYTES_MAX)),
        resume(2),
        save(4, entry(at(2), 0)),
        resume(3),
        save(5, entry(at(1), 7)),
        resume(4),
        save(6, entry(at(2), 0)),
    ];
    let (_, answers, result) = run(&disk, faults, jobs);
    result.expect("want of space ends nothing");
    let refused = (1..=4).map(|number| Input::Refused(ticket(number)));
    let saved = (5..=6).map(|number| Input::Saved(ticket(number)));
    assert_answers(&answers, &refused.chain(saved).collect::<Vec<_>>());
    let (recovered, _, _) = run(&disk, Faults::default(), Vec::new());
    assert_eq!(recovered, [at(0), at(1), at(2)]);
}

#[test]
fn without_space_for_a_segment_nothing_of_it_stays() {
    let disk = CrashDisk::default();
    for space in [0, 100] {
        let faults = Faults {
            space: Some(identity_bytes() + space),
            ..Faults::default()
        };
        let (_, answers, result) = run(&disk, faults, vec![save(1, entry(at(0), 0))]);
        result.expect("want of space ends nothing");
        assert_answers(&answers, &[Input::Refused(ticket(1))]);
        let files: Vec<String> = disk.files().into_keys().collect();
        assert_eq!(files, [IDENTITY]);
        disk.kill();
    }
}

#[test]
fn a_log_without_space_for_its_seal_is_whole_without_it() {
    let disk = CrashDisk::default();
    // A header and one group.
    let faults = Faults {
        space: Some(identity_bytes() + 1024 + 10),
        ..Faults::default()
    };
    let (_, answers, result) = run(&disk, faults, vec![save(1, entry(at(0), 0))]);
    result.expect("want of space ends nothing");
    assert_answers(&answers, &[Input::Saved(ticket(1))]);
    assert_eq!(disk.files()[&names::segment(Zxid::ZERO)].len(), 1024);
    disk.kill();
    let (recovered, ..) = run(&disk, Faults::default(), Vec::new());
    assert_eq!(recovered, [at(0)]);
}

#[test]
fn a_failed_sync_ends_the_writer_and_acknowledges_nothing() {
    for sync in 0..3 {
        let disk = CrashDisk::default();
        let faults = Faults {
            sync_fails_after: Some(sync),
            ..Faults::default()
        };
        let (_, answers, result) = run(&disk, faults, vec![save(1, entry(at(0), 0))]);
        let error = result.expect_err("fatal").to_string();
        assert!(error.contains(": cannot sync"), "{error}");
        assert_answers(&answers, &[]);
        // What the failed sync left in memory is made durable before it is believed.
        disk.kill();
        let (recovered, ..) = run(&disk, Faults::default(), Vec::new());
        disk.lose_power(&mut Chance(sync));
        let (again, ..) = run(&disk, Faults::default(), Vec::new());
        assert_eq!(recovered, again);
    }
}

#[test]
#[should_panic(expected = "does not follow")]
fn an_entry_out_of_order_is_a_mistake_of_the_program() {
    let jobs = vec![save(1, entry(at(0), 0)), save(2, entry(at(2), 0))];
    let _ = run(&CrashDisk::default(), Faults::default(), jobs);
}

#[test]
#[should_panic(expected = "a cut after 1.2 of a log that ends at 1.1")]
fn a_cut_behind_the_end_is_a_mistake_of_the_program() {
    let cut = Record::Cut(at(2));
    let jobs = vec![
        save(1, entry(at(0), 0)),
        save(2, entry(at(1), 0)),
        save(3, cut),
    ];
    let _ = run(&CrashDisk::default(), Faults::default(), jobs);
}

/// What follows a cut may be older than the segment that it is written to.
#[test]
fn no_segment_has_the_name_of_an_older_one() {
    let settings = StorageSettings {
        segment_bytes: 1,
        snapshots_kept: 1,
    };
    let disk = CrashDisk::default();
    let mut books = Books::default();
    let mut asks = Vec::new();
    for _ in 0..4 {
        for _ in 0..5 {
            asks.extend([Ask::Entry(1), Ask::Rest, Ask::Rest]);
        }
        asks.extend([Ask::Cut(4), Ask::Rest, Ask::Rest]);
    }
    block_on(books.live(disk.clone(), settings, &asks, || {})).expect("no faults");
    assert_eq!(books.cuts, 4);
    block_on(books.live(disk, settings, &[], || {})).expect("no faults");
}

#[test]
fn segments_follow_each_other_and_go_with_the_snapshots() {
    let settings = StorageSettings {
        segment_bytes: 2048,
        snapshots_kept: 2,
    };
    let disk = CrashDisk::default();
    let mut books = Books::default();
    // The ballot is saved once, and must outlive the segment that it was saved in.
    let mut asks = vec![Ask::Ballot];
    for _ in 0..6 {
        for _ in 0..8 {
            asks.extend([Ask::Entry(300), Ask::Rest, Ask::Rest]);
        }
        asks.extend([Ask::Snapshot, Ask::Rest, Ask::Rest, Ask::Rest, Ask::Rest]);
    }
    block_on(books.live(disk.clone(), settings, &asks, || {})).expect("no faults");
    assert_eq!(books.snapshots_made, 6);
    let (mut segments, mut snapshots) = (Vec::new(), Vec::new());
    for name in disk.files().keys() {
        match Name::parse(name) {
            Some(Name::Segment(base)) => segments.push(base),
            Some(Name::Snapshot(zxid)) => snapshots.push(zxid),
            Some(Name::Identity) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(snapshots.len(), 2);
    assert!(segments.len() >= 3, "{segments:?}");
    // The oldest snapshot needs the first segment, and no segment before it.
    assert!(segments[0] <= snapshots[0] && snapshots[0] < segments[1]);
    block_on(books.live(disk, settings, &[], || {})).expect("no faults");
}
