//! Tests of the machine, several of them together.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use crate::gossip::datagram::{Datagram, Refusal};
use crate::gossip::gossip::{Gossip, GossipConfig, GossipEffect, GossipInput, GossipOutbox};
use crate::gossip::incarnation::Incarnation;
use crate::gossip::key::Key;
use crate::gossip::news::{Label, News, Role};
use crate::gossip::pace::{DATAGRAM_BYTES_MAX, LEAP_MAX};
use crate::gossip::peers::Vitality;
use crate::gossip::rehearsal::{Rehearsal, key, report};
use crate::ids::{Epoch, ServerId, Zxid};
use crate::prng::Seed;
use crate::time::{Duration, Instant};

const ONE: ServerId = ServerId(1);
const TWO: ServerId = ServerId(2);
const THREE: ServerId = ServerId(3);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_size_of_an_ensemble_finds_itself() {
    for count in 2..=11 {
        let mut rehearsal = Rehearsal::new(count, count);
        let took = rehearsal.run_until(seconds(3), Rehearsal::has_converged);
        assert!(took.is_some(), "{count} servers do not find each other");
    }
}

#[test]
fn nobody_is_suspected_in_a_calm_network() {
    for count in [2, 3, 5] {
        let mut rehearsal = Rehearsal::new(count, 7);
        rehearsal.run(seconds(3600));
        assert_eq!(rehearsal.suspected, []);
        assert!(rehearsal.has_converged());
    }
}

#[test]
fn the_dead_are_suspected_soon() {
    // The table in docs/gossip.md is what this prints with --nocapture.
    for count in [3, 5, 7, 11] {
        let mut times = Vec::new();
        for seed in 0..40 {
            let mut rehearsal = Rehearsal::new(count, seed);
            rehearsal.run(seconds(5) + Duration::from_millis(u64::from(seed) * 37));
            rehearsal.kill(ONE);
            let died = rehearsal.now;
            let survivors = usize::from(count) - 1;
            let all_know = |r: &Rehearsal| r.suspected.len() == survivors;
            rehearsal
                .run_until(seconds(10), all_know)
                .expect("it is suspected");
            assert!(rehearsal.suspected.iter().all(|(_, _, whom)| *whom == ONE));
            times.push(rehearsal.suspected[survivors - 1].0.since(died).as_millis());
        }
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        std::println!("{count} servers: all suspect within {median} ms (median), {worst} (worst)");
        assert!(
            worst <= 2000 && median <= 800,
            "{count} servers: {median} ms, {worst} ms"
        );
    }
}

#[test]
fn a_suspect_that_does_not_object_is_down_and_back_when_it_starts_again() {
    let mut rehearsal = Rehearsal::new(3, 1);
    rehearsal.run(seconds(5));
    rehearsal.kill(THREE);
    rehearsal.run(seconds(8));
    assert_eq!(rehearsal.peer(ONE, THREE).vitality, Vitality::Down);
    assert_eq!(rehearsal.peer(TWO, THREE).vitality, Vitality::Down);
    // Its news are still told, with their age.
    let (_, age) = rehearsal.peer(ONE, THREE).news.expect("what it said last");
    assert!(age > seconds(7));
    rehearsal.start(THREE);
    let back = rehearsal.run_until(seconds(3), Rehearsal::has_converged);
    assert!(back.is_some(), "it does not come back");
    assert!(rehearsal.servers[&THREE].incarnation().number > 0);
}

#[test]
fn a_server_that_starts_again_at_once_is_known_again_at_once() {
    let mut rehearsal = Rehearsal::new(3, 1);
    rehearsal.run(seconds(5));
    for _ in 0..5 {
        rehearsal.kill(TWO);
        rehearsal.start(TWO);
        let new = rehearsal.run_until(seconds(1), |r| {
            let own = r.servers[&TWO].incarnation();
            let known = |of| r.peer(of, TWO).news.map(|(news, _)| news.incarnation);
            known(ONE) == Some(own) && known(THREE) == Some(own)
        });
        assert!(new.is_some(), "the others hold on to its earlier life");
        rehearsal.run(seconds(2));
        assert!(rehearsal.has_converged());
    }
    assert_eq!(rehearsal.suspected, []);
}

#[test]
fn a_pause_makes_the_paused_one_suspect_nobody() {
    for seed in 0..20 {
        let mut rehearsal = Rehearsal::new(3, seed);
        rehearsal.run(seconds(3) + Duration::from_millis(u64::from(seed) * 53));
        rehearsal.pause(TWO, seconds(20));
        rehearsal.run(seconds(5));
        let by_paused = rehearsal.suspected.iter().any(|(_, by, _)| *by == TWO);
        assert!(!by_paused, "{:?}", rehearsal.suspected);
        assert_eq!(
            rehearsal.peer(ONE, TWO).vitality,
            Vitality::Alive,
            "and it is back"
        );
        assert!(rehearsal.has_converged());
    }
}

