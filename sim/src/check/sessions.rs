//! Sessions: when they end, who may attach to them, what their clients are told: E1 to E6.
//!
//! Heartbeats are soft state of the leader: what counts is what it has heard, through whichever
//! server, and a new leader knows of none, so it gives every session a full time-out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{Password, ServerId, SessionId, Zxid};
use althing_core::node::event::Event;
use althing_core::store::txn::{Action, Ending};

use crate::check::calm::Calm;
use crate::check::findings::Findings;
use crate::check::following::Following;
use crate::check::log::Log;
use crate::check::pauses::Pauses;
use crate::check::reigns::Reigns;
use crate::check::replay::{Closed, Life, Replayed};
use crate::check::wire::Wire;
use crate::history::{History, What};
use crate::plan::{FaultKind, Plan};

/// The tick unless the plan says otherwise: ZooKeeper's, and the core's.
pub const TICK_DEFAULT: Duration = Duration::from_secs(2);

/// How much later than its time-out and one tick the end of a session may be decided, in calm: for
/// what the timers of a busy server are late.
const LATE_MAX: Duration = Duration::from_secs(2);

/// How much earlier than its time-out, by true time, the end may be decided: for the grain of the
/// simulated clocks.
const EARLY_MAX: Duration = Duration::from_millis(2);

/// What is known of the world around the servers.
#[derive(Debug)]
pub struct Surroundings {
    /// Their clocks.
    pub clock: Clock,
    /// When nothing disturbed them.
    pub calm: Calm,
    /// When they did not run.
    pub pauses: Pauses,
    /// Does what one server says to another come to it, as long as nothing disturbs them? Else who
    /// was heard by one may not be known to the other.
    pub all_comes: bool,
}

impl Surroundings {
    /// Of a run with this plan.
    pub fn of(plan: &Plan, history: &History) -> Surroundings {
        Surroundings {
            clock: Clock::of(plan),
            calm: Calm::of(plan, history),
            pauses: Pauses::of(plan, history),
            all_comes: plan.network.shuffle == 0.0,
        }
    }
}

/// Everything about sessions.
pub fn check(
    surroundings: &Surroundings,
    history: &History,
    log: &Log,
    wire: &Wire<'_>,
    replayed: &Replayed,
    findings: &mut Findings,
) {
    let Surroundings { clock, calm, .. } = surroundings;
    let touches = touches(history, log, replayed);
    let reigns = Reigns::of(history);
    for (session, life) in &replayed.lives {
        let of_session = touches.get(session).map_or(&[][..], |touches| touches);
        not_early(surroundings, *session, life, of_session, &reigns, findings);
        not_late(clock, *session, life, of_session, calm, findings);
    }
    ended_by_a_leader(history, &reigns, findings);
    let following = Following::of(history);
    heard_on_the_wire(surroundings, wire, replayed, &reigns, &following, findings);
    ephemerals(history, replayed, findings);
    handshakes(clock, log, wire, replayed, findings);
}

/// The clocks of the servers, and what is measured with them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    tick: Duration,
    /// The fastest and the slowest clock, in millionths of true time.
    fastest_ppm: i64,
    slowest_ppm: i64,
}

impl Clock {
    fn of(plan: &Plan) -> Clock {
        let drifts = || {
            plan.faults.iter().filter_map(|fault| match fault.what {
                FaultKind::ClockDrift { ppm, .. } => Some(i64::from(ppm)),
                _ => None,
            })
        };
        Clock {
            tick: plan.server.tick_time.map_or(TICK_DEFAULT, |span| span.0),
            fastest_ppm: drifts().max().unwrap_or(0).max(0),
            slowest_ppm: drifts().min().unwrap_or(0).min(0),
        }
    }

    /// True ones, of servers with this tick.
    pub fn exact(tick: Duration) -> Clock {
        Clock {
            tick,
            fastest_ppm: 0,
            slowest_ppm: 0,
        }
    }

