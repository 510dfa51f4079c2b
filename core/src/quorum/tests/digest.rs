//! A server's digest: another one after each step that decides what it does later.

use alloc::vec::Vec;

use super::{BEAT, ME, Stage, THREE, TWO, at, blank, txn};
use crate::ids::{DirectoryId, Epoch, Zxid};
use crate::quorum::act::Alarm;
use crate::quorum::message::{Ballotting, Extent, Message, Vote};
use crate::store::txn::Txn;

/// The digests along a story.
struct Digests(Vec<Vec<u8>>);

impl Digests {
    fn step(&mut self, stage: &Stage) {
        let mut digest = Vec::new();
        stage
            .replica
            .digest_into(|bytes| digest.extend_from_slice(bytes));
        self.0.push(digest);
    }
}

/// It is elected, leads, hands over, follows another, and its disk is full.
fn leads() -> Vec<Vec<u8>> {
    let mut stage = Stage::founded();
    let mut digests = Digests(Vec::new());
    digests.step(&stage);
    for _ in 0..2 {
        stage.ring(Alarm::Election);
        digests.step(&stage);
    }
    stage.voted(THREE, 2, Ballotting::Trial, Vote::Given);
    digests.step(&stage);
    stage.save_all();
    digests.step(&stage);
    stage.voted(TWO, 2, Ballotting::Real, Vote::Given);
    digests.step(&stage);
    let opening = stage.replica.open_epoch(Txn::clone(&txn()));
    stage.gather();
    digests.step(&stage);
    stage.save_all();
    digests.step(&stage);
    stage.drain();
    digests.step(&stage);
    stage.appended(TWO, at(1, 1));
    digests.step(&stage);
    stage.appended(TWO, opening);
    digests.step(&stage);
    stage.replica.take_committed();
    digests.step(&stage);
    stage.replica.snapshot_made(opening);
    digests.step(&stage);
    stage.replica.barrier_asked(ME, 3);
    digests.step(&stage);
    stage.ring(Alarm::Beat);
    digests.step(&stage);
    stage.replica.hand_over(stage.now);
    digests.step(&stage);
    stage.append(TWO, 3, opening, &[at(3, 0)]);
    digests.step(&stage);
    stage.wait(BEAT);
    stage.refuse_one();
    digests.step(&stage);
    digests.0
}

/// It takes a snapshot in two pieces, and loses its links.
fn takes_a_snapshot() -> Vec<Vec<u8>> {
    let mut stage = Stage::founded();
    let mut digests = Digests(Vec::new());
    stage.append(TWO, 1, at(1, 1), &[]);
    digests.step(&stage);
    for (offset, extent) in [(0, Extent::More), (10, Extent::Last)] {
        stage.chunk(offset, extent);
        digests.step(&stage);
        if extent == Extent::More {
            stage.replica.chunk_taken(at(1, 9), 10);
            stage.gather();
            digests.step(&stage);
        }
    }
    stage.replica.peer_joined(THREE, DirectoryId(33));
    digests.step(&stage);
    stage.replica.peer_lost(stage.now, THREE);
    digests.step(&stage);
    stage.replica.peer_lost(stage.now, TWO);
    digests.step(&stage);
    digests.0
}

/// It begins with nothing, and says so to its leader.
fn begins() -> Vec<Vec<u8>> {
    let mut stage = Stage::of(blank());
    let mut digests = Digests(Vec::new());
    digests.step(&stage);
    let append = Message::Append {
        epoch: Epoch(1),
        previous: Zxid::ZERO,
        entries: Vec::new(),
        committed: Zxid::ZERO,
    };
    stage.hear(TWO, append);
    digests.step(&stage);
    stage.drain();
    digests.step(&stage);
    stage.append(TWO, 1, Zxid::ZERO, &[at(1, 0)]);
    digests.step(&stage);
    digests.0
}

#[test]
fn every_step_that_matters_changes_it() {
    for story in [leads, takes_a_snapshot, begins] {
        let digests = story();
        for (number, digest) in digests.iter().enumerate() {
            let same = digests[..number].iter().position(|before| before == digest);
            assert_eq!(same, None, "step {number}");
        }
        assert_eq!(digests, story(), "the same story again");
    }
}
