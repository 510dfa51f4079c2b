//! Damage to the events of watches.

use althing_core::code::Code;
use althing_core::ids::Zxid;
use althing_core::node::reply::{EventKind, Reply, Response, WatchEvent};
use althing_core::node::request::{Read, Request, Watching};
use althing_core::tree::acl::Perms;
use althing_core::tree::path::Path;

use crate::check::findings::Findings;
use crate::check::tests::damage::places::{answer_of, event_of, link_of, pick, places};
use crate::check::{agreement::agreement, replay, wire, writes};
use crate::history::{History, Moment, Received, What};
use crate::quorums::Quorums;
use crate::reference::access;
use crate::reference::tree::Table;

pub fn events(history: &mut History) -> Vec<usize> {
    places(history, |what| {
        matches!(
            what,
            What::Received {
                frame: Received::Reply {
                    reply: Reply::Event(_),
                    ..
                },
                ..
            }
        )
    })
}

/// Events that a change fired, not a `setWatches`: an answer came on their link before, and the
/// next answer is that of no `setWatches`.
pub fn fired(history: &mut History) -> Vec<usize> {
    let all = events(history);
    all.into_iter()
        .filter(|place| {
            let link = link_of(&history.moments[*place].what);
            let next = history.moments[*place + 1..]
                .iter_mut()
                .filter(|moment| link_of(&moment.what) == link)
                .find_map(|moment| answer_of(&mut moment.what));
            next.is_some_and(|(_, _, _, asked)| !matches!(&*asked, Request::SetWatches(_)))
        })
        .collect()
}

pub fn lost_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    history.moments.remove(place);
    Some(())
}

pub fn late_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let event = history.moments.remove(place);
    after_the_next_answer(history, place, event)
}

/// Puts an event behind the next answer on its link, from a place on.
fn after_the_next_answer(history: &mut History, place: usize, event: Moment) -> Option<()> {
    let link = link_of(&event.what);
    let answer = (place..history.moments.len()).find(|place| {
        let moment = &mut history.moments[*place];
        link_of(&moment.what) == link && answer_of(&mut moment.what).is_some()
    })?;
    let at = history.moments[answer].at;
    history.moments.insert(answer + 1, Moment { at, ..event });
    Some(())
}

pub fn double_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let again = history.moments[place].clone();
    history.moments.insert(place + 1, again);
    Some(())
}

pub fn wrong_kind(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let event = event_of(&mut history.moments[place].what)?;
    event.kind = match event.kind {
        EventKind::NodeDeleted => EventKind::NodeCreated,
        _ => EventKind::NodeDeleted,
    };
    Some(())
}

pub fn wrong_position(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    event_of(&mut history.moments[place].what)?.zxid.0 -= 1;
    Some(())
}

pub fn spurious_event(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let mut spurious = history.moments[place].clone();
    event_of(&mut spurious.what)?.path = Path::parse("/unwatched").expect("a path");
    history.moments.insert(place + 1, spurious);
    Some(())
}

pub fn swap_events(history: &mut History, nth: usize) -> Option<()> {
    let all = fired(history);
    let zxid = |moment: &Moment| event_of(&mut moment.what.clone()).map(|event| event.zxid);
    let pairs: Vec<(usize, usize)> = all
        .iter()
        .filter_map(|first| {
            let link = link_of(&history.moments[*first].what);
            let rest = history.moments[*first + 1..].iter().enumerate();
            let (next, other) = rest
                .filter(|(_, moment)| matches!(moment.what, What::Received { .. }))
                .find(|(_, moment)| link_of(&moment.what) == link)?;
            let differ = zxid(other).is_some_and(|of| Some(of) != zxid(&history.moments[*first]));
            differ.then_some((*first, *first + 1 + next))
        })
        .collect();
    let (first, second) = pairs.get(nth)?;
    let what = history.moments[*first].what.clone();
    history.moments[*first].what = std::mem::replace(&mut history.moments[*second].what, what);
    Some(())
}

pub fn rearmed(history: &mut History) -> Vec<usize> {
    let all = events(history);
    let fired = fired(history);
    let mut seen: Vec<usize> = Vec::new();
    for place in all {
        let link = link_of(&history.moments[place].what);
        let answered = history.moments[place..]
            .iter_mut()
            .filter(|moment| link_of(&moment.what) == link)
            .any(|moment| answer_of(&mut moment.what).is_some());
        if answered && !fired.contains(&place) {
            seen.push(place);
        }
    }
    seen
}

pub fn rearm_lost(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    history.moments.remove(place);
    Some(())
}

