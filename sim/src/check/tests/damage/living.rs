//! Damage to sessions, access, locks and what tokens guard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{Password, ServerId, SessionId, Xid, Zxid};
use althing_core::node::event::Event;
use althing_core::node::reply::{ConnectResponse, Reply, Response};
use althing_core::node::request::{ConnectRequest, Read, Request};
use althing_core::store::txn::{Action, Ending};
use althing_core::tree::acl::{Acl, Identity};
use althing_core::tree::op::{Done, Op};
use althing_core::tree::path::Path;
use althing_core::tree::stat::Stat;

use crate::check::tests::damage::places::{
    acknowledged, answer_of, change_txn, edit, link_of, pick, places,
};
use crate::history::{History, Hold, LinkId, Moment, Received, Sent, What};

/// The place where the end of a session that expired was decided, and the session.
pub fn expiry(history: &History, nth: usize) -> Option<(usize, SessionId)> {
    let all: Vec<(usize, SessionId)> = history
        .moments
        .iter()
        .enumerate()
        .filter_map(|(place, moment)| match &moment.what {
            What::Saving { txn, .. } => match txn.action {
                Action::CloseSession {
                    session,
                    ending: Ending::Expired,
                } => Some((place, session)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let mut seen = BTreeSet::new();
    let first = all.iter().filter(|(_, session)| seen.insert(*session));
    let first: Vec<&(usize, SessionId)> = first.collect();
    first.get(nth % first.len().max(1)).map(|place| **place)
}

pub fn early(history: &mut History, nth: usize) -> Option<()> {
    let (place, session) = expiry(history, nth)?;
    let at = history.moments[place].at;
    let event = Event::Touched { session };
    let server = saver(history, place)?;
    let what = What::Said { server, event };
    history.moments.insert(place, Moment { at, what });
    Some(())
}

/// Who saves something at this place.
pub fn saver(history: &History, place: usize) -> Option<ServerId> {
    match history.moments[place].what {
        What::Saving { server, .. } => Some(server),
        _ => None,
    }
}

pub fn early_on_the_wire(history: &mut History, nth: usize) -> Option<()> {
    let (place, session) = expiry(history, nth)?;
    let at = history.moments[place].at;
    // The last link of the session: its client pings once more, and is answered.
    let connected = history.moments[..place]
        .iter()
        .rev()
        .find_map(|moment| match &moment.what {
            What::Received {
                client,
                link,
                frame: Received::Connected(response),
            } if response.session == Some(session) => Some((client.clone(), *link)),
            _ => None,
        });
    let (client, link) = connected?;
    let shown = history.moments[..place]
        .iter()
        .rev()
        .find_map(|moment| match &moment.what {
            What::Said {
                event: Event::Executed { zxid, .. },
                ..
            } => Some(*zxid),
            _ => None,
        })?;
    let request = Arc::new(Request::Ping);
    let (xid, early) = (Xid::PING, at - Duration::from_millis(20));
    let frame = Sent::Request {
        xid,
        request: request.clone(),
    };
    let sent = What::Sent {
        client: client.clone(),
        link,
        frame,
    };
    let answer = Reply::Answer {
        xid,
        zxid: shown,
        result: Ok(Response::Empty),
    };
    let frame = Received::Reply {
        reply: answer,
        request: Some(request),
    };
    let received = What::Received {
        client,
        link,
        frame,
    };
    let before = at - Duration::from_millis(1);
    let place = history
        .moments
        .iter()
        .position(|moment| moment.at >= before)?;
    history.moments.insert(
        place,
        Moment {
            at: before,
            what: received,
        },
    );
    history.moments.insert(
        place,
        Moment {
            at: early,
            what: sent,
        },
    );
    Some(())
}

pub fn never_expires(history: &mut History, nth: usize) -> Option<()> {
    let (_, session) = expiry(history, nth)?;
    history.moments.retain(|moment| match &moment.what {
        What::Saving { txn, .. } => {
            !matches!(txn.action, Action::CloseSession { session: of, .. } if of == session)
        }
        _ => true,
    });
    Some(())
}

pub fn closed(history: &mut History, nth: usize) -> Option<&mut Event> {
    let all = places(history, |what| {
        matches!(
            what,
            What::Said {
                event: Event::SessionClosed { .. },
                ..
            }
        )
    });
    match &mut history.moments[pick(&all, nth)?].what {
        What::Said { event, .. } => Some(event),
        _ => None,
    }
}

pub fn stays_behind(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { ephemerals, .. } = closed(history, nth)? {
        *ephemerals += 1;
    }
    Some(())
}

pub fn phantom_end(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { session, .. } = closed(history, nth)? {
        *session = SessionId(77);
    }
    Some(())
}

pub fn orphan(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(Read::Exists { .. })) && result.is_err()
    };
    edit(history, nth, fits, |result| {
        *result = Ok(Response::Exists(Stat {
            ephemeral_owner: 77,
            ..Stat::default()
        }));
    })
}

/// What a first frame asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    Anew,
    Again,
}

/// The answers to first frames that give a session, by whether it was asked for.
pub fn handshake(
    history: &mut History,
    nth: usize,
    asks: Asks,
) -> Option<(usize, &mut ConnectResponse)> {
    let mut asked = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for (place, moment) in history.moments.iter().enumerate() {
        match &moment.what {
            What::Sent {
                link,
                frame: Sent::Connect(request),
                ..
            } => {
                asked.insert(*link, request.session.is_some());
            }
            What::Received {
                link,
                frame: Received::Connected(response),
                ..
            } if response.session.is_some() && asked.get(link) == Some(&(asks == Asks::Again)) => {
                all.push(place);
            }
            _ => {}
        }
    }
    let place = pick(&all, nth)?;
    match &mut history.moments[place].what {
        What::Received {
            frame: Received::Connected(response),
            ..
        } => Some((place, response)),
        _ => None,
    }
}

pub fn told_expired(history: &mut History, nth: usize) -> Option<()> {
    let (_, response) = handshake(history, nth, Asks::Again)?;
    response.timeout_ms = 0;
    response.session = None;
    response.password = Password::NONE;
    Some(())
}

pub fn other_session(history: &mut History, nth: usize) -> Option<()> {
    let (_, response) = handshake(history, nth, Asks::Again)?;
    response.session = Some(SessionId(77));
    Some(())
}

pub fn opened_twice(history: &mut History, _: usize) -> Option<()> {
    let first = handshake(history, 0, Asks::Anew)?.1.session;
    let second = handshake(history, 1, Asks::Anew)?.1;
    (second.session != first).then_some(())?;
    second.session = first;
    Some(())
}

/// The first frame to which a handshake is the answer.
pub fn first_frame(history: &mut History, nth: usize, asks: Asks) -> Option<&mut ConnectRequest> {
    let (place, _) = handshake(history, nth, asks)?;
    let link = link_of(&history.moments[place].what)?;
    let mut moments = history.moments.iter_mut();
    moments.find_map(|moment| match &mut moment.what {
        What::Sent {
            link: of,
            frame: Sent::Connect(request),
            ..
        } if *of == link => Some(request),
        _ => None,
    })
}

pub fn wrong_password(history: &mut History, nth: usize) -> Option<()> {
    first_frame(history, nth, Asks::Again)?.password = Password([7; 16]);
    Some(())
}

pub fn dead_session(history: &mut History, _: usize) -> Option<()> {
    // A refused attachment becomes a granted one.
    let mut asked = std::collections::BTreeMap::new();
    for moment in &mut history.moments {
        match &mut moment.what {
            What::Sent {
                link,
                frame: Sent::Connect(request),
                ..
            } => {
                asked.insert(*link, (request.session, request.password));
            }
            What::Received {
                link,
                frame: Received::Connected(response),
                ..
            } if response.session.is_none() => {
                let (session, password) = asked[link];
                response.session = Some(session?);
                response.password = password;
                response.timeout_ms = 4000;
                return Some(());
            }
            _ => {}
        }
    }
    None
}

pub fn wrong_timeout(history: &mut History, nth: usize) -> Option<()> {
    handshake(history, nth, Asks::Anew)?.1.timeout_ms += 1;
    Some(())
}

pub fn secret(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(Read::GetData { .. })) && *result == Err(Code::NoAuth)
    };
    edit(history, nth, fits, |result| {
        *result = Ok(Response::Data {
            data: None,
            stat: Stat::default(),
        });
    })
}

