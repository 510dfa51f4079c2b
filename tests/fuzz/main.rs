//! Fuzzes the ports of running servers: `fuzz clients|peers SERVER INPUTS [SEED]`. The same seed
//! sends the same frames.
//!
//! The server must not end, panic, hang or grow; a client beside it must be answered rightly and in
//! time. `tests/fuzz/run` builds what is needed, and fuzzes the storage, too.

mod clients;
mod corpus;
mod dice;
mod onlooker;
mod peers;
mod stream;
mod subject;

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use althing_core::ids::ServerId;

use crate::clients::Count;
use crate::onlooker::SUPER;
use crate::subject::{Subject, free_address};

/// Connections that fuzz at once: their waiting for the disk is shared.
const THREADS: u64 = 16;

/// What a server may hold at most, in MiB, whatever it is sent.
const MEMORY_MAX_MIB: u64 = 512;

/// What it may grow in MiB between a quarter of the inputs and all of them.
const GROWTH_MAX_MIB: u64 = 64;

/// A machine that does nothing but fuzz is no reason to elect anybody.
const PATIENT: &str = "election_timeout_ms = 3000\nisolation_timeout_ms = 30000\n";

/// How often its memory is looked at.
const LOOKED_EVERY: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a whole number");
    match words[..] {
        ["clients", server, inputs] => of_clients(server, number(inputs), 1),
        ["clients", server, inputs, seed] => of_clients(server, number(inputs), number(seed)),
        ["peers", server, inputs] => of_peers(server, number(inputs), 1),
        ["peers", server, inputs, seed] => of_peers(server, number(inputs), number(seed)),
        _ => panic!("usage: fuzz clients|peers SERVER INPUTS [SEED]"),
    }
}

fn of_clients(server: &str, inputs: u64, seed: u64) {
    let mut subjects = [Subject::start(server, SUPER)];
    let address = subjects[0].address;
    subjects[0].await_serving();
    play(
        "client port",
        &mut subjects,
        address,
        inputs,
        |part, seed_of| clients::fuzz(address, part, seed ^ seed_of),
    );
}

fn of_peers(server: &str, inputs: u64, seed: u64) {
    let addresses = [free_address(), free_address(), free_address()];
    let settings = |id: usize| {
        let list = (1..)
            .zip(&addresses)
            .map(|(id, at)| format!("{id} = \"{at}\"\n"));
        format!(
            "id = {id}\n{PATIENT}{SUPER}[servers]\n{}",
            list.collect::<String>()
        )
    };
    let all = [1, 2, 3].map(|id| Subject::start(server, &settings(id)));
    all.iter().for_each(Subject::await_serving);
    let [first, second, third] = all;
    drop(third);
    first.await_serving();
    second.await_serving();
    let address = first.address;
    let mut subjects = [first, second];
    play(
        "peer port",
        &mut subjects,
        address,
        inputs,
        |part, seed_of| peers::fuzz(&addresses[..2], ServerId(3), part, seed ^ seed_of),
    );
}

/// Fuzzes with several threads, beside a client that works and one that sweeps.
fn play(
    what: &str,
    subjects: &mut [Subject],
    address: SocketAddr,
    inputs: u64,
    fuzz: impl Fn(u64, u64) -> Count + Sync,
) {
    onlooker::prepare(address);
    let ends = Arc::new(AtomicBool::new(false));
    let (working, sweeping) = (Arc::clone(&ends), Arc::clone(&ends));
    let work = thread::spawn(move || onlooker::work(address, &working));
    let sweep = thread::spawn(move || onlooker::sweep(address, &sweeping));
    let began = Instant::now();
    let mut memory = Memory::default();
    let counts: Vec<Count> = thread::scope(|scope| {
        let fuzz = &fuzz;
        let parts =
            (0..THREADS).map(|thread| scope.spawn(move || fuzz(inputs / THREADS, thread << 56)));
        let parts: Vec<_> = parts.collect();
        while !parts.iter().all(|part| part.is_finished()) {
            assert!(!work.is_finished(), "the client beside it has ended");
            memory.look(subjects, began.elapsed());
            thread::sleep(LOOKED_EVERY);
        }
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .map(|count| count.expect("its thread told why"))
            .collect()
    });
    let took = began.elapsed();
    ends.store(true, Ordering::Relaxed);
    let latencies = work.join().expect("the client beside it is undisturbed");
    sweep.join().expect("the sweeper is undisturbed");
    for subject in subjects.iter_mut() {
        subject.assert_well();
        subject.await_serving();
    }
    let sum = |of: fn(&Count) -> u64| counts.iter().map(of).sum::<u64>();
    let expired = sum(|count| count.expired);
    println!(
        "{what}: {} inputs in {took:.0?}: {} answered, {} closed the connection; a client beside it: {}; \
         memory: {}",
        sum(|count| count.inputs),
        sum(|count| count.answered),
        sum(|count| count.closed),
        latencies.tell(),
        memory.judge(took),
    );
    assert!(expired <= inputs / 100, "{expired} of the sessions expired");
}

/// What the servers held over time.
#[derive(Default)]
struct Memory(Vec<(Duration, u64)>);

impl Memory {
    fn look(&mut self, subjects: &mut [Subject], at: Duration) {
        let held = subjects.iter().map(Subject::memory_mib).max();
        let held = held.expect("there are servers");
        if held > MEMORY_MAX_MIB {
            subjects.iter_mut().for_each(Subject::assert_well);
            panic!("a server holds {held} MiB");
        }
        self.0.push((at, held));
    }

    /// The most in the first quarter and over all.
    fn judge(&self, took: Duration) -> String {
        let most = |from: Duration, to: Duration| {
            let within = self.0.iter().filter(|(at, _)| *at >= from && *at <= to);
            within.map(|(_, held)| *held).max().unwrap_or(0)
        };
        let (first, last) = (most(Duration::ZERO, took / 4), most(took / 4, took));
        assert!(
            last <= first + GROWTH_MAX_MIB,
            "a server held {first} MiB in the first quarter, and {last} later"
        );
        format!("at most {first} MiB in the first quarter of the time, {last} in the rest")
    }
}
