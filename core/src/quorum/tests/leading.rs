//! How a server leads: what it counts as agreed, whom it sends what, and how it hands over.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{
    BEAT, ELECTION, ME, Stage, THREE, TWO, at, change_to, directory, founded_by, txn, txn_of_bytes,
};
use crate::ids::{ServerId, Zxid};
use crate::quorum::act::{Act, Alarm, Part};
use crate::quorum::message::Message;
use crate::store::txn::Txn;
use crate::voters::Voters;

fn leader() -> Stage {
    let mut stage = Stage::founded();
    stage.lead();
    stage
}

fn beaten(stage: &mut Stage, from: ServerId, round: u64) {
    let beaten = Message::Beaten {
        epoch: stage.replica.epoch(),
        round,
        applied: Zxid::ZERO,
        touched: Vec::new(),
    };
    stage.hear(from, beaten);
}

/// Servers whose barriers were set.
fn barriers(stage: &mut Stage) -> Vec<(ServerId, u64)> {
    let set = |act| match act {
        Act::SetBarrier { to, number, .. } => Some((to, number)),
        _ => None,
    };
    core::mem::take(&mut stage.other)
        .into_iter()
        .filter_map(set)
        .collect()
}

#[test]
fn what_only_the_leader_has_is_not_agreed() {
    let mut stage = leader();
    let before = stage.replica.committed();
    let zxid = stage.propose();
    assert_eq!(stage.replica.committed(), before);
    stage.appended(TWO, before);
    assert_eq!(stage.replica.committed(), before);
    stage.appended(TWO, zxid);
    assert_eq!(stage.replica.committed(), zxid);
}

#[test]
fn who_has_everything_is_told_what_is_agreed() {
    let mut stage = leader();
    let zxid = stage.propose();
    stage.appended(TWO, zxid);
    stage.appended(THREE, zxid);
    stage.said();
    stage.drain();
    assert_eq!(stage.words(), [(TWO, "beat"), (THREE, "beat")]);
    // Once.
    stage.drain();
    assert_eq!(stage.words(), []);
}

#[test]
fn an_idle_leader_sends_beats_and_nothing_else() {
    let mut stage = leader();
    for _ in 0..3 {
        stage.wait(BEAT);
        stage.ring(Alarm::Beat);
        stage.drain();
        assert_eq!(stage.words(), [(TWO, "beat"), (THREE, "beat")]);
    }
}

#[test]
fn what_was_lost_on_the_way_is_sent_again_at_the_second_beat() {
    let mut stage = leader();
    stage.propose();
    assert_eq!(stage.words(), [(TWO, "append"), (THREE, "append")]);
    stage.wait(BEAT);
    stage.ring(Alarm::Beat);
    stage.drain();
    stage.said();
    stage.wait(BEAT);
    stage.ring(Alarm::Beat);
    stage.drain();
    let words = stage.words();
    assert!(words.contains(&(TWO, "append")), "{words:?}");
    assert!(words.contains(&(THREE, "append")), "{words:?}");
}

/// A server that answers nothing is not buried: the link and its memory are not for it alone.
#[test]
fn so_much_is_sent_without_an_answer_and_no_more() {
    let mut stage = leader();
    let sent = (0..70).map(|_| stage.propose()).collect::<Vec<Zxid>>();
    let appends = |words: Vec<(ServerId, &str)>| {
        words
            .iter()
            .filter(|word| **word == (TWO, "append"))
            .count()
    };
    assert_eq!(appends(stage.words()), 64);
    stage.appended(TWO, sent[9]);
    stage.drain();
    assert_eq!(appends(stage.words()), 1, "all that is left");
    stage.drain();
    assert_eq!(appends(stage.words()), 0);
}

/// How many entries each message to server 2 has.
fn lengths(stage: &mut Stage) -> Vec<usize> {
    let length = |(to, message)| match message {
        Message::Append { entries, .. } if to == TWO => Some(entries.len()),
        _ => None,
    };
    stage.said().into_iter().filter_map(length).collect()
}

#[test]
fn a_message_has_as_many_entries_as_fit_and_one_that_is_larger_goes_alone() {
    let mut stage = leader();
    let propose = |stage: &mut Stage, txn: &Arc<Txn>| {
        stage.replica.propose(Arc::clone(txn)).expect("a position");
        stage.gather();
    };
    (0..3).for_each(|_| propose(&mut stage, &txn()));
    stage.drain();
    assert_eq!(lengths(&mut stage), [3]);
    let of_kib = |kib: usize| txn_of_bytes(kib * 1024);
    for kib in [100, 100, 100, 300, 100] {
        propose(&mut stage, &of_kib(kib));
    }
    stage.drain();
    assert_eq!(lengths(&mut stage), [2, 1, 1, 1]);
}

