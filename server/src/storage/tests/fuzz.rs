//! Random damage: whatever lies in a data directory, opening it finds exactly what was saved, or is
//! refused; it never panics and always ends.
//!
//! `ALTHING_FUZZ_INPUTS` says how many directories are damaged, `ALTHING_FUZZ_SEED` with which seed
//! it begins; the input that fails is named by its seed and is repeated by it alone.

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::storage::names::Name;
use crate::storage::sector::SECTOR_BYTES;
use crate::storage::storage::open;
use crate::storage::tests::books::{Books, Log, is_found};
use crate::storage::tests::crash_disk::{Chance, CrashDisk};
use crate::storage::tests::damage::{End, Files, SETTINGS, directory, installed};
use crate::storage::tests::feeder::{FRESH, SERVER, block_on};

/// Within a second or two in the dev profile.
const INPUTS_DEFAULT: u64 = 3000;

/// No directory of a few files takes so long on any machine.
const OPENED_WITHIN: Duration = Duration::from_secs(20);

/// Damages of one directory.
const DAMAGES_MAX: u64 = 4;

/// What a damage may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cost {
    /// It is noticed, or made good.
    Nothing,
    /// What looks like a write that was interrupted at the end of the log: nobody can tell the two
    /// apart, so the end of the log may be missing.
    Tail,
}

#[derive(Default)]
struct Figures {
    refused: AtomicU64,
    whole: AtomicU64,
    shorter: AtomicU64,
}

#[test]
fn a_damaged_directory_is_refused_or_is_what_was_saved() {
    let number = |name: &str, or: u64| match env::var(name) {
        Ok(text) => text.parse().expect("a whole number"),
        Err(_) => or,
    };
    let (first, count) = (
        number("ALTHING_FUZZ_SEED", 1),
        number("ALTHING_FUZZ_INPUTS", INPUTS_DEFAULT),
    );
    let directories = [
        directory(0, End::Stop),
        directory(2, End::Stop),
        directory(2, End::BeforeSeal),
        directory(5, End::Stop),
        installed(),
    ];
    let figures = Figures::default();
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let tried = AssertUnwindSafe(|| one(seed, &directories, &figures));
                    if let Err(reason) = panic::catch_unwind(tried) {
                        eprintln!("ALTHING_FUZZ_SEED={seed} ALTHING_FUZZ_INPUTS=1 repeats it");
                        panic::resume_unwind(reason);
                    }
                }
            });
        }
    });
    let [refused, whole, shorter] = [&figures.refused, &figures.whole, &figures.shorter]
        .map(|figure| figure.load(Ordering::Relaxed));
    println!(
        "storage: {count} damaged directories: {refused} refused, {whole} whole, {shorter} without their end"
    );
    assert_eq!(refused + whole + shorter, count);
    assert!(
        count < INPUTS_DEFAULT || (refused > count / 10 && whole > count / 10 && shorter > 0),
        "the damages are of little variety"
    );
}

fn one(seed: u64, directories: &[(Files, Books)], figures: &Figures) {
    let mut chance = Chance(seed);
    let (files, books) = &directories[chance.below(directories.len() as u64) as usize];
    let mut damaged = files.clone();
    let mut cost = Cost::Nothing;
    for _ in 0..=chance.below(DAMAGES_MAX) {
        if damage(&mut damaged, &mut chance) == Cost::Tail {
            cost = Cost::Tail;
        }
    }
    let began = Instant::now();
    let disk = CrashDisk::with_files(&damaged);
    let opened = block_on(open(disk.clone(), SETTINGS, SERVER, FRESH));
    assert!(began.elapsed() < OPENED_WITHIN, "{:?}", began.elapsed());
    let Ok(opened) = opened else {
        figures.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let recovered = &opened.recovered;
    let is = |steps: usize| is_found(recovered, &Log::of(&books.done[..steps]));
    let steps = books.done.len();
    if is(steps) {
        figures.whole.fetch_add(1, Ordering::Relaxed);
    } else {
        assert!(
            cost == Cost::Tail,
            "something else was found than was saved"
        );
        let prefix = (0..steps).rev().any(is);
        assert!(prefix, "what was found is no beginning of what was saved");
        figures.shorter.fetch_add(1, Ordering::Relaxed);
    }
    drop(opened);
    // What was opened once can be opened again, and is the same.
    let again = block_on(open(disk, SETTINGS, SERVER, FRESH));
    assert!(again.is_ok(), "opened once, and then refused");
}

/// Damages one file, or the list of them; tells what that may cost.
fn damage(files: &mut Files, chance: &mut Chance) -> Cost {
    let names: Vec<String> = files.keys().cloned().collect();
    let name = names[chance.below(names.len() as u64) as usize].clone();
    let is_segment = |name: &String| matches!(Name::parse(name), Some(Name::Segment(_)));
    let at_the_end = names.iter().rev().find(|name| is_segment(name)) == Some(&name);
    let bytes = files.get_mut(&name).expect("it is there");
    let len = bytes.len() as u64;
    let below = |chance: &mut Chance, bound: u64| chance.below(bound.max(1)) as usize;
    let at = below(chance, len);
    let span = below(chance, 2 * SECTOR_BYTES as u64).min(bytes.len() - at);
    let mut cost = Cost::Nothing;
    let mut torn = || {
        cost = if at_the_end {
            Cost::Tail
        } else {
            Cost::Nothing
        }
    };
    match chance.below(9) {
        0 if len > 0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at..at + span].fill_with(|| chance.below(255) as u8 + 1),
        2 => {
            torn();
            bytes[at..at + span].fill(0);
        }
        3 => {
            torn();
            bytes.truncate(at);
        }
        4 => {
            torn();
            bytes.truncate(at / SECTOR_BYTES * SECTOR_BYTES);
        }
        5 => bytes.resize(bytes.len() + below(chance, 3000), 0),
        6 => bytes.extend((0..below(chance, 3000)).map(|at| (at % 251) as u8 + 1)),
        7 => {
            torn();
            files.remove(&name);
        }
        _ => {
            // Another file under this name.
            torn();
            let other = files[&names[below(chance, names.len() as u64)]].clone();
            files.insert(name, other);
        }
    }
    cost
}
