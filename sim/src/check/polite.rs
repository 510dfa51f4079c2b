//! Polite stops: when servers are only told to stop, one after the other, the clients of the others
//! notice nothing. A leader hands over before it leaves, and what was on its way is sent on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_core::ids::ServerId;
use althing_core::node::request::Request;

use crate::check::findings::Findings;
use crate::history::{History, LinkId, Received, Sent, What};
use crate::plan::{FaultKind, Plan};
use crate::quorums::spares_anybody;

/// A server has ended so long after it has let its clients go, at most.
const LEAVES_WITHIN: Duration = Duration::from_secs(20);

/// One stream of a client.
struct Talk {
    client: Arc<str>,
    server: ServerId,
    opened_at: Duration,
    /// It is attached to a session.
    attached: bool,
    /// Its client has asked for its end.
    closing: bool,
}

/// Judges runs in which nothing else goes wrong, and somebody is left to go to.
pub fn check(plan: &Plan, history: &History, findings: &mut Findings) {
    let polite = |fault: &FaultKind| {
        matches!(
            fault,
            FaultKind::Stop { .. } | FaultKind::RollingRestart { .. }
        )
    };
    let is_calm = plan.network.loss == 0.0 && plan.network.shuffle == 0.0;
    let only_polite = plan.faults.iter().all(|fault| polite(&fault.what));
    if plan.faults.is_empty() || !only_polite || !is_calm || !spares_anybody(plan) {
        return;
    }
    judge(history, findings);
}

fn judge(history: &History, findings: &mut Findings) {
    let ends = ends(history);
    let mut talks: BTreeMap<LinkId, Talk> = BTreeMap::new();
    for moment in &history.moments {
        match &moment.what {
            What::LinkOpened {
                client,
                link,
                server,
                ..
            } => {
                let talk = Talk {
                    client: client.clone(),
                    server: *server,
                    opened_at: moment.at,
                    attached: false,
                    closing: false,
                };
                talks.insert(*link, talk);
            }
            What::Received {
                link,
                frame: Received::Connected(response),
                ..
            } => {
                if let Some(talk) = talks.get_mut(link) {
                    // Who is only let read is sent away when there is a leader.
                    let is_whole = response.read_only != Some(true);
                    talk.attached =
                        response.session.is_some() && response.timeout_ms > 0 && is_whole;
                }
            }
            What::Sent {
                link,
                frame: Sent::Request { request, .. },
                ..
            } if **request == Request::CloseSession => {
                if let Some(talk) = talks.get_mut(link) {
                    talk.closing = true;
                }
            }
            What::LinkEnded { link, .. } => {
                let Some(talk) = talks.remove(link) else {
                    continue;
                };
                let left = ends.get(&talk.server).into_iter().flatten();
                let excused = left
                    .copied()
                    .any(|end| talk.opened_at <= end && end <= moment.at + LEAVES_WITHIN);
                if talk.attached && !talk.closing && !excused {
                    findings.add("L4 polite stop", moment.at, None, || {
                        let Talk { client, server, .. } = &talk;
                        format!("{client} loses its connection to server {server}, which stays")
                    });
                }
            }
            // What follows is the end of the story.
            What::SecondAct => return,
            _ => {}
        }
    }
}

/// When which server's processes ended.
fn ends(history: &History) -> BTreeMap<ServerId, Vec<Duration>> {
    let mut ends: BTreeMap<ServerId, Vec<Duration>> = BTreeMap::new();
    for moment in &history.moments {
        if let What::Stopped { server, .. } | What::Killed { server } = &moment.what {
            ends.entry(*server).or_default().push(moment.at);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use althing_core::ids::{Password, SessionId, Xid};
    use althing_core::node::reply::ConnectResponse;

    use super::*;
    use crate::history::Moment;

    /// `o` opens the stream to server 1, `a` attaches it, `c` asks for its end, `e` ends it, `s` is
    /// the end of server 1, `2` the second act; each at the second that follows it.
    fn found(script: &str) -> usize {
        let client: Arc<str> = Arc::from("c");
        let (link, server) = (LinkId(1), ServerId(1));
        let moments = script.split_whitespace().map(|word| {
            let client = client.clone();
            let what = match &word[..1] {
                "o" => What::LinkOpened {
                    client,
                    link,
                    server,
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                },
                "a" => What::Received {
                    client,
                    link,
                    frame: Received::Connected(ConnectResponse {
                        timeout_ms: 1_000,
                        session: Some(SessionId(7)),
                        password: Password::NONE,
                        read_only: None,
                    }),
                },
                "c" => What::Sent {
                    client,
                    link,
                    frame: Sent::Request {
                        xid: Xid(1),
                        request: Arc::new(Request::CloseSession),
                    },
                },
                "e" => What::LinkEnded { client, link },
                "s" => What::Stopped {
                    server,
                    why: "told".to_owned(),
                },
                _ => What::SecondAct,
            };
            let at = Duration::from_secs(word[1..].parse().expect("a second"));
            Moment { at, what }
        });
        let history = History {
            moments: moments.collect(),
        };
        let mut findings = Findings::default();
        judge(&history, &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn a_client_of_a_server_that_stays_keeps_its_connection() {
        assert_eq!(found("o1 a2 e9"), 1);
        assert_eq!(found("s0 o1 a2 e9"), 1, "an earlier life ended");
        assert_eq!(found("o1 a2 e9 s40"), 1, "it left much later");
        assert_eq!(found("o1 a2 e9 s10"), 0, "its server leaves");
        assert_eq!(found("o1 a2 s8 e9"), 0, "its server has left");
        assert_eq!(found("o1 a2 c8 e9"), 0, "it wanted to");
        assert_eq!(found("o1 e9"), 0, "it was not attached");
        assert_eq!(found("o1 a2 28 e9"), 0, "the story is over");
    }
}
