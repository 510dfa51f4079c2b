//! Damage that only an ensemble can show: logs that differ, votes, leaders, quorums, stale servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{DirectoryId, Epoch, ServerId, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::quorum::log::Ballot;
use althing_core::store::txn::{Action, Txn};
use althing_core::voters::{Share, Voters};

use crate::check::health::FELT;
use crate::check::tests::damage::living::{expiry, saver};
use crate::check::tests::damage::places::{acknowledged, answer_of, answers, pick, places};
use crate::history::{History, Moment, What};
use crate::reference::access::{Reading, reading};

fn insert(history: &mut History, place: usize, what: What) {
    let at = history.moments[place].at;
    history.moments.insert(place, Moment { at, what });
}

fn said(server: ServerId, event: Event) -> What {
    What::Said { server, event }
}

/// Where servers save an acknowledged write, the leader first.
fn savings(history: &mut History, nth: usize) -> Option<(Zxid, Vec<usize>)> {
    let (zxid, _) = acknowledged(history, nth)?;
    let saves = |what: &What| matches!(what, What::Saving { zxid: at, .. } if *at == zxid);
    Some((zxid, places(history, saves)))
}

/// Elections after the first: place, epoch, leader.
fn elections(history: &History) -> Vec<(usize, Epoch, ServerId)> {
    let moments = history.moments.iter().enumerate();
    let all = moments.filter_map(|(place, moment)| match moment.what {
        What::Said {
            event: Event::Elected { epoch, leader },
            ..
        } => Some((place, epoch, leader)),
        _ => None,
    });
    all.skip(1).collect()
}

/// The last write that was executed before a place, and the one that many before it.
fn executed_before(history: &History, place: usize, many: usize) -> Option<(Zxid, Zxid)> {
    let mut seen = BTreeSet::new();
    for moment in &history.moments[..place] {
        if let What::Said {
            event: Event::Executed { zxid, .. },
            ..
        } = moment.what
        {
            seen.insert(zxid);
        }
    }
    let last = *seen.last()?;
    Some((last, *seen.iter().rev().nth(many)?))
}

pub fn missing_entry(history: &mut History, nth: usize) -> Option<()> {
    let (_, places) = savings(history, nth)?;
    history.moments.remove(*places.get(1)?);
    Some(())
}

pub fn other_entry_on_a_follower(history: &mut History, nth: usize) -> Option<()> {
    let (_, places) = savings(history, nth)?;
    if let What::Saving { txn, .. } = &mut history.moments[*places.get(1)?].what {
        Arc::make_mut(txn).wall.0 += 1;
    }
    Some(())
}

pub fn not_on_a_quorum(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, acknowledged) = acknowledged(history, nth)?;
    // Only the leader's disk has it in time.
    let mut leader = None;
    let mut place = 0;
    history.moments.retain(|moment| {
        place += 1;
        match &moment.what {
            What::Saving {
                server, zxid: at, ..
            } if *at == zxid => {
                leader = leader.or(Some(*server));
                true
            }
            What::Durable { server, zxid: at } => {
                *at < zxid || place > acknowledged || leader.is_none_or(|leader| leader == *server)
            }
            _ => true,
        }
    });
    Some(())
}

pub fn not_on_its_own_disk(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, places) = savings(history, nth)?;
    let follower = saver(history, *places.get(2)?)?;
    let is = |what: &What| match what {
        What::Durable { server, zxid: at } => *server == follower && *at >= zxid,
        _ => false,
    };
    let found = self::places(history, is);
    history.moments.remove(*found.first()?);
    Some(())
}

pub fn other_digest_on_a_follower(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    let executes = |what: &What| matches!(what, What::Said { event: Event::Executed { zxid: at, .. }, .. } if *at == zxid);
    let place = *places(history, executes).get(2)?;
    if let What::Said {
        event: Event::Executed { digest, .. },
        ..
    } = &mut history.moments[place].what
    {
        *digest ^= 1;
    }
    Some(())
}

pub fn leader_without(history: &mut History, nth: usize) -> Option<()> {
    let (place, _, server) = pick(&elections(history), nth)?;
    let (_, after) = executed_before(history, place, 3)?;
    insert(history, place, What::Cut { server, after });
    Some(())
}

pub fn cut_below(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, places) = savings(history, nth)?;
    let place = *places.get(2)?;
    let server = saver(history, place)?;
    let shown = answers(history, |_, _| true);
    let later = shown.into_iter().find(|at| *at > place + 200)?;
    let after = Zxid(zxid.0 - 1);
    insert(history, later, What::Cut { server, after });
    Some(())
}