pub fn rearm_spurious(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    let mut spurious = history.moments[place].clone();
    event_of(&mut spurious.what)?.path = Path::parse("/unwatched").expect("a path");
    history.moments.insert(place, spurious);
    Some(())
}

/// Finds a watch that is not there, or does not find one that is.
pub fn wrong_check(history: &mut History, nth: usize) -> Option<()> {
    let checks = places(history, |what| match what {
        What::Received {
            frame:
                Received::Reply {
                    request: Some(asked),
                    ..
                },
            ..
        } => matches!(&**asked, Request::CheckWatches { .. }),
        _ => false,
    });
    let place = pick(&checks, nth)?;
    let (_, _, result, _) = answer_of(&mut history.moments[place].what)?;
    *result = match result {
        Ok(_) => Err(Code::NoWatcher),
        Err(_) => Ok(Response::Empty),
    };
    Some(())
}

/// Tells a client of a change of a znode that it watches and may no longer read.
pub fn event_for_a_stranger(history: &mut History, nth: usize) -> Option<()> {
    let mut ignored = Findings::default();
    let log = agreement::build(Quorums::most_of(1), history, &mut ignored);
    let mut wire = wire::join(history, &mut ignored);
    writes::attach(&log, &mut wire);
    let replayed = replay::replay(&log, &wire, &mut ignored);
    let mut strangers = wire.links.iter().flat_map(|link| {
        let replayed = &replayed;
        link.asked.iter().filter_map(move |asked| {
            let Request::Read(Read::Exists { path, watching }) = asked.request else {
                return None;
            };
            let since = asked.answer?.zxid;
            let changes = replayed.told.get(&(Table::Data, path.clone()))?;
            let (zxid, kind, acl) = changes.iter().find(|(zxid, ..)| *zxid > since)?;
            let who = link.identities(link.asked.len());
            let denied = !access::permits(acl, Perms::READ, &who);
            let answers = link.asked.iter().filter_map(|asked| asked.answer);
            let shown = answers
                .map(|answer| answer.zxid)
                .find(|shown| shown >= zxid)?;
            let fits = denied && *watching == Watching::Once;
            fits.then(|| (link.id, shown, *zxid, *kind, path.clone()))
        })
    });
    let (link, shown, zxid, kind, path) = strangers.nth(nth)?;
    let place = history.moments.iter_mut().position(|moment| {
        link_of(&moment.what) == Some(link)
            && answer_of(&mut moment.what).is_some_and(|answer| *answer.1 == shown)
    })?;
    let mut told = history.moments[place].clone();
    if let What::Received { frame, .. } = &mut told.what {
        let reply = Reply::Event(WatchEvent { zxid, kind, path });
        *frame = Received::Reply {
            reply,
            request: None,
        };
    }
    history.moments.insert(place, told);
    Some(())
}

/// An event that comes again, after the next answer.
pub fn again_later(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&fired(history), nth)?;
    let event = history.moments[place].clone();
    after_the_next_answer(history, place, event)
}

/// An event that is lost on a link which waits for children.
pub fn lost_of_children(history: &mut History, nth: usize) -> Option<()> {
    let mut of_children = fired(history);
    of_children.retain(|place| {
        let event = event_of(&mut history.moments[*place].what);
        event.is_some_and(|event| event.kind == EventKind::NodeChildrenChanged)
    });
    let place = pick(&of_children, nth)?;
    history.moments.remove(place);
    Some(())
}

/// An event that says to be older than the one before it on its link.
pub fn older_than_the_last(history: &mut History, nth: usize) -> Option<()> {
    let all = fired(history);
    let mut last = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for place in all {
        let link = link_of(&history.moments[place].what)?;
        let zxid = event_of(&mut history.moments[place].what)?.zxid;
        found.extend(last.insert(link, zxid).map(|before: Zxid| (place, before)));
    }
    let (place, before) = pick(&found, nth)?;
    event_of(&mut history.moments[place].what)?.zxid = Zxid(before.0 - 1);
    Some(())
}

pub fn rearm_position(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    event_of(&mut history.moments[place].what)?.zxid.0 -= 1;
    Some(())
}

pub fn rearm_kind(history: &mut History, nth: usize) -> Option<()> {
    let place = pick(&rearmed(history), nth)?;
    let event = event_of(&mut history.moments[place].what)?;
    event.kind = match event.kind {
        EventKind::NodeDeleted => EventKind::NodeDataChanged,
        _ => EventKind::NodeDeleted,
    };
    Some(())
}
