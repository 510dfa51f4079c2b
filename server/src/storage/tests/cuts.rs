//! Cuts that no sound server has written: the start refuses them.

use std::collections::BTreeMap;

use althing_core::ids::{Epoch, Zxid};
use althing_core::quorum::log::{Ballot, Record};
use althing_core::store::store::Store;
use althing_core::store::txn::Entry;

use crate::storage::error::StorageError;
use crate::storage::names::{self, IDENTITY};
use crate::storage::sector::{self, Kind, Span};
use crate::storage::segment;
use crate::storage::settings::StorageSettings;
use crate::storage::storage::open;
use crate::storage::tests::books::entry;
use crate::storage::tests::crash_disk::CrashDisk;
use crate::storage::tests::feeder::{FRESH, SERVER, block_on, snapshot_bytes};

fn at(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

fn save(zxid: Zxid) -> Record {
    Record::Entry(entry(zxid, 3))
}

/// Opens a directory with this log, and with a snapshot of the entries up to `snapshot`: the
/// position of the snapshot, and the entries after it.
fn found(log: &[Record], snapshot: Option<Zxid>) -> Result<(Zxid, Vec<Entry>), StorageError> {
    let base = Zxid::ZERO;
    let (mut payload, mut bytes) = (Vec::new(), segment::header(base, Ballot::default()));
    for record in log {
        segment::append_record(record, &mut payload);
    }
    sector::write(base, Span::at(1), Kind::Group, &payload, &mut bytes);
    let disk = CrashDisk::default();
    block_on(open(
        disk.clone(),
        StorageSettings::default(),
        SERVER,
        FRESH,
    ))?;
    let mut files = BTreeMap::from([
        (IDENTITY.to_owned(), disk.files()[IDENTITY].clone()),
        (names::segment(base), bytes),
    ]);
    if let Some(zxid) = snapshot {
        let mut store = Store::new();
        for counter in 0..=zxid.counter() {
            store.execute(&entry(at(1, counter), 3), &mut Vec::new());
        }
        files.insert(names::snapshot(zxid), snapshot_bytes(&store));
    }
    let disk = CrashDisk::with_files(&files);
    let opened = block_on(open(disk, StorageSettings::default(), SERVER, FRESH))?;
    Ok((opened.recovered.store.applied(), opened.recovered.entries))
}

fn first_four() -> Vec<Record> {
    (0..4).map(|counter| save(at(1, counter))).collect()
}

#[test]
fn a_cut_takes_back_what_no_snapshot_holds() {
    let mut log = first_four();
    log.extend([Record::Cut(at(1, 2)), save(at(2, 0))]);
    let all = found(&log, None).expect("sound");
    let kept: Vec<Zxid> = all.1.iter().map(|entry| entry.zxid).collect();
    assert_eq!(kept, [at(1, 0), at(1, 1), at(1, 2), at(2, 0)]);
    let rest = found(&log, Some(at(1, 2))).expect("sound");
    assert_eq!(rest, (at(1, 2), vec![entry(at(2, 0), 3)]));
}

/// A server may lose an entry to one leader and get it back from another, and only then is it
/// agreed, so that a snapshot may hold it.
#[test]
fn what_was_taken_back_may_come_again() {
    let mut log = first_four();
    log.extend([Record::Cut(at(1, 2)), save(at(2, 0)), Record::Cut(at(1, 2))]);
    log.extend([save(at(1, 3)), save(at(3, 0))]);
    let rest = found(&log, Some(at(1, 3))).expect("sound");
    assert_eq!(rest, (at(1, 3), vec![entry(at(3, 0), 3)]));
}

#[test]
fn a_cut_of_what_a_snapshot_holds_is_refused() {
    let mut log = first_four();
    log.push(Record::Cut(at(1, 2)));
    let error = found(&log, Some(at(1, 3))).expect_err("the snapshot holds more");
    assert!(matches!(error, StorageError::Gap { .. }), "{error}");
    log.push(save(at(2, 0)));
    let error = found(&log, Some(at(1, 3))).expect_err("the log leads past the snapshot");
    assert!(matches!(error, StorageError::Gap { .. }), "{error}");
}

#[test]
fn a_cut_where_nothing_is_is_damage() {
    for after in [at(1, 4), at(2, 0), at(0, 7)] {
        let mut log = first_four();
        log.push(Record::Cut(after));
        let error = found(&log, None).expect_err("there is no such position");
        assert!(
            matches!(error, StorageError::Damaged { offset: 512, .. }),
            "{error}"
        );
        let expected = format!("a cut after {after} stands after 1.3");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn what_follows_a_cut_follows_its_position() {
    for next in [at(1, 2), at(1, 4), at(2, 1)] {
        let mut log = first_four();
        log.extend([Record::Cut(at(1, 2)), save(next)]);
        let error = found(&log, None).expect_err("it does not follow");
        assert!(
            matches!(error, StorageError::Damaged { offset: 512, .. }),
            "{error}"
        );
    }
}