#[test]
fn a_suspect_that_objects_in_time_lives_on_as_it_was() {
    for seed in 0..20 {
        let mut rehearsal = Rehearsal::new(3, seed);
        rehearsal.run(seconds(3));
        rehearsal.pause(TWO, Duration::from_millis(1900));
        rehearsal.run(seconds(10));
        let of_two = |(_, _, whom): &(_, _, ServerId)| *whom == TWO;
        assert!(
            rehearsal.suspected.iter().all(of_two),
            "{:?}",
            rehearsal.suspected
        );
        assert_eq!(rehearsal.suspected.len(), 2);
        let incarnation = rehearsal.servers[&TWO].incarnation();
        assert_eq!(incarnation.number, 0, "seed {seed}");
        assert!(rehearsal.has_converged());
    }
}

#[test]
fn one_cut_path_makes_nobody_suspect() {
    let mut rehearsal = Rehearsal::new(3, 4);
    rehearsal.run(seconds(3));
    rehearsal.cut = BTreeSet::from([(ONE, TWO), (TWO, ONE)]);
    rehearsal.run(seconds(600));
    assert_eq!(rehearsal.suspected, []);
    // And news go round it.
    rehearsal.reports.get_mut(&TWO).expect("two").role = Role::Leader;
    rehearsal.run(seconds(5));
    assert!(rehearsal.has_converged());
}

#[test]
fn what_changes_is_told_at_once() {
    let mut rehearsal = Rehearsal::new(5, 4);
    rehearsal.run(seconds(3));
    let own = rehearsal.reports.get_mut(&THREE).expect("three");
    (own.role, own.epoch) = (Role::Leader, Epoch(2));
    let took = rehearsal.run_until(seconds(1), Rehearsal::has_converged);
    assert!(
        took.is_some_and(|took| took <= Duration::from_millis(270)),
        "{took:?}"
    );
}

#[test]
fn an_old_datagram_changes_nothing() {
    let mut rehearsal = Rehearsal::new(3, 4);
    rehearsal.recorded = Some(Vec::new());
    rehearsal.run(seconds(20));
    let recorded = rehearsal.recorded.take().expect("what was sent");
    rehearsal.kill(TWO);
    rehearsal.run(seconds(8));
    let before = rehearsal.servers[&ONE].peers(rehearsal.now);
    assert_eq!(before[1].vitality, Vitality::Down);
    for (to, bytes) in &recorded {
        rehearsal.step(*to, GossipInput::Heard(bytes.clone()));
    }
    assert_eq!(rehearsal.servers[&ONE].peers(rehearsal.now), before);
    let refused = &rehearsal.servers[&ONE].figures().refused;
    assert!(refused[&Refusal::Repeated] > 100, "{refused:?}");
    // Nor after a restart of who hears it.
    rehearsal.kill(ONE);
    rehearsal.start(ONE);
    rehearsal.run(seconds(2));
    for (to, bytes) in &recorded {
        rehearsal.step(*to, GossipInput::Heard(bytes.clone()));
    }
    rehearsal.run(seconds(8));
    assert_eq!(rehearsal.peer(ONE, TWO).vitality, Vitality::Down);
    rehearsal.start(TWO);
    let back = rehearsal.run_until(seconds(5), Rehearsal::has_converged);
    assert!(back.is_some(), "old datagrams keep it away");
}

/// A datagram with the right key that server 3 would not send.
fn lie(to: ServerId, number: u64, news: Vec<News>, believed: Incarnation) -> Vec<u8> {
    let datagram = Datagram {
        sender: THREE,
        receiver: to,
        incarnation: Incarnation {
            number: 0,
            birth: 5,
        },
        believed,
        number,
        swim: Vec::new(),
        news,
    };
    datagram.seal(&key()).0
}

#[test]
fn lies_are_outlived() {
    let mut rehearsal = Rehearsal::new(3, 4);
    rehearsal.run(seconds(3));
    let of_two = rehearsal.servers[&TWO].incarnation();
    let mut invented = News {
        server: TWO,
        incarnation: of_two,
        version: 1_000_000,
        report: report(TWO),
    };
    invented.report.role = Role::Leader;
    invented.report.applied = Zxid::new(Epoch(9), 9);
    let newer = Incarnation {
        number: of_two.number + 1000,
        birth: 1,
    };
    let bytes = lie(ONE, 0, [invented.clone()].into(), Incarnation::UNKNOWN);
    rehearsal.step(ONE, GossipInput::Heard(bytes));
    let (believed, _) = rehearsal.peer(ONE, TWO).news.expect("news of two");
    assert_eq!(
        believed.report.role,
        Role::Leader,
        "for a moment it is believed"
    );
    invented.incarnation = newer;
    let bytes = lie(ONE, 1, [invented].into(), newer);
    rehearsal.step(ONE, GossipInput::Heard(bytes));
    let over = rehearsal.run_until(seconds(5), Rehearsal::has_converged);
    assert!(over.is_some(), "the lie stands");
    assert!(rehearsal.servers[&TWO].incarnation() > newer);
}