pub fn rewritten(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, places) = savings(history, nth)?;
    let place = *places.get(2)?;
    let mut again = history.moments[place].what.clone();
    if let What::Saving { txn, .. } = &mut again {
        Arc::make_mut(txn).wall.0 += 1;
    }
    let server = saver(history, place)?;
    let (last, _) = executed_before(history, place + 100, 0)?;
    (last >= zxid).then_some(())?;
    let after = Zxid(zxid.0 - 1);
    insert(history, place + 100, again);
    insert(history, place + 100, What::Cut { server, after });
    Some(())
}

pub fn leader_cuts(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, places) = savings(history, nth)?;
    let place = *places.first()?;
    let server = saver(history, place)?;
    let after = Zxid(zxid.0 - 1);
    insert(history, place + 1, What::Cut { server, after });
    Some(())
}

pub fn leader_rewrites(history: &mut History, nth: usize) -> Option<()> {
    let (_, places) = savings(history, nth)?;
    let place = *places.first()?;
    let again = history.moments[place].what.clone();
    insert(history, place + 1, again);
    Some(())
}

pub fn votes_twice(history: &mut History, nth: usize) -> Option<()> {
    let votes = places(
        history,
        |what| matches!(what, What::Voted { ballot, .. } if ballot.voted_for.is_some()),
    );
    let place = pick(&votes, nth)?;
    let mut again = history.moments[place].what.clone();
    if let What::Voted { ballot, .. } = &mut again {
        let other = ballot.voted_for?.0 % 3 + 1;
        ballot.voted_for = Some(ServerId(other));
    }
    insert(history, place + 1, again);
    Some(())
}

pub fn elected_by_nobody(history: &mut History, nth: usize) -> Option<()> {
    let (_, epoch, leader) = pick(&elections(history), nth)?;
    history.moments.retain(|moment| match &moment.what {
        What::Voted { server, ballot } => ballot.epoch != epoch || *server == leader,
        _ => true,
    });
    Some(())
}

pub fn two_leaders(history: &mut History, nth: usize) -> Option<()> {
    let (place, epoch, leader) = pick(&elections(history), nth)?;
    let other = ServerId(leader.0 % 3 + 1);
    let leader = other;
    insert(
        history,
        place + 1,
        said(other, Event::Elected { epoch, leader }),
    );
    Some(())
}

/// A place at which somebody has led for long: it, the epoch, the leader.
fn long_reign(history: &History, nth: usize) -> Option<(usize, Epoch, ServerId)> {
    let (place, epoch, leader) = pick(&elections(history), nth)?;
    let late = history.moments[place].at + FELT + Duration::from_secs(1);
    let later = history.moments.iter().position(|moment| moment.at > late)?;
    Some((later, epoch, leader))
}

pub fn deposed_for_nothing(history: &mut History, nth: usize) -> Option<()> {
    let (place, epoch, leader) = long_reign(history, nth)?;
    insert(history, place, said(leader, Event::Deposed { epoch }));
    Some(())
}

pub fn replaced_for_nothing(history: &mut History, nth: usize) -> Option<()> {
    let (place, epoch, leader) = long_reign(history, nth)?;
    let leader = ServerId(leader.0 % 3 + 1);
    let epoch = epoch.next();
    let elected = said(leader, Event::Elected { epoch, leader });
    insert(history, place, elected);
    Some(())
}

pub fn stands_in_vain(history: &mut History, nth: usize) -> Option<()> {
    let (place, epoch, leader) = pick(&elections(history), nth)?;
    let (_, after) = executed_before(history, place, 3)?;
    let server = ServerId(leader.0 % 3 + 1);
    let epoch = Epoch(epoch.0 + 1_000);
    insert(history, place, said(server, Event::Campaigned { epoch }));
    insert(history, place, What::Cut { server, after });
    Some(())
}

pub fn forgets_its_ballot(history: &mut History, nth: usize) -> Option<()> {
    let again = places(
        history,
        |what| matches!(what, What::Recovered { ballot, .. } if ballot.epoch > Epoch(0)),
    );
    let place = pick(&again, nth)?;
    if let What::Recovered { ballot, .. } = &mut history.moments[place].what {
        *ballot = Ballot::default();
    }
    Some(())
}

/// Changes the members wherever a transaction names them.
fn change_members(history: &mut History, change: impl Fn(&mut Txn)) {
    for moment in &mut history.moments {
        if let What::Saving { txn, .. } = &mut moment.what
            && matches!(
                txn.action,
                Action::OpenEpoch { .. } | Action::Reconfigure { .. }
            )
        {
            change(Arc::make_mut(txn));
        }
    }
}

