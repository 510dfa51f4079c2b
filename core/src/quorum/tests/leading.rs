//! How a server leads: what it counts as agreed, whom it sends what, and how it hands over.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{BEAT, ELECTION, ME, Stage, THREE, TWO, at, directory};
use crate::ids::{Epoch, ServerId, Zxid};
use crate::quorum::act::{Act, Alarm, Part};
use crate::quorum::log::Standing;
use crate::quorum::message::Message;

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

/// To whom pieces of a snapshot are to be read, and from where.
fn reads(stage: &mut Stage) -> Vec<(ServerId, u64)> {
    let read = |act| match act {
        Act::ReadChunk { to, offset, .. } => Some((to, offset)),
        _ => None,
    };
    core::mem::take(&mut stage.other)
        .into_iter()
        .filter_map(read)
        .collect()
}

/// A leader of which server 3 needs a snapshot, of which the first piece is to be read.
fn transferring() -> Stage {
    let mut stage = leader();
    stage.replica.snapshot_made(at(2, 0));
    let again = Message::Mismatched {
        epoch: Epoch(2),
        previous: at(2, 1),
        floor: Zxid::ZERO,
    };
    // It has lost everything: another directory, which begins with nothing.
    stage
        .replica
        .peer_joined(THREE, crate::ids::DirectoryId(33));
    stage.gather();
    stage
        .replica
        .heard(stage.now, THREE, crate::ids::DirectoryId(33), again);
    stage.gather();
    stage.drain();
    stage
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
fn a_piece_of_a_snapshot_that_stays_unanswered_is_read_again() {
    let mut stage = transferring();
    assert_eq!(reads(&mut stage), [(THREE, 0)]);
    let mut beats = 0;
    while reads(&mut stage).is_empty() {
        beats += 1;
        assert!(beats < 100, "it is never read again");
        stage.ring(Alarm::Beat);
    }
    assert!(beats > 5, "it has hardly had the time to answer");
}

#[test]
fn an_old_mismatch_does_not_begin_a_snapshot_anew() {
    let mut stage = transferring();
    stage.replica.heard(
        stage.now,
        THREE,
        crate::ids::DirectoryId(33),
        Message::ChunkTaken {
            epoch: Epoch(2),
            zxid: at(2, 0),
            offset: 10,
        },
    );
    stage.gather();
    assert_eq!(reads(&mut stage), [(THREE, 0), (THREE, 10)]);
    let late = Message::Mismatched {
        epoch: Epoch(2),
        previous: at(2, 0),
        floor: Zxid::ZERO,
    };
    stage
        .replica
        .heard(stage.now, THREE, crate::ids::DirectoryId(33), late);
    stage.gather();
    stage.drain();
    assert_eq!(reads(&mut stage), []);
}

#[test]
fn who_has_installed_its_snapshot_is_sent_what_follows() {
    let mut stage = transferring();
    let zxid = stage.propose();
    stage.said();
    let appended = Message::Appended {
        epoch: Epoch(2),
        durable: at(2, 0),
        standing: Standing::Stranger,
    };
    stage
        .replica
        .heard(stage.now, THREE, crate::ids::DirectoryId(33), appended);
    stage.gather();
    stage.drain();
    let sent = stage.said();
    let has_entry = |(to, message): &(ServerId, Message)| match message {
        Message::Append { entries, .. } => {
            *to == THREE && entries.iter().any(|entry| entry.zxid == zxid)
        }
        _ => false,
    };
    assert!(sent.iter().any(has_entry), "{sent:?}");
}

#[test]
fn members_change_in_two_steps_and_one_change_at_a_time() {
    let mut stage = leader();
    let none = BTreeSet::new();
    let same = stage.replica.reconfigured(&[ME, TWO, THREE].into(), &none);
    assert_eq!(same.expect("a membership").incoming, None);
    let voters: BTreeSet<ServerId> = [ME, TWO].into();
    let joint = stage.replica.reconfigured(&voters, &[THREE].into());
    let joint = joint.expect("a membership");
    assert_eq!(joint.voters, [ME, TWO, THREE].into());
    assert_eq!(joint.incoming, Some(voters.clone()));
    assert_eq!(joint.learners, [THREE].into());
    assert!(joint.knows(THREE, directory(THREE)));
    // Nobody knows which directory speaks for a fourth.
    let unknown = stage
        .replica
        .reconfigured(&[ME, TWO, ServerId(4)].into(), &none);
    assert_eq!(unknown, None);
    assert_eq!(stage.replica.reconfigured(&none, &voters), None);
    assert_eq!(stage.replica.settled(), None);
    stage.change(joint);
    let settled = stage.replica.settled().expect("the second half");
    assert_eq!((&settled.voters, &settled.incoming), (&voters, &None));
    assert_eq!(stage.replica.reconfigured(&voters, &none), None);
    stage.change(settled);
    assert_eq!(stage.replica.settled(), None);
    assert!(stage.replica.reconfigured(&voters, &none).is_some());
}
