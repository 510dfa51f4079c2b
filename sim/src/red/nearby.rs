//! Is it a race? The same plan under other seeds, which time everything otherwise and have clients
//! ask for other things: what is red under all of them follows from the plan, and what is red under
//! few needs luck.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::campaign::Play;
use crate::plan::Plan;
use crate::shrink::culprit::Culprit;
use crate::stopwatch::Stopwatch;

/// How many other seeds are played.
pub const SEEDS: u64 = 100;
/// How long they are played at most.
pub const REAL_TIME_MAX: Duration = Duration::from_secs(15);

/// How often a plan is red under other seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nearby {
    /// Seeds that were played.
    pub played: u64,
    /// Those that were red for the same reason.
    pub red: u64,
}

/// Plays the plan under the seeds that follow `seed`.
pub fn nearby(
    plan: &Plan,
    seed: u64,
    culprit: &Culprit,
    jobs: usize,
    stop: &AtomicBool,
    play: &Play<'_>,
) -> Nearby {
    let (next, played, red) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    let stopwatch = Stopwatch::start();
    let work = || {
        while !stop.load(Ordering::Relaxed) && stopwatch.real() < REAL_TIME_MAX {
            let far = next.fetch_add(1, Ordering::Relaxed);
            if far > SEEDS {
                break;
            }
            let outcome = play(plan, seed.wrapping_add(far));
            played.fetch_add(1, Ordering::Relaxed);
            red.fetch_add(u64::from(culprit.is_in(&outcome)), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    Nearby {
        played: played.into_inner(),
        red: red.into_inner(),
    }
}

impl fmt::Display for Nearby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Nearby { played, red } = self;
        write!(
            f,
            "red for the same reason under {red} of {played} other seeds"
        )?;
        match (red, played) {
            (_, 0) => Ok(()),
            (red, played) if red == played => f.write_str(": it follows from the plan"),
            (0, _) => f.write_str(": it needs what this very seed draws"),
            (red, played) if red * 2 >= *played => f.write_str(": it is likely with this plan"),
            _ => f.write_str(": it needs luck, such as a race or the right operations"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Outcome;
    use crate::history::Violation;
    use crate::scenario::Scenario;

    #[test]
    fn the_rate_of_other_seeds_is_told() {
        let text = "lasts = \"60s\"\nsettles = \"30s\"\n[workload.lock]\nclients = 3\n\
                    hold = \"1s\"\nsession = \"5s\"\n";
        let plan = Scenario::parse(text, "x.toml", "x").unwrap().plan;
        let violation = Violation {
            invariant: "M1 mutex",
            at: Duration::ZERO,
            detail: String::new(),
            session: None,
        };
        let culprit = Culprit::of(&violation);
        let play = |_: &Plan, seed: u64| Outcome {
            violations: seed
                .is_multiple_of(4)
                .then(|| violation.clone())
                .into_iter()
                .collect(),
            ..Outcome::default()
        };
        let stop = AtomicBool::new(false);
        let found = nearby(&plan, 40, &culprit, 3, &stop, &play);
        assert_eq!((found.played, found.red), (100, 25));
        assert_eq!(
            found.to_string(),
            "red for the same reason under 25 of 100 other seeds: it needs luck, such as a race or the right \
             operations"
        );
        let all = Nearby { played: 9, red: 9 };
        assert!(all.to_string().ends_with("it follows from the plan"));
    }
}
