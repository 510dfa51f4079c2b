//! Writes against `L`: which attachment each link had, and W1, W3 and W5.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{SessionId, Zxid};
use althing_core::store::txn::Action;

use crate::check::executed::{told, undone};
use crate::check::findings::Findings;
use crate::check::lanes;
use crate::check::locals;
use crate::check::log::{Log, becomes};
use crate::check::replay::Replayed;
use crate::check::wire::{Asked, Link, Step, Wire};
use crate::check::wording::action;
use crate::telling::requested;

/// Finds each link's attachment: by an answer of its writes if there is one, else by the hour of
/// its handshake if only one attachment fits. What stays open is judged leniently.
pub fn attach(log: &Log, wire: &mut Wire<'_>) {
    let mut handshakes: BTreeMap<SessionId, Vec<(Zxid, Duration, Duration)>> = BTreeMap::new();
    for agreed in &log.agreed {
        let session = match &agreed.txn.action {
            Action::OpenSession { .. } => SessionId(agreed.zxid.to_wire()),
            Action::Attach { session, .. } => *session,
            _ => continue,
        };
        let handshake = (agreed.zxid, agreed.saved_at, agreed.executed_at);
        handshakes.entry(session).or_default().push(handshake);
    }
    let mut taken = BTreeSet::new();
    // What is asked for in a session of one server alone names no attachment.
    for link in wire.links.iter_mut().filter(|link| !link.is_local()) {
        link.attachment = by_answers(log, link);
        taken.extend(link.attachment);
    }
    let open =
        |link: &&mut Link<'_>| link.attachment.is_none() && !link.reads_only() && !link.is_local();
    for link in wire.links.iter_mut().filter(open) {
        let (Some((from, _)), Some((to, _))) = (link.connect, link.connected) else {
            continue;
        };
        let Some(known) = link.session().and_then(|session| handshakes.get(&session)) else {
            continue;
        };
        let mut fitting = known.iter().filter(|(zxid, saved_at, executed_at)| {
            *saved_at >= from && *executed_at <= to && !taken.contains(zxid)
        });
        if let (Some((zxid, ..)), None) = (fitting.next(), fitting.next()) {
            link.attachment = Some(*zxid);
        }
    }
}

/// A link's attachment, if an answered write of its tells.
pub fn by_answers(log: &Log, link: &Link<'_>) -> Option<Zxid> {
    let session = link.session();
    link.asked
        .iter()
        .filter(|asked| asked.is_write())
        .find_map(|asked| {
            let agreed = log.at(asked.answer?.zxid)?;
            let origin = agreed.txn.origin?;
            let own = Some(origin.session) == session
                && becomes(asked.request, &agreed.txn.action, session);
            own.then_some(origin.attachment)
        })
}

/// Whose requests are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Everybody's: what nobody of these sent was sent by nobody.
    Everybody,
    /// Only those of the clients on the wire, and perhaps there were others.
    Some,
}

/// Checks all writes.
pub fn check(
    known: Known,
    log: &Log,
    wire: &Wire<'_>,
    replayed: &Replayed,
    findings: &mut Findings,
) {
    let mut claimed = BTreeSet::new();
    for link in &wire.links {
        in_order(log, link, replayed, &mut claimed, findings);
    }
    let held = held(wire);
    let is_known = |session| known == Known::Everybody || held.contains(&session);
    lanes::check(log, wire, replayed, is_known, &mut claimed, findings);
    unsent(known, log, wire, replayed, &claimed, findings);
    twice(log, wire, findings);
    real_time(log, wire, findings);
}

