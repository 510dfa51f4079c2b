//! Leader stickiness: a leader whom a healthy quorum hears stays, whatever becomes of the others.
//! One server that comes and goes must not depose it, and nothing that is said out of turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId};
use althing_core::node::event::Event;

use crate::check::findings::Findings;
use crate::check::health::{FELT, Health};
use crate::check::liveness::is_fair;
use crate::history::{History, What};
use crate::plan::Plan;

/// A leader that has no reason to go.
struct Reign {
    epoch: Epoch,
    since: Duration,
    /// The faults that were in force when it was elected, and are still: what was said before the
    /// election may come when they end.
    shadows: BTreeSet<usize>,
}

struct Walk<'a, 'f> {
    health: Health<'a>,
    findings: &'f mut Findings,
    reigns: BTreeMap<ServerId, Reign>,
    /// The newest epoch that anybody has stood for.
    stood: Epoch,
}

/// Judges runs in which messages come in time and the voters stay the same.
pub fn check(plan: &Plan, history: &History, findings: &mut Findings) {
    if !is_fair(&plan.network) || plan.changes_voters() {
        return;
    }
    let mut walk = Walk {
        health: Health::new(plan),
        findings,
        reigns: BTreeMap::new(),
        stood: Epoch(0),
    };
    for moment in &history.moments {
        walk.health.see(moment.at, &moment.what);
        walk.see(moment.at, &moment.what);
    }
}

