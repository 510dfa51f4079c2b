//! What must come about once the faults are over: every server catches up, and the leader stays.
//!
//! That the service serves at all, and that the story reaches its goals, is judged by the world as
//! it runs (`L1`); that no live client's session ends is part of `E1`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::config::ELECTION_TIMEOUT_DEFAULT;
use althing_core::ids::{ServerId, Zxid};
use althing_core::node::event::Event;

use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::history::{History, What};
use crate::plan::{Expects, Heals, Plan, Weather};

/// How long after the faults an election may still be: ten of the longest election time-outs.
const ELECTIONS_END: Duration = ELECTION_TIMEOUT_DEFAULT.saturating_mul(20);

/// How far behind in time a server may be that is well, and how long after its start it may take to
/// catch up.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// What is known of a server.
#[derive(Clone, Copy, Default)]
struct Server {
    /// Since when it runs, if it does.
    since: Option<Duration>,
    executed: Zxid,
}

/// Checks what follows the second act's beginning.
pub fn check(plan: &Plan, history: &History, log: &Log, findings: &mut Findings) {
    if plan.expects != Expects::Service || plan.heals != Heals::Everything {
        return;
    }
    let Some(healed) = history
        .moments
        .iter()
        .rfind(|moment| moment.what == What::SecondAct)
        .map(|moment| moment.at)
    else {
        return;
    };
    let end = history.moments.last().map_or(healed, |moment| moment.at);
    let steady = is_fair(&plan.network);
    let mut servers: BTreeMap<ServerId, Server> = BTreeMap::new();
    for moment in &history.moments {
        let at = moment.at;
        match &moment.what {
            What::Recovered {
                server, snapshot, ..
            } => {
                let known = servers.entry(*server).or_default();
                known.since = Some(at);
                known.executed = *snapshot;
            }
            What::Killed { server } | What::Stopped { server, .. } => {
                servers.entry(*server).or_default().since = None;
            }
            What::Said { server, event } => match event {
                Event::Executed { zxid, .. } | Event::Installed { zxid, .. } => {
                    servers.entry(*server).or_default().executed = *zxid;
                }
                Event::Elected { epoch, .. } if steady && at > healed + ELECTIONS_END => {
                    findings.add("L3 steady leader", at, None, || {
                        let after = at - healed;
                        format!(
                            "server {server} was elected for {epoch} {after:?} after the faults"
                        )
                    });
                }
                _ => {}
            },
            _ => {}
        }
    }
    let Some(due) = end.checked_sub(BEHIND_MAX).filter(|due| *due >= healed) else {
        return;
    };
    let owed = log.by(due);
    let members = members_since(log, owed);
    for (server, known) in servers {
        // Who was put out of the ensemble is told nothing any more, and who was taken in just now
        // has not had its time.
        if members
            .as_ref()
            .is_some_and(|members| !members.contains(&server))
        {
            continue;
        }
        if known.since.is_some_and(|since| since <= due) && known.executed < owed {
            findings.add("L2 convergence", end, None, || {
                let executed = known.executed;
                format!("server {server} is at {executed}; {owed} was agreed {BEHIND_MAX:?} before")
            });
        }
    }
}

/// Is the weather such that beats come in time? It stays after the faults, and where messages are
/// lost or take long there may be an election at any time.
pub fn is_fair(weather: &Weather) -> bool {
    let delay = weather.delay_min.0 + weather.delay_mean.0 * 5;
    weather.loss == 0.0 && weather.shuffle == 0.0 && delay < ELECTION_TIMEOUT_DEFAULT / 2
}

/// Who was a member all the time from this position to the end of the run, if anybody says: who
/// comes back has some time to catch up.
fn members_since(log: &Log, position: Zxid) -> Option<BTreeSet<ServerId>> {
    let mut since: Option<BTreeSet<ServerId>> = None;
    for agreed in log.agreed.iter().rev() {
        let Some(membership) = agreed.txn.action.membership() else {
            continue;
        };
        let members = membership.members();
        since = Some(match since {
            Some(since) => since.intersection(&members).copied().collect(),
            None => members,
        });
        if agreed.zxid <= position {
            break;
        }
    }
    since.filter(|members| !members.is_empty())
}