    /// The least true time in which the fastest clock measures `timeout_ms`.
    pub fn at_least(&self, timeout_ms: u32) -> Duration {
        let micros = i64::from(timeout_ms) * 1_000_000_000 / (1_000_000 + self.fastest_ppm);
        Duration::from_micros(micros as u64).saturating_sub(EARLY_MAX)
    }

    /// The true time after which the slowest clock has measured `timeout_ms`, and all delays.
    pub fn at_most(&self, timeout_ms: u32) -> Duration {
        let measured = Duration::from_millis(u64::from(timeout_ms));
        self.measured_by_all(measured) + self.tick + LATE_MAX
    }

    /// The true time after which even the slowest clock has measured `time`.
    pub fn measured_by_all(&self, time: Duration) -> Duration {
        let slowest = (1_000_000 + self.slowest_ppm).max(1) as u128;
        let micros = time.as_micros() * 1_000_000 / slowest;
        Duration::from_micros(micros as u64)
    }
}

/// A sign of life of a session: when, and the server that says so; `None` if it is agreed.
type Touch = (Duration, Option<ServerId>);

/// When each session was heard of, in order.
fn touches(history: &History, log: &Log, replayed: &Replayed) -> BTreeMap<SessionId, Vec<Touch>> {
    let mut touches: BTreeMap<SessionId, Vec<Touch>> = BTreeMap::new();
    for moment in &history.moments {
        let What::Said { server, event } = &moment.what else {
            continue;
        };
        if let Event::Touched { session } | Event::Attached { session, .. } = event {
            let touch = (moment.at, Some(*server));
            touches.entry(*session).or_default().push(touch);
        }
    }
    assert!(
        log.agreed.len() >= replayed.lives.len(),
        "a session is opened by a transaction"
    );
    for (session, life) in &replayed.lives {
        let of_session = touches.entry(*session).or_default();
        let attached = life.attached.iter();
        of_session.extend(attached.map(|(_, _, executed_at, _)| (*executed_at, None)));
        of_session.sort();
    }
    touches
}

/// The time-out that is in force when the session's end is decided.
fn timeout_of(life: &Life, closed: &Closed) -> u32 {
    let before = |attached: &&(Zxid, Duration, Duration, u32)| attached.0 < closed.zxid;
    let last = life.attached.iter().rev().find(before);
    last.map_or(0, |(_, _, _, timeout_ms)| *timeout_ms)
}

/// E1 by what servers say: within the time-out before its end was decided, the leader that decided
/// it neither heard of the session nor began to lead. While it was paused it could not hear of
/// anybody, so that time does not count.
fn not_early(
    surroundings: &Surroundings,
    session: SessionId,
    life: &Life,
    touches: &[Touch],
    reigns: &Reigns,
    findings: &mut Findings,
) {
    let Some(closed) = life
        .closed
        .filter(|closed| closed.ending == Ending::Expired)
    else {
        return;
    };
    let Surroundings { clock, pauses, .. } = surroundings;
    let least = clock.at_least(timeout_of(life, &closed));
    let at = closed.saved_at;
    let reign = reigns.of_epoch(closed.zxid.epoch());
    let leader = reign.map(|reign| reign.leader);
    let before = touches.partition_point(|(touched_at, _)| *touched_at <= at);
    let accepted = |(_, by): &&Touch| by.is_none() || leader.is_none() || *by == leader;
    let heard = touches[..before].iter().rfind(accepted);
    let began = reign.map(|reign| reign.began());
    for (since, what) in [
        (heard.map(|(heard_at, _)| *heard_at), "it was heard of"),
        (began.filter(|began| *began <= at), "its leader began"),
    ] {
        let Some(since) = since else {
            continue;
        };
        let noticed = clock.measured_by_all(clock.tick) + EARLY_MAX;
        let paused = leader.map_or(Duration::ZERO, |leader| {
            pauses.within(leader, noticed, since, at)
        });
        let awake = (at - since).saturating_sub(paused);
        if awake < least {
            findings.add("E1 not early", at, Some(session), || {
                format!(
                    "session {session} expired {awake:?} after {what}, and {paused:?} of a pause; \
                     its time is {least:?}"
                )
            });
        }
    }
}