/// Walks the link's writes and `L`'s writes of its attachment side by side: each of `L` must be the
/// next that was sent, except that a write which was answered as not done is passed over.
fn in_order(
    log: &Log,
    link: &Link<'_>,
    replayed: &Replayed,
    claimed: &mut BTreeSet<Zxid>,
    findings: &mut Findings,
) {
    let (Some(session), Some(attachment)) = (link.session(), link.attachment) else {
        return;
    };
    let none = Vec::new();
    let executed = replayed.writes.get(&(session, attachment)).unwrap_or(&none);
    let writes = link.asked.iter().filter(|asked| asked.is_write());
    let sent: Vec<Asked<'_>> = writes.copied().collect();
    let (mut next, mut unheard) = (0, unheard_refusals(link));
    for zxid in executed {
        let agreed = log.at(*zxid).expect("the replay went over L");
        claimed.insert(*zxid);
        let not_done = |index: usize| {
            let answer = sent.get(index).and_then(|asked| asked.answer);
            answer.is_some_and(|answer| {
                answer.zxid != *zxid && answer.result.as_ref().is_err_and(undone)
            })
        };
        while not_done(next) {
            next += 1;
        }
        let is = |asked: &&Asked<'_>| becomes(asked.request, &agreed.txn.action, Some(session));
        let at = agreed.executed_at;
        let (passed, coming) = sent.split_at(next.min(sent.len()));
        let Some(place) = coming.iter().position(|asked| is(&asked)) else {
            let how = match passed.iter().any(|asked| is(&asked)) {
                true => "a second time",
                false => "though nobody sent it",
            };
            findings.add("W5 once", at, Some(session), || {
                let (client, action) = (link.client, action(&agreed.txn.action));
                format!("{zxid} of {client} executed {how}: {action}")
            });
            continue;
        };
        let skipped = &coming[..place];
        if skipped.len() <= unheard && skipped.iter().all(|asked| asked.answer.is_none()) {
            unheard -= place;
        } else {
            findings.add("W3 order", at, Some(session), || {
                let (client, skipped) = (link.client, requested(coming[0].request));
                format!("{zxid} of {client} executed before {skipped}")
            });
        }
        told(agreed, link, &coming[place], findings);
        next += place + 1;
    }
}

/// How many requests of a link were refused as over a limit without its client hearing of it, for
/// the connection was lost.
fn unheard_refusals(link: &Link<'_>) -> usize {
    let is_heard = |asked: &&Asked<'_>| {
        let over = [Code::ThrottledOp, Code::MarshallingError];
        let answer = asked.answer.map(|answer| answer.result);
        answer.is_some_and(|result| result.as_ref().is_err_and(|code| over.contains(code)))
    };
    let heard = link.asked.iter().filter(is_heard).count();
    link.refused.saturating_sub(heard)
}

/// The sessions that clients on the wire had.
fn held(wire: &Wire<'_>) -> BTreeSet<SessionId> {
    let links = wire.links.iter();
    links.filter_map(|link| link.session()).collect()
}

/// What `L` has of an attachment that no link had.
fn unsent(
    known: Known,
    log: &Log,
    wire: &Wire<'_>,
    replayed: &Replayed,
    claimed: &BTreeSet<Zxid>,
    findings: &mut Findings,
) {
    let open: BTreeSet<SessionId> = wire
        .links
        .iter()
        .filter(|link| link.attachment.is_none() && !link.reads_only() && !link.is_local())
        .filter_map(|link| link.session())
        .collect();
    let held = held(wire);
    let is_judged = |session: &SessionId| {
        !open.contains(session) && (known == Known::Everybody || held.contains(session))
    };
    for ((session, _), writes) in &replayed.writes {
        for zxid in writes.iter().filter(|zxid| !claimed.contains(zxid)) {
            if is_judged(session) {
                let agreed = log.at(*zxid).expect("the replay went over L");
                findings.add("W5 once", agreed.executed_at, Some(*session), || {
                    let action = action(&agreed.txn.action);
                    format!("{zxid} executed though nobody sent it: {action}")
                });
            }
        }
    }
}

/// Two writes that were told the same position.
fn twice(log: &Log, wire: &Wire<'_>, findings: &mut Findings) {
    let mut told = BTreeMap::new();
    for link in wire.links.iter().filter(|link| !link.reads_only()) {
        let writes = link.asked.iter().filter(|asked| asked.is_write());
        for asked in writes.filter(|asked| !locals::is_answered_alone(log, link, asked)) {
            let Some(answer) = asked.answer.filter(|answer| answer.result.is_ok()) else {
                continue;
            };
            if let Some(other) = told.insert(answer.zxid, link.client) {
                findings.add("W5 once", answer.at, link.session(), || {
                    let zxid = answer.zxid;
                    format!(
                        "{other} and {} were both told that {zxid} is theirs",
                        link.client
                    )
                });
            }
        }
    }
}

