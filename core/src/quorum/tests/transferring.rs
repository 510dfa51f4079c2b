//! How a leader brings somebody a snapshot whose log ends before the leader's begins.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Stage, THREE, TWO, at, txn_of_bytes};
use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};
use crate::quorum::act::{Act, Alarm};
use crate::quorum::log::Standing;
use crate::quorum::message::{Extent, Message};

/// What server 3 has after it lost everything.
const BLANK: DirectoryId = DirectoryId(33);

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
    let mut stage = Stage::founded();
    stage.lead();
    stage.replica.snapshot_made(at(2, 0));
    lose_down_to(&mut stage, Zxid::ZERO);
    stage
}

/// Server 3 has another directory, whose log ends here.
fn lose_down_to(stage: &mut Stage, end: Zxid) {
    let again = Message::Mismatched {
        epoch: Epoch(2),
        previous: at(2, 1),
        floor: end,
    };
    stage.replica.peer_joined(THREE, BLANK);
    stage.gather();
    stage.hear_with(THREE, BLANK, again);
    stage.drain();
}

/// Is a snapshot to be made first?
fn wants_snapshot(stage: &mut Stage) -> bool {
    let other = core::mem::take(&mut stage.other);
    let makes = other.iter().any(|act| matches!(act, Act::MakeSnapshot));
    assert!(!makes || other.len() == 1, "{other:?}");
    makes
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

/// What was sent on the old link may be lost.
#[test]
fn who_comes_back_is_sent_the_piece_again_at_the_next_beat() {
    let mut stage = transferring();
    assert_eq!(reads(&mut stage), [(THREE, 0)]);
    stage.replica.peer_lost(stage.now, THREE);
    stage.replica.peer_joined(THREE, BLANK);
    stage.ring(Alarm::Beat);
    assert_eq!(reads(&mut stage), [(THREE, 0)]);
    stage.ring(Alarm::Beat);
    assert_eq!(reads(&mut stage), []);
}

#[test]
fn a_piece_that_was_read_is_sent_if_it_is_the_one_that_is_due() {
    let mut stage = transferring();
    stage.said();
    let mut read = |zxid: Zxid, offset: u64| {
        let bytes = alloc::vec![1; 10];
        stage
            .replica
            .chunk_read(THREE, zxid, offset, bytes, Extent::More);
        stage.gather();
        stage.words()
    };
    assert_eq!(read(at(2, 0), 10), []);
    assert_eq!(read(at(1, 1), 0), []);
    assert_eq!(read(at(2, 0), 0), [(THREE, "chunk")]);
}

#[test]
fn an_old_mismatch_does_not_begin_a_snapshot_anew() {
    let mut stage = transferring();
    stage.hear_with(
        THREE,
        BLANK,
        Message::ChunkTaken {
            epoch: Epoch(2),
            zxid: at(2, 0),
            offset: 10,
        },
    );
    assert_eq!(reads(&mut stage), [(THREE, 0), (THREE, 10)]);
    let late = Message::Mismatched {
        epoch: Epoch(2),
        previous: at(2, 0),
        floor: Zxid::ZERO,
    };
    stage.hear_with(THREE, BLANK, late);
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
    stage.hear_with(THREE, BLANK, appended);
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
fn a_snapshot_that_is_gone_is_made_anew() {
    let mut stage = transferring();
    assert_eq!(reads(&mut stage), [(THREE, 0)]);
    stage.replica.chunk_missed(THREE, at(2, 0));
    stage.gather();
    assert!(wants_snapshot(&mut stage));
    // Until it is there, nothing can be read.
    stage.ring(Alarm::Beat);
    stage.drain();
    assert_eq!(reads(&mut stage), []);
    stage.propose();
    stage.replica.snapshot_made(at(2, 1));
    stage.replica.transfer_waiting();
    stage.gather();
    assert_eq!(reads(&mut stage), [(THREE, 0)]);
    // That the first one is gone is old news now.
    stage.replica.chunk_missed(THREE, at(2, 0));
    stage.gather();
    assert!(!wants_snapshot(&mut stage));
}

/// The leader, whose newest snapshot is at the beginning of its epoch, and what follows: so many
/// transactions of a mebibyte, agreed and executed.
fn with_mebibytes(count: usize) -> Stage {
    let mut stage = Stage::founded();
    stage.lead();
    stage.replica.snapshot_made(at(2, 0));
    let large = txn_of_bytes(1024 * 1024);
    for _ in 0..count {
        let txn = Arc::clone(&large);
        let zxid = stage.replica.propose(txn).expect("a position");
        stage.gather();
        stage.save_all();
        stage.drain();
        for server in [TWO, THREE] {
            stage.appended(server, zxid);
        }
        while stage.replica.take_committed().is_some() {}
        stage.replica.trim();
        stage.gather();
    }
    stage.said();
    stage
}

#[test]
fn who_is_a_little_behind_is_sent_entries() {
    let mut stage = with_mebibytes(12);
    lose_down_to(&mut stage, at(2, 0));
    assert!(!wants_snapshot(&mut stage));
    let appends = |word: &(ServerId, &str)| *word == (THREE, "append");
    assert!(stage.words().iter().any(appends));
}

/// What follows a snapshot must be in memory, or who has taken it is as far behind as before.
#[test]
fn a_snapshot_that_is_older_than_the_log_in_memory_will_not_do() {
    let mut stage = with_mebibytes(20);
    lose_down_to(&mut stage, at(2, 0));
    assert!(wants_snapshot(&mut stage));
}
