//! Request rates: Q2. Who is refused must have asked so often that a bucket can have been empty,
//! and through one link came no more than the buckets can have held.
//!
//! When a server took a request is not known, but bounded: after it was sent, and before its answer
//! arrived. Of a link that broke, the last requests may have been taken until its session was
//! attached to the same server again. Each bound is taken as it favours the server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use althing_core::code::Code;
use althing_core::config::{Rate, Rates};
use althing_core::ids::{ConnectionId, ServerId, SessionId};
use althing_core::node::event::Event;
use althing_core::node::request::Request;
use althing_core::store::txn::Attachment;
use althing_core::tree::acl::Identity;

use crate::check::findings::Findings;
use crate::check::wire::{Asked, Link, Wire};
use crate::history::{History, What};
use crate::plan::{FaultKind, Plan};
use crate::reference::access;

/// A session, and one of its attachments.
type Owned = (SessionId, Attachment);

/// What is made of an imprecise sum: a hundredth of a request.
const GRAIN: f64 = 0.01;

/// Whose a bucket is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Session(SessionId),
    Address(IpAddr),
    Identity(Identity),
}

/// Does it take a token? What keeps a client in its session does not.
pub fn costs(request: &Request) -> bool {
    !matches!(
        request,
        Request::Ping
            | Request::Auth { .. }
            | Request::Sasl { .. }
            | Request::SetWatches(_)
            | Request::CloseSession
    )
}

/// Was it refused since its client asks too often?
pub fn is_throttled(asked: &Asked<'_>) -> bool {
    let answer = asked.answer.map(|answer| answer.result);
    matches!(answer, Some(Err(Code::ThrottledOp)))
}

