//! How long sessions of one server alone last: E1 and E2 for those that the log does not know.
//!
//! Only their own server hears of them. What it has answered to their clients says when it last
//! did; what it handed to its node says when it last could have.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::config::LEVEL_LOCAL_SESSIONS;
use althing_core::ids::{ConnectionId, Password, ServerId, SessionId};
use althing_core::node::event::Event;
use althing_core::node::request::Request;
use althing_core::store::txn::Action;

use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::check::sessions::{Clock, Surroundings};
use crate::check::wire::{Link, Wire};
use crate::history::{History, What};

/// Such a session, as its clients know it.
struct Known {
    server: ServerId,
    password: Password,
    /// The longest and the shortest time-out that it had.
    timeouts_ms: (u32, u32),
    /// From here on it may be over for other reasons than silence: its client was to close it, the
    /// ensemble takes it over, or does not want such sessions any more.
    excused: Duration,
}

type Sessions = BTreeMap<SessionId, Known>;

/// Checks all of them.
pub fn check(
    surroundings: &Surroundings,
    history: &History,
    log: &Log,
    wire: &Wire<'_>,
    findings: &mut Findings,
) {
    let sessions = sessions(log, wire);
    if !sessions.is_empty() {
        not_early(&surroundings.clock, &sessions, history, wire, findings);
        not_late(surroundings, &sessions, history, findings);
    }
}

fn sessions(log: &Log, wire: &Wire<'_>) -> Sessions {
    let mut sessions = Sessions::new();
    for link in wire.links.iter().filter(|link| link.is_local()) {
        let (Some((_, response)), Some(session)) = (link.connected, link.session()) else {
            continue;
        };
        let Some(server) = link.server else {
            continue;
        };
        let timeout_ms = u32::try_from(response.timeout_ms).unwrap_or(0);
        let known = sessions.entry(session).or_insert(Known {
            server,
            password: response.password,
            timeouts_ms: (timeout_ms, timeout_ms),
            excused: Duration::MAX,
        });
        let (most, least) = known.timeouts_ms;
        known.timeouts_ms = (most.max(timeout_ms), least.min(timeout_ms));
        let farewell = link
            .asked
            .iter()
            .find(|asked| *asked.request == Request::CloseSession);
        let farewell = farewell.map_or(Duration::MAX, |asked| asked.at);
        known.excused = known.excused.min(farewell);
    }
    for agreed in &log.agreed {
        match &agreed.txn.action {
            Action::Upgrade { .. } => {
                let session = agreed.txn.origin.map(|origin| origin.session);
                if let Some(known) = session.and_then(|session| sessions.get_mut(&session)) {
                    known.excused = known.excused.min(agreed.saved_at);
                }
            }
            Action::OpenEpoch { settings, .. } if settings.feature_level < LEVEL_LOCAL_SESSIONS => {
                for known in sessions.values_mut() {
                    known.excused = known.excused.min(agreed.saved_at);
                }
            }
            _ => {}
        }
    }
    sessions
}

/// When each server's lives began and ended: what it knew of such sessions it knows no more.
fn forgotten(history: &History) -> BTreeMap<ServerId, Vec<Duration>> {
    let mut forgotten: BTreeMap<ServerId, Vec<Duration>> = BTreeMap::new();
    for moment in &history.moments {
        if let What::Started { server, .. }
        | What::Killed { server }
        | What::Stopped { server, .. } = &moment.what
        {
            forgotten.entry(*server).or_default().push(moment.at);
        }
    }
    forgotten
}

/// The last sign of life on a link that its server has heard before `by`, for it has answered it.
fn heard(link: &Link<'_>, by: Duration) -> Option<Duration> {
    let (from, _) = link.connect?;
    let (shown, _) = link.connected?;
    let asked = link.asked.iter().filter_map(|asked| {
        let answer = asked.answer?;
        (answer.at <= by).then_some(asked.at)
    });
    (shown <= by).then(|| asked.max().map_or(from, |last| last.max(from)))
}

