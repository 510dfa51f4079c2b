//! How a server follows: entries, cuts, refusals of a full disk, and a snapshot in pieces.

use alloc::vec::Vec;

use super::{BEAT, ELECTION, ME, Stage, THREE, TWO, at, change_to, founded_by};
use crate::ids::{DirectoryId, Epoch, Zxid};
use crate::membership::Membership;
use crate::quorum::act::{Act, Alarm};
use crate::quorum::log::{Record, Standing};
use crate::quorum::message::{Extent, Message};
use crate::store::txn::Entry;
use crate::time::Duration;

/// Up to where it says that its log is the leader's and durable.
fn said_durable(stage: &mut Stage) -> Vec<Zxid> {
    let durable = |(_, message)| match message {
        Message::Appended { durable, .. } => Some(durable),
        _ => None,
    };
    stage.said().into_iter().filter_map(durable).collect()
}

/// The offset at which it wants to go on, if it asks for a piece.
fn asked_offset(stage: &mut Stage) -> Option<u64> {
    let taken = |(_, message)| match message {
        Message::ChunkTaken { offset, .. } => Some(offset),
        _ => None,
    };
    stage.said().into_iter().find_map(taken)
}

/// Offsets of the pieces that are to be stored.
fn taken(stage: &mut Stage) -> Vec<u64> {
    let offset = |act| match act {
        Act::TakeChunk { offset, .. } => Some(offset),
        _ => None,
    };
    core::mem::take(&mut stage.other)
        .into_iter()
        .filter_map(offset)
        .collect()
}

#[test]
fn entries_are_saved_in_order_under_tickets_of_their_own() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[at(1, 2), at(1, 3), at(1, 4)]);
    let tickets: Vec<u64> = stage
        .saving
        .iter()
        .map(|(ticket, _)| ticket.number)
        .collect();
    assert!(tickets.is_sorted_by(|a, b| a < b), "{tickets:?}");
    // What follows the log cuts nothing.
    let is_entry = |record: &Record| matches!(record, Record::Entry(_));
    assert!(stage.saving.iter().all(|(_, record)| is_entry(record)));
    assert_eq!(stage.saving.len(), 3);
}

#[test]
fn what_is_new_is_confirmed_when_it_is_durable_and_what_is_known_at_once() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(said_durable(&mut stage), []);
    stage.save_all();
    stage.drain();
    assert_eq!(said_durable(&mut stage), [at(1, 2)]);
    // It is asked again, since the answer may be lost.
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(said_durable(&mut stage), [at(1, 2)]);
    // And nobody asks: it says nothing.
    stage.drain();
    assert_eq!(said_durable(&mut stage), []);
}

/// What a deposed leader left is not confirmed to its successor when it becomes durable late.
#[test]
fn a_late_save_of_what_was_cut_confirms_nothing() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[at(1, 2), at(1, 3), at(1, 4)]);
    stage.append(THREE, 2, at(1, 2), &[at(2, 0)]);
    stage.said();
    let mut confirmed = Vec::new();
    while !stage.saving.is_empty() {
        stage.save_one();
        stage.drain();
        confirmed.extend(said_durable(&mut stage));
    }
    let left = |zxid: &&Zxid| [at(1, 3), at(1, 4)].contains(zxid);
    assert_eq!(confirmed.iter().find(left), None, "{confirmed:?}");
    assert_eq!(confirmed.last(), Some(&at(2, 0)));
}

#[test]
fn a_full_disk_takes_nothing_for_a_while() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[at(1, 2), at(1, 3)]);
    stage.refuse_one();
    assert_eq!(stage.replica.last(), at(1, 1));
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(stage.replica.last(), at(1, 1), "a refusal is still to come");
    stage.refuse_one();
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(stage.replica.last(), at(1, 1), "the disk was full just now");
    stage.wait(Duration::from_millis(500));
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(stage.replica.last(), at(1, 2));
}

#[test]
fn a_snapshot_is_taken_piece_by_piece_and_gone_on_with() {
    let mut stage = Stage::founded();
    stage.chunk(0, Extent::More);
    assert_eq!(taken(&mut stage), [0]);
    // One piece at a time.
    stage.chunk(0, Extent::More);
    assert_eq!(taken(&mut stage), []);
    stage.replica.chunk_taken(at(1, 9), 10);
    stage.gather();
    assert_eq!(asked_offset(&mut stage), Some(10));
    // A piece comes twice: it goes on with what it has.
    stage.chunk(0, Extent::More);
    assert_eq!(taken(&mut stage), []);
    assert_eq!(asked_offset(&mut stage), Some(10));
    stage.chunk(10, Extent::Last);
    assert_eq!(taken(&mut stage), [10]);
}