#[test]
fn numbers_cannot_be_used_up_nor_servers_invented() {
    let mut rehearsal = Rehearsal::new(3, 4);
    rehearsal.run(seconds(3));
    let of_two = rehearsal.servers[&TWO].incarnation();
    let far = Incarnation {
        number: u64::MAX,
        birth: 1,
    };
    let news = |server, incarnation, version| News {
        server,
        incarnation,
        version,
        report: report(server),
    };
    let news = [
        news(TWO, far, 0),
        news(TWO, of_two, 2 * LEAP_MAX),
        news(ServerId(200), of_two, 0),
    ];
    let bytes = lie(ONE, 0, news.into(), far);
    rehearsal.step(ONE, GossipInput::Heard(bytes));
    rehearsal.run(seconds(2));
    assert!(rehearsal.has_converged());
    assert!(rehearsal.servers[&ONE].incarnation().number < 10);
    assert_eq!(rehearsal.servers[&ONE].peers(rehearsal.now).len(), 3);
}

#[test]
fn what_has_not_the_key_or_another_receiver_is_dropped_and_counted() {
    let mut rehearsal = Rehearsal::new(3, 4);
    rehearsal.run(seconds(3));
    let good = lie(ONE, 0, Vec::new(), Incarnation::UNKNOWN);
    let opened = Datagram::open(&good, &key(), ONE).expect("it is good");
    assert_eq!(opened.sender, THREE);
    let other = Key::from_secret(b"another secret");
    assert_eq!(
        Datagram::open(&good, &other, ONE),
        Err(Refusal::Unauthentic)
    );
    assert_eq!(
        Datagram::open(&good, &key(), TWO),
        Err(Refusal::Misaddressed)
    );
    let long = [1; DATAGRAM_BYTES_MAX + 1];
    assert_eq!(Datagram::open(&long, &key(), ONE), Err(Refusal::Foreign));
    for at in 1..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        rehearsal.step(ONE, GossipInput::Heard(bad));
    }
    let figures = rehearsal.servers[&ONE].figures();
    let dropped = u64::try_from(good.len() - 1).expect("a count");
    assert_eq!(figures.refused.get(&Refusal::Unauthentic), Some(&dropped));
}

#[test]
fn a_datagram_is_bounded_and_takes_turns() {
    // News so long that only three have room.
    let mut rehearsal = Rehearsal::new(9, 4);
    for report in rehearsal.reports.values_mut() {
        report.endpoint = Label::fitting(&"x".repeat(1000));
    }
    rehearsal.recorded = Some(Vec::new());
    let took = rehearsal.run_until(seconds(10), Rehearsal::has_converged);
    assert!(took.is_some(), "news that have no room are never told");
    let recorded = rehearsal.recorded.expect("what was sent");
    let longest = recorded.iter().map(|(_, bytes)| bytes.len()).max();
    assert!(
        longest.is_some_and(|longest| longest <= DATAGRAM_BYTES_MAX),
        "{longest:?}"
    );
}

