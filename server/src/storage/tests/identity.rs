//! The identity of a data directory.

use std::collections::BTreeMap;

use althing_core::ids::{DirectoryId, ServerId};

use crate::storage::error::StorageError;
use crate::storage::names::IDENTITY;
use crate::storage::settings::StorageSettings;
use crate::storage::storage::open;
use crate::storage::tests::crash_disk::{Chance, CrashDisk, Faults};
use crate::storage::tests::feeder::{FRESH, SERVER, block_on};

/// Opens the disk as `server`, with a fresh id; the id that it has.
fn open_as(
    disk: &CrashDisk,
    server: ServerId,
    fresh: DirectoryId,
) -> Result<DirectoryId, StorageError> {
    let opened = block_on(open(
        disk.clone(),
        StorageSettings::default(),
        server,
        fresh,
    ))?;
    Ok(opened.recovered.directory)
}

#[test]
fn the_format() {
    let disk = CrashDisk::default();
    open_as(&disk, SERVER, DirectoryId(0x0102)).expect("new");
    let mut expected = b"ALTHNODE\0\0\0\x01\x01".to_vec();
    expected.extend([0; 14]);
    expected.extend([1, 2]);
    expected.extend(crc32c::crc32c(&expected).to_be_bytes());
    assert_eq!(
        disk.files(),
        BTreeMap::from([(IDENTITY.to_owned(), expected)])
    );
}

#[test]
fn it_is_drawn_once_whenever_the_power_goes() {
    for dies_after in 0..8 {
        let disk = CrashDisk::default();
        disk.set_faults(Faults {
            dies_after: Some(dies_after),
            ..Faults::default()
        });
        let first = open_as(&disk, SERVER, DirectoryId(1));
        disk.lose_power(&mut Chance(dies_after));
        let second = open_as(&disk, SERVER, DirectoryId(2)).expect("no faults");
        match first {
            Ok(first) => assert_eq!(second, first),
            Err(_) => assert!(disk.files().contains_key(IDENTITY)),
        }
        disk.lose_power(&mut Chance(dies_after));
        let third = open_as(&disk, SERVER, DirectoryId(3)).expect("no faults");
        assert_eq!(third, second);
    }
}

#[test]
fn another_servers_directory_is_refused() {
    let disk = CrashDisk::default();
    open_as(&disk, ServerId(3), FRESH).expect("new");
    let before = disk.files();
    let error = open_as(&disk, ServerId(2), FRESH).expect_err("it is another's");
    let expected = "identity: this data directory is that of server 3, and this is server 2. ";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(disk.files(), before);
}

#[test]
fn nobody_takes_a_directory_without_a_name() {
    for found in [
        "log.0000000000000000",
        "snapshot.0000000100000001",
        "received.log.0000000100000001",
    ] {
        let files = BTreeMap::from([(found.to_owned(), Vec::new())]);
        let disk = CrashDisk::with_files(&files);
        let error = open_as(&disk, SERVER, FRESH).expect_err("whose is it?");
        let expected = format!("identity: this file is missing, although there is {found}. ");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(disk.files(), files);
    }
    let files = ["lock", "lost+found", "temporary.identity"];
    let files = files.map(|name| (name.to_owned(), Vec::new())).into();
    let disk = CrashDisk::with_files(&files);
    open_as(&disk, SERVER, FRESH).expect("nothing of these is data");
}

#[test]
fn damage_is_named() {
    let disk = CrashDisk::default();
    open_as(&disk, SERVER, FRESH).expect("new");
    let files = disk.files();
    let whole = &files[IDENTITY];
    let mut damaged: Vec<Vec<u8>> = (0..whole.len())
        .map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        })
        .collect();
    damaged.push(whole[..whole.len() - 1].to_vec());
    damaged.push([&**whole, b"\0"].concat());
    for bytes in damaged {
        let files = BTreeMap::from([(IDENTITY.to_owned(), bytes)]);
        let error = open_as(&CrashDisk::with_files(&files), SERVER, FRESH).expect_err("damaged");
        assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
        assert!(
            error.to_string().starts_with("identity: damaged at byte 0"),
            "{error}"
        );
    }
    let mut newer = whole.clone();
    newer[11] = 5;
    let checksum = crc32c::crc32c(&newer[..29]).to_be_bytes();
    newer[29..].copy_from_slice(&checksum);
    let files = BTreeMap::from([(IDENTITY.to_owned(), newer)]);
    let error = open_as(&CrashDisk::with_files(&files), SERVER, FRESH).expect_err("newer");
    assert!(
        matches!(error, StorageError::Unsupported { found: 5, .. }),
        "{error}"
    );
}
