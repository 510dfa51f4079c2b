//! Servers that have no leader, and the clients that only read there: N1 and N2.
//!
//! What such clients read is judged with everybody's reads: it is agreed, and never goes back. Only
//! its age is nobody's business.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::ids::{Password, SessionId};
use althing_core::node::request::Request;

use crate::check::calm::Calm;
use crate::check::findings::Findings;
use crate::check::wire::{Asked, Link, Wire};
use crate::plan::{Heals, Plan};
use crate::reference::access::{self, Reading};
use crate::telling::requested;

/// How long a client is still let read by a server that could have found the leader: for new links
/// between servers, a trial vote, and what the server has to catch up with.
const READS_ON_MAX: Duration = Duration::from_secs(10);

/// When every server is sure to find the leader; never, if some stay away after the faults, or may
/// be members no more.
pub fn calm_for_all<'a>(plan: &Plan, calm: &'a Calm) -> Option<&'a Calm> {
    (plan.heals == Heals::Everything && !plan.workload.wishes()).then_some(calm)
}

/// Checks all links.
pub fn check(wire: &Wire<'_>, calm: Option<&Calm>, findings: &mut Findings) {
    let mut given = BTreeMap::new();
    for link in &wire.links {
        match link.reads_only() {
            true => {
                handshake(link, &mut given, findings);
                only_reads(link, findings);
                ends(link, calm, findings);
            }
            false => serves_whole(link, findings),
        }
    }
}

fn add(link: &Link<'_>, at: Duration, findings: &mut Findings, why: impl FnOnce() -> String) {
    findings.add("N1 read only", at, link.session(), || {
        format!("{} on link {}: {}", link.client, link.id.0, why())
    });
}

/// Who asked for it gets it, in a session that the ensemble does not know.
fn handshake(link: &Link<'_>, given: &mut BTreeMap<SessionId, Password>, findings: &mut Findings) {
    let (Some((_, request)), Some((at, response))) = (link.connect, link.connected) else {
        return;
    };
    let Some(session) = response.session else {
        return;
    };
    let mut wrong = |why: &str| add(link, at, findings, || format!("{why} ({session})"));
    if request.read_only != Some(true) {
        wrong("it is only let read, and did not ask for that");
    }
    if !session.is_local() {
        wrong("it is only let read, in a session of the ensemble");
    }
    let before = given.insert(session, response.password);
    match request.session {
        None if before.is_some() => wrong("it is given a session that was given before"),
        Some(asked) if asked != session => wrong("it is given another session than its own"),
        Some(_) if before != Some(request.password) => wrong("it did not give the secret"),
        Some(_) if before != Some(response.password) => wrong("its session's secret changes"),
        _ => {}
    }
}

/// Nothing that needs a leader is done.
fn only_reads(link: &Link<'_>, findings: &mut Findings) {
    let mut is_linearizable = false;
    for asked in &link.asked {
        if let Request::Auth { scheme, credential } = asked.request
            && scheme == "althing"
        {
            match access::reading(credential) {
                Some(Reading::Linearizable) => is_linearizable = true,
                Some(Reading::Local) => is_linearizable = false,
                None => {}
            }
        }
        let Some(answer) = asked.answer else { continue };
        let needs_leader = match asked.request {
            // It ends with what is known of it, which is this server's alone.
            Request::CloseSession => false,
            Request::Sync { .. } => true,
            Request::Read(_) => is_linearizable,
            _ => asked.is_write(),
        };
        let is_refused = matches!(answer.result, Err(Code::NotReadOnly));
        if needs_leader && answer.result.is_ok() {
            let what = || format!("{} was done without a leader", requested(asked.request));
            add(link, answer.at, findings, what);
        }
        if !needs_leader && is_refused {
            let what = || {
                format!(
                    "{} was refused and needs no leader",
                    requested(asked.request)
                )
            };
            add(link, answer.at, findings, what);
        }
    }
}

/// A server that has a leader refuses nobody for want of one.
fn serves_whole(link: &Link<'_>, findings: &mut Findings) {
    let refused = |asked: &&Asked<'_>| {
        let answer = asked.answer;
        answer.is_some_and(|answer| *answer.result == Err(Code::NotReadOnly))
    };
    if let Some(asked) = link.asked.iter().find(refused)
        && let Some(answer) = asked.answer
    {
        let what = || {
            format!(
                "{} was refused, though it may write",
                requested(asked.request)
            )
        };
        add(link, answer.at, findings, what);
    }
}

/// A server that could have found the leader has sent its readers away.
fn ends(link: &Link<'_>, calm: Option<&Calm>, findings: &mut Findings) {
    let (Some(calm), Some((from, _))) = (calm, link.connected) else {
        return;
    };
    let answered = |asked: &Asked<'_>| Some(asked.answer?.at);
    let Some(to) = link.asked.iter().filter_map(answered).max() else {
        return;
    };
    let stretch = calm.longest_within(from, to);
    if stretch > READS_ON_MAX {
        findings.add("N2 whole again", to, link.session(), || {
            let (client, id) = (link.client, link.id.0);
            format!("{client} on link {id} was only let read for {stretch:?} of calm")
        });
    }
}