pub fn denied(history: &mut History, nth: usize) -> Option<()> {
    let fits = |request: &Request, result: &Result<Response, Code>| {
        matches!(request, Request::Read(_)) && result.is_ok()
    };
    edit(history, nth, fits, |result| *result = Err(Code::NoAuth))
}

pub fn wrong_acl(history: &mut History, nth: usize) -> Option<()> {
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Acl { .. }));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Acl { acl, .. }) = result {
            *acl = Acl::read_only();
        }
    })
}

pub fn somebody_else(history: &mut History, nth: usize) -> Option<()> {
    let (zxid, _) = acknowledged(history, nth)?;
    change_txn(history, zxid, |txn| {
        txn.identities = Arc::from([Identity::new("digest", "mallory:x")]);
    });
    Some(())
}

pub fn held(history: &History, of: Hold, nth: usize) -> Option<usize> {
    let all = places(
        history,
        |what| matches!(what, What::Held { hold, .. } if *hold == of),
    );
    all.get(nth + 1).copied()
}

pub fn two_holders(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Ends, nth)?;
    history.moments.remove(place);
    Some(())
}

pub fn one_token(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Begins, nth)?;
    let mut again = history.moments[place].clone();
    if let What::Held { client, .. } = &mut again.what {
        *client = Arc::from("mallory");
    }
    history.moments.insert(place + 1, again);
    Some(())
}

