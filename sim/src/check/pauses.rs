//! When servers did not run: a pause that is long enough for a server to notice counts as nobody's
//! silence.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::ServerId;

use crate::history::{History, What};
use crate::plan::{FaultKind, Plan, Which, Who};

/// The pauses of each server that the plan names by its number.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    /// Their beginnings and ends, in order, without overlaps.
    of: BTreeMap<ServerId, Vec<(Duration, Duration)>>,
}

/// The server that this fault pauses, if it is one that the plan names by its number.
fn paused(fault: &FaultKind) -> Option<ServerId> {
    match fault {
        FaultKind::Pause {
            who: Who::Server(Which::Number(number)),
            ..
        } => Some(ServerId(*number)),
        _ => None,
    }
}

impl Pauses {
    /// As a run tells.
    pub fn of(plan: &Plan, history: &History) -> Pauses {
        let mut pauses = Pauses::default();
        // How many faults pause each server now, and since when the first of them does.
        let mut active: BTreeMap<ServerId, (u32, Duration)> = BTreeMap::new();
        for moment in &history.moments {
            let at = moment.at;
            let who = |index: &usize| paused(&plan.faults.get(*index)?.what);
            match &moment.what {
                What::Struck { index, .. } => {
                    if let Some(server) = who(index) {
                        active.entry(server).or_insert((0, at)).0 += 1;
                    }
                }
                What::Healed { index, .. } => {
                    if let Some(server) = who(index)
                        && let Some((count, since)) = active.get_mut(&server)
                    {
                        *count -= 1;
                        if *count == 0 {
                            pauses.add(server, *since, at);
                            active.remove(&server);
                        }
                    }
                }
                What::SecondAct => {
                    for (server, (_, since)) in std::mem::take(&mut active) {
                        pauses.add(server, since, at);
                    }
                }
                // Another life of it has no memory of who was heard.
                What::Killed { server } | What::Stopped { server, .. } => {
                    active.remove(server);
                }
                _ => {}
            }
        }
        pauses
    }

    fn add(&mut self, server: ServerId, from: Duration, to: Duration) {
        self.of.entry(server).or_default().push((from, to));
    }

    /// How much of the time from `from` to `to` lies in pauses of the server that are longer than
    /// `longer_than`.
    pub fn within(
        &self,
        server: ServerId,
        longer_than: Duration,
        from: Duration,
        to: Duration,
    ) -> Duration {
        let of_server = self.of.get(&server).map_or(&[][..], |pauses| pauses);
        let long = of_server
            .iter()
            .filter(|(begin, end)| *end - *begin > longer_than);
        long.map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Moment;
    use crate::scenario::Scenario;

    const ONE: ServerId = ServerId(1);

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pauses(whats: &[(u64, What)]) -> Pauses {
        let text = "lasts = \"99s\"\nsettles = \"9s\"\nservers = 3\n[workload.mix]\nclients = 3\n\
            rest = \"1s\"\nznodes = 9\nsession = \"5s\"\n";
        let fault = "[[faults]]\nwhen = { at = \"1s\" }\nwhat = { pause = { who = ";
        let who = ["server-1", "server-1", "server-2"];
        let faults = who.map(|who| format!("{fault}\"{who}\", lasts = \"9s\" }} }}\n"));
        let text = format!("{text}{}", faults.concat());
        let plan = Scenario::parse(&text, "x.toml", "x").unwrap().plan;
        let moment = |(seconds, what): &(u64, What)| Moment {
            at: at(*seconds),
            what: what.clone(),
        };
        let moments = whats.iter().map(moment).collect();
        Pauses::of(&plan, &History { moments })
    }

    fn struck(index: usize) -> What {
        What::Struck {
            index,
            kind: "pause",
            detail: String::new(),
        }
    }

    fn healed(index: usize) -> What {
        What::Healed {
            index,
            kind: "pause",
        }
    }

    #[test]
    fn two_pauses_of_one_server_are_one_and_only_long_ones_count() {
        let pauses = pauses(&[
            (10, struck(0)),
            (12, struck(1)),
            (13, struck(2)),
            (14, healed(2)),
            (15, healed(0)),
            (20, healed(1)),
        ]);
        let within = |server, longer_than, from, to| {
            pauses.within(ServerId(server), at(longer_than), at(from), at(to))
        };
        assert_eq!(within(1, 2, 0, 99), at(10));
        assert_eq!(within(1, 2, 12, 18), at(6));
        assert_eq!(within(1, 10, 0, 99), at(0));
        assert_eq!(within(2, 0, 0, 99), at(1));
        assert_eq!(within(2, 2, 0, 99), at(0));
        assert_eq!(within(3, 0, 0, 99), at(0));
    }

    #[test]
    fn a_pause_ends_with_its_act_and_means_nothing_to_another_life() {
        let until_the_act = pauses(&[(10, struck(0)), (30, What::SecondAct)]);
        assert_eq!(until_the_act.within(ONE, at(2), at(0), at(99)), at(20));
        let killed = pauses(&[
            (10, struck(0)),
            (15, What::Killed { server: ONE }),
            (30, healed(0)),
        ]);
        assert_eq!(killed.within(ONE, at(2), at(0), at(99)), at(0));
    }
}
