//! A snapshot on its way from one server's directory to another's.

use althing_core::ids::{Epoch, ServerId, Ticket, Zxid};
use althing_core::node::input::Input;
use althing_core::quorum::log::{Ballot, Record, Standing};
use althing_core::quorum::message::Extent;
use althing_core::store::store::Store;
use tokio::sync::mpsc::unbounded_channel;

use crate::disk::{Disk as _, DiskFile as _};
use crate::storage::error::StorageError;
use crate::storage::log::LogJob;
use crate::storage::names;
use crate::storage::reader::ReadJob;
use crate::storage::settings::{CHUNK_BYTES, StorageSettings};
use crate::storage::storage::{Opened, open};
use crate::storage::taker::Piece;
use crate::storage::tests::books::entry;
use crate::storage::tests::crash_disk::{Chance, CrashDisk, Faults};
use crate::storage::tests::feeder::{FRESH, SERVER, block_on, snapshot_bytes};

const LAGGARD: ServerId = ServerId(2);

fn at(counter: u32) -> Zxid {
    Zxid::new(Epoch(3), counter)
}

/// A state of so many bytes at so many transactions of epoch 3.
fn state(transactions: u32, bytes: usize) -> Store {
    let mut store = Store::new();
    for counter in 0..transactions {
        store.execute(&entry(at(counter), bytes), &mut Vec::new());
    }
    store
}

fn opened(disk: &CrashDisk, settings: StorageSettings) -> Opened<CrashDisk> {
    let opened = block_on(open(disk.clone(), settings, SERVER, FRESH));
    opened.map_err(|error| error.to_string()).expect("whole")
}

/// Makes snapshots of the states, and reads in between: what comes of it.
fn snapshots(disk: &CrashDisk, settings: StorageSettings, turns: Vec<Turn>) -> Vec<Input> {
    let writer = opened(disk, settings).snapshots;
    let (to_writer, stores) = unbounded_channel();
    let (to_reader, reads) = unbounded_channel();
    let (answers, mut answered) = unbounded_channel();
    block_on(async {
        let feed = async move {
            let mut inputs = Vec::new();
            for turn in turns {
                match turn {
                    Turn::Damage(zxid) => {
                        let file = disk.open(&names::snapshot(zxid)).await.expect("made");
                        let last = file.len().await.expect("alive") - 1;
                        let byte = file.read_at(last, 1).await.expect("alive")[0];
                        file.write_at(last, &[byte ^ 1]).await.expect("alive");
                        continue;
                    }
                    Turn::Make(store) => to_writer.send(*store).expect("it runs"),
                    Turn::Read(zxid, offset) => {
                        let to = LAGGARD;
                        to_reader
                            .send(ReadJob { to, zxid, offset })
                            .expect("it runs");
                    }
                }
                inputs.push(answered.recv().await.expect("it answers"));
            }
            inputs
        };
        let answer = move |input| answers.send(input).expect("somebody reads");
        let (ended, inputs) = tokio::join!(writer.run(stores, reads, answer), feed);
        ended.expect("no faults");
        inputs
    })
}

enum Turn {
    Make(Box<Store>),
    Read(Zxid, u64),
    /// Flips a bit of the snapshot.
    Damage(Zxid),
}

/// Sends the jobs to the log of the directory.
fn log(disk: &CrashDisk, jobs: Vec<LogJob>) -> (Vec<Input>, Result<(), StorageError>) {
    let log = opened(disk, StorageSettings::default()).log;
    run(log, jobs)
}

fn run(
    log: crate::storage::log::LogWriter<CrashDisk>,
    jobs: Vec<LogJob>,
) -> (Vec<Input>, Result<(), StorageError>) {
    let (to_log, log_jobs) = unbounded_channel();
    for job in jobs {
        to_log.send(job).expect("the receiver is here");
    }
    drop(to_log);
    let mut answers = Vec::new();
    let result = block_on(log.run(log_jobs, |input| answers.push(input)));
    (answers, result)
}