/// A write takes effect between its asking and its answer; what was asked after another's answer
/// stands after it.
fn real_time(log: &Log, wire: &Wire<'_>, findings: &mut Findings) {
    let mut newest = Zxid::ZERO;
    let mut floors: BTreeMap<(usize, usize), Zxid> = BTreeMap::new();
    for step in &wire.trace {
        let (Step::Asked(at, index) | Step::Answered(at, index)) = *step else {
            continue;
        };
        let link = &wire.links[at];
        let asked = &link.asked[index];
        if !asked.is_write() || link.reads_only() || locals::is_answered_alone(log, link, asked) {
            continue;
        }
        let Step::Answered(..) = step else {
            floors.insert((at, index), newest);
            continue;
        };
        let answer = asked.answer.expect("the trace tells of answers");
        if answer.result.is_err() {
            continue;
        }
        let floor = floors.remove(&(at, index)).unwrap_or_default();
        if answer.zxid <= floor {
            findings.add("W1 linearizable", answer.at, link.session(), || {
                let zxid = answer.zxid;
                format!(
                    "{} was told {zxid}; {floor} was acknowledged before it",
                    link.client
                )
            });
        }
        if let Some(agreed) = log.at(answer.zxid)
            && (agreed.executed_at > answer.at || agreed.executed_at < asked.at)
        {
            findings.add("W1 linearizable", answer.at, link.session(), || {
                let (zxid, when) = (agreed.zxid, agreed.executed_at);
                let (from, to) = (asked.at, answer.at);
                format!("{zxid} took effect at {when:?}, asked at {from:?}, answered at {to:?}")
            });
        }
        newest = newest.max(answer.zxid);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::{ConnectionId, ServerId, Xid};
    use althing_core::node::event::{Event, Reached};
    use althing_core::node::request::Request;
    use althing_core::store::txn::{Origin, Txn};
    use althing_core::time::WallTime;

    use super::*;
    use crate::check::log::Agreed;
    use crate::check::tests::locals::{SECRET, SESSION, client, deletion, handshake};
    use crate::check::{rates, wire};
    use crate::history::{History, LinkId, Moment, Sent, What};

    const SERVER: ServerId = ServerId(1);
    const ATTACHMENT: Zxid = Zxid(1);

    fn said(event: Event) -> What {
        let server = SERVER;
        What::Said { server, event }
    }

    /// What is found if the client asks for three deletions and hears nothing, the server says that
    /// it refused so many of them as over a limit, and only the last executes.
    fn found(refused: usize) -> Vec<&'static str> {
        let (link, connection, session) = (LinkId(1), ConnectionId(1), SESSION);
        let attachment = ATTACHMENT;
        let attached = said(Event::Attached {
            connection,
            session,
            attachment,
        });
        let asks = ["/a", "/b", "/c"].map(|path| What::Sent {
            client: client(),
            link,
            frame: Sent::Request {
                xid: Xid(0),
                request: Arc::new(Request::Write(deletion(path))),
            },
        });
        let limit = Reached::SessionRate;
        let refuses = (0..refused).map(|_| said(Event::LimitReached { connection, limit }));
        let whats = handshake(link, SERVER, None, Some((SESSION, SECRET))).into_iter();
        let whats = whats.chain([attached]).chain(asks).chain(refuses);
        let at = Duration::ZERO;
        let history = History {
            moments: whats.map(|what| Moment { at, what }).collect(),
        };
        let origin = Origin {
            session,
            attachment,
            sequence: 1,
        };
        let txn = Txn {
            origin: Some(origin),
            ..Txn::of_servers(WallTime(0), Action::Write(deletion("/c")))
        };
        let (zxid, end) = (Zxid(2), Duration::from_secs(1));
        let agreed = Agreed {
            zxid,
            txn: Arc::new(txn),
            saved_at: end,
            executed_at: end,
            digest: None,
        };
        let log = Log {
            agreed: vec![agreed],
        };
        let replayed = Replayed {
            writes: BTreeMap::from([((session, attachment), vec![zxid])]),
            ..Replayed::default()
        };
        let mut findings = Findings::default();
        let mut wire = wire::join(&history, &mut findings);
        wire.links[0].attachment = Some(attachment);
        rates::count_refused(&history, &mut wire);
        in_order(
            &log,
            &wire.links[0],
            &replayed,
            &mut BTreeSet::new(),
            &mut findings,
        );
        let found = findings.sorted().into_iter();
        found.map(|found| found.invariant).collect()
    }

    /// As in seed 92000000 of rates-under-fire at 03416d0: a false alarm.
    #[test]
    fn what_was_refused_may_be_passed_over_unheard() {
        assert_eq!(found(2), [""; 0]);
        assert_eq!(found(1), ["W3 order"]);
        assert_eq!(found(0), ["W3 order"]);
    }
}
