//! Voters in groups and with weights: wherever votes and answers are counted, it is by these.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::{ELECTION, ME, Stage, THREE, TWO, blank, founded_by, txn};
use crate::ids::{Epoch, ServerId, Zxid};
use crate::quorum::act::{Alarm, Part};
use crate::quorum::log::Standing;
use crate::quorum::message::{Ballotting, Cause, Message, Vote};
use crate::quorum::replica::Beginning;
use crate::store::txn::Txn;
use crate::voters::{Share, Voters};

/// Servers 1, 2 and 3, each with its group and weight.
fn grouped(shares: [(u32, u32); 3]) -> Voters {
    let of = |(server, (group, weight))| (server, Share { group, weight });
    let shares: BTreeMap<ServerId, Share> =
        [ME, TWO, THREE].into_iter().zip(shares).map(of).collect();
    Voters::in_groups(shares)
}

fn founded_as(voters: Voters) -> Beginning {
    let mut beginning = founded_by(&[ME, TWO, THREE]);
    beginning.first = voters.clone();
    beginning.membership.voters = voters;
    beginning
}

/// Servers 1 and 2 are in a group, where 1 outweighs 2, and 3 is in another: 1 and 3 decide.
fn uneven() -> Voters {
    grouped([(1, 2), (1, 1), (2, 1)])
}

/// Server 1, which leads epoch 2 of the uneven ensemble.
fn leader() -> Stage {
    let mut stage = Stage::of(founded_as(uneven()));
    stage.canvass();
    stage.voted(THREE, 2, Ballotting::Trial, Vote::Given);
    stage.save_all();
    stage.voted(THREE, 2, Ballotting::Real, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Leader);
    let opening = stage.replica.open_epoch(Txn::clone(&txn()));
    stage.gather();
    stage.save_all();
    stage.drain();
    stage.appended(THREE, opening);
    assert_eq!(stage.replica.committed(), opening);
    stage
}

#[test]
fn votes_are_counted_by_groups() {
    let mut stage = Stage::of(founded_as(uneven()));
    stage.canvass();
    stage.voted(TWO, 2, Ballotting::Trial, Vote::Given);
    assert_eq!(
        stage.replica.part(),
        Part::Canvasser,
        "two of three, one of two groups"
    );
    stage.voted(THREE, 2, Ballotting::Trial, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Candidate);
    stage.save_all();
    stage.voted(TWO, 2, Ballotting::Real, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Candidate);
    stage.voted(THREE, 2, Ballotting::Real, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Leader);
}

#[test]
fn the_log_is_agreed_by_groups() {
    let mut stage = leader();
    let before = stage.replica.committed();
    let zxid = stage.propose();
    stage.appended(TWO, zxid);
    assert_eq!(
        stage.replica.committed(),
        before,
        "two of three, one of two groups"
    );
    stage.appended(THREE, zxid);
    assert_eq!(stage.replica.committed(), zxid);
}

#[test]
fn a_leader_stays_as_long_as_its_groups_answer() {
    let mut stage = leader();
    stage.wait(ELECTION);
    stage.ring(Alarm::Quorum);
    assert_eq!(stage.replica.part(), Part::Leader, "server 3 had answered");
    stage.appended(TWO, Zxid::ZERO);
    stage.wait(ELECTION);
    stage.ring(Alarm::Quorum);
    assert_eq!(
        stage.replica.part(),
        Part::Looking,
        "server 2 alone does not matter"
    );
}

#[test]
fn who_has_no_weight_neither_stands_nor_is_asked_nor_succeeds() {
    let weightless = || grouped([(1, 0), (1, 1), (1, 1)]);
    let mut stage = Stage::of(founded_as(weightless()));
    assert!(!stage.is_armed(Alarm::Election));
    let asked = Message::Succeed {
        epoch: stage.replica.epoch(),
    };
    stage.append(TWO, 1, Zxid::ZERO, &[]);
    stage.hear(TWO, asked);
    assert_eq!(stage.replica.part(), Part::Follower);
    let mut stage = Stage::of(founded_as(grouped([(1, 1), (1, 0), (1, 1)])));
    stage.canvass();
    assert_eq!(stage.words(), [(THREE, "vote-asked")]);
    stage.voted(TWO, 2, Ballotting::Trial, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Canvasser, "its vote is no vote");
    stage.voted(THREE, 2, Ballotting::Trial, Vote::Given);
    stage.save_all();
    stage.voted(THREE, 2, Ballotting::Real, Vote::Given);
    stage.replica.open_epoch(Txn::clone(&txn()));
    stage.gather();
    stage.save_all();
    stage.drain();
    let opening = stage.replica.last();
    stage.appended(TWO, opening);
    assert!(
        stage.replica.committed() < opening,
        "nor is what it has saved"
    );
    stage.said();
    // It has everything, and the other does not; yet it is not chosen.
    stage.replica.hand_over(stage.now);
    stage.appended(THREE, opening);
    stage.drain();
    let named: Vec<_> = stage.words();
    assert!(named.contains(&(THREE, "succeed")), "{named:?}");
    assert!(!named.contains(&(TWO, "succeed")), "{named:?}");
}

