//! Damage: every flipped bit is either refused, with file and place, or made good.

use std::collections::BTreeMap;

use althing_core::ids::Zxid;

use crate::storage::error::StorageError;
use crate::storage::names::{self, Name};
use crate::storage::sector::SECTOR_BYTES;
use crate::storage::settings::StorageSettings;
use crate::storage::storage::open;
use crate::storage::tests::books::{Books, Step};
use crate::storage::tests::crash_disk::{Chance, CrashDisk, Faults};
use crate::storage::tests::feeder::{Ask, FRESH, Reach, SERVER, Shipment, block_on};

pub const SETTINGS: StorageSettings = StorageSettings {
    segment_bytes: 4096,
    snapshots_kept: 2,
};

pub type Files = BTreeMap<String, Vec<u8>>;

pub enum End {
    /// In good order: the last group is sealed.
    Stop,
    /// Within the write of the seal, after the last group was acknowledged.
    BeforeSeal,
}

/// A directory in which another server's snapshot has replaced the log, and what it holds.
pub fn installed() -> (Files, Books) {
    let (files, mut books) = directory(3, End::Stop);
    let disk = CrashDisk::with_files(&files);
    let install = Ask::Install(Reach::Beyond, Shipment::Sound);
    let asks = [install, Ask::Rest, Ask::Rest, Ask::Entry(600), Ask::Rest];
    block_on(books.live(disk.clone(), SETTINGS, &asks, || {})).expect("no faults");
    assert_eq!(books.installs, 1);
    (disk.files(), books)
}

/// A directory with several segments after `snapshots` snapshots (at most 5; the fifth comes last),
/// and what it holds.
pub fn directory(snapshots: usize, end: End) -> (Files, Books) {
    let snapshot = [Ask::Snapshot, Ask::Rest, Ask::Rest, Ask::Rest, Ask::Rest];
    let mut asks = vec![Ask::Ballot];
    let burst = [
        Ask::Entry(10),
        Ask::Entry(700),
        Ask::Cut(1),
        Ask::Rest,
        Ask::Entry(1200),
        Ask::Rest,
        Ask::Rest,
    ];
    for at in 0..4 {
        asks.extend(burst.iter().cycle().take(12).cloned());
        if at < snapshots {
            asks.extend(snapshot.clone());
        }
        asks.extend([Ask::Ballot, Ask::Rest]);
    }
    // The last group is one entry of two sectors.
    asks.extend([Ask::Rest, Ask::Rest, Ask::Entry(600), Ask::Rest, Ask::Rest]);
    if snapshots == 5 {
        asks.extend(snapshot);
    }
    let mut books = Books::default();
    let disk = CrashDisk::default();
    block_on(books.live(disk.clone(), SETTINGS, &asks, || {})).expect("no faults");
    assert_eq!(books.snapshots_made, snapshots);
    let mut files = disk.files();
    if let End::BeforeSeal = end {
        let last = last_segment(&files);
        let bytes = files.get_mut(&last).expect("it is there");
        bytes.truncate(bytes.len() - SECTOR_BYTES);
    }
    (files, books)
}

fn last_segment(files: &Files) -> String {
    let is_segment = |name: &&String| matches!(Name::parse(name), Some(Name::Segment(_)));
    let last = files.keys().rfind(is_segment);
    last.expect("there is a log").clone()
}

fn newest_snapshot(files: &Files) -> Zxid {
    let snapshot = |name: &String| match Name::parse(name) {
        Some(Name::Snapshot(zxid)) => Some(zxid),
        _ => None,
    };
    files.keys().rev().find_map(snapshot).expect("there is one")
}

/// Opens the files; on success they must hold all that was saved.
fn reopen(files: &Files, books: &Books) -> Result<Files, StorageError> {
    let disk = CrashDisk::with_files(files);
    let opened = block_on(open(disk.clone(), SETTINGS, SERVER, FRESH))?;
    let mut books = Books {
        done: books.done.clone(),
        directory: books.directory,
        ..Books::default()
    };
    books.compare(&opened.recovered);
    Ok(disk.files())
}

