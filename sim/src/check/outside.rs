//! Judges real servers from outside: by what their clients saw, and by what their disks hold when
//! it is over. Nobody sees into the servers meanwhile.
//!
//! The agreed sequence is what the logs of a quorum hold. When a position took effect is not known,
//! but bounded: not after anybody was first shown it or a later one, and not before the last
//! request was sent that stands before it. The other checkers are given the later bound, so all
//! that they find is real; they find less than in the simulator, where every moment is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::{Password, ServerId, SessionId, Zxid};
use althing_core::store::txn::{Action, Entry, Txn};

use crate::check::agreement::entries::{follows, same};
use crate::check::findings::Findings;
use crate::check::log::{Agreed, Log};
use crate::check::replay::{Replayed, replay};
use crate::check::wire::{Wire, join};
use crate::check::wording::action;
use crate::check::writes::Known;
use crate::check::{locals, read_only, reads, watches, writes};
use crate::history::{History, Moment, Violation, What};

/// A server's whole log, as its data directory has it after the run.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Whose.
    pub server: ServerId,
    /// In order, from the very first transaction: no snapshot was made.
    pub entries: Vec<Entry>,
}

/// What clients saw of a run, for who looks into no server.
pub fn seen_by_clients(history: &History) -> History {
    let seen = |moment: &&Moment| {
        matches!(
            moment.what,
            What::LinkOpened { .. }
                | What::LinkEnded { .. }
                | What::Sent { .. }
                | What::Received { .. }
        )
    };
    History {
        moments: history.moments.iter().filter(seen).cloned().collect(),
    }
}

/// Every rule that the run broke, as far as clients and disks can tell. `disks` are those of all
/// servers, and all of them vote; `tick` is what the servers were configured with.
pub fn check(history: &History, disks: &[Disk], tick: Duration) -> Vec<Violation> {
    let mut findings = Findings::default();
    let end = history
        .moments
        .last()
        .map_or(Duration::ZERO, |last| last.at);
    let entries = agreed_by_a_quorum(disks, end, &mut findings);
    let mut log = Log::default();
    let shown = Shown::of(history);
    log.agreed
        .extend(entries.into_iter().map(|(zxid, txn)| Agreed {
            zxid,
            txn,
            saved_at: shown.first(zxid),
            executed_at: shown.first(zxid),
            digest: None,
        }));
    shown.in_the_log(&log, &mut findings);
    let mut wire = join(history, &mut findings);
    let bounds = Bounds::of(&log, &wire);
    attach(&bounds, &mut wire);
    let replayed = replay(&log, &wire, &mut findings);
    writes::check(Known::Everybody, &log, &wire, &replayed, &mut findings);
    reads::check_order(&log, &wire, &mut findings);
    watches::check(&wire, &replayed, &mut findings);
    handshakes(tick, &bounds, &wire, &replayed, &mut findings);
    read_only::check(&wire, None, &mut findings);
    // When it was executed is not known, and it may have been long before anybody was shown it.
    let since = |agreed: &Agreed| bounds.not_before(agreed.zxid);
    locals::check(&log, &wire, since, &mut findings);
    findings.sorted()
}

/// What the logs of a quorum hold, in order; that all logs match, each within itself and with the
/// others.
fn agreed_by_a_quorum(
    disks: &[Disk],
    end: Duration,
    findings: &mut Findings,
) -> Vec<(Zxid, Arc<Txn>)> {
    // By position and by what stands before it: what stands there, and on how many servers.
    let mut held: BTreeMap<Zxid, Vec<(Zxid, &Entry, usize)>> = BTreeMap::new();
    for disk in disks {
        let mut before = Zxid::ZERO;
        for entry in &disk.entries {
            if !follows(before, entry.zxid) {
                findings.add("I2 zxid", end, None, || {
                    let server = disk.server;
                    format!(
                        "the log of server {server} has {} after {before}",
                        entry.zxid
                    )
                });
            }
            let here = held.entry(entry.zxid).or_default();
            let is = |(previous, other, _): &&mut (Zxid, &Entry, usize)| {
                *previous == before && same(&other.txn, &entry.txn)
            };
            match here.iter_mut().find(is) {
                Some((_, _, servers)) => *servers += 1,
                None => here.push((before, entry, 1)),
            }
            before = entry.zxid;
        }
    }
    let quorum = disks.len() / 2 + 1;
    let mut agreed: Vec<(Zxid, Arc<Txn>)> = Vec::new();
    for (zxid, here) in &held {
        if let [(_, one, _), (_, other, _), ..] = &here[..] {
            findings.add("I5 log matching", end, None, || {
                let (one, other) = (action(&one.txn.action), action(&other.txn.action));
                format!("two logs hold {zxid} and differ there or before it: {one}, {other}")
            });
        }
        if let Some((previous, entry, _)) = here.iter().find(|(.., servers)| *servers >= quorum) {
            let last = agreed.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
            if *previous != last {
                findings.add("I5 state machine", end, None, || {
                    format!("a quorum has {zxid} after {previous}, but {last} was agreed too")
                });
            }
            agreed.push((*zxid, entry.txn.clone()));
        }
    }
    agreed
}

