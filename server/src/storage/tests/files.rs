//! The storage over real files.

use crate::os_disk::{DirectoryError, OsDisk};
use crate::storage::settings::StorageSettings;
use crate::storage::tests::books::Books;
use crate::storage::tests::feeder::{Ask, Reach, Shipment, block_on};

#[test]
fn several_lives_in_a_real_directory() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("a/new/directory");
    let settings = StorageSettings {
        segment_bytes: 4096,
        snapshots_kept: 2,
    };
    let mut books = Books::default();
    let mut asks = vec![Ask::Ballot];
    for bytes in [10, 600, 3000, 0, 1200, 20] {
        asks.extend([Ask::Entry(bytes), Ask::Rest, Ask::Rest]);
    }
    asks.extend([Ask::Snapshot, Ask::Rest, Ask::Rest, Ask::Rest, Ask::Rest]);
    for life in 1..=5 {
        let disk = OsDisk::lock(&path).expect("nobody else uses it");
        block_on(books.live(disk, settings, &asks, || {})).expect("a sound disk");
        assert_eq!(books.snapshots_made, life);
    }
    let disk = OsDisk::lock(&path).expect("nobody else uses it");
    block_on(books.live(disk, settings, &[], || {})).expect("a sound disk");
    // Two snapshots, the lock, the identity, and a log that was pruned.
    let files = std::fs::read_dir(&path).expect("a directory").count();
    assert!((5..13).contains(&files), "{files}");
}

#[test]
fn a_received_snapshot_in_a_real_directory() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("data");
    let mut books = Books::default();
    let install = Ask::Install(Reach::Beyond, Shipment::Sound);
    let mut asks = vec![
        Ask::Ballot,
        Ask::Entry(0),
        Ask::Entry(10),
        Ask::Cut(1),
        install,
    ];
    asks.extend([Ask::Rest, Ask::Rest, Ask::Entry(20), Ask::Rest, Ask::Cut(1)]);
    for life in 1..=3 {
        let disk = OsDisk::lock(&path).expect("nobody else uses it");
        let settings = StorageSettings::default();
        block_on(books.live(disk, settings, &asks, || {})).expect("a sound disk");
        assert_eq!(books.installs, life);
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("data");
    let first = OsDisk::lock(&path).expect("nobody else uses it");
    let second = OsDisk::lock(&path).expect_err("in use");
    assert!(matches!(second, DirectoryError::Locked { .. }), "{second}");
    let expected = format!(
        "{}: another process (pid {}) holds the lock of this data directory",
        path.display(),
        std::process::id(),
    );
    assert!(second.to_string().starts_with(&expected), "{second}");
    let clone = first.clone();
    drop(first);
    OsDisk::lock(&path).expect_err("a clone holds it still");
    drop(clone);
    OsDisk::lock(&path).expect("it is free again");
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let file = scratch.path().join("file");
    std::fs::write(&file, "no directory").expect("written");
    let error = OsDisk::lock(&file.join("data")).expect_err("a file is in the way");
    let message = error.to_string();
    assert!(
        message.contains("cannot create the data directory"),
        "{message}"
    );
    assert!(message.contains("file/data"), "{message}");
}