pub fn learners_count(history: &mut History, _: usize) -> Option<()> {
    change_members(history, |txn| {
        if let Action::OpenEpoch { membership, .. } | Action::Reconfigure { membership } =
            &mut txn.action
        {
            membership.voters = Voters::from([1, 4, 5].map(ServerId));
            membership.learners = BTreeSet::from([2, 3].map(ServerId));
        }
    });
    Some(())
}

pub fn weightless_count(history: &mut History, _: usize) -> Option<()> {
    change_members(history, |txn| {
        if let Action::OpenEpoch { membership, .. } | Action::Reconfigure { membership } =
            &mut txn.action
        {
            let share = |(id, weight)| (ServerId(id), Share { group: 1, weight });
            let shares = [(1, 1), (2, 0), (3, 0), (4, 1), (5, 1)].map(share);
            membership.voters = Voters::in_groups(shares.into());
        }
    });
    Some(())
}

pub fn strangers_count(history: &mut History, _: usize) -> Option<()> {
    for moment in &mut history.moments {
        if let What::Recovered {
            server, directory, ..
        } = &mut moment.what
            && server.0 > 1
        {
            *directory = DirectoryId(directory.0 + 99);
        }
    }
    Some(())
}

pub fn one_voter_set_counts(history: &mut History, _: usize) -> Option<()> {
    change_members(history, |txn| {
        if let Action::OpenEpoch { membership, .. } | Action::Reconfigure { membership } =
            &mut txn.action
        {
            membership.incoming = Some(Voters::from([1, 4, 5].map(ServerId)));
        }
    });
    Some(())
}

/// A place well after a write, and the follower that has it.
fn later(history: &mut History, nth: usize) -> Option<(Zxid, usize, ServerId)> {
    let (zxid, places) = savings(history, nth)?;
    let place = *places.get(2)?;
    let server = saver(history, place)?;
    let later = place + 300;
    (later < history.moments.len()).then_some((zxid, later, server))
}

pub fn snapshot_of_the_past(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, place, server) = later(history, nth)?;
    let executes = |what: &What| matches!(what, What::Said { event: Event::Executed { zxid: at, .. }, .. } if *at == zxid);
    let executed = *places(history, executes).first()?;
    let What::Said {
        event: Event::Executed { digest, .. },
        ..
    } = history.moments[executed].what
    else {
        return None;
    };
    insert(
        history,
        place,
        said(server, Event::Installed { zxid, digest }),
    );
    Some(())
}

pub fn snapshot_of_something_else(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, place, server) = later(history, nth)?;
    let digest = 77;
    insert(
        history,
        place,
        said(server, Event::Installed { zxid, digest }),
    );
    Some(())
}

pub fn ended_by_a_follower(history: &mut History, nth: usize) -> Option<()> {
    let (place, session) = expiry(history, nth)?;
    let leader = saver(history, place)?;
    let server = ServerId(leader.0 % 3 + 1);
    insert(history, place, said(server, Event::TimedOut { session }));
    Some(())
}

pub fn ended_by_a_new_leader(history: &mut History, nth: usize) -> Option<()> {
    let (place, _) = expiry(history, nth)?;
    let What::Saving { zxid, .. } = history.moments[place].what else {
        return None;
    };
    // Its epoch begins just before the end is decided.
    let opens = |what: &What| {
        matches!(what, What::Said { event: Event::EpochOpened { epoch }, .. }
            if *epoch == zxid.epoch())
    };
    let opened = places(history, opens);
    let what = history.moments[*opened.first()?].what.clone();
    history.moments.retain(|moment| !opens(&moment.what));
    insert(history, place - opened.len(), what);
    Some(())
}

/// Answers of linearizable reads.
fn linearizable(history: &History) -> Vec<usize> {
    let mut links = BTreeSet::new();
    let mut found = Vec::new();
    for (place, moment) in history.moments.iter().enumerate() {
        let What::Received { link, frame, .. } = &moment.what else {
            continue;
        };
        let crate::history::Received::Reply {
            request: Some(request),
            ..
        } = frame
        else {
            continue;
        };
        match &**request {
            Request::Auth { scheme, credential } if scheme == "althing" => {
                match reading(credential) {
                    Some(Reading::Linearizable) => links.insert(*link),
                    _ => links.remove(link),
                };
            }
            Request::Read(_) if links.contains(link) => found.push(place),
            _ => {}
        }
    }
    found
}