/// E1: only who leads knows who was heard of, so nobody else may end a session.
fn ended_by_a_leader(history: &History, reigns: &Reigns, findings: &mut Findings) {
    for moment in &history.moments {
        if let What::Said {
            server,
            event: Event::TimedOut { session },
        } = &moment.what
            && !reigns.leads(*server, moment.at)
        {
            findings.add("E1 not early", moment.at, Some(*session), || {
                format!("server {server} ends session {session} and does not lead")
            });
        }
    }
}

/// How long it may take at most, in calm, until the leader knows whom another server has heard of.
const TOUCH_TRAVELS_MAX: Duration = Duration::from_millis(500);

/// E1 by what clients saw: what was sent within the time-out and answered before the end was
/// decided was heard within the time-out; by the leader itself, or, in calm and where no message
/// gets lost, by who follows it.
fn heard_on_the_wire(
    surroundings: &Surroundings,
    wire: &Wire<'_>,
    replayed: &Replayed,
    reigns: &Reigns,
    following: &Following,
    findings: &mut Findings,
) {
    let Surroundings { clock, calm, .. } = surroundings;
    for link in &wire.links {
        if link.reads_only() {
            // Nobody else hears of its client.
            continue;
        }
        let Some((session, life)) = link
            .session()
            .and_then(|session| Some((session, replayed.lives.get(&session)?)))
        else {
            continue;
        };
        let Some(closed) = life
            .closed
            .filter(|closed| closed.ending == Ending::Expired)
        else {
            continue;
        };
        let least = clock.at_least(timeout_of(life, &closed));
        let decided = closed.saved_at;
        let reign = reigns.of_epoch(closed.zxid.epoch());
        let at_leader = reign.is_some_and(|reign| Some(reign.leader) == link.server);
        let began = reign.map_or(Duration::ZERO, |reign| reign.from);
        let mut heard = link.asked.iter().filter(|asked| {
            let answered = |limit| {
                let answer = asked.answer;
                answer.is_some_and(|answer| answer.result.is_ok() && answer.at < limit)
            };
            let in_calm = || calm.longest_within(asked.at, decided) >= decided - asked.at;
            // What somebody else answers by itself, no leader hears of.
            let told = asked.at + TOUCH_TRAVELS_MAX;
            let epoch = closed.zxid.epoch();
            let follows = || {
                let holds = |server| following.holds(server, epoch, asked.at, told);
                link.server.is_some_and(holds)
            };
            match at_leader && asked.at >= began {
                true => answered(decided),
                false => {
                    let in_time = answered(decided.saturating_sub(TOUCH_TRAVELS_MAX));
                    in_time && surroundings.all_comes && in_calm() && follows()
                }
            }
        });
        if let Some(last) = heard.next_back()
            && decided - last.at < least
        {
            findings.add("E1 not early", decided, Some(session), || {
                let (after, request) = (decided - last.at, last.request.name());
                format!("session {session} expired {after:?} after {request}; it has {least:?}")
            });
        }
    }
}

/// E2: no stretch of calm without a heartbeat is much longer than the time-out.
fn not_late(
    clock: &Clock,
    session: SessionId,
    life: &Life,
    touches: &[Touch],
    calm: &Calm,
    findings: &mut Findings,
) {
    let end = life.closed.map_or(calm.end, |closed| closed.saved_at);
    let most = clock.at_most(
        life.attached
            .iter()
            .map(|attached| attached.3)
            .max()
            .unwrap_or(0),
    );
    let touched = || touches.iter().map(|(at, _)| *at);
    for (from, to) in touched().zip(touched().skip(1).chain([end])) {
        let to = to.min(end);
        if to.saturating_sub(from) <= most {
            continue;
        }
        let stretch = calm.longest_within(from, to);
        if stretch > most {
            findings.add("E2 not late", to, Some(session), || {
                format!("session {session} was not heard of for {stretch:?} of calm and is open")
            });
            return;
        }
    }
}