#[test]
fn every_flipped_bit_is_refused_or_made_good() {
    for (snapshots, end) in [(0, End::Stop), (3, End::Stop), (3, End::BeforeSeal)] {
        let (files, books) = directory(snapshots, end);
        reopen(&files, &books).expect("undamaged");
        let (mut refused, mut replaced) = (0, 0);
        for (name, bytes) in &files {
            // Every byte of the beginning, then some.
            let all = 0..bytes.len().min(80);
            let some = (80..bytes.len()).step_by(29);
            for at in all.chain(some) {
                let mut damaged = files.clone();
                damaged.get_mut(name).expect("it is there")[at] ^= 1 << (at % 8);
                match reopen(&damaged, &books) {
                    Ok(_) => replaced += 1,
                    Err(StorageError::Damaged { file, offset, .. }) => {
                        assert_eq!(file, *name);
                        let nearest = (at / SECTOR_BYTES * SECTOR_BYTES) as u64;
                        assert!(offset <= at as u64, "{offset} for {at}");
                        let is_log = matches!(Name::parse(name), Some(Name::Segment(_)));
                        assert!(!is_log || offset == nearest, "{offset} for {at}");
                        refused += 1;
                    }
                    Err(other) => panic!("{name} at {at}: {other}"),
                }
            }
        }
        assert!(refused > 100, "{refused}");
        assert!(snapshots == 0 || replaced > 100, "{replaced}");
    }
}

#[test]
fn a_damaged_snapshot_is_replaced_and_set_aside() {
    let (mut files, books) = directory(3, End::Stop);
    let newest = newest_snapshot(&files);
    let bytes = files.get_mut(&names::snapshot(newest)).expect("there");
    *bytes.last_mut().expect("not empty") ^= 1;
    let after = reopen(&files, &books).expect("the one before replaces it");
    assert!(!after.contains_key(&names::snapshot(newest)));
    assert_eq!(
        after[&names::damaged(newest)],
        files[&names::snapshot(newest)]
    );
    reopen(&after, &books).expect("and it can be opened again");
}

