//! How a server votes and stands.

use alloc::vec::Vec;

use super::{ELECTION, Stage, THREE, TWO, at, blank, directory};
use crate::ids::{DirectoryId, Epoch, ServerId, Zxid};
use crate::quorum::act::{Alarm, Part};
use crate::quorum::log::{Record, Standing};
use crate::quorum::message::{Ballotting, Cause, Message, Vote};
use crate::time::Duration;

/// How it answers a trial vote of server 3 for epoch 2.
fn trial(stage: &mut Stage, cause: Cause) -> Vote {
    let asked = Message::VoteAsked {
        epoch: Epoch(2),
        ballotting: Ballotting::Trial,
        cause,
        last: at(1, 1),
        standing: Standing::Stranger,
    };
    stage.hear(THREE, asked);
    match stage.said().as_slice() {
        [(THREE, Message::Voted { vote, .. })] => *vote,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_hears_a_leader_deposes_nobody() {
    let mut stage = Stage::founded();
    assert_eq!(trial(&mut stage, Cause::Silence), Vote::Given);
    stage.append(TWO, 1, at(1, 1), &[]);
    stage.sent.clear();
    assert_eq!(trial(&mut stage, Cause::Silence), Vote::Denied);
    // The leader itself wants it.
    assert_eq!(trial(&mut stage, Cause::Succession), Vote::Given);
    stage.wait(ELECTION);
    assert_eq!(trial(&mut stage, Cause::Silence), Vote::Given);
}

#[test]
fn who_has_lost_its_leader_helps_to_elect_another_at_once() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[]);
    stage.sent.clear();
    stage.replica.peer_lost(stage.now, TWO);
    stage.gather();
    assert_eq!(trial(&mut stage, Cause::Silence), Vote::Given);
    let stands_at = stage.time_of(Alarm::Election).expect("it may stand");
    assert!(stands_at.since(stage.now.clock) < Duration::from_millis(21));
}

#[test]
fn the_loss_of_another_follower_is_no_reason_to_stand() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[]);
    stage.sent.clear();
    stage.replica.peer_lost(stage.now, THREE);
    stage.gather();
    let stands_at = stage.time_of(Alarm::Election).expect("it may stand");
    assert!(stands_at.since(stage.now.clock) >= ELECTION);
}

#[test]
fn no_vote_counts_before_the_own_one_is_durable() {
    let mut stage = Stage::founded();
    stage.campaign();
    stage.said();
    for server in [TWO, THREE] {
        stage.voted(server, 2, Ballotting::Real, Vote::Given);
    }
    assert_eq!(stage.replica.part(), Part::Candidate);
    assert_eq!(stage.words(), []);
    stage.save_all();
    assert_eq!(stage.replica.part(), Part::Leader);
}

/// How it answers when somebody stands for election in epoch 2, after its own save.
fn real(stage: &mut Stage, from: ServerId) -> Vec<(ServerId, Vote)> {
    let asked = Message::VoteAsked {
        epoch: Epoch(2),
        ballotting: Ballotting::Real,
        cause: Cause::Silence,
        last: at(1, 1),
        standing: Standing::Stranger,
    };
    stage.hear(from, asked);
    stage.save_all();
    let vote = |(to, message)| match message {
        Message::Voted { vote, .. } => Some((to, vote)),
        _ => None,
    };
    stage.said().into_iter().filter_map(vote).collect()
}

#[test]
fn one_vote_is_given_in_an_epoch_and_given_again_to_who_has_it() {
    let mut stage = Stage::founded();
    // Somebody told it of the epoch before it was asked.
    stage.voted(THREE, 2, Ballotting::Trial, Vote::Denied);
    assert_eq!(stage.replica.epoch(), Epoch(2));
    assert_eq!(real(&mut stage, TWO), [(TWO, Vote::Given)]);
    assert_eq!(real(&mut stage, THREE), [(THREE, Vote::Denied)]);
    assert_eq!(real(&mut stage, TWO), [(TWO, Vote::Given)]);
}

#[test]
fn a_vote_of_an_older_epoch_counts_no_more() {
    let mut stage = Stage::founded();
    stage.campaign();
    stage.save_all();
    stage.ring(Alarm::Election);
    stage.voted(TWO, 3, Ballotting::Trial, Vote::Given);
    stage.save_all();
    assert_eq!(stage.replica.epoch(), Epoch(3));
    stage.voted(TWO, 2, Ballotting::Real, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Candidate);
    stage.voted(TWO, 3, Ballotting::Real, Vote::Given);
    assert_eq!(stage.replica.part(), Part::Leader);
}

#[test]
fn a_denial_from_a_newer_epoch_tells_of_it() {
    let mut stage = Stage::founded();
    stage.canvass();
    stage.voted(THREE, 5, Ballotting::Trial, Vote::Denied);
    assert_eq!(stage.replica.epoch(), Epoch(5));
    assert_eq!(stage.replica.part(), Part::Looking);
    // It is no sign of life of a leader: this server still stands when it would have.
    let stands_at = stage.time_of(Alarm::Election).expect("it may stand");
    assert!(stands_at.since(stage.now.clock) <= ELECTION * 2);
}