pub fn read_of_a_deposed_leader(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&linearizable(history), nth)?;
    let (_, old) = executed_before(history, place, 40)?;
    *answer_of(&mut history.moments[place].what)?.1 = old;
    Some(())
}

pub fn stale_follower(history: &mut History, nth: usize) -> Option<()> {
    let all = answers(history, |request, result| {
        matches!(request, Request::Read(_)) && !matches!(result, Ok(Response::Empty))
    });
    let place = pick(&all, nth)?;
    let (_, old) = executed_before(history, place, 400)?;
    *answer_of(&mut history.moments[place].what)?.1 = old;
    Some(())
}

/// Says that the faults were over in the last quarter of the run.
fn second_act(history: &mut History) -> Option<Duration> {
    let place = history.moments.len() * 3 / 4;
    insert(history, place, What::SecondAct);
    Some(history.moments[place].at)
}

pub fn stays_behind(history: &mut History, nth: usize) -> Option<()> {
    let healed = second_act(history)?;
    let behind = ServerId(nth as u8 % 3 + 1);
    history.moments.retain(|moment| match &moment.what {
        What::Said {
            server,
            event: Event::Executed { .. } | Event::Installed { .. },
        } => *server != behind || moment.at < healed,
        _ => true,
    });
    Some(())
}

pub fn flaps(history: &mut History, _: usize) -> Option<()> {
    second_act(history)?;
    let place = history.moments.len() - 1;
    let (epoch, leader) = (Epoch(1000), ServerId(2));
    insert(
        history,
        place,
        said(leader, Event::Elected { epoch, leader }),
    );
    Some(())
}

/// A server stops executing some time after it had caught up.
pub fn gets_stuck(history: &mut History, nth: usize) -> Option<()> {
    let healed = second_act(history)?;
    let end = history.moments.last()?.at;
    let (stuck, since) = (ServerId(nth as u8 % 3 + 1), healed + (end - healed) / 2);
    history.moments.retain(|moment| match &moment.what {
        What::Said {
            server,
            event: Event::Executed { .. } | Event::Installed { .. },
        } => *server != stuck || moment.at < since,
        _ => true,
    });
    Some(())
}

/// Who leads takes another epoch, long after the faults.
pub fn elected_again(history: &mut History, _: usize) -> Option<()> {
    let (_, epoch, leader) = *elections(history).last()?;
    second_act(history)?;
    let place = history.moments.len() - 1;
    let epoch = epoch.next();
    insert(
        history,
        place,
        said(leader, Event::Elected { epoch, leader }),
    );
    Some(())
}

/// A server's disk had no space for what is agreed, and it is elected.
pub fn leader_without_space(history: &mut History, nth: usize) -> Option<()> {
    let (place, _, server) = pick(&elections(history), nth)?;
    let (_, zxid) = executed_before(history, place, 3)?;
    insert(history, place, What::Refused { server, zxid });
    Some(())
}

/// A follower's log lacks the end of an epoch, and goes on with the next one.
pub fn end_of_an_epoch_missing(history: &mut History, nth: usize) -> Option<()> {
    let mut last: BTreeMap<ServerId, usize> = BTreeMap::new();
    let mut opened = BTreeSet::new();
    let mut found = Vec::new();
    for (place, moment) in history.moments.iter().enumerate() {
        let What::Saving { server, zxid, .. } = moment.what else {
            continue;
        };
        let before = last.insert(server, place);
        // The first to open it is the leader.
        if zxid.counter() == 0 && !opened.insert(zxid) {
            found.extend(before);
        }
    }
    history.moments.remove(pick(&found, nth)?);
    Some(())
}

/// A leader that another has replaced never hears of it.
pub fn never_abdicates(history: &mut History, nth: usize) -> Option<()> {
    let elected = |moment: &Moment| match &moment.what {
        What::Said {
            server,
            event: Event::Elected { leader, .. },
        } if leader == server => Some(*server),
        _ => None,
    };
    let all: Vec<(usize, ServerId)> = history
        .moments
        .iter()
        .enumerate()
        .filter_map(|(place, moment)| Some((place, elected(moment)?)))
        .collect();
    let (place, old) = *all.get(nth)?;
    all.get(nth + 1).filter(|(_, next)| *next != old)?;
    let mut index = 0;
    history.moments.retain(|moment| {
        index += 1;
        let ends = match &moment.what {
            What::Said {
                server,
                event: Event::Deposed { .. } | Event::Followed { .. },
            }
            | What::Killed { server }
            | What::Stopped { server, .. } => *server == old,
            _ => false,
        };
        index <= place || !ends
    });
    Some(())
}