#[test]
fn what_was_sent_on_a_link_that_broke_is_sent_again() {
    let mut stage = leader();
    stage.propose();
    assert_eq!(stage.words(), [(TWO, "append"), (THREE, "append")]);
    stage.replica.peer_lost(stage.now, TWO);
    stage.replica.peer_joined(TWO, directory(TWO));
    stage.gather();
    stage.said();
    stage.drain();
    assert_eq!(stage.words(), [(TWO, "append")]);
}

/// Others may have what its disk refused: it must not use those positions again.
#[test]
fn a_leader_of_others_leaves_its_epoch_when_its_disk_is_full() {
    let mut stage = leader();
    stage.replica.propose(txn()).expect("a position");
    stage.gather();
    stage.refuse_one();
    assert_eq!(stage.replica.part(), Part::Looking);
    assert_eq!(stage.words(), [(THREE, "succeed")]);
}

#[test]
fn a_leader_counts_who_follows_and_who_has_everything() {
    let mut stage = leader();
    let counts = |stage: &Stage| {
        let followers = stage.replica.followers();
        (followers.voters, followers.synced, followers.learners)
    };
    assert_eq!(counts(&stage), (2, 2, 0));
    let zxid = stage.propose();
    assert_eq!(counts(&stage), (2, 0, 0));
    stage.appended(TWO, zxid);
    assert_eq!(counts(&stage), (2, 1, 0));
    let mut members = stage.replica.membership().clone();
    members.voters.remove(&THREE);
    members.learners.insert(THREE);
    stage.change(members);
    assert_eq!(counts(&stage), (1, 1, 1));
    stage.replica.peer_lost(stage.now, TWO);
    stage.gather();
    assert_eq!(counts(&stage), (0, 0, 1));
}

#[test]
fn a_barrier_is_set_when_a_quorum_has_answered_a_later_beat() {
    let mut stage = leader();
    stage.replica.barrier_asked(TWO, 9);
    stage.gather();
    assert_eq!(barriers(&mut stage), []);
    stage.drain();
    let round = stage.said().iter().find_map(|(_, message)| match message {
        Message::Beat { round, .. } => Some(*round),
        _ => None,
    });
    let round = round.expect("a beat for the barrier");
    beaten(&mut stage, THREE, round - 1);
    assert_eq!(barriers(&mut stage), []);
    beaten(&mut stage, THREE, round);
    assert_eq!(barriers(&mut stage), [(TWO, 9)]);
}

#[test]
fn the_successor_is_named_once_and_when_it_has_everything() {
    let mut stage = leader();
    let zxid = stage.propose();
    stage.appended(TWO, zxid);
    let last = stage.propose();
    stage.said();
    stage.replica.hand_over(stage.now);
    stage.drain();
    let named =
        |words: &[(ServerId, &str)]| words.iter().filter(|word| word.1 == "succeed").count();
    assert_eq!(named(&stage.words()), 0);
    assert!(!stage.replica.can_propose(stage.now));
    stage.appended(TWO, last);
    stage.drain();
    assert_eq!(named(&stage.words()), 1);
    stage.drain();
    assert_eq!(named(&stage.words()), 0);
}

#[test]
fn a_leader_that_nobody_answers_leads_no_more() {
    let mut stage = leader();
    stage.wait(ELECTION);
    stage.ring(Alarm::Quorum);
    assert_eq!(stage.replica.part(), Part::Leader, "both had answered");
    let round = 1;
    beaten(&mut stage, TWO, round);
    stage.wait(ELECTION);
    stage.ring(Alarm::Quorum);
    assert_eq!(
        stage.replica.part(),
        Part::Leader,
        "one of them has answered"
    );
    stage.wait(ELECTION);
    stage.ring(Alarm::Quorum);
    assert_eq!(stage.replica.part(), Part::Looking);
}