#[test]
fn only_its_own_leader_names_it_the_successor() {
    let mut stage = Stage::founded();
    stage.append(TWO, 1, at(1, 1), &[]);
    stage.hear(THREE, Message::Succeed { epoch: Epoch(1) });
    assert_eq!(stage.replica.part(), Part::Follower);
    stage.hear(TWO, Message::Succeed { epoch: Epoch(1) });
    assert_eq!(stage.replica.part(), Part::Candidate);
    assert_eq!(stage.replica.epoch(), Epoch(2));
}

#[test]
fn a_server_of_an_ensemble_first_waits_and_then_asks() {
    let mut stage = Stage::founded();
    stage.ring(Alarm::Election);
    assert_eq!(
        (stage.replica.part(), stage.words()),
        (Part::Looking, alloc::vec![])
    );
    stage.ring(Alarm::Election);
    assert_eq!(stage.words(), [(TWO, "vote-asked"), (THREE, "vote-asked")]);
    // In vain: it asks again, and has no more to say to an ensemble that is founded.
    stage.ring(Alarm::Election);
    assert_eq!(stage.words(), [(TWO, "vote-asked"), (THREE, "vote-asked")]);
}

/// It has no greeting of a founder that has a log, and its disk had no space for what the leader
/// said: whom it has followed, it does not know any more.
#[test]
fn a_founder_that_forgot_it_votes_for_who_knows() {
    let mut stage = Stage::of(blank());
    for server in [TWO, THREE] {
        let greeting = Message::Greeting {
            epoch: Epoch(1),
            last: at(1, 3),
            standing: Standing::Admitted,
        };
        stage.hear(server, greeting);
    }
    stage.said();
    let mut answered = |ballotting, standing| {
        let asked = Message::VoteAsked {
            epoch: Epoch(2),
            ballotting,
            cause: Cause::Silence,
            last: at(1, 3),
            standing,
        };
        stage.hear(THREE, asked);
        let admits = |(_, record): &(_, Record)| match record {
            Record::Ballot(ballot) => ballot.standing == Standing::Admitted,
            _ => false,
        };
        let is_saved = stage.saving.iter().any(admits);
        stage.save_all();
        match stage.said().as_slice() {
            [(THREE, Message::Voted { vote, .. })] => (*vote, is_saved),
            other => panic!("{other:?}"),
        }
    };
    let (given, denied) = (Vote::Given, Vote::Denied);
    assert_eq!(
        answered(Ballotting::Trial, Standing::Stranger),
        (denied, false)
    );
    assert_eq!(
        answered(Ballotting::Real, Standing::Stranger),
        (denied, false)
    );
    assert_eq!(
        answered(Ballotting::Trial, Standing::Admitted),
        (denied, false),
        "it is in epoch 2"
    );
    assert_eq!(
        answered(Ballotting::Real, Standing::Admitted),
        (given, true)
    );
}

/// The others may have founded the ensemble with the directory that is gone, after they had voted:
/// to win by their old votes would be to found it a second time.
#[test]
fn votes_from_before_a_founder_lost_its_disk_elect_nobody() {
    for replaced in [false, true] {
        let mut stage = Stage::of(blank());
        let greeting = Message::Greeting {
            epoch: Epoch(0),
            last: Zxid::ZERO,
            standing: Standing::Stranger,
        };
        for server in [TWO, THREE] {
            stage.hear(server, greeting.clone());
        }
        stage.canvass();
        stage.voted(TWO, 1, Ballotting::Trial, Vote::Given);
        stage.save_all();
        assert_eq!(stage.replica.part(), Part::Candidate);
        let other = match replaced {
            true => DirectoryId(99),
            false => directory(THREE),
        };
        stage.replica.peer_lost(stage.now, THREE);
        stage.replica.peer_joined(THREE, other);
        stage.replica.heard(stage.now, THREE, other, greeting);
        stage.gather();
        stage.voted(TWO, 1, Ballotting::Real, Vote::Given);
        let part = match replaced {
            true => Part::Looking,
            false => Part::Leader,
        };
        assert_eq!(stage.replica.part(), part);
        if replaced {
            stage.canvass();
            stage.voted(TWO, 2, Ballotting::Trial, Vote::Given);
            stage.save_all();
            stage.voted(TWO, 1, Ballotting::Real, Vote::Given);
            assert_eq!(stage.replica.part(), Part::Candidate, "it asks anew");
            stage.voted(TWO, 2, Ballotting::Real, Vote::Given);
            assert_eq!(stage.replica.part(), Part::Leader);
        }
    }
}

/// A greeting may have been lost, and without it nobody is known to found the ensemble with.
#[test]
fn a_founder_that_asks_in_vain_greets_again() {
    let mut stage = Stage::of(blank());
    let greeting = Message::Greeting {
        epoch: Epoch(0),
        last: Zxid::ZERO,
        standing: Standing::Stranger,
    };
    let greets =
        |words: &[(ServerId, &str)]| words.iter().filter(|word| word.1 == "greeting").count();
    stage.hear(TWO, greeting.clone());
    stage.ring(Alarm::Election);
    assert_eq!(greets(&stage.words()), 2);
    stage.hear(THREE, greeting);
    stage.said();
    stage.canvass();
    assert_eq!(greets(&stage.words()), 0);
    stage.ring(Alarm::Election);
    assert_eq!(greets(&stage.words()), 2);
}