fn save(number: u64, record: Record) -> LogJob {
    let ticket = Ticket {
        incarnation: 1,
        number,
    };
    LogJob::Save { ticket, record }
}

fn take(zxid: Zxid, offset: usize, bytes: &[u8], extent: Extent) -> LogJob {
    LogJob::Take(Piece {
        zxid,
        offset: offset as u64,
        bytes: bytes.to_vec(),
        extent,
    })
}

fn names_of(answers: &[Input]) -> Vec<&'static str> {
    let name = |input: &Input| match input {
        Input::Saved(_) => "saved",
        Input::Refused(_) => "refused",
        Input::ChunkTaken { .. } => "taken",
        Input::ChunkRefused { .. } => "chunk refused",
        Input::Installed { .. } => "installed",
        Input::ChunkRead { .. } => "read",
        Input::ChunkMissed { .. } => "missed",
        Input::SnapshotMade { .. } => "made",
        other => panic!("{other:?}"),
    };
    answers.iter().map(name).collect()
}

#[test]
fn a_snapshot_is_read_in_pieces_and_installed() {
    let store = state(2, 3 * CHUNK_BYTES);
    let zxid = store.applied();
    let from = CrashDisk::default();
    let mut turns = vec![Turn::Make(Box::new(store.clone()))];
    turns.extend((0..4).map(|at| Turn::Read(zxid, at * CHUNK_BYTES as u64)));
    let (mut jobs, mut offset) = (Vec::new(), 0);
    for answer in snapshots(&from, StorageSettings::default(), turns).drain(1..) {
        let Input::ChunkRead {
            to: LAGGARD,
            zxid: of,
            offset: begin,
            bytes,
            extent,
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!((of, begin), (zxid, offset));
        offset += bytes.len() as u64;
        jobs.push(LogJob::Take(Piece {
            zxid,
            offset: begin,
            bytes,
            extent,
        }));
    }
    assert_eq!(offset, from.files()[&names::snapshot(zxid)].len() as u64);

    let to = CrashDisk::default();
    let (answers, result) = log(&to, jobs);
    result.expect("no faults");
    assert_eq!(names_of(&answers), ["taken", "taken", "taken", "installed"]);
    let Some(Input::Installed { store: installed }) = answers.last() else {
        panic!("not installed");
    };
    assert_eq!(installed.tree().digest(), store.tree().digest());
    assert_eq!(
        to.files()[&names::snapshot(zxid)],
        from.files()[&names::snapshot(zxid)]
    );
}

#[test]
fn saves_before_and_after_an_installation_are_answered_in_their_order() {
    let store = state(9, 10);
    let zxid = store.applied();
    let bytes = snapshot_bytes(&store);
    let (first, second) = bytes.split_at(100);
    let ballot = Ballot {
        epoch: Epoch(4),
        voted_for: Some(ServerId(3)),
        standing: Standing::Admitted,
    };
    let early = Zxid::new(Epoch(1), 0);
    let disk = CrashDisk::default();
    let jobs = vec![
        save(1, Record::Entry(entry(early, 0))),
        take(zxid, 0, first, Extent::More),
        save(2, Record::Ballot(ballot)),
        save(3, Record::Entry(entry(early.next().unwrap(), 5))),
        take(zxid, 100, second, Extent::Last),
        save(4, Record::Entry(entry(zxid.next().unwrap(), 6))),
    ];
    let (answers, result) = log(&disk, jobs);
    result.expect("no faults");
    let expected = ["saved", "taken", "saved", "saved", "installed", "saved"];
    assert_eq!(names_of(&answers), expected);
    disk.lose_power(&mut Chance(3));
    let recovered = opened(&disk, StorageSettings::default()).recovered;
    assert_eq!(recovered.store.applied(), zxid);
    assert_eq!(recovered.ballot, ballot);
    assert_eq!(recovered.entries, [entry(zxid.next().unwrap(), 6)]);
    let segments = disk
        .files()
        .into_keys()
        .filter(|name| name.starts_with("log."));
    assert_eq!(segments.collect::<Vec<_>>(), [names::segment(zxid)]);
}

/// Segments of one group each.
const ONE_EACH: StorageSettings = StorageSettings {
    segment_bytes: 1,
    snapshots_kept: 3,
};

/// An entry that no other server has.
const OTHER: Zxid = Zxid::new(Epoch(5), 0);

/// A log that goes beyond what other servers have agreed on, after it was cut.
fn obsolete_log() -> CrashDisk {
    let before = CrashDisk::default();
    let ballot = Record::Ballot(Ballot {
        epoch: Epoch(5),
        voted_for: None,
        standing: Standing::Admitted,
    });
    for (number, record) in (1..).zip([
        Record::Entry(entry(at(0), 0)),
        Record::Entry(entry(at(1), 0)),
        Record::Entry(entry(at(2), 0)),
        Record::Entry(entry(at(3), 0)),
        ballot,
        Record::Entry(entry(at(4), 0)),
        Record::Cut(at(1)),
        Record::Entry(entry(OTHER, 0)),
    ]) {
        let (answers, result) = run(opened(&before, ONE_EACH).log, vec![save(number, record)]);
        result.expect("no faults");
        assert_eq!(names_of(&answers), ["saved"]);
    }
    before
}

/// Wherever the power goes or the process is killed, either the log is what it was, or the snapshot
/// has replaced it; and once it was said that it has, it has.
#[test]
fn an_installation_that_is_interrupted_is_done_or_not_begun() {
    let store = state(4, 10);
    let zxid = store.applied();
    let bytes = snapshot_bytes(&store);
    // One of the segments has the new one's name.
    let before = obsolete_log();
    assert!(before.files().contains_key(&names::segment(zxid)));
    let old = [entry(at(0), 0), entry(at(1), 0), entry(OTHER, 0)];

    let (mut kept, mut done, mut said) = (0, 0, 0);
    for dies_after in 0..40 {
        for chance in 0..12 {
            let disk = CrashDisk::with_files(&before.files());
            let log = opened(&disk, ONE_EACH).log;
            disk.set_faults(Faults {
                dies_after: Some(dies_after),
                ..Faults::default()
            });
            let (answers, _) = run(log, vec![take(zxid, 0, &bytes, Extent::Last)]);
            disk.kill();
            if chance > 0 {
                disk.lose_power(&mut Chance(dies_after * 100 + chance));
            }
            // The start that follows may die as well.
            disk.set_faults(Faults {
                dies_after: Some(chance),
                ..Faults::default()
            });
            let _ = block_on(open(disk.clone(), ONE_EACH, SERVER, FRESH));
            disk.lose_power(&mut Chance(dies_after * 100 + chance));
            let recovered = opened(&disk, ONE_EACH).recovered;
            assert_eq!(recovered.ballot.epoch, Epoch(5));
            match recovered.store.applied() {
                Zxid::ZERO => {
                    assert_eq!(recovered.entries, old);
                    assert_eq!(names_of(&answers), [""; 0]);
                    kept += 1;
                }
                applied => {
                    assert_eq!(applied, zxid);
                    assert_eq!(recovered.entries, []);
                    assert_eq!(recovered.store.tree().digest(), store.tree().digest());
                    done += 1;
                    said += answers.len();
                }
            }
            let files: Vec<String> = disk.files().into_keys().collect();
            assert!(
                !files.iter().any(|name| name.starts_with("received.")),
                "{files:?}"
            );
        }
    }
    assert!(kept > 50 && done > 50 && said > 50, "{kept} {done} {said}");
    assert!(done > said, "some are finished by the start that follows");
}

#[test]
fn any_flipped_bit_of_a_received_snapshot_is_refused() {
    let store = state(3, 300);
    let zxid = store.applied();
    let whole = snapshot_bytes(&store);
    let disk = CrashDisk::default();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let (answers, result) = log(&disk, vec![take(zxid, 0, &bytes, Extent::Last)]);
        result.expect("no faults");
        assert_eq!(names_of(&answers), ["chunk refused"], "byte {at}");
    }
    let files: Vec<String> = disk.files().into_keys().collect();
    assert_eq!(files, [names::IDENTITY]);
    // A sound one of another position is damage too.
    let jobs = vec![
        take(at(7), 0, &whole, Extent::Last),
        take(zxid, 0, &whole[..50], Extent::More),
        take(zxid, 60, &whole[60..], Extent::Last),
        take(zxid, 50, &whole[50..], Extent::Last),
        take(zxid, 0, &whole[..50], Extent::More),
        take(zxid, 0, &whole, Extent::Last),
    ];
    let (answers, result) = log(&disk, jobs);
    result.expect("no faults");
    let refused = "chunk refused";
    let expected = [refused, "taken", refused, refused, "taken", "installed"];
    assert_eq!(names_of(&answers), expected);
}