#[test]
fn a_refused_piece_begins_the_snapshot_anew_after_a_while() {
    let mut stage = Stage::founded();
    stage.chunk(0, Extent::More);
    stage.replica.chunk_taken(at(1, 9), 10);
    stage.gather();
    stage.chunk(10, Extent::More);
    stage.replica.chunk_refused(stage.now, at(1, 9));
    stage.gather();
    taken(&mut stage);
    stage.said();
    stage.chunk(0, Extent::More);
    assert_eq!(taken(&mut stage), [], "the disk was full just now");
    stage.wait(Duration::from_millis(500));
    stage.chunk(10, Extent::More);
    assert_eq!(taken(&mut stage), []);
    assert_eq!(asked_offset(&mut stage), Some(0));
}

#[test]
fn who_installs_a_snapshot_takes_no_entries_and_does_not_stand() {
    let mut stage = Stage::founded();
    stage.chunk(0, Extent::More);
    assert!(stage.is_armed(Alarm::Election));
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    assert_eq!(stage.replica.last(), at(1, 2));
    stage.replica.chunk_taken(at(1, 9), 10);
    stage.gather();
    stage.chunk(10, Extent::Last);
    assert!(!stage.is_armed(Alarm::Election));
    stage.append(TWO, 1, at(1, 2), &[at(1, 3)]);
    assert_eq!(stage.replica.last(), at(1, 2));
    stage.save_all();
    let members = Membership::clone(stage.replica.membership());
    stage.replica.installed(at(1, 9), members);
    stage.said();
    stage.drain();
    assert_eq!(said_durable(&mut stage), [at(1, 9)]);
    assert!(stage.is_armed(Alarm::Election));
}

/// Gossip may err: who was heard of a moment ago is not given up for its word.
#[test]
fn a_leader_that_is_heard_is_not_given_up_for_a_rumour() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[]);
    stage.replica.suspected(stage.now, TWO);
    stage.gather();
    let soon = |stage: &Stage| {
        let stands_at = stage.time_of(Alarm::Election).expect("it may stand");
        stands_at.since(stage.now.clock) < Duration::from_millis(21)
    };
    assert!(!soon(&stage));
    stage.wait(BEAT * 3);
    assert!(BEAT * 3 < ELECTION);
    stage.replica.suspected(stage.now, TWO);
    stage.gather();
    assert!(soon(&stage));
}

/// The leader of epoch 1 sends an entry that changes the members; it is not agreed yet.
fn append_change(stage: &mut Stage, counter: u32, membership: Membership) {
    let append = Message::Append {
        epoch: Epoch(1),
        previous: at(1, counter - 1),
        entries: alloc::vec![Entry {
            zxid: at(1, counter),
            txn: change_to(membership),
        }],
        committed: at(1, 1),
    };
    stage.hear(TWO, append);
}

#[test]
fn members_that_a_deposed_leader_wanted_are_forgotten() {
    let mut stage = Stage::founded();
    let before = Membership::clone(stage.replica.membership());
    let mut wanted = before.clone();
    wanted.incoming = Some([ME, TWO].into());
    append_change(&mut stage, 2, wanted.clone());
    assert_eq!(stage.replica.membership(), &wanted);
    stage.append(THREE, 2, at(1, 1), &[at(2, 0)]);
    assert_eq!(stage.replica.membership(), &before);
}

/// A server whose data directory was lost speaks again when the executed state names the new one.
#[test]
fn only_a_directory_that_the_members_name_is_admitted() {
    let mut beginning = founded_by(&[ME, TWO, THREE]);
    beginning.directory = DirectoryId(11);
    beginning.ballot.standing = Standing::Stranger;
    let mut named = beginning.membership.clone();
    named.directories.insert(ME, DirectoryId(11));
    let mut stage = Stage::of(beginning);
    stage.append(TWO, 1, at(1, 1), &[at(1, 2)]);
    let admissions = |stage: &mut Stage| {
        stage.save_all();
        while stage.replica.take_committed().is_some() {}
        stage.gather();
        let admits = |record: &Record| matches!(record, Record::Ballot(ballot) if ballot.standing == Standing::Admitted);
        stage
            .saving
            .iter()
            .filter(|(_, record)| admits(record))
            .count()
    };
    stage.beat(TWO, 1, at(1, 2));
    assert_eq!(admissions(&mut stage), 0);
    append_change(&mut stage, 3, named);
    stage.beat(TWO, 1, at(1, 3));
    assert_eq!(admissions(&mut stage), 1);
}
