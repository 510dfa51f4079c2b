//! L7: a leader that another has replaced knows it soon.
//!
//! Whoever is elected has the votes of a quorum, and who has voted for it does not answer its
//! predecessor any more. A leader looks every election time-out whether a quorum still answers, so
//! it abdicates even if nobody can tell it that it is replaced; how old an answer may be rests on
//! that, and so do all who are connected to it.

use std::time::Duration;

use crate::check::findings::Findings;
use crate::check::reigns::Reigns;
use crate::check::timely::Timely;
use crate::history::History;
use crate::plan::{Fault, FaultKind, Plan};

/// Could a quorum of old members answer while a quorum of new ones has elected another? Who is
/// changing the members, or comes back without a memory, has a rule of its own.
fn changes_members(plan: &Plan) -> bool {
    let loses = |fault: &Fault| matches!(fault.what, FaultKind::LostDisk { .. });
    !plan.learners.is_empty() || plan.changes_voters() || plan.faults.iter().any(loses)
}

/// Checks every leader against the one that replaced it.
pub fn check(plan: &Plan, history: &History, findings: &mut Findings) {
    if changes_members(plan) {
        return;
    }
    let end = history
        .moments
        .last()
        .map_or(Duration::ZERO, |last| last.at);
    let (timely, reigns) = (Timely::of(plan, history), Reigns::of(history));
    for (epoch, reign) in reigns.all() {
        let later = reigns.all().filter(|(other, _)| *other > epoch);
        let Some(over) = later.map(|(_, next)| next.from.max(reign.from)).min() else {
            continue;
        };
        let until = reign.until.unwrap_or(end);
        let due = over + timely.age_max();
        if until > due && timely.is_known(over, due) {
            findings.add("L7 abdication", due, None, || {
                let leader = reign.leader;
                format!(
                    "server {leader} leads {epoch} {:?} after another's election",
                    due - over
                )
            });
        }
    }
}