/// E3: as many ephemerals went with a session as it had.
fn ephemerals(history: &History, replayed: &Replayed, findings: &mut Findings) {
    for moment in &history.moments {
        let What::Said { event, .. } = &moment.what else {
            continue;
        };
        let Event::SessionClosed {
            session,
            ephemerals,
            ending,
        } = event
        else {
            continue;
        };
        let closed = replayed.lives.get(session).and_then(|life| life.closed);
        let right = closed
            .is_some_and(|closed| closed.ephemerals == *ephemerals && closed.ending == *ending);
        if !right {
            findings.add("E3 ephemerals go", moment.at, Some(*session), || {
                let told = format!("session {session} {ending:?} with {ephemerals} ephemerals");
                let by_the_log = match closed {
                    Some(closed) => format!("{:?} with {}", closed.ending, closed.ephemerals),
                    None => "still open".to_owned(),
                };
                format!("{told}, but by the log {by_the_log}").to_lowercase()
            });
        }
    }
}

/// The secret of every session that the log knows.
fn passwords(log: &Log) -> BTreeMap<SessionId, Password> {
    let agreed = log.agreed.iter();
    let opened = agreed.filter_map(|agreed| match agreed.txn.action {
        Action::OpenSession { password, .. } => Some((SessionId(agreed.zxid.to_wire()), password)),
        Action::Upgrade { password, .. } => Some((agreed.txn.origin?.session, password)),
        _ => None,
    });
    opened.collect()
}

/// What the first frames ask for and get: E4, E5 and E6.
fn handshakes(
    clock: &Clock,
    log: &Log,
    wire: &Wire<'_>,
    replayed: &Replayed,
    findings: &mut Findings,
) {
    let passwords = passwords(log);
    let mut opened = BTreeSet::new();
    for link in wire.links.iter().filter(|link| !link.reads_only()) {
        let (Some((from, request)), Some((at, response))) = (link.connect, link.connected) else {
            continue;
        };
        let client = link.client;
        let Some(session) = response.session.filter(|_| response.timeout_ms != 0) else {
            let asked = request.session;
            let life = asked.and_then(|session| replayed.lives.get(&session));
            let known = asked.and_then(|session| passwords.get(&session));
            // One server's alone, it may have ended before the ensemble took it over.
            let ended = life.is_none_or(|life| {
                life.opened_at > from || life.closed.is_some_and(|closed| closed.executed_at <= at)
            });
            if !ended && known.is_some_and(|password| *password == request.password) {
                findings.add("E4 no orphan", at, asked, || {
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
                format!("{client} was given session {session}: {why}")
            });
        };
        match request.session {
            Some(asked) if asked != session => wrong("E5 identity", "it asked for another"),
            Some(_) if passwords.get(&session) != Some(&request.password) => {
                wrong("E5 identity", "it did not give its password");
            }
            None if !opened.insert(session) => wrong("E5 identity", "it was opened before"),
            _ => {}
        }
        if passwords.get(&session) != Some(&response.password) {
            wrong("E5 identity", "with a password that is not the session's");
        }
        let life = replayed.lives.get(&session);
        if life.is_some_and(|life| life.closed.is_some_and(|closed| closed.executed_at < from)) {
            wrong("E5 identity", "it had ended before it was asked for");
        }
        let agreed = life.into_iter().flat_map(|life| &life.attached);
        let mut fitting = agreed
            .filter(|(_, saved_at, executed_at, _)| *saved_at >= from && *executed_at <= at)
            .peekable();
        if fitting.peek().is_none() {
            wrong("E5 identity", "no transaction attached it");
            continue;
        }
        let wish = i128::from(request.timeout_ms);
        let tick = clock.tick.as_millis() as i128;
        let clamped = wish.clamp(2 * tick, 20 * tick);
        let told = i128::from(response.timeout_ms);
        if told != clamped || fitting.all(|attached| i128::from(attached.3) != told) {
            let why = format!("its time-out is {told} ms; {clamped} ms was to be");
            wrong("E6 negotiation", &why);
        }
    }
}
