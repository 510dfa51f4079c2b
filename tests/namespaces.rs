//! Real ensembles with real partitions: each server is a machine of its own on a network of its
//! own, which is cut one way, both ways and into bridges, and slow and lossy where the kernel can
//! do it.
//!
//! Needs the right to make network namespaces, so it is ignored unless asked for;
//! `tests/namespaces/run` asks, or says that it cannot. `ALTHING_ENSEMBLE_SECONDS` and
//! `ALTHING_ENSEMBLE_SEED` are as for the test `ensemble`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::znode::{CreateMode, Version};
use althing_sim::random::Stream;
use althing_tests::process::PATIENCE;
use althing_tests::real::clients::{Player, here};
use althing_tests::real::course::Course;
use althing_tests::real::ensemble::Ensemble;
use althing_tests::real::network::{Network, Weather, move_into};
use althing_tests::real::witness::Witness;

const BINARY: &str = env!("CARGO_BIN_EXE_server_under_test");

/// How long partitions fall in the short form.
const SECONDS: u64 = 12;

/// How long a partition lasts, at least and at most: longer than the isolation time-out of 2 ticks.
const LASTS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(3000));

/// The rest between two.
const REST: Duration = Duration::from_millis(1000);

/// Which machine cannot reach which.
type Cuts = Vec<(u8, u8)>;

/// Draws a partition of `servers` with a name for people; `leader` is who led a moment ago.
fn draw(random: &mut Stream, servers: u8, leader: u8) -> (&'static str, Cuts) {
    let others = || (1..=servers).filter(move |other| *other != leader);
    let out: Cuts = others().map(|other| (leader, other)).collect();
    let into: Cuts = others().map(|other| (other, leader)).collect();
    match random.below(6) {
        0 => ("the leader is cut off", [out, into].concat()),
        1 => ("nobody hears the leader", out),
        2 => ("the leader hears nobody", into),
        3 => {
            let victim = 1 + random.below(u64::from(servers)) as u8;
            let other = 1 + (victim % servers);
            ("one pair, one way", vec![(victim, other)])
        }
        4 => {
            // Two halves that only one server connects.
            let middle = 1 + random.below(u64::from(servers)) as u8;
            let side = |server: u8| (server + servers - middle) % servers <= servers / 2;
            let pair = |a: u8, b: u8| a != middle && b != middle && side(a) != side(b);
            ("a bridge", pairs(servers, pair))
        }
        _ => {
            let small = 1 + random.below(u64::from(servers)) as u8;
            let count = servers / 2;
            let minority = |server: u8| (server + servers - small) % servers < count;
            (
                "a minority",
                pairs(servers, |a, b| minority(a) != minority(b)),
            )
        }
    }
}

fn pairs(servers: u8, are_cut: impl Fn(u8, u8) -> bool) -> Cuts {
    let all = (1..=servers).flat_map(|a| (1..=servers).map(move |b| (a, b)));
    all.filter(|(a, b)| a != b && are_cut(*a, *b)).collect()
}

fn partitions(network: &Network, ensemble: &Ensemble, random: &mut Stream, lasts: Duration) {
    let servers = ensemble.members.len() as u8;
    let began = Instant::now();
    let mut leader = ensemble.await_leader();
    while began.elapsed() < lasts {
        leader = ensemble.leader().unwrap_or(leader);
        let (name, cuts) = draw(random, servers, leader);
        println!("{:?} {name}: {cuts:?}", began.elapsed());
        for (from, to) in &cuts {
            network.cut(*from, *to);
        }
        sleep(random.between(LASTS.0, LASTS.1));
        for (from, to) in &cuts {
            network.mend(*from, *to);
        }
        sleep(random.between(Duration::ZERO, REST));
    }
}

