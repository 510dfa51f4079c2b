//! L8: what goes by itself goes soon. As long as a leader serves and nothing slows it, it looks for
//! containers that have lost their last child and znodes whose time to live is over, and they go.

use std::time::Duration;

use crate::check::findings::Findings;
use crate::check::lapses::Lapse;
use crate::check::sessions::Surroundings;
use crate::plan::{FaultKind, Plan};
use crate::reference::tree::Goes;
use crate::world::house::REAP_INTERVAL;

/// How much later than the leader's next search a znode may go, in calm: for the parts of a search,
/// for its transaction, and for what the timers of a busy server are late.
const LATE_MAX: Duration = Duration::from_secs(2);

/// Holds every lapse against the calm within it.
pub fn check(plan: &Plan, surroundings: &Surroundings, lapses: &[Lapse], findings: &mut Findings) {
    let jumps = plan
        .faults
        .iter()
        .any(|fault| matches!(fault.what, FaultKind::WallJump { .. }));
    let Surroundings { clock, calm, .. } = surroundings;
    let most = clock.measured_by_all(REAP_INTERVAL) + LATE_MAX;
    for lapse in lapses {
        // A time to live is measured by wall clocks.
        if jumps && matches!(lapse.goes, Goes::After(_)) {
            continue;
        }
        let until = lapse.until.unwrap_or(calm.end);
        if until <= lapse.since + most {
            continue;
        }
        let stretch = calm.longest_within(lapse.since, until);
        if stretch > most {
            findings.add("L8 reaping", until, None, || {
                let (path, since) = (&lapse.path, lapse.since);
                let what = match lapse.goes {
                    Goes::After(ms) => format!("whose time of {ms} ms was over"),
                    _ => "which had lost its last child".to_owned(),
                };
                format!("{path}, {what} at {since:?}, was there for {stretch:?} of calm")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use althing_core::ids::{Epoch, ServerId, Zxid};
    use althing_core::node::event::Event;
    use althing_core::tree::path::Path;

    use super::*;
    use crate::check::tests::plan_with;
    use crate::cue::Cue;
    use crate::history::{History, Moment, What};
    use crate::plan::{Fault, Which};
    use crate::span::Span;

    /// A server leads from the first second on, and the run ends after a minute.
    fn led() -> History {
        let (server, leader, epoch) = (ServerId(1), ServerId(1), Epoch(1));
        let said = |second, event| Moment {
            at: Duration::from_secs(second),
            what: What::Said { server, event },
        };
        let zxid = Zxid(1);
        let moments = vec![
            said(0, Event::Elected { epoch, leader }),
            said(1, Event::EpochOpened { epoch }),
            said(60, Event::SnapshotBegun { zxid }),
        ];
        History { moments }
    }

    fn found(goes: Goes, since: u64, until: Option<u64>, faults: &[FaultKind]) -> usize {
        let at = Cue::At { at: Span::secs(1) };
        let faults = faults.iter().cloned();
        let faults = faults.map(|what| Fault::new(at.clone(), what)).collect();
        let plan = plan_with(1, faults);
        let lapse = Lapse {
            path: Path::parse("/a").expect("a path"),
            goes,
            since: Duration::from_secs(since),
            until: until.map(Duration::from_secs),
        };
        let surroundings = Surroundings::of(&plan, &led());
        let mut findings = Findings::default();
        check(&plan, &surroundings, &[lapse], &mut findings);
        findings.sorted().len()
    }

    #[test]
    fn what_can_go_goes_within_a_search_and_some_time() {
        for goes in [Goes::AfterChildren, Goes::After(500)] {
            assert_eq!(found(goes, 10, Some(12), &[]), 0, "it went");
            assert_eq!(found(goes, 10, Some(20), &[]), 1, "it went late");
            assert_eq!(found(goes, 10, None, &[]), 1, "it never went");
            assert_eq!(found(goes, 58, None, &[]), 0, "the run was over");
        }
    }

    #[test]
    fn who_measures_by_a_clock_that_jumps_may_be_late() {
        let (server, by_ms) = (Which::Number(1), -10_000);
        let jumps = [FaultKind::WallJump { server, by_ms }];
        assert_eq!(found(Goes::After(500), 10, None, &jumps), 0);
        assert_eq!(found(Goes::AfterChildren, 10, None, &jumps), 1);
    }
}
