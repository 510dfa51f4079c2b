//! Damage to the positions in headers: too old for who asked, or of what never was.

use std::collections::BTreeSet;
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use althing_core::node::request::Request;

use crate::check::tests::damage::living::{Asks, handshake};
use crate::check::tests::damage::places::{
    acknowledged, answer_of, answers, event_of, link_of, pick, places,
};
use crate::check::tests::damage::watched::fired;
use crate::history::{History, LinkId, Sent, What};
use crate::reference::access::{Reading, reading};

/// Sets back the position of an answer, within its epoch.
pub fn set_back_at(history: &mut History, place: usize, by: u32) -> Option<()> {
    let zxid = answer_of(&mut history.moments[place].what)?.1;
    let counter = zxid.counter().checked_sub(by)?;
    *zxid = Zxid::new(zxid.epoch(), counter);
    Some(())
}

/// The first answered read of the same link after each of these places.
fn reads_after(history: &mut History, all: &[usize]) -> Vec<usize> {
    let reads = answers(history, |request, _| matches!(request, Request::Read(_)));
    let next = |place: &usize| {
        let link = link_of(&history.moments[*place].what);
        let mut later = reads.iter().filter(|read| **read > *place);
        later.find(|read| link_of(&history.moments[**read].what) == link)
    };
    all.iter().filter_map(next).copied().collect()
}

pub fn stale_after_sync(history: &mut History, nth: usize) -> Option<()> {
    let synced = answers(history, |request, result| {
        matches!(request, Request::Sync { .. }) && result.is_ok()
    });
    let place = pick(&reads_after(history, &synced), nth)?;
    set_back_at(history, place, 5)
}

/// The first answers on links on which a session comes back.
fn first_after_return(history: &mut History) -> Vec<usize> {
    let back: BTreeSet<LinkId> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Sent {
                link,
                frame: Sent::Connect(request),
                ..
            } => request.session.map(|_| *link),
            _ => None,
        })
        .collect();
    let mut seen = BTreeSet::new();
    let all = answers(history, |_, _| true);
    let first = all.into_iter().filter(|place| {
        let link = link_of(&history.moments[*place].what).expect("an answer has a link");
        back.contains(&link) && seen.insert(link)
    });
    first.collect()
}

pub fn older_after_return(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&first_after_return(history), nth)?;
    set_back_at(history, place, 3)
}

pub fn own_write_after_return(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&first_after_return(history), nth)?;
    set_back_at(history, place, 100)
}

/// The first read after a client asked for linearizable ones.
pub fn stale_after_asking(history: &mut History, nth: usize) -> Option<()> {
    let asks = answers(history, |request, _| match request {
        Request::Auth { scheme, credential } => {
            scheme == "althing" && reading(credential) == Some(Reading::Linearizable)
        }
        _ => false,
    });
    let place = pick(&reads_after(history, &asks), nth)?;
    set_back_at(history, place, 20)
}

pub fn stale_ping(history: &mut History, nth: usize) -> Option<()> {
    let pings = answers(history, |request, _| *request == Request::Ping);
    let place = pick(&pings, nth)?;
    set_back_at(history, place, 400)
}

pub fn event_of_the_future(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    event_of(&mut history.moments[place].what)?.zxid.0 += 100_000;
    Some(())
}

pub fn session_of_the_future(history: &mut History, nth: usize) -> Option<()> {
    let session = &mut handshake(history, nth, Asks::Anew)?.1.session;
    *session = session.map(|session| SessionId(session.0 + 100_000));
    Some(())
}

/// An acknowledged write is told the position of another that was acknowledged.
pub fn one_position_for_two(history: &mut History, nth: usize) -> Option<()> {
    let (other, _) = acknowledged(history, nth)?;
    let (zxid, place) = acknowledged(history, nth + 1)?;
    (zxid != other).then_some(())?;
    *answer_of(&mut history.moments[place].what)?.1 = other;
    Some(())
}

/// A write is saved and done, and only then its client sends it.
pub fn done_before_it_was_sent(history: &mut History, nth: usize) -> Option<()> {
    let (_, answered) = acknowledged(history, nth)?;
    let link = link_of(&history.moments[answered].what);
    let xid = *answer_of(&mut history.moments[answered].what)?.0;
    let asks = places(history, |what| {
        let is = |frame: &Sent| matches!(frame, Sent::Request { xid: of, .. } if *of == xid);
        matches!(what, What::Sent { frame, .. } if is(frame)) && link_of(what) == link
    });
    let sent = *asks.iter().rfind(|place| **place < answered)?;
    // Nothing else of this link is on its way, so that only its hour is wrong.
    let between = &history.moments[sent + 1..answered];
    let alone = between.iter().all(|moment| link_of(&moment.what) != link);
    alone.then_some(())?;
    let at = history.moments[answered]
        .at
        .saturating_sub(Duration::from_nanos(1));
    let mut moment = history.moments.remove(sent);
    moment.at = at.max(history.moments[answered - 2].at);
    history.moments.insert(answered - 1, moment);
    Some(())
}