#[test]
fn without_anything_to_replace_it_a_damaged_snapshot_is_refused() {
    let (mut files, books) = directory(3, End::Stop);
    let newest = newest_snapshot(&files);
    for (name, bytes) in &mut files {
        if let Some(Name::Snapshot(_)) = Name::parse(name) {
            bytes[40] ^= 1;
        }
    }
    let error = reopen(&files, &books).expect_err("both are damaged");
    let message = error.to_string();
    let expected = format!("{}: damaged at byte 28: ", names::snapshot(newest));
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn the_log_alone_replaces_the_only_snapshots() {
    let (mut files, books) = directory(1, End::Stop);
    let newest = newest_snapshot(&files);
    files.get_mut(&names::snapshot(newest)).expect("there")[30] ^= 1;
    reopen(&files, &books).expect("the log goes back to the beginning");
}

/// An older snapshot is there still, but no log leads from it to where the log begins.
#[test]
fn nothing_replaces_an_installed_snapshot() {
    let (files, books) = installed();
    reopen(&files, &books).expect("undamaged");
    let newest = newest_snapshot(&files);
    for at in 0..files[&names::snapshot(newest)].len() {
        let mut damaged = files.clone();
        damaged.get_mut(&names::snapshot(newest)).expect("there")[at] ^= 1 << (at % 8);
        match reopen(&damaged, &books) {
            Err(StorageError::Damaged { file, .. }) => assert_eq!(file, names::snapshot(newest)),
            Err(other) => panic!("{at}: {other}"),
            Ok(_) => panic!("{at}: not noticed"),
        }
    }
    let mut without_log = files.clone();
    without_log.remove(&last_segment(&files));
    let error = reopen(&without_log, &books).expect_err("the log is gone");
    assert!(matches!(error, StorageError::Gap { .. }), "{error}");
}

#[test]
fn a_zeroed_sector_is_refused_wherever_a_seal_follows() {
    let (files, books) = directory(0, End::Stop);
    for (name, bytes) in &files {
        for index in 0..bytes.len() / SECTOR_BYTES {
            let mut damaged = files.clone();
            let at = index * SECTOR_BYTES;
            damaged.get_mut(name).expect("there")[at..at + SECTOR_BYTES].fill(0);
            let is_last_seal = *name == last_segment(&files) && at + SECTOR_BYTES == bytes.len();
            match reopen(&damaged, &books) {
                Ok(_) => {}
                Err(StorageError::Damaged { file, offset, .. }) => {
                    assert_eq!((file, offset), (name.clone(), at as u64));
                    assert!(!is_last_seal);
                }
                // A group at the end of a segment that has a successor.
                Err(StorageError::Gap { .. }) => assert!(!is_last_seal),
                Err(other) => panic!("{name} at {at}: {other}"),
            }
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_the_next_life_goes_on() {
    let (mut files, mut books) = directory(0, End::BeforeSeal);
    let name = last_segment(&files);
    // The last group has two sectors, of which the second never came.
    let bytes = files.get_mut(&name).expect("there");
    bytes.truncate(bytes.len() - SECTOR_BYTES + 100);
    let torn = books.done.pop().expect("saved");
    assert!(matches!(torn, Step::Save(_)));
    books.maybe.push(torn);
    let disk = CrashDisk::with_files(&files);
    let asks = [Ask::Entry(5), Ask::Rest, Ask::Rest];
    block_on(books.live(disk.clone(), SETTINGS, &asks, || {})).expect("cut");
    assert_eq!(books.found_torn, 1);
    disk.lose_power(&mut Chance(1));
    block_on(books.live(disk, SETTINGS, &[], || {})).expect("durably");
}

#[test]
fn missing_files_are_noticed() {
    // The newest snapshot is newer than what the last segment follows, so that one is missed
    // too.
    let (files, books) = directory(5, End::Stop);
    for name in files.keys() {
        let mut rest = files.clone();
        rest.remove(name);
        match (reopen(&rest, &books), Name::parse(name)) {
            (Ok(_), Some(Name::Snapshot(_))) => {}
            (Ok(_), _) => assert_ne!(*name, last_segment(&files)),
            (Err(StorageError::Gap { .. }), Some(Name::Segment(_))) => {}
            (Err(StorageError::NoIdentity { .. }), Some(Name::Identity)) => {}
            (Err(other), _) => panic!("without {name}: {other}"),
        }
    }
    let mut without_log = files.clone();
    without_log.retain(|name, _| !matches!(Name::parse(name), Some(Name::Segment(_))));
    let error = reopen(&without_log, &books).expect_err("the log is gone");
    assert!(error.to_string().contains("there is no log"), "{error}");
}

#[test]
fn a_start_after_an_orderly_stop_writes_nothing() {
    let (files, books) = directory(3, End::Stop);
    let disk = CrashDisk::with_files(&files);
    // The one change that is allowed is a sync of the directory.
    disk.set_faults(Faults {
        dies_after: Some(1),
        ..Faults::default()
    });
    let opened = block_on(open(disk.clone(), SETTINGS, SERVER, FRESH)).map(|_| ());
    opened.expect("nothing is written");
    assert_eq!(disk.changes(), 1);
    let mut books = books;
    let disk = CrashDisk::with_files(&files);
    block_on(books.live(disk.clone(), SETTINGS, &[], || {})).expect("no faults");
    assert_eq!(disk.files(), files);
}

#[test]
fn another_version_is_named() {
    let (files, books) = directory(1, End::Stop);
    // The versions are covered by checksums: they are written anew, as another program would.
    let newest = names::snapshot(newest_snapshot(&files));
    let mut other = files.clone();
    let bytes = other.get_mut(&newest).expect("there");
    bytes[11] = 9;
    let checksum = crc32c::crc32c(&bytes[..24]);
    bytes[24..28].copy_from_slice(&checksum.to_be_bytes());
    let error = reopen(&other, &books).expect_err("another version");
    let expected = format!("{newest}: its file format has version 9, this program knows version 1");
    assert!(error.to_string().starts_with(&expected), "{error}");

    let name = last_segment(&files);
    let mut other = files.clone();
    let bytes = other.get_mut(&name).expect("there");
    bytes[16 + 11] = 7;
    let place = crc32c::crc32c(&[0; 12]);
    let checksum = crc32c::crc32c_append(place, &bytes[4..SECTOR_BYTES]);
    bytes[..4].copy_from_slice(&checksum.to_be_bytes());
    let error = reopen(&other, &books).expect_err("another version");
    let expected =
        format!("{name}: its segment format has version 7, this program knows version 1");
    assert!(error.to_string().starts_with(&expected), "{error}");
}
