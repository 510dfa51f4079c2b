//! Sessions of one server alone: N3, and what E5 means for them.
//!
//! The log does not know such a session until the ensemble takes it over. Its server vouches for
//! it: only there can its client come back, and what it asks for is agreed under no attachment.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{Password, ServerId, SessionId, Zxid};
use althing_core::node::reply::Response;
use althing_core::node::request::Request;
use althing_core::store::txn::Action;
use althing_core::tree::op::{Lifetime, Op};

use crate::check::findings::Findings;
use crate::check::log::{Agreed, Log, becomes};
use crate::check::wire::{Asked, Link, Wire};

/// What is told who would own something.
const REFUSAL: Code = Code::EphemeralOnLocalSession;

/// The name of the rule.
const AT_HOME: &str = "N3 at home";

/// What its server told of a session when it opened it.
struct Opened {
    server: Option<ServerId>,
    password: Password,
}

/// Is this answered by its server alone, without the log? It ends the session, or refuses what it
/// cannot own.
pub fn is_own_affair(request: &Request, answer: &Result<Response, Code>) -> bool {
    match (request, answer) {
        (Request::CloseSession, answer) => answer.is_ok(),
        (Request::Write(op), Err(code)) => *code == REFUSAL && owns(op),
        (Request::Multi(ops), Ok(Response::NoneDone { count, index, code })) => {
            let first = ops.iter().position(owns);
            *code == REFUSAL && first == Some(*index) && *count == ops.len()
        }
        _ => false,
    }
}

fn owns(op: &Op) -> bool {
    matches!(op, Op::Create(create) if create.lifetime == Lifetime::Ephemeral)
}

/// May it be refused without the log, in a session of one server alone?
pub fn may_be_refused(request: &Request) -> bool {
    match request {
        Request::Write(op) => owns(op),
        Request::Multi(ops) => ops.iter().any(owns),
        _ => false,
    }
}

/// Was this a matter of its server alone: the end of a session that the log does not know, or
/// something that was refused without the log?
pub fn is_answered_alone(log: &Log, link: &Link<'_>, asked: &Asked<'_>) -> bool {
    let session = link.session();
    let is_agreed = |zxid: Zxid| {
        log.at(zxid).is_some_and(|agreed| {
            let of = agreed.txn.origin.map(|origin| origin.session);
            let is_own = of.is_none() || of == session;
            is_own && becomes(asked.request, &agreed.txn.action, session)
        })
    };
    let is_own_affair = match asked.answer {
        None => *asked.request == Request::CloseSession,
        Some(answer) => is_own_affair(asked.request, answer.result) && !is_agreed(answer.zxid),
    };
    link.is_local() && is_own_affair
}

/// Checks who such sessions are given to; `since` tells from when on a transaction counts.
pub fn check(
    log: &Log,
    wire: &Wire<'_>,
    since: impl Fn(&Agreed) -> Duration,
    findings: &mut Findings,
) {
    let taken_over: BTreeMap<SessionId, Duration> = log
        .agreed
        .iter()
        .filter(|agreed| matches!(agreed.txn.action, Action::Upgrade { .. }))
        .filter_map(|agreed| Some((agreed.txn.origin?.session, since(agreed))))
        .collect();
    let mut opened: BTreeMap<SessionId, Opened> = BTreeMap::new();
    for link in wire.links.iter().filter(|link| link.is_local()) {
        let (Some((_, request)), Some((at, response)), Some(session)) =
            (link.connect, link.connected, link.session())
        else {
            continue;
        };
        let mut wrong = |invariant, why: &str| {
            findings.add(invariant, at, Some(session), || {
                let (client, server) = (link.client, link.server);
                format!("{client} was given session {session} by server {server:?}: {why}")
            });
        };
        let Some(asked) = request.session else {
            let (server, password) = (link.server, response.password);
            if opened
                .insert(session, Opened { server, password })
                .is_some()
            {
                wrong("E5 identity", "it was opened before");
            }
            continue;
        };
        let Some(known) = opened.get(&session).filter(|_| asked == session) else {
            wrong("E5 identity", "it is not the one that was asked for");
            continue;
        };
        if request.password != known.password || response.password != known.password {
            wrong("E5 identity", "its password is another one");
        }
        let is_of_all = taken_over.get(&session).is_some_and(|since| *since <= at);
        if link.server != known.server && !is_of_all {
            wrong(AT_HOME, "another one had opened it for itself alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::locals::{Claim, OTHER, SECRET, SESSION, handshake};
    use crate::check::wire;
    use crate::history::{History, LinkId, Moment};

    /// The server, the session that is asked for and its password, what is answered.
    type Handshake = (u8, Option<Claim>, Claim);

    fn found(handshakes: &[Handshake]) -> Vec<&'static str> {
        let at = Duration::ZERO;
        let moments = handshakes.iter().zip(1..);
        let moments = moments.flat_map(|((server, asked, given), number)| {
            handshake(LinkId(number), ServerId(*server), *asked, Some(*given))
        });
        let history = History {
            moments: moments.map(|what| Moment { at, what }).collect(),
        };
        let mut findings = Findings::default();
        let joined = wire::join(&history, &mut findings);
        let since = |agreed: &Agreed| agreed.executed_at;
        check(&Log::default(), &joined, since, &mut findings);
        let found = findings.sorted().into_iter();
        found.map(|found| found.invariant).collect()
    }

    #[test]
    fn a_session_of_one_server_alone_is_served_there_only() {
        let opened = (1, None, (SESSION, SECRET));
        let again = (1, Some((SESSION, SECRET)), (SESSION, SECRET));
        assert_eq!(found(&[opened, again]), [""; 0]);
        let elsewhere = (2, Some((SESSION, SECRET)), (SESSION, SECRET));
        assert_eq!(found(&[opened, elsewhere]), [AT_HOME]);
    }

    #[test]
    fn only_the_password_attaches_to_it_and_its_number_comes_once() {
        let opened = (1, None, (SESSION, SECRET));
        let other = SessionId(SESSION.0 + 1);
        for damaged in [
            (1, None, (SESSION, OTHER)),
            (1, Some((SESSION, OTHER)), (SESSION, SECRET)),
            (1, Some((SESSION, SECRET)), (SESSION, OTHER)),
            (1, Some((SESSION, SECRET)), (other, SECRET)),
        ] {
            let found = found(&[opened, damaged]);
            assert_eq!(found, ["E5 identity"], "{damaged:?}");
        }
    }
}
