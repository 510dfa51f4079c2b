//! Pre-vote: who stands for election has asked first whether it could win. So nobody stands, and
//! drives the epoch up, whose log ends before those of so many others that no quorum can vote for
//! it.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId, Zxid};
use althing_core::node::event::Event;

use crate::check::findings::Findings;
use crate::history::{History, What};
use crate::plan::Plan;
use crate::quorums::Quorums;

/// What is known of a server.
#[derive(Default)]
struct Server {
    /// The end of its log.
    last: Zxid,
    /// The disk had no space at some time: what the log lost by that is not told.
    was_full: bool,
    /// For which epoch it asks, and what was seen since it began to.
    canvass: Option<Canvass>,
    /// The leader of this epoch has told it to stand for the next one.
    succeeds: Option<Epoch>,
}

/// What was seen since a server asked first for the votes of an epoch.
struct Canvass {
    epoch: Epoch,
    /// The farthest end of its own log.
    own: Zxid,
    /// The nearest end of the logs of others.
    others: BTreeMap<ServerId, Zxid>,
}

struct Walk<'a, 'f> {
    quorums: &'a Quorums,
    findings: &'f mut Findings,
    servers: BTreeMap<ServerId, Server>,
}

/// Judges runs in which the voters stay the same.
pub fn check(plan: &Plan, history: &History, findings: &mut Findings) {
    if plan.changes_voters() {
        return;
    }
    let servers = (1..=plan.servers).map(|number| (ServerId(number), Server::default()));
    let mut walk = Walk {
        quorums: &Quorums::of_plan(plan),
        findings,
        servers: servers.collect(),
    };
    for moment in &history.moments {
        walk.see(moment.at, &moment.what);
    }
}

impl Walk<'_, '_> {
    fn see(&mut self, at: Duration, what: &What) {
        match what {
            What::Saving { server, zxid, .. } => self.ends(*server, *zxid),
            What::Cut { server, after } => self.ends(*server, *after),
            What::Refused { server, .. } => self.refused(*server),
            What::Recovered {
                server,
                snapshot,
                entries,
                ..
            } => {
                if let Some(known) = self.servers.get_mut(server) {
                    *known = Server::default();
                }
                let last = entries.last().map_or(*snapshot, |entry| entry.zxid);
                self.ends(*server, last);
            }
            What::Said { server, event } => match event {
                Event::Installed { zxid, .. } => self.ends(*server, *zxid),
                Event::Canvassed { epoch } => self.canvassed(*server, *epoch),
                Event::HandedOver { epoch, to } => {
                    if let Some(successor) = self.servers.get_mut(to) {
                        successor.succeeds = Some(*epoch);
                    }
                }
                Event::Campaigned { epoch } => self.campaigned(at, *server, *epoch),
                _ => {}
            },
            _ => {}
        }
    }

    /// A server's disk had no space: its log may end anywhere from now on, also for those who have
    /// asked already.
    fn refused(&mut self, server: ServerId) {
        for (other, known) in &mut self.servers {
            known.was_full |= *other == server;
            let canvass = known.canvass.as_mut();
            if let Some(nearest) = canvass.and_then(|asked| asked.others.get_mut(&server)) {
                *nearest = Zxid::ZERO;
            }
        }
    }

    /// A server's log ends here from now on.
    fn ends(&mut self, server: ServerId, last: Zxid) {
        for (other, known) in &mut self.servers {
            if *other == server {
                known.last = last;
            }
            let Some(canvass) = &mut known.canvass else {
                continue;
            };
            if *other == server {
                canvass.own = canvass.own.max(last);
            } else if let Some(nearest) = canvass.others.get_mut(&server) {
                *nearest = (*nearest).min(last);
            }
        }
    }

    /// What counts from now on for the votes of this epoch.
    fn canvass(&self, server: ServerId, epoch: Epoch) -> Canvass {
        let end = |(other, known): (&ServerId, &Server)| {
            let last = match known.was_full {
                true => Zxid::ZERO,
                false => known.last,
            };
            (*other, last)
        };
        Canvass {
            epoch,
            own: self
                .servers
                .get(&server)
                .map_or(Zxid::ZERO, |known| known.last),
            others: self.servers.iter().map(end).collect(),
        }
    }

