//! What a session sees over time, by the positions in the headers: R2, R3, R4, R5 and R6.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{SessionId, Zxid};
use althing_core::node::request::Request;

use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::check::rates::is_throttled;
use crate::check::timely::Timely;
use crate::check::wire::{Step, Wire};
use crate::history::History;
use crate::plan::Plan;
use crate::reference::access::{self, Reading};

/// The least that a session must be shown, and why.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Its own newest write that was acknowledged.
    written: Zxid,
    /// The newest position in any header.
    shown: Zxid,
}

struct Walk<'a, 'f> {
    wire: &'a Wire<'a>,
    findings: &'f mut Findings,
    /// By session.
    seen: BTreeMap<SessionId, Seen>,
    /// The newest position that anybody was told.
    told: Zxid,
    /// The newest position that any server has executed.
    executed: Zxid,
    /// By sync: what anybody was told before it was sent.
    syncs: BTreeMap<(usize, usize), Zxid>,
    /// By link: what its answered syncs promise, and the last of them.
    promised: BTreeMap<usize, Zxid>,
    /// The links whose reads are linearizable from here on.
    linearizable: BTreeSet<usize>,
    /// By linearizable read: what anybody was told before it was sent.
    told_before: BTreeMap<(usize, usize), Zxid>,
    /// By request: what was executed when it was sent.
    executed_before: BTreeMap<(usize, usize), Zxid>,
    log: &'a Log,
    timely: Timely,
}

/// Is there one server alone?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Company {
    Alone,
    Ensemble,
}

/// Checks the headers of all answers.
pub fn check(plan: &Plan, history: &History, log: &Log, wire: &Wire<'_>, findings: &mut Findings) {
    let company = match plan.servers {
        1 => Company::Alone,
        _ => Company::Ensemble,
    };
    walk(company, Timely::of(plan, history), log, wire, findings);
}

/// The same for an ensemble of which nobody knows when it was slow: all but R6.
pub fn check_order(log: &Log, wire: &Wire<'_>, findings: &mut Findings) {
    walk(Company::Ensemble, Timely::unknown(), log, wire, findings);
}

fn walk(company: Company, timely: Timely, log: &Log, wire: &Wire<'_>, findings: &mut Findings) {
    let mut walk = Walk {
        wire,
        findings,
        seen: BTreeMap::new(),
        told: Zxid::ZERO,
        executed: Zxid::ZERO,
        syncs: BTreeMap::new(),
        promised: BTreeMap::new(),
        linearizable: BTreeSet::new(),
        told_before: BTreeMap::new(),
        executed_before: BTreeMap::new(),
        log,
        timely,
    };
    for step in &wire.trace {
        match *step {
            Step::Asked(link, index) => {
                walk.asked(link, index);
                if company == Company::Alone {
                    walk.executed_before.insert((link, index), walk.executed);
                }
            }
            Step::Answered(link, index) => walk.answered(link, index),
            Step::Told(link, zxid) => {
                walk.told = walk.told.max(zxid);
                if let Some(session) = wire.links[link].session() {
                    let seen = walk.seen.entry(session).or_default();
                    seen.shown = seen.shown.max(zxid);
                }
            }
            Step::Connected(link) => walk.connected(link),
            Step::Executed(zxid) => walk.executed = walk.executed.max(zxid),
        }
    }
}

impl Walk<'_, '_> {
    fn asked(&mut self, link: usize, index: usize) {
        if self.wire.links[link].reads_only() {
            // What it reads may be old, and it is promised nothing else.
            return;
        }
        match self.wire.links[link].asked[index].request {
            Request::Sync { .. } => {
                self.syncs.insert((link, index), self.told);
            }
            Request::Auth { scheme, credential } if scheme == "althing" => {
                match access::reading(credential) {
                    Some(Reading::Linearizable) => drop(self.linearizable.insert(link)),
                    Some(Reading::Local) => drop(self.linearizable.remove(&link)),
                    None => {}
                }
            }
            Request::Read(_) if self.linearizable.contains(&link) => {
                self.told_before.insert((link, index), self.told);
            }
            _ => {}
        }
    }

    /// A client that has seen a position says so when it connects.
    fn connected(&mut self, link: usize) {
        let link = &self.wire.links[link];
        if let (Some(session), Some((_, request))) = (link.session(), link.connect) {
            let seen = self.seen.entry(session).or_default();
            seen.shown = seen.shown.max(request.last_zxid_seen);
        }
    }

    fn answered(&mut self, at: usize, index: usize) {
        let link = &self.wire.links[at];
        let asked = &link.asked[index];
        let answer = asked.answer.expect("the trace tells of answers");
        let zxid = answer.zxid;
        let session = link.session();
        let mut behind = |invariant, least: Zxid, when: Duration, why: &str| {
            if zxid < least {
                self.findings.add(invariant, when, session, || {
                    let (client, request) = (link.client, asked.request.name());
                    format!("{client} was answered {request} at {zxid}, before {least}: {why}")
                });
            }
            zxid < least
        };
        let seen = session.map(|session| self.seen.entry(session).or_default());
        let seen = seen.copied().unwrap_or_default();
        if !behind("R3 own writes", seen.written, answer.at, "its own write") {
            behind("R2 monotone", seen.shown, answer.at, "it has seen that");
        }
        let mut promised = self.promised.get(&at).copied().unwrap_or_default();
        // What was refused for its client's rate waited for nothing, and promises nothing.
        let refused = is_throttled(asked);
        let told = self.syncs.remove(&(at, index));
        if let Some(told) = told.filter(|_| !refused) {
            promised = promised.max(told);
            self.promised.insert(at, promised);
        }
        behind(
            "R4 sync",
            promised,
            answer.at,
            "somebody was told that before the sync",
        );
        let told = self.told_before.remove(&(at, index));
        if let Some(told) = told.filter(|_| !refused) {
            let why = "somebody was told that before the linearizable read";
            behind("R5 linearizable", told, answer.at, why);
        }
        let since = self.timely.since(asked.at, answer.at);
        if let Some(since) = since.filter(|_| !link.reads_only()) {
            let why = "it was agreed long before the request was sent";
            behind("R6 timely", self.log.by(since), answer.at, why);
        }
        if let Some(executed) = self.executed_before.remove(&(at, index)) {
            behind(
                "R6 timely",
                executed,
                answer.at,
                "it was executed before the request was sent",
            );
        }
        if let Some(session) = session {
            let seen = self.seen.entry(session).or_default();
            seen.shown = seen.shown.max(zxid);
            if asked.is_write() && answer.result.is_ok() {
                seen.written = seen.written.max(zxid);
            }
        }
        self.told = self.told.max(zxid);
    }
}