/// A client says that it holds what somebody else deletes while it does.
pub fn stranger_ends_it(history: &mut History, nth: usize) -> Option<()> {
    let mut created: BTreeMap<Path, (usize, Zxid, LinkId)> = BTreeMap::new();
    let mut ends = Vec::new();
    for (place, moment) in history.moments.iter_mut().enumerate() {
        let link = link_of(&moment.what);
        let Some((_, zxid, result, request)) = answer_of(&mut moment.what) else {
            continue;
        };
        let (Request::Write(op), Some(link)) = (&*request, link) else {
            continue;
        };
        match (op, result) {
            (Op::Create(_), Ok(Response::Done(Done::Created { path, .. }))) => {
                created.insert(path.clone(), (place, *zxid, link));
            }
            (Op::Delete { path, .. }, Ok(_)) => {
                if let Some((place, token, by)) = created.remove(path)
                    && by != link
                {
                    ends.push((place, token));
                }
            }
            _ => {}
        }
    }
    let (place, token) = pick(&ends, nth)?;
    let what = What::Held {
        client: Arc::from("mallory"),
        lock: Arc::from("/another"),
        token,
        hold: Hold::Begins,
    };
    let at = history.moments[place].at;
    history.moments.insert(place, Moment { at, what });
    Some(())
}

pub fn no_token(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Begins, nth)?;
    if let What::Held { token, .. } = &mut history.moments[place].what {
        token.0 += 1 << 30;
    }
    Some(())
}

pub fn guarded(history: &History) -> Vec<usize> {
    places(history, |what| matches!(what, What::Guarded { .. }))
}

pub fn old_token(history: &mut History, nth: usize) -> Option<()> {
    let all = guarded(history);
    let mut old = history.moments[*all.get(nth)?].clone();
    if let What::Guarded { newest, token, .. } = &mut old.what {
        *newest = (*newest).max(*token);
        token.0 -= 1;
    }
    history.moments.insert(all[nth] + 1, old);
    Some(())
}

pub fn good_token(history: &mut History, nth: usize) -> Option<()> {
    let place = *guarded(history).get(nth)?;
    if let What::Guarded { accepted, .. } = &mut history.moments[place].what {
        *accepted = false;
    }
    Some(())
}

/// Nobody hears the heartbeats of a session that goes on.
pub fn never_heard(history: &mut History, nth: usize) -> Option<()> {
    let mut heard: BTreeMap<SessionId, usize> = BTreeMap::new();
    for moment in &history.moments {
        if let What::Said {
            event: Event::Touched { session },
            ..
        } = moment.what
        {
            *heard.entry(session).or_default() += 1;
        }
    }
    let mut most: Vec<(usize, SessionId)> = heard.into_iter().map(|(id, n)| (n, id)).collect();
    most.sort_unstable();
    let (_, unheard) = *most.iter().rev().nth(nth)?;
    history.moments.retain(|moment| match moment.what {
        What::Said {
            event: Event::Touched { session },
            ..
        } => session != unheard,
        _ => true,
    });
    Some(())
}

pub fn fewer_go(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { ephemerals, .. } = closed(history, nth)? {
        *ephemerals = ephemerals.checked_sub(1)?;
    }
    Some(())
}

pub fn other_ending(history: &mut History, nth: usize) -> Option<()> {
    if let Event::SessionClosed { ending, .. } = closed(history, nth)? {
        *ending = match ending {
            Ending::Closed => Ending::Expired,
            Ending::Expired => Ending::Closed,
        };
    }
    Some(())
}

/// A znode is shown as that of a session which ended before.
pub fn of_an_ended_session(history: &mut History, nth: usize) -> Option<()> {
    let ended = history
        .moments
        .iter()
        .find_map(|moment| match moment.what {
            What::Said {
                event: Event::SessionClosed { session, .. },
                ..
            } => Some(session),
            _ => None,
        })?;
    let fits =
        |_: &Request, result: &Result<Response, Code>| matches!(result, Ok(Response::Exists(_)));
    edit(history, nth, fits, |result| {
        if let Ok(Response::Exists(stat)) = result {
            stat.ephemeral_owner = ended.0;
        }
    })
}

/// A client lets go of its lock only when the next one has it.
pub fn lets_go_late(history: &mut History, nth: usize) -> Option<()> {
    let ends = held(history, Hold::Ends, nth)?;
    let begins = |what: &What| {
        matches!(
            what,
            What::Held {
                hold: Hold::Begins,
                ..
            }
        )
    };
    let next = (ends..history.moments.len()).find(|at| begins(&history.moments[*at].what))?;
    let mut moment = history.moments.remove(ends);
    moment.at = history.moments[next - 1].at;
    history.moments.insert(next, moment);
    Some(())
}

/// The lock goes to somebody whose token is older than that of who holds it.
pub fn older_token_holds(history: &mut History, nth: usize) -> Option<()> {
    let place = held(history, Hold::Begins, nth)?;
    let mut again = history.moments[place].clone();
    if let What::Held { client, token, .. } = &mut again.what {
        *client = Arc::from("mallory");
        token.0 -= 1;
    }
    history.moments.insert(place + 1, again);
    Some(())
}

/// The store forgets the newest token that it has seen.
pub fn forgets_its_token(history: &mut History, nth: usize) -> Option<()> {
    let place = *guarded(history).get(nth + 1)?;
    if let What::Guarded { newest, .. } = &mut history.moments[place].what {
        *newest = Zxid::ZERO;
    }
    Some(())
}
