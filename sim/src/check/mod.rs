//! The checkers: what must hold in every run, judged over its history and named as users know it.
//!
//! One pass joins the wire ([`wire`]), one builds the agreed sequence ([`agreement`]), one replays
//! it through the reference beside every answer ([`replay`]); the others read what these leave.

pub mod abdication;
pub mod agreement;
pub mod calm;
pub mod differing;
pub mod executed;
pub mod findings;
pub mod following;
pub mod health;
pub mod lanes;
pub mod lapses;
pub mod lasting;
pub mod liveness;
pub mod locals;
pub mod log;
pub mod memory;
pub mod outside;
pub mod pauses;
pub mod polite;
pub mod prevote;
pub mod proofs;
pub mod rates;
pub mod read_only;
pub mod reads;
pub mod reaping;
pub mod recipes;
pub mod refusals;
pub mod registered;
pub mod reigns;
pub mod replay;
pub mod restored;
pub mod sessions;
pub mod stickiness;
pub mod timely;
pub mod traced;
pub mod watches;
pub mod wire;
pub mod wording;
pub mod writes;

#[cfg(test)]
pub(crate) mod tests;

use crate::check::findings::Findings;
use crate::check::log::Log;
use crate::history::{History, Violation};
use crate::plan::Plan;
use crate::quorums::Quorums;

/// Every rule that the run broke, by the time at which it was seen to be broken; at most a few of
/// each ([`findings::PER_INVARIANT_MAX`]).
pub fn check(plan: &Plan, history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    let history = &*memory::remembered(history);
    let known = Known {
        founders: Quorums::of_plan(plan),
        clients: writes::Known::Everybody,
        weather: Some(plan),
        surroundings: sessions::Surroundings::of(plan, history),
    };
    let (log, replayed) = service(&known, history, &mut findings);
    recipes::check(plan, history, &log, &replayed, &mut findings);
    liveness::check(plan, history, &log, &mut findings);
    reaping::check(plan, &known.surroundings, &replayed.lapses, &mut findings);
    polite::check(plan, history, &mut findings);
    stickiness::check(plan, history, &mut findings);
    prevote::check(plan, history, &mut findings);
    refusals::check(plan, history, &mut findings);
    abdication::check(plan, history, &mut findings);
    restored::check(plan, history, &log, &mut findings);
    findings.sorted()
}

/// What is known of a run beside its history.
struct Known<'a> {
    /// Who decides until somebody else is agreed on.
    founders: Quorums,
    /// Whose requests are in the history.
    clients: writes::Known,
    /// What disturbs the run; only then can an answer be called late.
    weather: Option<&'a Plan>,
    /// The world around the servers.
    surroundings: sessions::Surroundings,
}

/// Everything that a service owes its clients, whoever they are; what was agreed, and what came of
/// it.
fn service(
    known: &Known<'_>,
    history: &History,
    findings: &mut Findings,
) -> (Log, replay::Replayed) {
    let log = agreement::agreement::build(known.founders.clone(), history, findings);
    let mut wire = wire::join(history, findings);
    writes::attach(&log, &mut wire);
    rates::count_refused(history, &mut wire);
    let replayed = replay::replay(&log, &wire, findings);
    writes::check(known.clients, &log, &wire, &replayed, findings);
    match known.weather {
        Some(plan) => {
            reads::check(plan, history, &log, &wire, findings);
            rates::check(plan, &wire, findings);
        }
        None => reads::check_order(&log, &wire, findings),
    }
    watches::check(&wire, &replayed, findings);
    let surroundings = &known.surroundings;
    let calm = &surroundings.calm;
    let calm = known
        .weather
        .and_then(|plan| read_only::calm_for_all(plan, calm));
    read_only::check(&wire, calm, findings);
    proofs::check(&wire, findings);
    locals::check(&log, &wire, |agreed| agreed.executed_at, findings);
    lasting::check(&known.surroundings, history, &log, &wire, findings);
    sessions::check(surroundings, history, &log, &wire, &replayed, findings);
    (log, replayed)
}