    fn canvassed(&mut self, server: ServerId, epoch: Epoch) {
        let known = self.servers.get(&server);
        let asked = known.and_then(|known| known.canvass.as_ref());
        if asked.is_some_and(|asked| asked.epoch == epoch) {
            return;
        }
        let canvass = self.canvass(server, epoch);
        if let Some(known) = self.servers.get_mut(&server) {
            known.canvass = Some(canvass);
        }
    }

    fn campaigned(&mut self, at: Duration, server: ServerId, epoch: Epoch) {
        let Some(known) = self.servers.get_mut(&server) else {
            return;
        };
        let asked = known.canvass.take().filter(|asked| asked.epoch == epoch);
        let was_full = known.was_full;
        if known.succeeds.is_some_and(|of| of.next() >= epoch) || was_full {
            return;
        }
        // Who has not asked at all goes by what is there now.
        let canvass = asked.unwrap_or_else(|| self.canvass(server, epoch));
        let would = |voter: ServerId| {
            let last = canvass.others.get(&voter).copied().unwrap_or_default();
            voter == server || last <= canvass.own
        };
        if self.quorums.has(would) {
            return;
        }
        self.findings.add("L6 pre-vote", at, None, || {
            let own = canvass.own;
            format!(
                "server {server} stands for epoch {epoch} with a log that ends at {own}: too many \
                 others have more for it to win"
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use althing_core::ids::SessionId;
    use althing_core::store::txn::{Action, Ending, Txn};
    use althing_core::time::WallTime;

    use super::*;
    use crate::check::tests::{happened, plan_with};

    /// `s17` server 1 saves position 7, `c15` it keeps up to 5, `a1` it asks for votes, `e1` it
    /// stands, `h1` server 3, which leads, hands over to it, `f1` its disk had no space.
    fn found(script: &str) -> usize {
        let epoch = Epoch(2);
        let action = Action::CloseSession {
            session: SessionId(1),
            ending: Ending::Closed,
        };
        let txn = Arc::new(Txn::of_servers(WallTime(0), action));
        let history = happened(script.split_whitespace().map(|word| {
            let number = |text: &str| text.parse().expect("a number");
            let server = ServerId(number(&word[1..2]));
            let zxid = match &word[2..] {
                "" => Zxid::ZERO,
                position => Zxid(number(position).into()),
            };
            let said = |server, event| What::Said { server, event };
            match &word[..1] {
                "s" => What::Saving {
                    server,
                    zxid,
                    txn: txn.clone(),
                },
                "c" => What::Cut {
                    server,
                    after: zxid,
                },
                "a" => said(server, Event::Canvassed { epoch }),
                "e" => said(server, Event::Campaigned { epoch }),
                "h" => {
                    let (epoch, to) = (Epoch(1), server);
                    said(ServerId(3), Event::HandedOver { epoch, to })
                }
                _ => What::Refused { server, zxid },
            }
        }));
        let mut findings = Findings::default();
        check(&plan_with(3, Vec::new()), &history, &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn who_cannot_win_does_not_stand() {
        assert_eq!(found("s15 s27 s37 a1 e1"), 1);
        assert_eq!(found("s15 s27 s37 e1"), 1, "it has not even asked");
        assert_eq!(found("s17 s27 s37 c15 a1 e1"), 1, "it has lost its end");
    }

    #[test]
    fn who_may_win_stands() {
        assert_eq!(found("s17 s27 s37 a1 e1"), 0, "all have the same");
        assert_eq!(found("s15 s25 s37 a1 e1"), 0, "one of three has more");
        assert_eq!(found("s15 s25 s37 a1 s27 e1"), 0, "they had when it asked");
        assert_eq!(found("s15 s27 s37 h1 e1"), 0, "it was told to");
        assert_eq!(found("s15 s27 s37 f1 a1 e1"), 0, "nobody knows its log");
        assert_eq!(
            found("s15 s27 s37 a1 f2 e1"),
            0,
            "nor what another has left"
        );
    }
}