fn machine() -> (Gossip, GossipOutbox) {
    let config = GossipConfig {
        server: ONE,
        key: key(),
    };
    let mut gossip = Gossip::new(config, Seed([1; 32]));
    let mut out = GossipOutbox::default();
    let all = [ONE, TWO, THREE].into();
    gossip.step(Instant::ORIGIN, GossipInput::Configured(all), &mut out);
    gossip.step(
        Instant::ORIGIN,
        GossipInput::Reported(report(ONE)),
        &mut out,
    );
    (gossip, out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn arbitrary_datagrams_do_no_harm(datagrams in many(many(any::<u8>(), 0..200), 0..20)) {
        let (mut gossip, mut out) = machine();
        let before = gossip.peers(Instant::ORIGIN);
        for mut bytes in datagrams {
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            out.effects.clear();
            gossip.step(Instant::ORIGIN, GossipInput::Heard(bytes), &mut out);
            prop_assert!(out.effects.is_empty());
        }
        prop_assert_eq!(gossip.peers(Instant::ORIGIN), before);
    }

    /// Damage that has the key's mark all the same: whoever has the key can write it.
    #[test]
    fn authentic_nonsense_does_no_harm(
        damage in many((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        chosen in any::<prop::sample::Index>(),
        seed in 0_u8..8,
    ) {
        let mut rehearsal = Rehearsal::new(3, seed);
        rehearsal.recorded = Some(Vec::new());
        rehearsal.run(seconds(3));
        let recorded = rehearsal.recorded.take().expect("what was sent");
        let (to, bytes) = chosen.get(&recorded);
        let mut said = bytes[..bytes.len() - 32].to_vec();
        for (at, byte) in &damage {
            *at.get_mut(&mut said) = *byte;
        }
        let mark = key().mark(&said);
        said.extend_from_slice(&mark);
        rehearsal.step(*to, GossipInput::Heard(said));
        let over = rehearsal.run_until(seconds(15), Rehearsal::has_converged);
        prop_assert!(over.is_some(), "the damage stays");
    }

    #[test]
    fn every_ensemble_converges_under_loss(
        count in 3_u8..=11,
        loss_permille in 0_u32..=300,
        seed in any::<u8>(),
    ) {
        let mut rehearsal = Rehearsal::new(count, seed);
        rehearsal.loss_permille = loss_permille;
        rehearsal.run(seconds(10));
        rehearsal.reports.get_mut(&ONE).expect("one").role = Role::Leader;
        // Under such loss some are suspected wrongly now and then, but it passes.
        let calm = rehearsal.run_until(seconds(30), Rehearsal::has_converged);
        prop_assert!(calm.is_some());
    }

    #[test]
    fn stale_news_never_overwrite_newer(
        orders in many((0_u64..4, 0_u64..3, 0_u64..6), 1..30),
    ) {
        let (mut gossip, mut out) = machine();
        let mut newest = None;
        for (at, (number, birth, version)) in orders.into_iter().enumerate() {
            let incarnation = Incarnation { number, birth: birth + 1 };
            let news = News { server: TWO, incarnation, version, report: report(TWO) };
            newest = newest.max(Some(news.order()));
            let bytes = lie(ONE, at as u64, [news].into(), Incarnation::UNKNOWN);
            gossip.step(Instant::ORIGIN, GossipInput::Heard(bytes), &mut out);
            let (known, _) = gossip.peers(Instant::ORIGIN)[1].news.clone().expect("news");
            prop_assert_eq!(Some(known.order()), newest);
        }
    }

    #[test]
    fn a_datagram_is_read_as_it_was_written(
        numbers in (any::<u64>(), any::<u64>(), any::<u64>(), 0_u32..=Epoch::MAX.0),
        texts in ("[!-~]{0,262}", "[!-~]{0,64}"),
        leader in any::<u8>(),
        role in prop::sample::select([Role::Looking, Role::Learner, Role::Leader].to_vec()),
        swim in many(any::<u8>(), 0..700),
    ) {
        let (number, birth, version, epoch) = numbers;
        let mut report = report(THREE);
        (report.role, report.epoch, report.applied) = (role, Epoch(epoch), Zxid(number));
        report.leader = (leader != 0).then_some(ServerId(leader));
        (report.endpoint, report.release) = (Label::fitting(&texts.0), Label::fitting(&texts.1));
        let incarnation = Incarnation { number, birth };
        let news = News { server: TWO, incarnation, version, report };
        let datagram = Datagram {
            sender: THREE,
            receiver: ONE,
            incarnation,
            believed: Incarnation { number: birth, birth: number },
            number: version,
            swim,
            news: [news].into(),
        };
        let (bytes, told) = datagram.seal(&key());
        prop_assert_eq!(told, 1, "one of the longest always has room");
        prop_assert_eq!(Datagram::open(&bytes, &key(), ONE), Ok(datagram));
    }
}

#[test]
fn equal_inputs_give_equal_effects() {
    let play = || {
        let mut rehearsal = Rehearsal::new(5, 9);
        rehearsal.recorded = Some(Vec::new());
        rehearsal.loss_permille = 100;
        rehearsal.run(seconds(30));
        rehearsal.recorded.expect("what was sent")
    };
    assert!(play() == play(), "two runs differ");
}

#[test]
fn a_server_on_its_own_says_nothing_and_waits_for_nothing() {
    let config = GossipConfig {
        server: ONE,
        key: key(),
    };
    let mut gossip = Gossip::new(config, Seed([1; 32]));
    let mut out = GossipOutbox::default();
    let alone = [ONE].into();
    gossip.step(Instant::ORIGIN, GossipInput::Configured(alone), &mut out);
    gossip.step(
        Instant::ORIGIN,
        GossipInput::Reported(report(ONE)),
        &mut out,
    );
    let sends = |effect: &GossipEffect| matches!(effect, GossipEffect::Send { .. });
    assert!(!out.effects.iter().any(sends));
    assert_eq!(gossip.armed(), None);
}