#[test]
fn members_change_in_two_steps_and_one_change_at_a_time() {
    let mut stage = leader();
    let none = BTreeSet::new();
    let same = stage.replica.reconfigured(&[ME, TWO, THREE].into(), &none);
    assert_eq!(same.expect("a membership").incoming, None);
    let voters = Voters::from([ME, TWO]);
    let joint = stage.replica.reconfigured(&voters, &[THREE].into());
    let joint = joint.expect("a membership");
    assert_eq!(joint.voters, [ME, TWO, THREE].into());
    assert_eq!(joint.incoming, Some(voters.clone()));
    assert_eq!(joint.learners, [THREE].into());
    assert!(joint.knows(THREE, directory(THREE)));
    // Nobody knows yet which directory speaks for a fourth: it does not count before it has one.
    let four = ServerId(4);
    let unknown = stage.replica.reconfigured(&[ME, TWO, four].into(), &none);
    let unknown = unknown.expect("two of three are there");
    assert!(!unknown.directories.contains_key(&four));
    let strangers = stage.replica.reconfigured(&[ME, four].into(), &none);
    assert_eq!(strangers, None, "one of two is no quorum");
    let nobody = Voters::default();
    assert_eq!(stage.replica.reconfigured(&nobody, voters.servers()), None);
    assert_eq!(stage.replica.settled(), None);
    stage.change(joint);
    let settled = stage.replica.settled().expect("the second half");
    assert_eq!((&settled.voters, &settled.incoming), (&voters, &None));
    assert_eq!(stage.replica.reconfigured(&voters, &none), None);
    stage.change(settled);
    assert_eq!(stage.replica.settled(), None);
    assert!(stage.replica.reconfigured(&voters, &none).is_some());
}

/// The disk has something else to do between the two refusals.
#[test]
fn a_ballot_that_is_asked_for_between_two_refusals_is_saved() {
    let mut stage = leader();
    let last = stage.replica.last();
    for _ in 0..2 {
        stage.replica.propose(txn()).expect("a position");
    }
    stage.gather();
    stage.refuse_one();
    assert_ne!(stage.replica.part(), Part::Leader);
    stage.append(TWO, 2, last, &[]);
    assert!(!stage.replica.can_append(stage.now));
    stage.refuse_one();
    stage.wait(ELECTION);
    assert!(
        stage.replica.can_append(stage.now),
        "the ballot follows them"
    );
    stage.append(TWO, 2, last, &[at(2, 0)]);
    stage.save_all();
    assert_eq!(stage.replica.last(), at(2, 0));
}

/// Nobody else has seen what its disk refused.
#[test]
fn who_is_alone_goes_on_after_a_full_disk_if_its_epoch_is_open() {
    let mut stage = Stage::of(founded_by(&[ME]));
    let lead = |stage: &mut Stage| {
        stage.ring(Alarm::Election);
        stage.save_all();
        assert_eq!(stage.replica.part(), Part::Leader);
        let opening = stage.replica.open_epoch(Txn::clone(&txn()));
        stage.gather();
        opening
    };
    lead(&mut stage);
    stage.refuse_one();
    assert_ne!(stage.replica.part(), Part::Leader, "the epoch has no log");
    stage.wait(ELECTION);
    let opening = lead(&mut stage);
    stage.save_all();
    let refused = stage.replica.propose(txn()).expect("a position");
    stage.gather();
    stage.refuse_one();
    assert_eq!(stage.replica.last(), opening);
    assert_eq!(stage.replica.part(), Part::Leader);
    assert_eq!(stage.replica.propose(txn()), Some(refused));
}

/// It may leave only when the others are agreed that it is no member: until then it may be needed.
#[test]
fn a_leader_that_is_no_voter_any_more_leaves_when_that_is_executed() {
    let mut stage = leader();
    let joint = stage
        .replica
        .reconfigured(&[TWO, THREE].into(), &BTreeSet::new());
    stage.change(joint.expect("a membership"));
    stage.replica.leave_if_removed(stage.now);
    assert_eq!(stage.replica.part(), Part::Leader);
    let settled = stage.replica.settled().expect("the second half");
    let zxid = stage
        .replica
        .propose(change_to(settled))
        .expect("a position");
    stage.gather();
    stage.save_all();
    stage.replica.leave_if_removed(stage.now);
    assert_eq!(stage.replica.part(), Part::Leader, "nobody else has it");
    for server in [TWO, THREE] {
        stage.appended(server, zxid);
    }
    while stage.replica.take_committed().is_some() {}
    stage.said();
    stage.replica.leave_if_removed(stage.now);
    stage.gather();
    assert_eq!(stage.replica.part(), Part::Looking);
    let named = stage.words();
    assert!(named.iter().any(|word| word.1 == "succeed"), "{named:?}");
}