/// Counts for each link what its server says that it refused as over a limit: where the connection
/// was lost, no answer tells.
pub fn count_refused(history: &History, wire: &mut Wire<'_>) {
    let mut attached: BTreeMap<(ServerId, ConnectionId), Option<Owned>> = BTreeMap::new();
    let mut refused: BTreeMap<Owned, usize> = BTreeMap::new();
    for moment in &history.moments {
        let What::Said { server, event } = &moment.what else {
            continue;
        };
        match event {
            Event::Attached {
                connection,
                session,
                attachment,
            } => {
                attached.insert((*server, *connection), Some((*session, *attachment)));
            }
            Event::LocalServed { connection, .. } | Event::ReadOnlyServed { connection, .. } => {
                attached.insert((*server, *connection), None);
            }
            Event::LimitReached { connection, .. } => {
                if let Some(Some(owned)) = attached.get(&(*server, *connection)) {
                    *refused.entry(*owned).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    for link in &mut wire.links {
        let owned = link.session().zip(link.attachment);
        let count = owned.and_then(|owned| refused.get(&owned).copied());
        link.refused = count.unwrap_or(0);
    }
}

/// A request that took its tokens, as far as anybody knows.
struct Taken {
    link: usize,
    index: usize,
    sent: Duration,
    /// When it had, at the latest; `None` if nobody knows.
    by: Option<Duration>,
}

/// What a link may have been granted: the fullest that its bucket can have been.
struct Granted {
    count: f64,
    /// The largest of what had come by a request and how many were before it.
    most: f64,
}

/// The rates, and how far the servers' clocks may be off.
struct Buckets {
    rates: Rates,
    fastest: f64,
    slowest: f64,
}

impl Buckets {
    fn of(plan: &Plan) -> Buckets {
        let drifts = plan.faults.iter().filter_map(|fault| match fault.what {
            FaultKind::ClockDrift { ppm, .. } => Some(1.0 + f64::from(ppm) / 1e6),
            _ => None,
        });
        let right = (1.0_f64, 1.0_f64);
        let (slowest, fastest) = drifts.fold(right, |(slow, fast), drift| {
            (slow.min(drift), fast.max(drift))
        });
        Buckets {
            rates: plan.server.rates(),
            fastest,
            slowest,
        }
    }

    /// Whose tokens request `index` of a link takes.
    fn owners(&self, link: &Link<'_>, index: usize) -> Vec<(Owner, Rate)> {
        let who = link.identities(index);
        if !costs(link.asked[index].request) || who.contains(&access::super_identity()) {
            return Vec::new();
        }
        let session = link.session().map(Owner::Session).zip(self.rates.session);
        let address = link.address.map(Owner::Address).zip(self.rates.address);
        let mut owners: Vec<(Owner, Rate)> = session.into_iter().chain(address).collect();
        if let Some(rate) = self.rates.identity {
            let proven = who.into_iter().filter(|who| &*who.scheme != "ip");
            owners.extend(proven.map(|who| (Owner::Identity(who), rate)));
        }
        owners
    }
}

/// What is known of all buckets: by the server that keeps it, and whose it is.
type Known = BTreeMap<(Option<ServerId>, Owner), Vec<Taken>>;

/// Checks every refusal, and what every link was granted.
pub fn check(plan: &Plan, wire: &Wire<'_>, findings: &mut Findings) {
    let buckets = Buckets::of(plan);
    let mut known = Known::new();
    if buckets.rates != Rates::default() {
        let ends = ends(wire);
        for (at, link) in wire.links.iter().enumerate() {
            collect(&buckets, link, at, ends[at], &mut known);
            granted(&buckets, link, findings);
        }
    }
    for (at, link) in wire.links.iter().enumerate() {
        for (index, asked) in link.asked.iter().enumerate() {
            if is_throttled(asked) && !may_be_empty(&buckets, &known, link, (at, index)) {
                let when = asked.answer.map_or(asked.at, |answer| answer.at);
                findings.add("Q2 rate", when, link.session(), || {
                    let (client, request) = (link.client, asked.request.name());
                    format!("{client} was refused {request}, and asks no more often than it may")
                });
            }
        }
    }
}

/// By link: until when what it left unanswered may have taken tokens.
fn ends(wire: &Wire<'_>) -> Vec<Option<Duration>> {
    let mut attached: BTreeMap<(Option<ServerId>, SessionId), Vec<Duration>> = BTreeMap::new();
    for link in &wire.links {
        if let (Some(session), Some((at, _))) = (link.session(), link.connected) {
            let all = attached.entry((link.server, session)).or_default();
            all.push(at);
        }
    }
    let end = |link: &Link<'_>| {
        let (since, _) = link.connected?;
        let again = attached.get(&(link.server, link.session()?))?;
        again.iter().copied().filter(|at| *at > since).min()
    };
    wire.links.iter().map(end).collect()
}

fn collect(
    buckets: &Buckets,
    link: &Link<'_>,
    at: usize,
    end: Option<Duration>,
    known: &mut Known,
) {
    for (index, asked) in link.asked.iter().enumerate() {
        if is_throttled(asked) {
            continue;
        }
        for (owner, _) in buckets.owners(link, index) {
            let taken = Taken {
                link: at,
                index,
                sent: asked.at,
                by: asked.answer.map(|answer| answer.at).or(end),
            };
            known.entry((link.server, owner)).or_default().push(taken);
        }
    }
}

/// Is there a bucket that request `index` of a link may have found empty?
fn may_be_empty(
    buckets: &Buckets,
    known: &Known,
    link: &Link<'_>,
    (at, index): (usize, usize),
) -> bool {
    let asked = &link.asked[index];
    let answered = asked.answer.map_or(asked.at, |answer| answer.at);
    buckets
        .owners(link, index)
        .into_iter()
        .any(|(owner, rate)| {
            let Some(all) = known.get(&(link.server, owner)) else {
                return false;
            };
            let before = |taken: &&Taken| {
                taken.sent <= answered && (taken.link != at || taken.index < index)
            };
            let per_second = f64::from(rate.per_second.get()) * buckets.slowest;
            // How long before this one was sent the others had their tokens, at least.
            let gap = |taken: &Taken| match taken.by {
                Some(by) => asked.at.saturating_sub(by).as_secs_f64(),
                None => 0.0,
            };
            let mut gaps: Vec<f64> = all.iter().filter(before).map(gap).collect();
            gaps.sort_by(f64::total_cmp);
            // Within some span of time they took more than all tokens but one.
            let left = f64::from(rate.burst.get()) - 1.0 - GRAIN;
            let mut taken = (1..).zip(gaps);
            taken.any(|(count, gap)| f64::from(count) > left + per_second * gap)
        })
}

/// What came through a link within any span of time was granted by its buckets.
fn granted(buckets: &Buckets, link: &Link<'_>, findings: &mut Findings) {
    let mut all: BTreeMap<Owner, Granted> = BTreeMap::new();
    for (index, asked) in link.asked.iter().enumerate() {
        let Some(answer) = asked.answer else { break };
        if is_throttled(asked) {
            continue;
        }
        for (owner, rate) in buckets.owners(link, index) {
            let per_second = f64::from(rate.per_second.get()) * buckets.fastest;
            let came = |at: Duration| per_second * at.as_secs_f64();
            let granted = all.entry(owner.clone()).or_insert(Granted {
                count: 0.0,
                most: f64::MIN,
            });
            granted.most = granted.most.max(came(asked.at) - granted.count);
            granted.count += 1.0;
            let at_once = granted.count + granted.most - came(answer.at);
            if at_once > f64::from(rate.burst.get()) + GRAIN {
                findings.add("Q2 rate", answer.at, link.session(), || {
                    let (client, burst) = (link.client, rate.burst);
                    format!(
                        "{client} was granted {at_once:.1} more than came within the time, by \
                         {owner:?}, which holds {burst}"
                    )
                });
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::{Password, Xid, Zxid};
    use althing_core::node::reply::{ConnectResponse, Reply, Response};
    use althing_core::node::request::ConnectRequest;
    use althing_core::tree::path::Path;

    use super::*;
    use crate::check::tests::plan_with;
    use crate::check::wire::join;
    use crate::history::{History, LinkId, Moment, Received, Sent, What};

    /// What the script of a link says of one request: `+` it was done, `-` it was refused, `?` its
    /// answer is lost.
    struct Word(u64, char, u64);

    /// `+12-34`: what was sent after 12 ms, and answered after 34.
    fn words(script: &str) -> Vec<Word> {
        let word = |text: &str| {
            let what = text.chars().next().expect("a word");
            let (sent, answered) = text[1..].split_once('-').expect("two times");
            let number = |text: &str| text.parse().expect("milliseconds");
            Word(number(sent), what, number(answered))
        };
        script.split_whitespace().map(word).collect()
    }

    /// The moments of one link of session 7, that is connected at once.
    fn link(number: u64, since: u64, script: &str) -> Vec<(u64, What)> {
        let (client, link): (Arc<str>, _) = (Arc::from("client-1"), LinkId(number));
        let sent = |frame| What::Sent {
            client: client.clone(),
            link,
            frame,
        };
        let received = |frame| What::Received {
            client: client.clone(),
            link,
            frame,
        };
        let session = Some(SessionId(7));
        let connect = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 4_000,
            session,
            password: Password::NONE,
            read_only: None,
        };
        let connected = Received::Connected(ConnectResponse {
            timeout_ms: 4_000,
            session,
            password: Password::NONE,
            read_only: None,
        });
        let opened = What::LinkOpened {
            client: client.clone(),
            link,
            server: ServerId(1),
            address: IpAddr::from([10, 0, 0, 1]),
        };
        let first = [opened, sent(Sent::Connect(connect)), received(connected)];
        let mut moments: Vec<(u64, What)> = first.map(|what| (since, what)).into();
        for (xid, Word(at, what, answered)) in (1..).map(Xid).zip(words(script)) {
            let path = Path::parse("/a").expect("a path");
            let request = Arc::new(Request::Sync { path: path.clone() });
            moments.push((at, sent(Sent::Request { xid, request })));
            let result = match what {
                '+' => Ok(Response::Synced { path }),
                '-' => Err(Code::ThrottledOp),
                _ => continue,
            };
            let zxid = Zxid(1);
            let reply = Reply::Answer { xid, zxid, result };
            let request = None;
            moments.push((answered, received(Received::Reply { reply, request })));
        }
        moments
    }

    /// How often the rule is broken by these links, with ten requests a second and three at once.
    fn found(links: &[(u64, &str)]) -> usize {
        let mut plan = plan_with(1, Vec::new());
        let settings = "sessionRequestsPerSecond = 10\nsessionRequestsBurst = 3\n";
        plan.server = toml::from_str(settings).expect("settings");
        found_with(&plan, links)
    }

    fn found_with(plan: &Plan, links: &[(u64, &str)]) -> usize {
        let all = (1..).zip(links);
        let mut moments: Vec<(u64, What)> = all
            .flat_map(|(number, (since, script))| link(number, *since, script))
            .collect();
        moments.sort_by_key(|(at, _)| *at);
        let moments = moments.into_iter().map(|(at, what)| Moment {
            at: Duration::from_millis(at),
            what,
        });
        let history = History {
            moments: moments.collect(),
        };
        let mut findings = Findings::default();
        let wire = join(&history, &mut findings);
        check(plan, &wire, &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn only_who_has_asked_often_may_be_refused() {
        assert_eq!(found(&[(0, "+1-2 +1-2 +1-2 -3-4")]), 0);
        assert_eq!(found(&[(0, "+1-2 +1-2 -3-4")]), 1, "one token was left");
        assert_eq!(found(&[(0, "-1-2")]), 1, "all were left");
        assert_eq!(
            found(&[(0, "+1-2 +1-2 +1-2 -150-160")]),
            1,
            "one has come meanwhile"
        );
        assert_eq!(
            found(&[(0, "+1-100 +1-100 +1-100 -150-160")]),
            0,
            "they may have been taken just now"
        );
        assert_eq!(
            found(&[(0, "+1-2 +1-2 +1-2 -3-4 -5-6 -103-105")]),
            1,
            "who is refused pays nothing"
        );
    }

    #[test]
    fn what_was_lost_with_a_link_may_have_been_taken() {
        assert_eq!(found(&[(0, "?1-0 ?1-0 ?1-0"), (9, "-10-11")]), 0);
        assert_eq!(
            found(&[(0, "?1-0 ?1-0 ?1-0"), (9, "-200-201")]),
            1,
            "not later than the session came back"
        );
        assert_eq!(found(&[(0, "?1-0 ?1-0"), (9, "-10-11")]), 1);
    }

    #[test]
    fn who_asks_too_often_is_refused() {
        assert_eq!(found(&[(0, "+1-2 +1-2 +1-2 +3-4")]), 1);
        assert_eq!(
            found(&[(0, "+1-2 +1-2 +1-2 +3-150")]),
            0,
            "it may have been taken late"
        );
        assert_eq!(found(&[(0, "+1-2 +1-2 +1-2 +101-102 +201-202")]), 0);
        assert_eq!(found(&[(0, "+1-2 +1-2 +1-2 +101-102 +191-199")]), 1);
    }

    #[test]
    fn without_rates_nobody_is_refused() {
        let plan = plan_with(1, Vec::new());
        let script = "+1-2 +1-2 +1-2 +3-4 -5-6";
        assert_eq!(found_with(&plan, &[(0, script)]), 1);
    }
}