/// What anybody was shown, and when.
struct Shown {
    /// Rising in both.
    rises: Vec<(Duration, Zxid)>,
    /// Every position, the hour at which it was first shown, and to whom.
    all: BTreeMap<Zxid, (Duration, Arc<str>)>,
}

impl Shown {
    fn of(history: &History) -> Shown {
        let mut shown = Shown {
            rises: Vec::new(),
            all: BTreeMap::new(),
        };
        for moment in &history.moments {
            let What::Received { client, frame, .. } = &moment.what else {
                continue;
            };
            let Some(zxid) = frame.shows().filter(|zxid| *zxid > Zxid::ZERO) else {
                continue;
            };
            let newest = shown.rises.last().map_or(Zxid::ZERO, |(_, zxid)| *zxid);
            if zxid > newest {
                shown.rises.push((moment.at, zxid));
            }
            let first = || (moment.at, client.clone());
            shown.all.entry(zxid).or_insert_with(first);
        }
        shown
    }

    /// When anybody was first shown a state that has this position in it.
    fn first(&self, zxid: Zxid) -> Duration {
        let rise = self.rises.partition_point(|(_, shown)| *shown < zxid);
        self.rises.get(rise).map_or(Duration::MAX, |(at, _)| *at)
    }

    /// What was shown is what was agreed.
    fn in_the_log(&self, log: &Log, findings: &mut Findings) {
        for (zxid, (at, client)) in &self.all {
            if log.at(*zxid).is_none() {
                findings.add("I4 no rollback", *at, None, || {
                    format!("{client} was shown {zxid}, which no quorum has")
                });
            }
        }
    }
}

/// An attachment that was agreed.
#[derive(Clone, Copy, Debug)]
struct Attached {
    zxid: Zxid,
    timeout_ms: u32,
    /// It was not proposed before this.
    from: Duration,
    /// Somebody was shown it or a later position at this hour.
    to: Duration,
}

impl Attached {
    /// Can it be that of a handshake that began and ended at these hours?
    fn fits(&self, from: Duration, to: Duration) -> bool {
        self.to >= from && self.from <= to
    }
}

/// When things can have been agreed at all.
struct Bounds<'a> {
    log: &'a Log,
    /// Rising in both: no position from here on was proposed before the hour.
    proposed: Vec<(Zxid, Duration)>,
    attached: BTreeMap<SessionId, Vec<Attached>>,
    passwords: BTreeMap<SessionId, Password>,
}

impl<'a> Bounds<'a> {
    fn of(log: &'a Log, wire: &Wire<'_>) -> Bounds<'a> {
        let mut sent: BTreeMap<Zxid, Duration> = BTreeMap::new();
        for link in &wire.links {
            let writes = link.asked.iter().filter(|asked| asked.is_write());
            for asked in writes.filter(|asked| !locals::is_answered_alone(log, link, asked)) {
                if let Some(answer) = asked.answer.filter(|answer| answer.result.is_ok()) {
                    let at = sent.entry(answer.zxid).or_default();
                    *at = asked.at.max(*at);
                }
            }
        }
        let mut proposed: Vec<(Zxid, Duration)> = Vec::new();
        for (zxid, at) in sent {
            if proposed.last().is_none_or(|(_, last)| *last < at) {
                proposed.push((zxid, at));
            }
        }
        let mut bounds = Bounds {
            log,
            proposed,
            attached: BTreeMap::new(),
            passwords: BTreeMap::new(),
        };
        for agreed in &log.agreed {
            let (session, timeout_ms) = match &agreed.txn.action {
                Action::OpenSession {
                    password,
                    timeout_ms,
                    ..
                } => {
                    let session = SessionId(agreed.zxid.to_wire());
                    bounds.passwords.insert(session, *password);
                    (session, *timeout_ms)
                }
                Action::Upgrade { password, .. } => {
                    let session = agreed.txn.origin.map(|origin| origin.session);
                    bounds
                        .passwords
                        .extend(session.map(|session| (session, *password)));
                    continue;
                }
                Action::Attach {
                    session,
                    timeout_ms,
                    ..
                } => (*session, *timeout_ms),
                _ => continue,
            };
            let attached = Attached {
                zxid: agreed.zxid,
                timeout_ms,
                from: bounds.not_before(agreed.zxid),
                to: agreed.executed_at,
            };
            bounds.attached.entry(session).or_default().push(attached);
        }
        bounds
    }

    /// The hour before which a position was not proposed.
    fn not_before(&self, zxid: Zxid) -> Duration {
        let after = self.proposed.partition_point(|(known, _)| *known <= zxid);
        after
            .checked_sub(1)
            .map_or(Duration::ZERO, |at| self.proposed[at].1)
    }

    /// A session's attachments.
    fn of_session(&self, session: SessionId) -> &[Attached] {
        self.attached.get(&session).map_or(&[], |attached| attached)
    }
}

