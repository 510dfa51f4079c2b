//! Judges a run of which servers and clients have left traces: every moment is known, as in the
//! simulator, but not what befell the machines. So what holds only in calm is not judged (E2, R6,
//! liveness), nor what a story would have to tell (recipes).

use std::time::Duration;

use althing_core::voters::Voters;

use crate::check::calm::Calm;
use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::check::pauses::Pauses;
use crate::check::sessions::{Clock, Surroundings};
use crate::check::{Known, service, writes};
use crate::history::{History, Violation};
use crate::quorums::Quorums;

/// What came of it.
#[derive(Debug)]
pub struct Judged {
    /// The rules that were broken, the first first.
    pub broken: Vec<Violation>,
    /// What was agreed.
    pub log: Log,
}

/// Judges the history of an ensemble that was founded by `founders` and whose tick is `tick`.
pub fn check(founders: &Voters, tick: Duration, history: &History) -> Judged {
    let mut findings = Findings::default();
    let known = Known {
        founders: Quorums::of(founders),
        clients: writes::Known::Some,
        weather: None,
        surroundings: Surroundings {
            clock: Clock::exact(tick),
            calm: Calm::default(),
            pauses: Pauses::default(),
            all_comes: true,
        },
    };
    let (log, _) = service(&known, history, &mut findings);
    Judged {
        broken: findings.sorted(),
        log,
    }
}
