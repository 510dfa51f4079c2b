//! The checkers: what must hold in every run, judged over its history and named as users know it.
//!
//! One pass joins the wire ([`wire`]), one builds the agreed sequence ([`agreement`]), one replays
//! it through the reference beside every answer ([`replay`]); the others read what these leave.

pub mod agreement;
pub mod calm;
pub mod differing;
pub mod findings;
pub mod liveness;
pub mod log;
pub mod memory;
pub mod outside;
pub mod polite;
pub mod reads;
pub mod recipes;
pub mod reigns;
pub mod replay;
pub mod sessions;
pub mod timely;
pub mod traced;
pub mod watches;
pub mod wire;
pub mod writes;

#[cfg(test)]
pub(crate) mod tests;

use crate::check::findings::Findings;
use crate::history::{History, Violation};
use crate::plan::Plan;

/// Every rule that the run broke, by the time at which it was seen to be broken; at most a few of
/// each ([`findings::PER_INVARIANT_MAX`]).
pub fn check(plan: &Plan, history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    let history = &*memory::remembered(history);
    let log = agreement::agreement::build(plan.voters(), history, &mut findings);
    let mut wire = wire::join(history, &mut findings);
    writes::attach(&log, &mut wire);
    let replayed = replay::replay(&log, &wire, &mut findings);
    writes::check(
        writes::Known::Everybody,
        &log,
        &wire,
        &replayed,
        &mut findings,
    );
    reads::check(plan, history, &log, &wire, &mut findings);
    watches::check(&wire, &replayed, &mut findings);
    let surroundings = sessions::Surroundings::of(plan, history);
    sessions::check(
        &surroundings,
        history,
        &log,
        &wire,
        &replayed,
        &mut findings,
    );
    recipes::check(plan, history, &log, &mut findings);
    liveness::check(plan, history, &log, &mut findings);
    polite::check(plan, history, &mut findings);
    findings.sorted()
}