/// Finds each link's attachment: by an answer of its writes, else by elimination. A link that
/// stays without one is judged leniently.
fn attach(bounds: &Bounds<'_>, wire: &mut Wire<'_>) {
    let mut taken = BTreeSet::new();
    // What is asked for in a session of one server alone names no attachment.
    for link in wire.links.iter_mut().filter(|link| !link.is_local()) {
        link.attachment = writes::by_answers(bounds.log, link);
        taken.extend(link.attachment);
    }
    for link in wire.links.iter_mut().filter(|link| !link.is_local()) {
        let (Some((from, _)), Some((to, _))) = (link.connect, link.connected) else {
            continue;
        };
        let Some(session) = link.session().filter(|_| link.attachment.is_none()) else {
            continue;
        };
        let mut fitting = bounds
            .of_session(session)
            .iter()
            .filter(|attached| attached.fits(from, to) && !taken.contains(&attached.zxid));
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            link.attachment = Some(only.zxid);
        }
    }
}

/// What the first frames ask for and get: E4, E5 and E6.
fn handshakes(
    tick: Duration,
    bounds: &Bounds<'_>,
    wire: &Wire<'_>,
    replayed: &Replayed,
    findings: &mut Findings,
) {
    let mut opened = BTreeSet::new();
    for link in wire.links.iter().filter(|link| !link.reads_only()) {
        let (Some((from, request)), Some((at, response))) = (link.connect, link.connected) else {
            continue;
        };
        let closed = |session| replayed.lives.get(&session)?.closed;
        let Some(session) = response.session.filter(|_| response.timeout_ms != 0) else {
            let Some(asked) = request.session else {
                continue;
            };
            let known = bounds.passwords.get(&asked) == Some(&request.password);
            let life = replayed.lives.get(&asked);
            // One server's alone, it may have ended before the ensemble took it over.
            let ended = life.is_none_or(|life| life.opened_at > from)
                || closed(asked).is_some_and(|end| bounds.not_before(end.zxid) <= at);
            if known && !ended {
                findings.add("E4 no orphan", at, Some(asked), || {
                    let client = link.client;
                    format!("{client} was told that its session expired, and it is open")
                });
            }
            continue;
        };
        if link.is_local() {
            continue;
        }
        let mut wrong = |invariant, why: &str| {
            findings.add(invariant, at, Some(session), || {
                format!("{} was given session {session}: {why}", link.client)
            });
        };
        match request.session {
            Some(asked) if asked != session => wrong("E5 identity", "it asked for another"),
            Some(_) if bounds.passwords.get(&session) != Some(&request.password) => {
                wrong("E5 identity", "it did not give its password");
            }
            None if !opened.insert(session) => wrong("E5 identity", "it was opened before"),
            _ => {}
        }
        if bounds.passwords.get(&session) != Some(&response.password) {
            wrong("E5 identity", "with a password that is not the session's");
        }
        if closed(session).is_some_and(|end| end.executed_at < from) {
            wrong("E5 identity", "it had ended before it was asked for");
        }
        let attached = bounds.of_session(session).iter();
        let fitting: Vec<_> = attached
            .filter(|attached| attached.fits(from, at))
            .collect();
        if fitting.is_empty() {
            wrong("E5 identity", "no transaction attached it");
            continue;
        }
        let wish = i128::from(request.timeout_ms);
        let tick_ms = tick.as_millis() as i128;
        let wanted = wish.clamp(2 * tick_ms, 20 * tick_ms);
        let told = i128::from(response.timeout_ms);
        let agreed = |attached: &&Attached| i128::from(attached.timeout_ms) == told;
        if told != wanted || !fitting.iter().any(agreed) {
            let why = format!("its time-out is {told} ms; {wanted} ms was to be");
            wrong("E6 negotiation", &why);
        }
    }
}