#[test]
fn a_founder_without_weight_greets_until_others_have_founded() {
    let mut stage = Stage::of(Beginning {
        first: grouped([(1, 0), (1, 1), (1, 1)]),
        ..blank()
    });
    for server in [TWO, THREE] {
        let greeting = Message::Greeting {
            epoch: Epoch(0),
            last: Zxid::ZERO,
            standing: Standing::Stranger,
        };
        stage.hear(server, greeting);
    }
    assert!(
        !stage.replica.membership().is_empty(),
        "it knows the founders"
    );
    stage.said();
    stage.ring(Alarm::Election);
    assert_eq!(stage.words(), [(TWO, "greeting"), (THREE, "greeting")]);
    let asked = Message::VoteAsked {
        epoch: Epoch(1),
        ballotting: Ballotting::Trial,
        cause: Cause::Silence,
        last: Zxid::ZERO,
        standing: Standing::Stranger,
    };
    stage.hear(TWO, asked);
    assert!(stage.is_armed(Alarm::Election), "nobody leads yet");
}

#[test]
fn a_change_of_weights_alone_is_a_change_of_who_decides() {
    let stage = leader();
    let none = BTreeSet::new();
    let same = stage.replica.reconfigured(&uneven(), &none);
    assert_eq!(same.expect("a membership").incoming, None);
    let even = Voters::from([ME, TWO, THREE]);
    let joint = stage
        .replica
        .reconfigured(&even, &none)
        .expect("a membership");
    assert_eq!(joint.voters, uneven());
    assert_eq!(joint.incoming, Some(even));
    let with_two = |server: ServerId| [ME, TWO].contains(&server);
    assert!(
        !joint.is_quorum(with_two),
        "by the old groups it decides nothing"
    );
    assert!(joint.is_quorum(|server| [ME, THREE].contains(&server)));
}

#[test]
fn who_is_to_decide_must_be_there_by_groups() {
    let stage = leader();
    let none = BTreeSet::new();
    // Server 2 has answered nothing yet.
    let needs_two = grouped([(1, 1), (2, 1), (2, 0)]);
    assert_eq!(stage.replica.reconfigured(&needs_two, &none), None);
    let needs_one = grouped([(1, 1), (1, 1), (1, 0)]);
    assert_eq!(stage.replica.reconfigured(&needs_one, &none), None);
    let does_without = grouped([(1, 1), (1, 0), (2, 1)]);
    assert!(stage.replica.reconfigured(&does_without, &none).is_some());
    let stranger = Voters::from([ServerId(8), ServerId(9)]);
    assert_eq!(stage.replica.reconfigured(&stranger, &none), None);
}

/// Its weight goes while it leads: it leaves when that is agreed.
#[test]
fn a_leader_that_loses_its_weight_leaves() {
    let mut stage = leader();
    let weightless = grouped([(1, 0), (1, 1), (2, 1)]);
    let zxid = stage.replica.last();
    stage.appended(TWO, zxid);
    let joint = stage.replica.reconfigured(&weightless, &BTreeSet::new());
    stage.change(joint.expect("both others are there"));
    stage.replica.leave_if_removed(stage.now);
    assert_eq!(stage.replica.part(), Part::Leader, "the change is not done");
    let settled = stage.replica.settled().expect("the second half");
    stage.change(settled);
    stage.replica.leave_if_removed(stage.now);
    stage.gather();
    assert_eq!(stage.replica.part(), Part::Looking);
    assert!(stage.replica.membership().is_voter(ME), "in name");
}