#[test]
fn without_space_for_it_nothing_of_a_received_snapshot_stays() {
    let store = state(3, 900);
    let zxid = store.applied();
    let bytes = snapshot_bytes(&store);
    let before = CrashDisk::default();
    let (_, result) = log(&before, vec![save(1, Record::Entry(entry(at(0), 7)))]);
    result.expect("no faults");
    let used: usize = before.files().values().map(Vec::len).sum();
    // From none, over some for the pieces, to enough for all but the segment's header.
    for more in (0..bytes.len() + 512).step_by(97) {
        let disk = CrashDisk::with_files(&before.files());
        let log = opened(&disk, StorageSettings::default()).log;
        disk.set_faults(Faults {
            space: Some(used + more),
            ..Faults::default()
        });
        let (first, second) = bytes.split_at(600);
        let jobs = vec![
            take(zxid, 0, first, Extent::More),
            take(zxid, 600, second, Extent::Last),
        ];
        let (answers, result) = run(log, jobs);
        result.expect("want of space ends nothing");
        assert_eq!(names_of(&answers).last(), Some(&"chunk refused"), "{more}");
        assert_eq!(disk.files(), before.files(), "{more}");
    }
}

#[test]
fn a_snapshot_that_is_being_read_stays_a_while() {
    let settings = StorageSettings {
        snapshots_kept: 1,
        ..StorageSettings::default()
    };
    let make = |transactions| Turn::Make(Box::new(state(transactions, 10)));
    let disk = CrashDisk::default();
    let answers = snapshots(
        &disk,
        settings,
        vec![
            make(2),
            Turn::Read(at(1), 0),
            make(3),
            // It was being read when the newer one came.
            Turn::Read(at(1), 10),
            make(4),
            Turn::Read(at(1), 20),
            Turn::Read(at(2), 0),
            make(5),
            make(6),
            Turn::Read(at(1), 20),
            Turn::Read(at(5), 1 << 40),
        ],
    );
    let expected = [
        "made", "read", "made", "read", "made", "read", "missed", "made", "made", "missed",
        "missed",
    ];
    assert_eq!(names_of(&answers), expected);
}

#[test]
fn a_damaged_snapshot_is_not_sent() {
    let store = Box::new(state(2, 10));
    let zxid = store.applied();
    let turns = vec![
        Turn::Make(store.clone()),
        Turn::Damage(zxid),
        Turn::Read(zxid, 0),
        // The node asks for a new one then, which takes its place.
        Turn::Make(store),
        Turn::Read(zxid, 0),
    ];
    let answers = snapshots(&CrashDisk::default(), StorageSettings::default(), turns);
    assert_eq!(names_of(&answers), ["made", "missed", "made", "read"]);
}