impl Walk<'_, '_> {
    fn see(&mut self, at: Duration, what: &What) {
        match what {
            What::Said { server, event } => self.said(at, *server, event),
            What::Killed { server } | What::Stopped { server, .. } => {
                self.reigns.remove(server);
            }
            What::Healed { index, .. } => {
                for reign in self.reigns.values_mut() {
                    if reign.shadows.remove(index) {
                        reign.since = at;
                    }
                }
            }
            What::SecondAct => {
                for reign in self.reigns.values_mut() {
                    if !std::mem::take(&mut reign.shadows).is_empty() {
                        reign.since = at;
                    }
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, at: Duration, server: ServerId, event: &Event) {
        match event {
            // Who stood at the same time may not have heard who was elected.
            Event::Campaigned { epoch } => {
                self.stood = self.stood.max(*epoch);
                self.reigns
                    .retain(|_, reign| reign.epoch >= *epoch || reign.since + FELT <= at);
            }
            Event::Elected { epoch, leader } if *leader == server => {
                self.elected(at, server, *epoch);
            }
            Event::Deposed { epoch } => {
                if let Some(reign) = self.reigns.remove(&server)
                    && self.is_secure(server, &reign, at)
                {
                    self.findings.add("L5 leader stickiness", at, None, || {
                        format!(
                            "server {server} is deposed, which led epoch {epoch} from {:?} and \
                             heard a quorum that was well",
                            reign.since
                        )
                    });
                }
            }
            // It goes by itself: it was told to stop, or its disk is full.
            Event::HandedOver { .. } | Event::SavesRefused { .. } | Event::Followed { .. } => {
                self.reigns.remove(&server);
            }
            _ => {}
        }
    }

    fn elected(&mut self, at: Duration, server: ServerId, epoch: Epoch) {
        for (leader, reign) in &self.reigns {
            if reign.epoch < epoch && self.is_secure(*leader, reign, at) {
                self.findings.add("L5 leader stickiness", at, None, || {
                    let of = reign.epoch;
                    format!(
                        "server {server} is elected for epoch {epoch}, though server {leader} led \
                         epoch {of} from {:?} and was heard by a quorum that was well",
                        reign.since
                    )
                });
            }
        }
        self.reigns.retain(|_, reign| reign.epoch > epoch);
        if self.stood <= epoch {
            let reign = Reign {
                epoch,
                since: at,
                shadows: self.health.in_force().collect(),
            };
            self.reigns.insert(server, reign);
        }
    }

    fn is_secure(&self, leader: ServerId, reign: &Reign, at: Duration) -> bool {
        let settled = reign.shadows.is_empty() && reign.since + FELT <= at;
        settled && self.health.has_quorum(leader, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{plan_with, recovered};
    use crate::cue::Cue;
    use crate::history::Moment;
    use crate::plan::FaultKind;
    use crate::plan::{Direction, Fault, Which, Who};
    use crate::span::Span;

    /// Two faults: the first cuts server 3 off, the second makes server 2 slow.
    fn faults() -> Vec<Fault> {
        let lasts = Span::secs(1);
        let kinds = [
            FaultKind::Isolate {
                server: Which::Follower,
                direction: Direction::Both,
                lasts,
                flaps: None,
            },
            FaultKind::SlowLink {
                who: Who::Server(Which::Follower),
                by: Span::secs(1),
                lasts,
            },
        ];
        let at = Cue::At { at: Span::secs(1) };
        let faults = kinds.map(|what| Fault::new(at.clone(), what));
        faults.to_vec()
    }

    /// Three servers start at once. `e` server 1 is elected for epoch 1, `d` it is deposed, `s` it
    /// hands over, `k2` server 2 dies, `n` server 3 is elected for epoch 2, `c` it stands for epoch
    /// 2, `0` and `1` the two faults begin, `h0` and `h1` they end; each at the second behind `@`.
    fn found(script: &str) -> usize {
        let epoch = Epoch(1);
        let said = |server, event| What::Said {
            server: ServerId(server),
            event,
        };
        let struck = |index: usize, number: u8| What::Struck {
            index,
            kind: "fault",
            detail: format!("server-{number}: 1s"),
        };
        let healed = |index| What::Healed {
            index,
            kind: "fault",
        };
        let start = |number| Moment {
            at: Duration::ZERO,
            what: recovered(ServerId(number)),
        };
        let mut moments: Vec<Moment> = (1..=3).map(start).collect();
        for word in script.split_whitespace() {
            let (word, second) = word.split_once('@').expect("what@second");
            let what = match word {
                "e" | "n" => {
                    let leader = ServerId(if word == "e" { 1 } else { 3 });
                    let epoch = Epoch(if word == "e" { 1 } else { 2 });
                    said(leader.0, Event::Elected { epoch, leader })
                }
                "d" => said(1, Event::Deposed { epoch }),
                "s" => {
                    let to = ServerId(2);
                    said(1, Event::HandedOver { epoch, to })
                }
                "k2" => What::Killed {
                    server: ServerId(2),
                },
                "c" => said(3, Event::Campaigned { epoch: Epoch(2) }),
                "0" => struck(0, 3),
                "1" => struck(1, 2),
                "h0" => healed(0),
                _ => healed(1),
            };
            let at = Duration::from_secs(second.parse().expect("a second"));
            moments.push(Moment { at, what });
        }
        let mut findings = Findings::default();
        check(&plan_with(3, faults()), &History { moments }, &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn who_comes_back_does_not_depose_a_leader_that_is_well() {
        assert_eq!(found("e@1 d@20"), 1, "nothing happened");
        assert_eq!(found("e@1 0@10 d@20"), 1, "one server is cut off");
        assert_eq!(found("e@1 0@10 h0@19 d@20"), 1, "it comes back");
        assert_eq!(found("e@1 0@10 h0@19 n@20"), 1, "it is elected");
        assert_eq!(found("e@1 0@10 h0@19 c@20 d@20"), 1, "it stands");
    }

    #[test]
    fn a_leader_with_a_reason_goes() {
        assert_eq!(found("e@1 d@2"), 0, "it is not established");
        assert_eq!(found("e@1 s@20 d@20"), 0, "it hands over");
        assert_eq!(found("e@1 0@10 k2@11 d@12"), 0, "no quorum is left");
        assert_eq!(found("e@1 0@10 1@11 d@12"), 0, "the quorum is slow");
        assert_eq!(found("e@1 0@10 1@11 h1@12 d@13"), 0, "it was slow just now");
        assert_eq!(found("e@1 0@10 1@11 h1@12 d@20"), 1, "it was slow long ago");
        assert_eq!(found("0@1 e@2 h0@20 d@21"), 0, "an old vote comes late");
        assert_eq!(found("e@2 c@3 d@20"), 0, "another stood at the same time");
    }
}