fn run(servers: u8, weather: Weather) {
    let course = Course::chosen_or(u64::from(servers), SECONDS);
    let network = Network::lay(servers).expect("namespaces");
    let mut ensemble = Ensemble::start(BINARY, network.places());
    ensemble.await_leader();
    if weather == Weather::Foul {
        for machine in 1..=servers {
            if let Err(why) = network.weather(machine, weather) {
                println!("SKIPPED delay and loss: this kernel has no netem ({why})");
                return;
            }
        }
    }
    let player = |machine| Player {
        name: format!("client-{machine}"),
        servers: ensemble.clients_list(),
        namespace: Some(network.namespace(machine)),
    };
    let players = (1..=servers).map(player).collect();
    let mut random = Stream::named(course.seed, "partitions");
    let figures = course.run(&mut ensemble, players, |ensemble| {
        partitions(&network, ensemble, &mut random, course.lasts);
    });
    assert!(figures.answers > 300, "too little was asked: {figures:?}");
    assert!(
        figures.epochs > 1,
        "no partition deposed a leader: {figures:?}"
    );
}

#[test]
#[ignore = "needs network namespaces: tests/namespaces/run"]
fn three_machines_survive_partitions() {
    run(3, Weather::Fair);
}

#[test]
#[ignore = "needs network namespaces: tests/namespaces/run"]
fn five_machines_survive_partitions() {
    run(5, Weather::Fair);
}

#[test]
#[ignore = "needs network namespaces: tests/namespaces/run"]
fn three_machines_survive_partitions_in_foul_weather() {
    run(3, Weather::Foul);
}

/// A leader on the wrong side of a cut acknowledges nothing, while the others serve.
#[test]
#[ignore = "needs network namespaces: tests/namespaces/run"]
fn a_minority_acknowledges_nothing() {
    let network = Network::lay(3).expect("namespaces");
    let ensemble = Ensemble::start(BINARY, network.places());
    let leader = ensemble.await_leader();
    let witness = Witness::new(ensemble.home());
    let servers = ensemble.addresses();
    let address = |server| {
        let (address, _) = servers
            .iter()
            .find(|(_, id)| id.0 == server)
            .expect("a server");
        address.to_string()
    };
    let follower = 1 + leader % 3;
    let others = (1..=3).filter(|other| *other != leader);
    let cuts: Cuts = others
        .flat_map(|other| [(leader, other), (other, leader)])
        .collect();
    std::thread::scope(|scope| {
        let on = |server: u8, name: &'static str, path: &'static str| {
            let (witness, namespace) = (witness.clone(), network.namespace(server));
            let config = ClientConfig::new([address(server)]);
            let (told, heard) = std::sync::mpsc::channel::<()>();
            let (answer, answered) = std::sync::mpsc::channel::<Option<bool>>();
            scope.spawn(move || {
                move_into(&namespace);
                here(async move {
                    let runtime = witness.runtime(name);
                    let client = Client::connect(runtime, config).await.expect("a session");
                    let created = client.create(path, "", CreateMode::Persistent).await;
                    created.expect("a znode");
                    answer.send(None).expect("the test waits");
                    heard.recv().expect("the test goes on");
                    let set = client.set_data(path, "cut", Version::Any);
                    let set = tokio::time::timeout(Duration::from_secs(5), set).await;
                    let acknowledged = set.is_ok_and(|set| set.is_ok());
                    answer.send(Some(acknowledged)).expect("the test waits");
                });
            });
            (told, answered)
        };
        let lonely = on(leader, "lonely", "/lonely");
        let served = on(follower, "served", "/served");
        for (_, answered) in [&lonely, &served] {
            let ready = answered.recv_timeout(PATIENCE).expect("in time");
            assert_eq!(ready, None, "it has only created its znode");
        }
        for (from, to) in &cuts {
            network.cut(*from, *to);
        }
        lonely.0.send(()).expect("it waits");
        served.0.send(()).expect("it waits");
        let served = served.1.recv_timeout(PATIENCE).expect("in time");
        assert_eq!(served, Some(true), "the majority serves");
        let lonely = lonely.1.recv_timeout(PATIENCE).expect("in time");
        assert_eq!(
            lonely,
            Some(false),
            "nothing is acknowledged where no quorum is"
        );
    });
}
