//! Real ensembles under real faults: processes that are killed, stopped and starved, and clients
//! whose history is judged by the checkers of the simulator.
//!
//! Each test lasts seconds. `ALTHING_ENSEMBLE_SECONDS=300 cargo test --test ensemble` lets the
//! faults fall for so long in each; `ALTHING_ENSEMBLE_SEED` draws others. What clients do and what
//! befalls the servers is a function of the seed; when, is the machine's business, so a red run may
//! have to be repeated. The data and the servers' logs of a red run are kept, and the test tells
//! where.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::runtime::Tokio;
use althing_client::znode::{CreateMode, Version};
use althing_sim::traces::judge::Figures;
use althing_sim::traces::options::{TraceOptions, Traced, verify};
use althing_tests::process::{PATIENCE, wait_for};
use althing_tests::real::clients::{Crowd, Player, here};
use althing_tests::real::course::Course;
use althing_tests::real::ensemble::{Ensemble, loopback};
use althing_tests::real::faults::{Blow, Script};
use althing_tests::real::process::Member;
use althing_tests::real::witness::Witness;

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");

/// How long faults fall in the short form.
const SECONDS: u64 = 8;

/// An ensemble of so many servers under `faults`, and its judgement.
fn run(servers: u8, clients: usize, faults: impl FnOnce(&mut Script, &mut Ensemble, Duration)) {
    run_with("", servers, clients, faults);
}

/// The same with more lines in every server's configuration.
fn run_with(
    more: &str,
    servers: u8,
    clients: usize,
    faults: impl FnOnce(&mut Script, &mut Ensemble, Duration),
) -> Figures {
    let course = Course::chosen_or(u64::from(servers), SECONDS);
    let mut ensemble = Ensemble::start_with(BINARY, loopback(servers), more);
    ensemble.await_leader();
    // Clients know all servers, as users' do.
    let player = |number| Player {
        name: format!("client-{number}"),
        servers: ensemble.clients_list(),
        namespace: None,
    };
    let players = (1..=clients).map(player).collect();
    let figures = course.run(&mut ensemble, players, |ensemble| {
        faults(&mut Script::new(course.seed), ensemble, course.lasts);
    });
    assert!(figures.answers > 500, "too little was asked: {figures:?}");
    assert!(figures.agreed > 200, "too little was agreed: {figures:?}");
    figures
}

#[test]
fn three_servers_survive_what_befalls_a_minority() {
    run(3, 5, |script, ensemble, lasts| script.play(ensemble, lasts));
}

#[test]
fn five_servers_survive_what_befalls_a_minority() {
    run(5, 5, |script, ensemble, lasts| script.play(ensemble, lasts));
}

/// The sessions are one server's alone, until they first own an ephemeral znode.
#[test]
fn sessions_of_one_server_alone_survive_what_befalls_a_minority() {
    let more = "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n";
    let figures = run_with(more, 3, 5, |script, ensemble, lasts| {
        script.play(ensemble, lasts);
    });
    assert!(figures.local > 5, "hardly any was local: {figures:?}");
}

/// A disk that is full takes leadership away and no answer back; with space the server returns.
#[test]
fn a_full_disk_loses_nothing() {
    run(3, 3, |script, ensemble, lasts| {
        let end = Instant::now() + lasts / 2;
        loop {
            let leader = ensemble.await_leader();
            script.strike(ensemble, leader, Blow::Starve);
            wait_for("somebody else leads", || {
                let now = ensemble.leader();
                now.filter(|now| *now != leader)
            });
            script.revive(ensemble, leader);
            if Instant::now() >= end {
                break;
            }
        }
    });
}