/// An end of a session, as its server has it: it says so, or refuses who comes back to it with the
/// password.
struct End<'a> {
    session: SessionId,
    known: &'a Known,
    /// What was answered before this was heard before the end.
    heard_by: Duration,
    at: Duration,
}

fn ends<'a>(sessions: &'a Sessions, history: &History, wire: &Wire<'_>) -> Vec<End<'a>> {
    let said = history.moments.iter().filter_map(|moment| {
        let What::Said { server, event } = &moment.what else {
            return None;
        };
        let Event::LocalExpired { session } = event else {
            return None;
        };
        let known = sessions.get(session)?;
        let (session, heard_by, at) = (*session, moment.at, moment.at);
        (known.server == *server).then_some(End {
            session,
            known,
            heard_by,
            at,
        })
    });
    let refused = wire.links.iter().filter_map(|link| {
        let (heard_by, request) = link.connect?;
        let (at, response) = link.connected?;
        let is_refused = response.session.is_none() || response.timeout_ms == 0;
        let session = request.session.filter(|_| is_refused)?;
        let known = sessions.get(&session)?;
        let is_home = link.server == Some(known.server) && request.password == known.password;
        is_home.then_some(End {
            session,
            known,
            heard_by,
            at,
        })
    });
    said.chain(refused).collect()
}

/// E1: no session ends of which its server has heard within its time-out.
fn not_early(
    clock: &Clock,
    sessions: &Sessions,
    history: &History,
    wire: &Wire<'_>,
    findings: &mut Findings,
) {
    let forgotten = forgotten(history);
    let mut links: BTreeMap<SessionId, Vec<&Link<'_>>> = BTreeMap::new();
    for link in wire.links.iter().filter(|link| link.is_local()) {
        let session = link.session().expect("it is local");
        links.entry(session).or_default().push(link);
    }
    for end in ends(sessions, history, wire) {
        let End {
            session, known, at, ..
        } = end;
        let links = links.get(&session).into_iter().flatten();
        let Some(last) = links.filter_map(|link| heard(link, end.heard_by)).max() else {
            continue;
        };
        let lives = forgotten.get(&known.server).into_iter().flatten();
        let is_another_life = lives.into_iter().any(|cut| (last..=at).contains(cut));
        let (_, least_ms) = known.timeouts_ms;
        let (silence, least) = (at - last, clock.at_least(least_ms));
        if silence < least && !is_another_life && known.excused > at {
            findings.add("E1 not early", at, Some(session), || {
                let server = known.server;
                format!(
                    "server {server} had heard of session {session} {silence:?} before, and says \
                     that it is over; its time is {least:?}"
                )
            });
        }
    }
}

/// A session that its server keeps alive.
#[derive(Clone, Copy)]
struct Kept {
    server: ServerId,
    since: Duration,
}

/// Those that servers keep, as the run goes on.
struct Keeping<'a> {
    surroundings: &'a Surroundings,
    sessions: &'a Sessions,
    findings: &'a mut Findings,
    of_connection: BTreeMap<(ServerId, ConnectionId), SessionId>,
    kept: BTreeMap<SessionId, Kept>,
}

/// E2: no stretch of calm in which its server hands nothing of a session to its node is much longer
/// than the time-out.
fn not_late(
    surroundings: &Surroundings,
    sessions: &Sessions,
    history: &History,
    findings: &mut Findings,
) {
    let mut keeping = Keeping {
        surroundings,
        sessions,
        findings,
        of_connection: BTreeMap::new(),
        kept: BTreeMap::new(),
    };
    for moment in &history.moments {
        let at = moment.at;
        match &moment.what {
            What::Said { server, event } => keeping.said(*server, event, at),
            What::Asked { server, connection } => keeping.asked(*server, *connection, at),
            What::Started { server, .. }
            | What::Killed { server }
            | What::Stopped { server, .. } => keeping.gone(*server, at),
            _ => {}
        }
    }
    for (session, kept) in std::mem::take(&mut keeping.kept) {
        keeping.judge(session, kept, surroundings.calm.end);
    }
}

