//! How old a state may be that a server of an ensemble shows. One that has no leader sends its
//! clients away after its isolation time-out, so nothing that it shows is much older than that.

use std::collections::BTreeSet;
use std::time::Duration;

use althing_core::node::event::Event;

use crate::check::sessions::TICK_DEFAULT;
use crate::history::{History, What};
use crate::plan::{FaultKind, Plan, Who};

/// The isolation time-out, in ticks.
const ISOLATION_TICKS: u32 = 2;

/// What else passes until a state is old: until a leader that is cut off gives up and its followers
/// notice, and until one that was cut off for less has caught up.
const LAG_MAX: Duration = Duration::from_secs(4);

/// How old a state may be, and when nobody can tell.
#[derive(Debug)]
pub struct Timely {
    age_max: Duration,
    /// When servers are slow themselves, whatever they hear: in order, without overlaps.
    slow: Vec<(Duration, Duration)>,
}

/// Does this fault make a server slow, and not only deaf or dead?
fn slows(fault: &FaultKind) -> bool {
    match fault {
        FaultKind::Pause { who, .. } | FaultKind::SlowLink { who, .. } => {
            matches!(who, Who::Server(_))
        }
        FaultKind::SlowDisk { .. } | FaultKind::FullDisk { .. } => true,
        _ => false,
    }
}

impl Timely {
    /// As a run tells; one server alone has a stricter rule.
    pub fn of(plan: &Plan, history: &History) -> Timely {
        let tick = plan.server.tick_time.map_or(TICK_DEFAULT, |span| span.0);
        let mut timely = Timely {
            age_max: tick * ISOLATION_TICKS + LAG_MAX,
            slow: Vec::new(),
        };
        if plan.servers == 1 {
            timely.slow.push((Duration::ZERO, Duration::MAX));
            return timely;
        }
        let mut active = BTreeSet::new();
        let mut since = None;
        for moment in &history.moments {
            let at = moment.at;
            match &moment.what {
                What::Struck { index, .. } => {
                    let fault = plan.faults.get(*index);
                    if fault.is_some_and(|fault| slows(&fault.what)) {
                        active.insert(*index);
                        since = since.or(Some(at));
                    }
                }
                What::Healed { index, .. } => drop(active.remove(index)),
                What::SecondAct => active.clear(),
                What::Said {
                    event: Event::Paused { gap },
                    ..
                } => {
                    timely.was_slow(at.saturating_sub(*gap), at);
                    continue;
                }
                _ => continue,
            }
            if active.is_empty()
                && let Some(from) = since.take()
            {
                timely.was_slow(from, at);
            }
        }
        if let Some(from) = since {
            timely.was_slow(from, Duration::MAX);
        }
        timely
    }

    /// When it is not known when servers were slow: nothing is owed.
    pub fn unknown() -> Timely {
        Timely {
            age_max: Duration::ZERO,
            slow: vec![(Duration::ZERO, Duration::MAX)],
        }
    }

    fn was_slow(&mut self, from: Duration, to: Duration) {
        match self.slow.last_mut() {
            Some(last) if from <= last.1 => {
                *last = (last.0.min(from), last.1.max(to));
            }
            _ => self.slow.push((from, to)),
        }
    }

    /// The longest time after which a server that hears nobody has given up.
    pub fn age_max(&self) -> Duration {
        self.age_max
    }

    /// Were all servers as fast as usual from `from` to `to`?
    pub fn is_known(&self, from: Duration, to: Duration) -> bool {
        let ended = self.slow.partition_point(|(_, end)| *end < from);
        let slow = self.slow.get(ended);
        slow.is_none_or(|(begin, _)| *begin > to)
    }

    /// What was agreed by the returned time must be shown by the answer at `to` of what was asked
    /// at
    /// `from`; `None` if nobody can tell, since servers were slow.
    pub fn since(&self, from: Duration, to: Duration) -> Option<Duration> {
        let since = from.checked_sub(self.age_max)?;
        self.is_known(since, to).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_owed_while_servers_are_slow_and_until_they_may_have_caught_up() {
        let mut timely = Timely {
            age_max: at(8),
            slow: Vec::new(),
        };
        timely.was_slow(at(20), at(22));
        timely.was_slow(at(21), at(24));
        timely.was_slow(at(50), at(51));
        assert_eq!(timely.slow, [(at(20), at(24)), (at(50), at(51))]);
        assert_eq!(timely.since(at(5), at(6)), None);
        assert_eq!(timely.since(at(18), at(19)), Some(at(10)));
        assert_eq!(timely.since(at(18), at(20)), None);
        assert_eq!(timely.since(at(30), at(31)), None);
        assert_eq!(timely.since(at(33), at(34)), Some(at(25)));
        assert_eq!(timely.since(at(55), at(56)), None);
        assert_eq!(timely.since(at(60), at(61)), Some(at(52)));
    }
}