/// Every server is restarted in turn, politely: no request of a client of another server fails.
#[test]
fn a_rolling_restart_fails_no_request_elsewhere() {
    let mut ensemble = Ensemble::start(BINARY, loopback(3));
    ensemble.await_leader();
    // The server that is being restarted, and how often the clients were answered.
    let restarted = Arc::new(AtomicU8::new(0));
    let over = Arc::new(AtomicU8::new(0));
    let answers: Vec<Arc<AtomicU64>> = (0..3).map(|_| Arc::default()).collect();
    let clients: Vec<_> = ensemble
        .addresses()
        .into_iter()
        .zip(&answers)
        .map(|((address, server), answers)| {
            let (restarted, over, answers) = (restarted.clone(), over.clone(), answers.clone());
            thread::spawn(move || {
                here(async {
                    let config = ClientConfig::new([address.to_string()]);
                    let client = Client::connect(Tokio, config).await.expect("a session");
                    let path = format!("/of-{server}");
                    let created = client.create(&path, "", CreateMode::Persistent).await;
                    created.expect("a znode of its own");
                    while over.load(Ordering::SeqCst) == 0 {
                        let elsewhere = || restarted.load(Ordering::SeqCst) != server.0;
                        let before = elsewhere();
                        match client.set_data(&path, "x", Version::Any).await {
                            Ok(_) => drop(answers.fetch_add(1, Ordering::SeqCst)),
                            Err(error) => assert!(
                                !before || !elsewhere(),
                                "a client of server {server} was told {error}, while server {} was \
                                 restarted",
                                restarted.load(Ordering::SeqCst),
                            ),
                        }
                    }
                });
            })
        })
        .collect();
    let all_are_answered = || {
        let before: Vec<u64> = answers
            .iter()
            .map(|count| count.load(Ordering::SeqCst))
            .collect();
        for (count, before) in answers.iter().zip(before) {
            wait_for("every client is answered", || {
                (count.load(Ordering::SeqCst) > before + 10).then_some(())
            });
        }
    };
    for server in 1..=3 {
        all_are_answered();
        restarted.store(server, Ordering::SeqCst);
        ensemble.member(server).terminate();
        ensemble.member(server).start_well();
        // Its own client finds back before it is the next one's turn.
        all_are_answered();
    }
    restarted.store(0, Ordering::SeqCst);
    over.store(1, Ordering::SeqCst);
    let began = Instant::now();
    for client in clients {
        client.join().expect("no request failed");
    }
    assert!(began.elapsed() < PATIENCE, "the last requests took long");
}

/// What `cargo sim verify-trace` says of traces as they are, and of damaged ones.
#[test]
fn traces_are_judged_by_a_command() {
    let mut ensemble = Ensemble::start(BINARY, loopback(3));
    let leader = ensemble.await_leader();
    let witness = Witness::new(ensemble.home());
    let player = |number| Player {
        name: format!("client-{number}"),
        servers: ensemble.clients_list(),
        namespace: None,
    };
    let crowd = Crowd::start((1..=2).map(player).collect(), 7, &witness);
    ensemble.member(leader).kill();
    ensemble.await_leader();
    ensemble.member(leader).start_well();
    crowd.finish().expect("there is service after a death");
    ensemble.members.iter_mut().for_each(Member::terminate);
    let (mut files, broken) = witness.finish();
    assert_eq!(broken, []);
    let of_servers = ensemble.members.iter_mut();
    files.extend(of_servers.map(|member| member.trace().to_owned()));
    let verdict = |files: &[PathBuf]| {
        let mut told = Vec::new();
        let files = files.to_vec();
        let verdict = verify(&TraceOptions { files }, &mut told).expect("traces of one run");
        (verdict, String::from_utf8(told).expect("text"))
    };
    let (well, told) = verdict(&files);
    assert_eq!(well, Traced::Well, "{told}");
    println!("{told}");
    assert!(
        told.starts_with("GREEN  3 servers in 4 lives, 2 clients"),
        "{told}"
    );
    // One server's tree is another's no more.
    let last = files.last().expect("a server's trace");
    let text = fs::read_to_string(last).expect("text");
    let digests: Vec<&str> = text.split("\"digest\":\"").collect();
    let (before, after) = digests.split_at(digests.len() / 2);
    let (before, after) = (before.join("\"digest\":\""), after.join("\"digest\":\""));
    let rest = after.split_once('"').expect("a digest ends").1;
    let damaged = format!("{before}\"digest\":\"0x1\"{rest}");
    assert_ne!(damaged, text);
    fs::write(last, damaged).expect("a file of our own");
    let (broken, told) = verdict(&files);
    assert_eq!(broken, Traced::Broken, "{told}");
    assert!(told.starts_with("FAIL I1 agreement at t="), "{told}");
    assert!(told.contains("✘ FAIL I1 agreement"), "{told}");
    let refused = verify(
        &TraceOptions {
            files: files[..1].to_vec(),
        },
        &mut Vec::new(),
    );
    let error = refused.expect_err("a client alone proves nothing");
    assert_eq!(error.to_string(), "there is no trace of a server");
}