impl Keeping<'_> {
    fn said(&mut self, server: ServerId, event: &Event, at: Duration) {
        let (session, before) = match event {
            Event::LocalServed {
                connection,
                session,
            }
            | Event::ReadOnlyServed {
                connection,
                session,
            } => {
                self.of_connection.insert((server, *connection), *session);
                let kept = Kept { server, since: at };
                (session, self.kept.insert(*session, kept))
            }
            Event::LocalExpired { session } | Event::SessionUpgraded { session, .. } => {
                (session, self.kept.remove(session))
            }
            _ => return,
        };
        if let Some(before) = before {
            self.judge(*session, before, at);
        }
    }

    fn asked(&mut self, server: ServerId, connection: ConnectionId, at: Duration) {
        let Some(session) = self.of_connection.get(&(server, connection)).copied() else {
            return;
        };
        if let Some(kept) = self.kept.get_mut(&session) {
            let before = std::mem::replace(kept, Kept { server, since: at });
            self.judge(session, before, at);
        }
    }

    /// It knows nobody any more.
    fn gone(&mut self, server: ServerId, at: Duration) {
        self.of_connection.retain(|(of, _), _| *of != server);
        let (gone, stay) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|(_, kept)| kept.server == server);
        self.kept = stay;
        let gone: BTreeMap<SessionId, Kept> = gone;
        for (session, kept) in gone {
            self.judge(session, kept, at);
        }
    }

    fn judge(&mut self, session: SessionId, kept: Kept, to: Duration) {
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let Surroundings { clock, calm, .. } = self.surroundings;
        let most = clock.at_most(known.timeouts_ms.0);
        let to = to.min(known.excused);
        if to.saturating_sub(kept.since) <= most {
            return;
        }
        let stretch = calm.longest_within(kept.since, to);
        if stretch > most {
            self.findings.add("E2 not late", to, Some(session), || {
                let server = kept.server;
                format!(
                    "server {server} did not hear of session {session} for {stretch:?} of calm, \
                     and keeps it"
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::{Epoch, Xid, Zxid};
    use althing_core::node::reply::{Reply, Response};

    use super::*;
    use crate::check::pauses::Pauses;
    use crate::check::tests::locals::{Claim, OTHER, SECRET, SESSION, client, handshake};
    use crate::check::tests::plan_with;
    use crate::check::{calm::Calm, wire};
    use crate::history::{LinkId, Moment, Received, Sent};

    const HOME: ServerId = ServerId(1);
    const ASKED: Option<Claim> = Some((SESSION, SECRET));

    fn at(whats: impl IntoIterator<Item = What>, ms: u64) -> Vec<Moment> {
        let at = Duration::from_millis(ms);
        let whats = whats.into_iter();
        whats.map(|what| Moment { at, what }).collect()
    }

    /// A link of its client to its server, and what is answered.
    fn link(number: u64, asked: Option<Claim>, given: Option<Claim>, ms: u64) -> Vec<Moment> {
        at(handshake(LinkId(number), HOME, asked, given), ms)
    }

    /// A request on the first link, which is answered.
    fn answered(request: Request, ms: u64) -> Vec<Moment> {
        let (link, request) = (LinkId(1), Arc::new(request));
        let (xid, zxid) = (Xid(ms as i32), Zxid(1));
        let frame = Sent::Request {
            xid,
            request: request.clone(),
        };
        let result = Ok(Response::Empty);
        let reply = Received::Reply {
            reply: Reply::Answer { xid, zxid, result },
            request: Some(request),
        };
        let (client, frame_back) = (client(), reply);
        let sent = What::Sent {
            client: client.clone(),
            link,
            frame,
        };
        let received = What::Received {
            client,
            link,
            frame: frame_back,
        };
        at([sent, received], ms)
    }

    fn said(event: Event, ms: u64) -> Vec<Moment> {
        let server = HOME;
        at([What::Said { server, event }], ms)
    }

    /// The session is opened, and some more happens.
    fn found(more: Vec<Vec<Moment>>) -> Vec<&'static str> {
        let (epoch, leader) = (Epoch(1), HOME);
        let served = Event::LocalServed {
            connection: ConnectionId(1),
            session: SESSION,
        };
        let begins = [
            said(Event::Elected { epoch, leader }, 0),
            said(Event::EpochOpened { epoch }, 0),
            link(1, None, ASKED, 100),
            said(served, 100),
        ];
        let moments = begins.into_iter().chain(more).flatten().collect();
        let history = History { moments };
        let surroundings = Surroundings {
            clock: Clock::exact(Duration::from_secs(1)),
            calm: Calm::of(&plan_with(3, Vec::new()), &history),
            pauses: Pauses::default(),
            all_comes: true,
        };
        let mut findings = Findings::default();
        let joined = wire::join(&history, &mut findings);
        check(
            &surroundings,
            &history,
            &Log::default(),
            &joined,
            &mut findings,
        );
        let found = findings.sorted().into_iter();
        found.map(|found| found.invariant).collect()
    }

    fn asked(ms: u64) -> Vec<Moment> {
        let connection = ConnectionId(1);
        let server = HOME;
        at([What::Asked { server, connection }], ms)
    }

    fn expired(ms: u64) -> Vec<Moment> {
        said(Event::LocalExpired { session: SESSION }, ms)
    }

    #[test]
    fn who_was_heard_within_the_time_out_has_a_session() {
        let early = ["E1 not early"];
        let refused = |ms| link(2, ASKED, None, ms);
        let over = || expired(4_500);
        assert_eq!(found(vec![refused(4_000), over()]), early);
        assert_eq!(found(vec![over(), refused(5_000)]), [""; 0]);
        let pings = || answered(Request::Ping, 2_000);
        assert_eq!(found(vec![pings(), refused(5_000), expired(6_500)]), early);
        assert_eq!(found(vec![pings(), expired(6_500)]), [""; 0]);
        assert_eq!(found(vec![pings(), expired(5_500)]), early);
        assert_eq!(found(vec![expired(4_000)]), early);
    }

    #[test]
    fn a_session_may_be_over_for_other_reasons() {
        let refused = |ms| link(2, ASKED, None, ms);
        let farewell = answered(Request::CloseSession, 1_000);
        assert_eq!(found(vec![farewell, refused(2_000)]), [""; 0]);
        let (server, life) = (HOME, 2);
        let restarted = at([What::Started { server, life }], 1_000);
        assert_eq!(found(vec![restarted, refused(2_000)]), [""; 0]);
        let thief = link(2, Some((SESSION, OTHER)), None, 2_000);
        assert_eq!(found(vec![thief, expired(5_000)]), [""; 0]);
        let elsewhere = handshake(LinkId(2), ServerId(2), ASKED, None);
        assert_eq!(found(vec![at(elsewhere, 2_000), expired(5_000)]), [""; 0]);
    }

    #[test]
    fn who_is_silent_has_no_session() {
        let late = ["E2 not late"];
        let end = || {
            said(
                Event::LogCut {
                    after: Zxid(1),
                    count: 0,
                },
                60_000,
            )
        };
        assert_eq!(found(vec![end()]), late);
        assert_eq!(found(vec![expired(5_000), end()]), [""; 0]);
        assert_eq!(found(vec![expired(20_000), end()]), late);
        assert_eq!(found(vec![asked(20_000), expired(24_500), end()]), late);
        let asked_often = (1..20).map(|nth| asked(nth * 3_000));
        assert_eq!(found(asked_often.chain([end()]).collect()), [""; 0]);
        let server = HOME;
        let killed = at([What::Killed { server }], 3_000);
        assert_eq!(found(vec![killed, end()]), [""; 0]);
        let deposed = said(Event::Deposed { epoch: Epoch(1) }, 3_000);
        assert_eq!(found(vec![deposed, end()]), [""; 0]);
    }
}
